"""What the tests of the release gate share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
import yaml

if sys.platform == "win32":  # syft cannot be imported there, and these are about what it does
    collect_ignore_glob = ["test_gate*", "test_attack*", "test_network*", "test_runner*", "test_transport*"]


@pytest.fixture(autouse=True, scope="module")
def quick_disk_and_yaml() -> Iterator[None]:
    """Leave what is written to the system's own time, and read YAML with the parser that is written in C.

    These tests kill programs, they do not cut the power, and each message of a network waits until the disk has it.
    Syft reads all rules of access dozens of times a sync, which takes a third of the time of a test.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(yaml, "SafeLoader", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
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
