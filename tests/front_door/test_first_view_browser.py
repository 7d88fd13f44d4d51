"""What a newcomer sees first: the address that `kit.py lab` prints, opened in a browser."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import lab
import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, expect

START = "00_start_here.ipynb"


@pytest.fixture(scope="module")
def first(app: Browser, server: lab.Server) -> Iterator[lab.NotebookPage]:
    notebook = lab.NotebookPage(app, server, server.address)
    yield notebook
    notebook.close()


def test_the_printed_address_opens_the_first_chapter(first: lab.NotebookPage) -> None:
    source = nbformat.read(lab.REPO / "notebooks" / START, as_version=4).cells[0].source
    title = source.splitlines()[0].removeprefix("# ").strip()
    expect(first.panel.locator("h1").first).to_contain_text(title)
    expect(first.page.locator(".lm-TabBar-tab.lm-mod-current", has_text=START)).to_have_count(1)


def test_nothing_stands_in_the_way(first: lab.NotebookPage) -> None:
    first.page.wait_for_timeout(5000)  # JupyterLab asks its questions and reads its news within seconds
    first.screenshot("first_view")
    assert first.complaints.all_inner_texts() == []
    assert first.errors == []


def test_the_page_asks_no_other_host(first: lab.NotebookPage) -> None:
    assert first.foreign == []


def test_ctrl_c_ends_server_and_kernels(app: Browser, tmp_path: Path) -> None:
    course = lab.copy_course(tmp_path / "course")
    (tmp_path / "home").mkdir()
    with lab.lab_server(course, tmp_path / "home") as server:
        lab.NotebookPage(app, server, server.page_of(START)).close()
        commands = [" ".join(process.cmdline()) for process in lab.processes(server.mark)]
        assert any("ipykernel" in command for command in commands)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(lab.PATIENCE) == 0
        left = psutil.wait_procs(lab.processes(server.mark), timeout=10)[1]
        assert left == []
