"""Fixtures of the browser tests: one server and one browser for all; each test module opens its own pages."""

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
