"""What every test may rely on, however the tests were started."""

from __future__ import annotations

import importlib.util
import signal

import pytest

if missing := [name for name in ("lazy_loader", "torch", "playwright") if importlib.util.find_spec(name) is None]:
    pytest.exit(f"This Python has no {missing[0]}: run 'python3 kit.py test', or the pytest of the kit's .venv.", 4)

pytest_plugins = ["browser_fixtures"]
LONG = ("test_deployment_faults", "test_setup_faults", "test_attacks_faults")

# A shell starts background work with Ctrl-C ignored, and whoever is ignored passes that on to its children: the tests
# that press Ctrl-C would wait for ever. A handler of our own is not inherited, so that children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and what damages, kills or cuts off something, by the names of the files."""
    for item in items:
        for kind in ("browser", "faults"):
            if item.path.stem.endswith(f"_{kind}"):
                item.add_marker(kind)
    items.sort(key=lambda item: item.path.stem not in LONG)  # first, or one core works long after the others
