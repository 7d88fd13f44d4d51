"""The button that makes the scoreboard's rows: pressed by keyboard, stopped, and gone on with from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab import NotebookPage
from playwright.sync_api import expect
from samples import code, stored

NOTEBOOK, ROWS = "zz_rows.ipynb", "zz_rows"
SHOW = f"from ppml_helpers.choose import ScoreboardMaker\nScoreboardMaker({ROWS!r})"


def test_the_button_makes_rows_stops_and_keeps_them(course: Path, opened: Callable[[str], NotebookPage]) -> None:
    stored(course / "notebooks" / NOTEBOOK, code(SHOW, name="rows"))
    page = opened(NOTEBOOK)
    page.run_all()
    make, stop = (page.panel.get_by_role("button", name=name) for name in ("Make the rows", "Stop"))
    expect(stop).to_be_disabled()
    kept: dict[Path, int] = {}
    for _ in range(2):
        make.focus()
        page.page.keyboard.press("Enter")
        expect(make).to_be_disabled()
        folder = course / "notebooks" / ROWS
        for _ in range(600):
            if len(list(folder.glob("*.json"))) > len(kept):
                break
            page.page.wait_for_timeout(200)
        stop.click()
        expect(page.panel.get_by_role("status").filter(has_text="Stopped.")).to_be_visible(timeout=60_000)
        expect(make).to_be_enabled()
        now = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
        assert len(now) > len(kept)
        assert {path: now[path] for path in kept} == kept  # what was made is not made again
        kept = now
    page.screenshot("scoreboard_button")
