"""Fixtures of the browser tests: a worker has a server, a browser and a page, which turns from chapter to chapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from front_door.checks import find_chromium

pytest.register_assert_rewrite("lab")  # so that its assertions say what they saw

import lab  # noqa: E402


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("browser tests skipped: no Chromium found; install it or set KIT_CHROMIUM to its path")
    with lab.browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.copy_course(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="session")
def server(app: Browser, course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Server]:
    with lab.lab_server(course, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
def opened(app: Browser, server: lab.Server) -> Iterator[Callable[[str], lab.NotebookPage]]:
    """Open a notebook on the worker's one page: to load JupyterLab takes longer than most tests."""
    pages: list[lab.NotebookPage] = []

    def turned_to(name: str) -> lab.NotebookPage:
        if pages:
            pages[0].turn_to(name)
        else:
            pages.append(lab.NotebookPage(app, server, server.page_of(name)))
        return pages[0]

    yield turned_to
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def chapter(request: pytest.FixtureRequest, opened: Callable[[str], lab.NotebookPage]) -> lab.NotebookPage:
    """The notebook CHAPTER of the test module, with the cells that it NEEDS run and the one that makes its EXPLORER.

    The cells between are left out: nbval runs whole chapters, and here they would only take time.
    """
    notebook = opened(request.module.CHAPTER)
    assert all(notebook.stored_pictures())  # before the first run a stored picture stands in, and nothing complains
    assert notebook.panel.locator(".jupyter-widgets").count() == 0
    assert notebook.complaints.all_inner_texts() == []
    for text in (*getattr(request.module, "NEEDS", ()), request.module.EXPLORER):
        notebook.run_only(text)
    return notebook


@pytest.fixture
def explorer(request: pytest.FixtureRequest, chapter: lab.NotebookPage) -> Iterator[lab.ExplorerView]:
    """The explorer at rest (as the module's VIEW of it), and no complaint of the page after the test."""
    view = getattr(request.module, "VIEW", lab.ExplorerView)(chapter)
    view.settled()
    yield view
    assert chapter.complaints.all_inner_texts() == []
    assert (chapter.errors, chapter.foreign) == ([], [])
