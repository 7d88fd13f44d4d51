"""README and CONTRIBUTING promise nothing that is not there: chapters, commands, files."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from front_door.commands import find_notebooks, parser
from ppml_helpers import course

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BOTH = README + CONTRIBUTING
ROW = re.compile(r"^\| \[(?P<title>[^]]+)\]\(notebooks/(?P<name>[^)]+)\) \|.*\| (?P<minutes>\d+) \|$", re.MULTILINE)
ROWS = list(ROW.finditer(README))
COMMANDS = sorted({found.partition(" #")[0].strip() for found in re.findall(r"python3 kit\.py ([^`\n]+)", BOTH)})


def test_the_map_is_the_folder_of_notebooks() -> None:
    named = [row["name"] for row in ROWS]
    assert named == [path.name for path in course.chapters()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_chapter_has_the_title_and_the_minutes_of_the_map(row: re.Match[str]) -> None:
    head = course.read(ROOT / "notebooks" / row["name"]).cells[0].source
    assert head.splitlines()[0] == f"# {row['title']}"
    assert f"| **Time** | {row['minutes']} minutes" in head


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_chapter_uses_the_libraries_of_the_map(row: re.Match[str]) -> None:
    modules = {"scikit-learn": "sklearn", "Opacus": "opacus", "PyTorch": "torch", "dp-accounting": "accounting"}
    modules |= {name: name for name in ("hmac", "pyarrow", "cryptography")} | {"SQLCipher": "sqlcipher3"}
    modules |= {"OpenDP": "opendp", "Flower": "flwr", "TenSEAL": "tenseal", "PySyft": "syft"}
    modules |= {"OpenMined PSI": "private_set_intersection"}
    code = "\n".join(cell.source for cell in course.read(ROOT / "notebooks" / row["name"]).cells)
    named = [module for library, module in modules.items() if library in row[0]]
    imported = re.findall(r"^\s*(?:from|import) .*", code, re.MULTILINE)
    assert [module for module in named if not re.search(rf"\b{module}\b", "\n".join(imported))] == []


def test_the_plan_of_the_workshop_names_chapters_that_exist() -> None:
    numbers = {path.name[:2] for path in course.chapters()}
    assert set(re.findall(r"[Cc]hapters? (\d\d)", README)) <= numbers
    assert set(re.findall(r"(?<![.\d])(\d\d)\.\d\b", README)) <= numbers


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood_by_kit_py(command: str) -> None:
    words = shlex.split(command)
    options, rest = parser().parse_known_args(words)
    assert options.command == words[0]
    assert [word for word in rest if not (ROOT / word).exists()] == []
    if options.command == "run":
        assert find_notebooks(options.notebooks)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)\s]+)\)", BOTH))))
def test_a_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).is_file()


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(
        r"`((?:ppml_helpers|tests|front_door|data|benchmarks)/[\w./]+|[.\w]+/run|[\w-]+\.(?:yml|lock))`", BOTH
    )
    assert {"environment.yml", ".ci/run", "tests/core/test_house.py"} <= set(named)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_pythons_are_those_of_pyproject() -> None:
    wanted = re.search(r'requires-python = ">=([\d.]+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert f"Python {wanted[1]} to 3.{int(wanted[2]) - 1}" in README


def test_contributors_are_told_names_that_there_are() -> None:
    from ppml_helpers import checks
    from ppml_helpers.explorer import Explorer

    for name in ("controls", "compute", "draw", "say"):
        assert f"`{name}`" in CONTRIBUTING
        assert callable(getattr(Explorer, name))
    named = re.search(r"`checks\.(\w+)`, (.+?) or `(\w+)`", CONTRIBUTING)
    for name in [named[1], *re.findall(r"\w+", named[2]), named[3]]:
        assert callable(getattr(checks, name))


def test_the_patients_are_counted_right() -> None:
    from ppml_helpers import cohort

    assert f"{len(cohort.load_patients()):,} seriously ill adults" in README


def test_a_table_of_ones_own_goes_the_way_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{29 + row % 50},{row % 2},{('?', -9, 200, 320, 250)[row % 5]},{row % 7}" for row in range(303)]
    (tmp_path / "heart.csv").write_text("\n".join(["age,sex,chol,num", *rows]), "utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(re.search(r"```python\n(.+?AttackExplorer\(data\)\n)```", README, re.DOTALL)[1], names)
    assert "predicts a narrowed artery" in names["AttackExplorer"](names["data"]).set(model="logistic").sentence


def test_the_learner_edition_has_what_its_readme_leads_to_and_says_nothing_to_teachers(tmp_path: Path) -> None:
    course.write_learner_edition(tmp_path / "edition")
    text = (tmp_path / "edition" / "README.md").read_text("utf-8")
    links = {link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert "workshop/real-network.md" in links
    assert [link for link in sorted(links) if not (tmp_path / "edition" / link).is_file()] == []
    left_out = set(re.findall("^## (.+)$", README, re.MULTILINE)) - set(re.findall("^## (.+)$", text, re.MULTILINE))
    assert left_out == set(course.NOT_FOR_LEARNERS), "a heading that was renamed is not left out"
