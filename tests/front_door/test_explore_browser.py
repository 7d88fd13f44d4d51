"""Explorers as pages of their own: no code to be seen, nothing from outside, the token kept, kernels ended."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import lab
import pytest
from playwright.sync_api import Browser, expect

from front_door import explore
from front_door.terminal import Stop

pytest.importorskip("voila", reason="Voila is optional and not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab.lab_server(lab.REPO, tmp_path_factory.mktemp("home"), ("explore", "budget")) as server:
        yield server.address


def test_every_page_shows_its_explorer_and_no_code(address: str, app: Browser) -> None:
    page = app.new_page(viewport={"width": 1366, "height": 768})
    arrived: list[str] = []
    page.on("response", lambda response: arrived.append(response.url))
    for name in explore.PAGES:
        page.goto(address.replace("/budget.ipynb", f"/{name}.ipynb"))
        picture = page.locator("img[alt]").first
        expect(picture).to_be_visible(timeout=120_000)
        before = picture.get_attribute("alt") or ""
        assert len(before) > 100
        assert page.get_by_text("import").count() == 0
        page.locator(".noUi-handle, select").first.focus()
        page.keyboard.press("ArrowRight")  # another value of a slider, and the next choice of a list
        expect(picture).not_to_have_attribute("alt", before, timeout=60_000)
        page.screenshot(path=lab.REPO / "tests" / "screenshots" / f"explore_{name}.png")
    assert [url for url in arrived if not re.match(r"http://127\.0\.0\.1|data:|blob:", url)] == []
    page.close()


def test_without_the_token_nobody_sees_a_page(address: str) -> None:
    where = address.partition("?")[0]
    with urllib.request.urlopen(where) as answer:
        assert "/login" in answer.url
    for way in ("api/kernels", "voila/files/budget.ipynb", "lsp/status"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(where.replace("voila/render/budget.ipynb", way))


def test_another_name_is_refused() -> None:
    with pytest.raises(Stop, match="no explorer 'x' to open alone: choose among epsilon, anonymity, budget, chooser"):
        explore.explore("x")
