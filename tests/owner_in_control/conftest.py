"""What the tests of the release gate share."""

from __future__ import annotations

import pytest


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
