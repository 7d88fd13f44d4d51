"""Pages that are opened without JupyterLab: what they ask for outside, and what an accessibility checker says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import axe_playwright_python
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
GRAVE = ("serious", "critical")


@contextmanager
def opened(browser: Browser, file: Path, width: int = 1366) -> Iterator[Page]:
    """A file in a browser without a network; at the end it has asked for nothing outside, and no script failed."""
    context = browser.new_context(viewport={"width": width, "height": 768}, offline=True)
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(file.as_uri())
        yield page
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert errors == []
    finally:
        context.close()


def grave_findings(page: Page) -> list[str]:
    """What axe-core finds serious or critical, a line each."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in GRAVE]
