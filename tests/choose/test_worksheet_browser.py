"""The worksheet of the review as somebody meets it: typed by keyboard, a kernel that is killed, two pages at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import lab
import pytest
from lab import NotebookPage
from playwright.sync_api import Browser, Locator, expect
from samples import code, stored

MINE, YOURS = "zz_review_mine.ipynb", "zz_review_yours.ipynb"
KERNEL = "import os\nprint('kernel', os.getpid())"
SHOW = "from ppml_helpers.choose import ReviewWorksheet\nReviewWorksheet()"


@pytest.fixture(scope="module")
def mine(course: Path, opened: Callable[[str], NotebookPage]) -> NotebookPage:
    """A page with the worksheet, in a notebook that has nothing else; a second notebook lies beside it."""
    for name in (MINE, YOURS):
        stored(course / "notebooks" / name, code(KERNEL, name="kernel"), code(SHOW, name="worksheet"))
    page = opened(MINE)
    page.run_all()
    return page


@pytest.fixture(scope="module")
def yours(mine: NotebookPage, app: Browser, server: lab.Server) -> Iterator[NotebookPage]:
    page = NotebookPage(app, server, server.page_of(YOURS))
    page.run_all()
    yield page
    page.close()


def box(page: NotebookPage, label: str) -> Locator:
    return page.panel.get_by_label(label, exact=True)


def test_by_keyboard_all_is_reached_and_what_is_typed_is_kept(mine: NotebookPage) -> None:
    box(mine, "your name").focus()
    mine.page.keyboard.type("A. Person")
    for _ in range(3):  # past the button, the part, to the first question
        mine.page.keyboard.press("Tab")
    mine.page.keyboard.type("For teaching, ")
    mine.page.keyboard.press("Enter")
    mine.page.keyboard.type("and no more")
    expect(mine.panel.get_by_text(", by A. Person.")).to_have_count(1)
    expect(mine.panel.get_by_text("1 of 34 answered")).to_be_visible()
    mine.screenshot("review_worksheet")
    reached = set()
    for _ in range(4):
        mine.page.keyboard.press("Tab")
        reached.add(mine.page.evaluate("() => document.activeElement.labels[0].innerText"))
    assert reached == {"legal basis", "data", "flow", "roles"}
    boxes = mine.panel.locator(".jp-OutputArea textarea, .jp-OutputArea input, .jp-OutputArea select")
    assert boxes.evaluate_all("all => all.filter(one => !one.labels.length || !one.labels[0].innerText).length") == 0


def test_a_killed_kernel_takes_no_answer_with_it(mine: NotebookPage) -> None:
    box(mine, "roles").fill("The hospital decides, alone.")
    expect(mine.panel.get_by_text("Saved 20")).to_have_count(2)
    [pid] = [line.split()[1] for line in mine.panel.inner_text().splitlines() if line.startswith("kernel ")]
    os.kill(int(pid), signal.SIGKILL)
    mine.page.get_by_role("button", name="Ok").click()  # JupyterLab says that the kernel has died
    mine.run_all()
    expect(box(mine, "roles")).to_have_value("The hospital decides, alone.")
    expect(box(mine, "purpose")).to_have_value("For teaching, \nand no more")


def test_two_pages_that_are_open_at_once_lose_nothing(mine: NotebookPage, yours: NotebookPage) -> None:
    box(mine, "data").fill("Mine")
    expect(mine.panel.get_by_text("Saved 20")).to_have_count(3)
    box(yours, "data").fill("Yours")
    expect(yours.panel.get_by_text("Another answer is kept beside it")).to_contain_text("Mine")
    yours.screenshot("review_conflict")
    mine.panel.get_by_role("button", name="Read again").click()
    expect(box(mine, "data")).to_have_value("Yours")
    expect(mine.panel.get_by_text("Another answer is kept beside it")).to_contain_text("Mine")
    mine.panel.get_by_role("button", name="Keep only this one").click()
    expect(mine.panel.get_by_text("Another answer is kept beside it")).to_have_count(0)
    yours.run_all()
    expect(box(yours, "data")).to_have_value("Yours")
    box(yours, "part").select_option(label="3 Risks to the rights and freedoms of the people in the data")
    expect(box(yours, "linking")).to_be_visible()
    with yours.page.expect_download() as saved:
        yours.panel.get_by_role("button", name="Write the report").click()
        yours.panel.get_by_role("link", name="report.html").click()
    assert "The hospital decides, alone." in saved.value.path().read_text("utf-8")
    assert (mine.errors, mine.foreign, yours.errors, yours.foreign) == ([], [], [], [])
