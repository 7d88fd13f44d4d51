"""Fixtures of the browser tests: a server and a browser for each worker; each test module opens its own pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

pytest.register_assert_rewrite("lab")  # so that its assertions say what they saw

import lab  # noqa: E402


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if lab.chromium() is None:
        pytest.skip("browser tests skipped: no Chromium found; install it or set KIT_CHROMIUM to its path")
    with lab.browser(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture(scope="session")
def server(app: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Server]:
    course = lab.copy_course(tmp_path_factory.mktemp("course"))
    with lab.lab_server(course, tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def open_notebook(app: Browser, server: lab.Server) -> Iterator[Callable[[str], lab.NotebookPage]]:
    opened: list[lab.NotebookPage] = []

    def open_one(name: str) -> lab.NotebookPage:
        opened.append(lab.NotebookPage(app, server, server.page_of(name)))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()


@pytest.fixture(scope="module")
def chapter(request: pytest.FixtureRequest, open_notebook: Callable[[str], lab.NotebookPage]) -> lab.NotebookPage:
    """The notebook CHAPTER of the test module, with the cells that it NEEDS run and the one that makes its EXPLORER.

    The cells between are left out: nbval runs whole chapters, and here they would only take time.
    """
    notebook = open_notebook(request.module.CHAPTER)
    assert all(notebook.stored_pictures())  # before the first run a stored picture stands in, and nothing complains
    assert notebook.panel.locator(".jupyter-widgets").count() == 0
    assert notebook.complaints.all_inner_texts() == []
    for text in (*getattr(request.module, "NEEDS", ()), request.module.EXPLORER):
        notebook.run_only(text)
    return notebook


@pytest.fixture
def explorer(chapter: lab.NotebookPage) -> Iterator[lab.ExplorerView]:
    """The explorer at rest, and no complaint of the page after the test."""
    view = lab.ExplorerView(chapter)
    view.settled(quiet=0.3)
    yield view
    assert chapter.complaints.all_inner_texts() == []
    assert (chapter.errors, chapter.foreign) == ([], [])
