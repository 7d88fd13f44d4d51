"""What a newcomer sees first: the address that `kit.py lab` prints, opened in a browser."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import lab
import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, Locator, expect

from ppml_helpers import processes

START = "00_start_here.ipynb"


SETTLING = 5.0  # seconds within which JupyterLab asks its questions and reads its news


@pytest.fixture(scope="module")
def first(app: Browser, server: lab.Server) -> Iterator[lab.NotebookPage]:
    notebook = lab.NotebookPage(app, server, server.address)
    yield notebook
    notebook.close()


def test_the_printed_address_opens_the_first_chapter_and_nothing_stands_in_the_way(first: lab.NotebookPage) -> None:
    opened = time.monotonic()
    source = nbformat.read(lab.REPO / "notebooks" / START, as_version=4).cells[0].source
    title = source.splitlines()[0].removeprefix("# ").strip()
    expect(first.panel.locator("h1").first).to_contain_text(title)
    expect(first.page.locator(".lm-TabBar-tab.lm-mod-current", has_text=START)).to_have_count(1)
    assert all(first.stored_pictures())
    first.screenshot("first_view")
    first.run_all()
    first.page.wait_for_timeout(1000 * max(0.0, SETTLING - (time.monotonic() - opened)))
    assert first.complaints.all_inner_texts() == []
    assert (first.errors, first.foreign) == ([], [])  # it asks no other host


def test_what_goes_deeper_opens_by_keyboard_and_a_solution_by_a_click(first: lab.NotebookPage) -> None:
    def cell(kind: str, text: str) -> Locator:
        return first.panel.locator(f".jp-{kind}Cell", has_text=text).first

    inside = cell("Code", "usable = list(cohort.SUPPORT2.columns)")
    expect(inside).to_be_hidden()
    cell("Markdown", "Deeper: what is missing?").click()
    first.page.keyboard.press("ArrowRight")
    expect(inside).to_be_visible()
    first.screenshot("deeper")

    solved = cell("Code", '00.1", share, record=False')
    cell("Markdown", "00.1 Warm-up").scroll_into_view_if_needed()
    solution = first.panel.locator(".jp-CodeCell:has(.jp-InputPlaceholder)").first
    solution.scroll_into_view_if_needed()
    expect(solved).to_be_hidden()
    solution.locator(".jp-InputPlaceholder").click()
    expect(solved).to_be_visible()


def test_the_first_explorer_moves(first: lab.NotebookPage) -> None:
    explorer = lab.ExplorerView(first)
    explorer.nudged("00_explorer")
    assert first.complaints.all_inner_texts() == []
    assert (first.errors, first.foreign) == ([], [])


def test_ctrl_c_ends_server_and_kernels(course: Path, tmp_path: Path) -> None:
    with lab.lab_server(course, tmp_path) as server:
        server.start_kernel()
        commands = [" ".join(process.cmdline()) for process in processes.running(lab.carries(server.mark))]
        assert any("ipykernel" in command for command in commands)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(lab.PATIENCE) == 0
        assert psutil.wait_procs(processes.running(lab.carries(server.mark)), timeout=10)[1] == []
