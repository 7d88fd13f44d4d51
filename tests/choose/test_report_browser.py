"""The report in a real Chromium: it asks nothing of any network, and a screen reader can follow it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lab
import pandas as pd
import pytest
from hostile import HOSTILE, LONG, picture
from lab import screenshot_path
from pages import AXE
from playwright.sync_api import Browser, Page

from ppml_helpers.choose.questions import QUESTIONS
from ppml_helpers.choose.report import Section
from ppml_helpers.choose.review import Answer, Review, export_review
from ppml_helpers.choose.scoreboard import load

WIDTH = {"width": 1000, "height": 900}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of hostile answers by hostile people about hostile columns, and of some plain ones."""
    folder = tmp_path_factory.mktemp("report")
    review = Review(folder / "review.json")
    for name, text in zip(QUESTIONS, [*HOSTILE.values(), LONG, "\u202egnp.exe", "مرحبا"], strict=False):
        review.write(name, Answer(text, text[:40], "2026-11-29T08:00:00"), None)
        review.write(name, Answer(f"Second opinion: {text}", "S. Second", "2026-11-29T09:00:00"), None)
    chosen = "private training, epsilon 1; federated + masks + noise"
    review.write("techniques", Answer(chosen, "A. Person", "2026-11-29"), None)
    columns = pd.Index([text.encode("utf-8", "replace").decode() for text in HOSTILE.values()], dtype=object)
    table = pd.DataFrame([["=1+1"] * len(columns), [LONG] * len(columns)], columns=columns, dtype=object)
    figure = [(picture(), "The leak falls from 0.41 to 0.05.")]
    own = {"necessity": [Section("what singles people out", ["k is 3."], [("Columns", table)], figure)]}
    rows = load(lab.REPO / "data" / "scoreboard")
    return export_review(review, folder / "r.html", folder / "r.md", folder=folder, measured=own, rows=rows)


@pytest.fixture
def page(app: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report, opened; `asked` and `said` record what it asked of a network and what went wrong in it."""
    context = app.new_context(viewport=WIDTH, bypass_csp=getattr(request, "param", False), offline=True)
    page = context.new_page()
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(report.as_uri())
    yield page
    context.close()


def test_it_asks_for_nothing_but_itself_and_runs_nothing(page: Page, report: Path) -> None:
    page.mouse.wheel(0, 100_000)
    page.screenshot(path=screenshot_path("report"))
    assert [url for url in page.asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.said == []
    assert page.title() == "Review of a use of patients' data"
    assert page.locator("script, iframe, link, [onerror], [onload]").count() == 0
    assert page.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
    page.emulate_media(media="print")
    [box] = page.locator(".long").first.evaluate_all("all => all.map(one => [one.scrollHeight, one.clientHeight])")
    assert box[0] <= box[1] + 1  # on paper nothing is hidden in a box


def test_hostile_text_stays_within_the_page_and_in_its_order(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.get_by_text("\\u202egnp.exe", exact=False).count() >= 2
    assert page.get_by_text("<script>document.title='caught'</script>", exact=True).count() == 2  # an answer, a column
    assert page.get_by_text("مرحبا", exact=True).first.evaluate("one => getComputedStyle(one).direction") == "rtl"


def test_by_keyboard_the_contents_lead_to_each_part(page: Page) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#part-1")
    targets = page.locator("nav a").evaluate_all("all => all.map(one => document.querySelector(one.hash)?.tagName)")
    assert set(targets) == {"H2"}
    assert len(targets) == 8


@pytest.mark.parametrize("page", [True], indirect=True, ids=["policy off"])
def test_axe_finds_nothing_serious(page: Page) -> None:
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document).then(all => [all.violations, all.passes.length])")
    assert found[1] > 15
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found[0]] == []


@pytest.mark.parametrize("page", [True], indirect=True, ids=["policy off"])
def test_axe_would_find_a_picture_without_words_and_a_heading_too_deep(page: Page) -> None:
    page.evaluate("document.querySelector('img').removeAttribute('alt')")
    page.evaluate("document.querySelector('h2').outerHTML = '<h5>Too deep</h5>'")
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document).then(all => all.violations.map(one => one.id))")
    assert {"image-alt", "heading-order"} <= set(found)
