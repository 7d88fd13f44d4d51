"""The worksheet of an own table's roles as somebody meets it: on one screen, by keyboard, kept at each change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lab import NotebookPage
from playwright.sync_api import Locator, expect
from samples import code, stored

from ppml_helpers.choose.proposal import read_roles

NOTEBOOK = "zz_roles.ipynb"
SHOW = """from ppml_helpers.choose import Table
from ppml_helpers.choose.own_table.worksheet import RolesWorksheet
from ppml_helpers.choose.table import roles_path
table = Table.read("zz_people.csv")
RolesWorksheet(table, roles_path("zz_people.csv"))"""


@pytest.fixture(scope="module")
def sheet(course: Path, opened: Callable[[str], NotebookPage]) -> NotebookPage:
    rows = [f"{20 + row % 60},{'yes' if row % 3 else 'no'},Zoë Miller {row}" for row in range(60)]
    (course / "notebooks" / "zz_people.csv").write_text("\n".join(["age,ill,name", *rows]), "utf-8")
    stored(course / "notebooks" / NOTEBOOK, code(SHOW, name="sheet"))
    page = opened(NOTEBOOK)
    page.run_all()
    return page


def field(page: NotebookPage, label: str) -> Locator:
    return page.panel.get_by_label(label, exact=True)


def test_every_field_has_a_label_and_all_stand_on_one_screen_without_a_row(sheet: NotebookPage) -> None:
    fields = sheet.panel.locator(".jp-OutputArea input, .jp-OutputArea select")
    expect(fields.first).to_be_visible()
    assert fields.evaluate_all("all => all.filter(one => !one.labels.length || !one.labels[0].innerText).length") == 0
    ends = fields.evaluate_all("all => all.map(one => one.getBoundingClientRect()).map(one => [one.top, one.bottom])")
    assert max(bottom for _, bottom in ends) - min(top for top, _ in ends) < 700
    sheet.screenshot("roles_worksheet")
    assert "Miller" not in sheet.panel.inner_text()


def test_by_keyboard_a_bound_becomes_public_and_is_kept_at_once(sheet: NotebookPage, course: Path) -> None:
    field(sheet, "predict").select_option("ill")
    field(sheet, "column").select_option("age")
    field(sheet, "low, public").fill("18")
    field(sheet, "high, public").fill("ninety")
    expect(sheet.panel.get_by_role("alert")).to_contain_text("'ninety' is no number")
    field(sheet, "high, public").focus()
    sheet.page.keyboard.press("Control+A")
    sheet.page.keyboard.type("90")
    for _ in range(3):  # past the fill and the names, to where it comes from
        sheet.page.keyboard.press("Tab")
    sheet.page.keyboard.type("adults")
    expect(field(sheet, "where they come from")).to_have_value("adults")
    expect(sheet.panel.get_by_text("Saved in zz_people.roles.toml.")).to_be_visible()
    kept = course / "notebooks" / "zz_people.roles.toml"
    sheet.page.wait_for_timeout(500)
    age = read_roles(kept).columns["age"]
    assert (age.low, age.high, age.source) == (18, 90, "adults")
    assert read_roles(kept).target == "ill"
