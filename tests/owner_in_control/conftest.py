"""What the tests of the release gate share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

if sys.platform == "win32":  # syft cannot be imported there, and these are about what it does
    collect_ignore_glob = ["test_gate*", "test_attack*", "test_network*", "test_transport*"]


@pytest.fixture(autouse=True, scope="module")
def in_no_hurry_for_the_disk() -> Iterator[None]:
    """Leave what is written to the system's own time: these tests kill programs, they do not cut the power.

    Every message of a network is flushed to the disk, some hundred in a file of tests, and each flush waits for it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture
def desk(tmp_path):
    """A desk of one's own, for tests that spoil it."""
    from desk import opened

    with opened(tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One desk for a module, where each test has a job of its own name and leaves no defence off."""
    from desk import opened

    with opened(tmp_path_factory.mktemp("network"), total=1000.0) as desk:
        yield desk
