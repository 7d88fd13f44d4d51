"""`kit.py new`: a skeleton that passes the tests as it is, and what cannot be begun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from front_door import new as module
from front_door.terminal import Stop
from ppml_helpers import MOVED

REPO = Path(__file__).resolve().parents[2]
MAP = "| [00 Start](notebooks/00_start.ipynb) | ? | x | 20 |\n| [10 Owner](notebooks/10_o.ipynb) | ? | y | 30 |\n"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit in small: the folders, and a README with a map."""
    for folder in ("notebooks", "ppml_helpers", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "README.md").write_text(MAP)
    (tmp_path / "notebooks" / "10_o.ipynb").touch()
    (tmp_path / "ppml_helpers" / "words.py").touch()
    shutil.copy(REPO / "ppml_helpers" / "__init__.py", tmp_path / "ppml_helpers")
    return tmp_path


def test_a_chapter_is_a_room_tests_a_notebook_and_one_row(kit: Path) -> None:
    before = {path for path in kit.rglob("*") if path.is_file()}
    written = module.new("09", "secure_computation", kit)
    assert {path for path in kit.rglob("*") if path.is_file()} - before == set(written)
    folders = {path.relative_to(kit).parent.as_posix() for path in written}
    assert folders == {"notebooks", "ppml_helpers/secure_computation", "tests/secure_computation"}
    assert written[-1].name == "09_secure_computation.ipynb"
    text = "".join(path.read_text() for path in written)
    assert [word for word in ("room_name", "TopicExplorer", 'TITLE"', "NN.") if word in text] == []
    rows = [line.split("]")[0] for line in (kit / "README.md").read_text().splitlines() if line.startswith("| [")]
    assert rows == ["| [00 Start", "| [09 Secure computation", "| [10 Owner"]


@pytest.mark.parametrize(
    ("number", "name", "word"),
    [("9", "x", "two digits"), ("009", "x", "two digits"), ("09", "Secure", "small letters"), ("09", "a-b", "small"),
     ("09", "../x", "small letters"), ("09", "class", "no name"),
     ("10", "other", "10_o.ipynb"), ("09", "words", "words.py"),
     *(("09", old, f"'{old}' is a name of an earlier version") for old in sorted(MOVED))],
)  # fmt: skip
def test_what_cannot_be_begun_is_said_and_writes_nothing(kit: Path, number: str, name: str, word: str) -> None:
    before = sorted(path for path in kit.rglob("*"))
    with pytest.raises(Stop, match=word.replace(".", r"\.")):
        module.new(number, name, kit)
    assert sorted(path for path in kit.rglob("*")) == before
    assert (kit / "README.md").read_text() == MAP


def test_the_skeleton_passes_the_tests_as_it_is(tmp_path: Path) -> None:
    """In a copy of the kit, with the tests that look at every chapter and those that the skeleton brings along."""
    copy = tmp_path / "kit"
    ignored = shutil.ignore_patterns(".git", ".venv*", ".kit", "screenshots", "*.egg-info", "results")
    shutil.copytree(REPO, copy, ignore=ignored)
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    written = [str(path) for path in module.new("98", "a_new_topic", copy)]
    run("ruff", "check", "--fix", "--quiet", *written)
    run("ruff", "format", "--quiet", *written)
    run("ppml_helpers.course", "run", "notebooks/00_start_here.ipynb", written[-1])
    assert "(98_a_new_topic.ipynb)" in (copy / "notebooks" / "00_start_here.ipynb").read_text()
    run("ruff", "check", "--no-cache", *written)
    everywhere = ("tests/core/test_house.py", "tests/notebooks/test_hygiene.py", "tests/front_door/test_readme.py")
    chosen = ("-k", "98 or a_new_topic or map or imports or borrows or ipywidgets or light or found")
    run("pytest", "-q", "--disable-plugin-autoload", "-p", "timeout", "tests/a_new_topic", *everywhere, *chosen)
    assert "same bytes as before" in run("ppml_helpers.course", "run", written[-1])
