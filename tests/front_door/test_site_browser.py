"""The website as it is read: without a network, by mouse, by keyboard, and by who listens to it."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest
from playwright.sync_api import Browser, expect

from front_door import handouts, site, slides
from front_door.environment import ensure
from front_door.terminal import Stop

READ = ("index", "notebooks/00_start_here", "notebooks/05_private_training", "notebooks/03_anonymise", "search")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        ensure(site.recipe())
    except Stop as stop:
        pytest.skip(f"The website's packages could not be installed: {stop}")
    folder = tmp_path_factory.mktemp("site") / "course"
    assert site.site(str(folder)) == 0  # with a warning it stops
    return folder


def test_it_is_small_and_holds_no_address_from_which_something_is_fetched(built: Path) -> None:
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < 40e6
    assert not list(built.rglob("*.ipynb"))


@pytest.mark.parametrize("name", READ)
def test_a_page_asks_for_nothing_outside_and_can_be_used_by_all(built: Path, app: Browser, name: str) -> None:
    with pages.opened(app, built / f"{name}.html") as page:
        page.wait_for_load_state("load")
        assert pages.grave_findings(page) == []


def test_formulas_are_drawn_solutions_open_and_the_search_finds(built: Path, app: Browser) -> None:
    with pages.opened(app, built / "notebooks/05_private_training.html") as page:
        formula = page.locator("math[display=block]").first
        expect(formula).to_be_visible()
        box = formula.bounding_box()
        assert box is not None
        assert box["height"] > 30  # a fraction stands above its line
        first = page.locator("details.hide").first
        solution = first.locator(".highlight").first
        expect(solution).to_be_hidden()
        first.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(solution).to_be_visible()
        page.screenshot(path=Path(__file__).parents[1] / "screenshots" / "site.png")
    with pages.opened(app, built / "search.html") as page:
        page.goto(f"{page.url}?q=sensitivity")
        expect(page.locator("ul.search li").first).to_be_visible()


def test_a_page_fits_a_phone(built: Path, app: Browser) -> None:
    with pages.opened(app, built / "notebooks/01_what_leaks.html", width=390) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_slides_fit_their_screen_and_their_notes_are_there(built: Path, app: Browser, tmp_path: Path) -> None:
    chapters = [site.places.NOTEBOOKS / f"{name}.ipynb" for name in ("00_start_here", "05_private_training")]
    assert slides.slides(str(tmp_path / "deck"), chapters) == 0
    with pages.opened(app, tmp_path / "deck" / "05_private_training.html") as page:
        page.wait_for_function("window.Reveal && Reveal.isReady()")
        shown = page.evaluate("Reveal.getTotalSlides()")
        assert shown > 12
        heights = []
        for _ in range(shown):
            heights.append(page.evaluate("Reveal.getCurrentSlide().scrollHeight"))
            page.keyboard.press("Space")
        assert max(heights) <= page.evaluate("Reveal.getConfig().height")
        assert page.evaluate("document.querySelectorAll('aside.notes').length") > 6
        page.screenshot(path=Path(__file__).parents[1] / "screenshots" / "slides.png")


def test_a_handout_prints_on_a_few_pages(built: Path, app: Browser, tmp_path: Path) -> None:
    assert handouts.build(
        str(tmp_path / "out"), "handouts", [site.places.NOTEBOOKS / "05_private_training.ipynb"], handouts.write
    )
    with pages.opened(app, tmp_path / "out" / "05_private_training.html") as page:
        assert pages.grave_findings(page) == []
        assert page.locator("div.answer").count() >= 2
        pdf = page.pdf(format="A4")
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4
