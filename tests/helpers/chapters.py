"""A plugin for pytest: every notebook starts with results, progress and temporary files of its own.

One worker runs several chapters, one after the other; without this a chapter would see what the one before it saved.
"""

from __future__ import annotations

import os
import tempfile

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Point the variables elsewhere before the first cell of a notebook: its kernel is started with them."""
    stash = item.session.stash.setdefault(_SCRATCH, {})
    if item.path.suffix == ".ipynb" and item.path not in stash:
        stash[item.path] = scratch = tempfile.TemporaryDirectory(prefix="kit-chapter-", ignore_cleanup_errors=True)
        for name in ("PPML_PROGRESS", "PPML_RESULTS", "TMPDIR", "TEMP", "TMP"):
            os.environ[name] = folder = os.path.join(scratch.name, name.lower())
            os.makedirs(folder)


_SCRATCH: pytest.StashKey[dict[object, tempfile.TemporaryDirectory]] = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the folders, when every kernel has ended."""
    for scratch in session.stash.get(_SCRATCH, {}).values():
        scratch.cleanup()
