"""Each chapter of the learner edition runs up to its first exercise, from a folder outside the course."""

from __future__ import annotations

from pathlib import Path

import pytest
from learner import run_to_the_first_exercise, write_edition

from front_door import tfe
from ppml_helpers import course

CHAPTERS = [path for path in course.chapters() if not tfe.needs_it(path)]  # whose kernel is made where it is asked for


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_edition(tmp_path_factory.mktemp("elsewhere") / "a learner's")


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_up_to_its_first_exercise(path: Path, edition: Path, tmp_path: Path) -> None:
    run_to_the_first_exercise(edition, path.name, tmp_path)
