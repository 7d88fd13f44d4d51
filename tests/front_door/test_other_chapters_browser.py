"""The other chapters that have an explorer: run all cells, then move it."""

from __future__ import annotations

from collections.abc import Callable

import lab
import pytest


@pytest.mark.parametrize("name", ["00_start_here.ipynb", "01_what_leaks.ipynb"])
def test_chapter_runs_and_its_explorer_moves(open_notebook: Callable[[str], lab.NotebookPage], name: str) -> None:
    notebook = open_notebook(name)
    assert all(notebook.stored_pictures())
    notebook.run_all()
    explorer = lab.ExplorerView(notebook)
    before = explorer.settled()
    handle = explorer.root.get_by_role("slider").first
    stood = handle.get_attribute("aria-valuenow")
    handle.press("ArrowRight")
    if handle.get_attribute("aria-valuenow") == stood:  # it was at its right end
        handle.press("ArrowLeft")
    after = explorer.settled(lambda now: now.src != before.src and now.alt != before.alt)
    explorer.screenshot(f"{name[:2]}_explorer")
    assert after.alt in after.text
    assert after.width / after.height == pytest.approx(after.natural_width / after.natural_height, rel=0.01)
    assert notebook.complaints.all_inner_texts() == []
    assert (notebook.errors, notebook.foreign) == ([], [])
