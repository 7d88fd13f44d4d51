"""What every test may rely on, however the tests were started."""

from __future__ import annotations

import importlib.util
import signal
from collections import Counter

import pytest

if missing := [name for name in ("lazy_loader", "torch", "playwright") if importlib.util.find_spec(name) is None]:
    pytest.exit(f"This Python has no {missing[0]}: run 'python3 kit.py test', or the pytest of the kit's .venv.", 4)

pytest_plugins = ["browser_fixtures", "answers"]
LONG = {  # files of few tests that take long
    "federated_learning/test_deployment_faults.py",
    "front_door/test_setup_faults.py",
    "owner_in_control/test_attacks_faults.py",
    "attack_and_audit/test_explorer.py",
    "front_door/test_new.py",
    "private_training/test_explorer.py",
    "private_training/test_exercises.py",
    "private_training/test_game.py",
    "private_training/test_with_opacus.py",
    "pseudonymise/test_explorer.py",
    "secure_computation/test_parties.py",
    "synthetic_tables/test_ledger.py",
}

# A shell starts background work with Ctrl-C ignored, and whoever is ignored passes that on to its children: the tests
# that press Ctrl-C would wait for ever. A handler of our own is not inherited, so that children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, and what damages, kills or cuts off something, by the names of the files.

    Files that take long come first, then those with many tests, or one core works long after the others.
    """
    for item in items:
        for kind in ("browser", "faults"):
            if item.path.stem.endswith(f"_{kind}"):
                item.add_marker(kind)
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (f"{item.path.parent.name}/{item.path.name}" not in LONG, -tests[item.path]))
