"""The same tests on the other Pythons of this computer, each with an environment of its own beside ``.venv``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from front_door import places
from front_door.environment import Recipe
from front_door.pythons import NEWEST_MINOR, OLDEST, find


def others() -> list[str]:
    """Return the versions that the kit runs on beside the one that runs us, such as "3.12"."""
    versions = (f"3.{minor}" for minor in range(OLDEST[1], NEWEST_MINOR[1] + 1))
    return [version for version in versions if version != "{}.{}".format(*sys.version_info)]


def recipe(version: str, root: Path = places.ROOT) -> Recipe:
    """Return what the environment of the course for another Python must hold: what ``.venv`` holds."""
    return replace(
        places.recipe_of(root),
        name=f"the packages of the course for Python {version}",
        folder=root / ".venvs" / f"python{version}",
        version=version,
    )


def found() -> Iterator[tuple[str, Recipe | None]]:
    """Yield each other version with its recipe, or with None where this computer has no such Python."""
    for version in others():
        yield version, recipe(version) if find(version) else None
