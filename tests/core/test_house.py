"""The house stands as CONTRIBUTING.md draws it: a room for each chapter over a small core, and one direction."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import ppml_helpers
from ppml_helpers.exercises import rooms

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "ppml_helpers"
PARTS_OF_THE_CORE = {"cohort", "people", "exercises", "sandbox"}
FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
HEAVY = ("torch", "flwr", "syft", "ipywidgets", "tenseal")
NEEDED = {"federated_learning": {"flwr"}}  # nothing of these is needed to import the other rooms


def room_of(module: str) -> str:
    """The room of a module of the package, or "core"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS - PARTS_OF_THE_CORE else "core"


def name_of(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    path = REPO.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imported(path: Path) -> Iterator[str]:
    """Every module of the kit that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if is_module(inner) else node.module


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
DOOR = {name_of(path): path for path in sorted((REPO / "front_door").glob("*.py"))} | {"kit": REPO / "kit.py"}
IMPORTS = {name: {to for to in imported(path) if is_module(to)} - {name} for name, path in (MODULES | DOOR).items()}


def wrong_ways(imports: dict[str, set[str]]) -> list[str]:
    """Every import that the house does not have, a sentence each."""
    found = []
    for name, there in sorted(imports.items()):
        if not name.startswith("ppml_helpers"):
            continue
        here = room_of(name)
        for to in sorted(there):
            away = room_of(to)
            if away in (here, "core"):
                continue
            if here == "core":
                found.append(f"the core imports a room: {name} imports {to}")
            elif to.rsplit(".", 1)[-1] in ("explorer", "exercises"):
                found.append(f"a room imports another room's {to.rsplit('.', 1)[-1]}: {name} imports {to}")
    return found


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, as one path for each circle found."""
    found, done = [], set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            found.append(" > ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for to in sorted(imports.get(name, ())):
                walk(to, (*way, name))
            done.add(name)

    for name in sorted(imports):
        walk(name, ())
    return found


def test_imports_go_from_rooms_to_the_core_and_never_to_anothers_explorer_or_exercises() -> None:
    assert wrong_ways(IMPORTS) == []


def test_nothing_imports_in_a_circle_the_front_door_included() -> None:
    assert circles(IMPORTS) == []


def test_a_room_borrows_from_at_most_two_others_but_the_one_that_compares_them_all() -> None:
    borrowed: dict[str, set[str]] = {}
    for name, there in IMPORTS.items():
        here = room_of(name)
        borrowed.setdefault(here, set()).update({room_of(to) for to in there if to.startswith("ppml_helpers")})
    del borrowed["choose"]
    assert {here: rooms - {here, "core"} for here, rooms in borrowed.items() if len(rooms - {here, "core"}) > 2} == {}


def test_the_test_would_see_what_it_forbids() -> None:
    core, room = "ppml_helpers.words", "ppml_helpers.private_training.engine"
    away = "ppml_helpers.attack_and_audit.exercises"
    assert len(wrong_ways({core: {room}, room: {away}})) == 2
    assert wrong_ways({room: {core, "ppml_helpers.attack_and_audit.lira"}}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a > b > c > a"]


def test_only_explorers_and_worksheets_know_ipywidgets() -> None:
    knowing = [
        name
        for name, path in MODULES.items()
        if re.search(r"^\s*(?:import|from) (?:ipywidgets|traitlets)", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert [name for name in knowing if not name.endswith((".explorer", ".worksheet"))] == []


@pytest.mark.parametrize("room", rooms())
def test_a_room_has_an_explorer_exercises_and_tests(room: str) -> None:
    assert {path.name for path in (PACKAGE / room).glob("*.py")} >= {"__init__.py", "explorer.py", "exercises.py"}
    assert list((REPO / "tests" / room).glob("test_*.py"))


LOADED = """
import importlib, sys
for room in sys.argv[1:]:
    importlib.import_module(f"ppml_helpers.{room}")
    print(room, *[name for name in %r if name in sys.modules])
"""


def test_a_room_is_light_to_import() -> None:
    """All in one process, those last that need something heavy."""
    order = sorted(rooms(), key=lambda room: room in NEEDED)
    command = [sys.executable, "-c", LOADED % (HEAVY,), *order]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [room for room, *_ in lines] == order
    assert [line for line in lines if not set(line[1:]) <= NEEDED.get(line[0], set())] == []


@pytest.mark.parametrize("room", rooms())
def test_a_room_hands_out_what_it_lists_an_explorer_among_it(room: str) -> None:
    module = __import__(f"ppml_helpers.{room}", fromlist=["*"])
    assert any(name.endswith("Explorer") for name in module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    shadowed = [name for name in module.__all__ if is_module(f"ppml_helpers.{room}.{name}")]
    assert [name for name in shadowed if callable(getattr(module, name))] == []


@cache
def heads_of(folder: Path) -> dict[str, str]:
    """The first docstring of each test file of a folder, by the file's name."""
    texts = {file.stem: file.read_text("utf-8") for file in folder.glob("test_*.py")}
    return {stem: ast.get_docstring(ast.parse(text)) or "" for stem, text in texts.items()}


def test_the_tests_of_a_module_are_found_by_its_name() -> None:
    """In tests/<room>/: a file of its name, or one whose first lines name it between backticks."""
    missing = []
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            continue
        heads = heads_of(REPO / "tests" / room_of(name))
        named = any(re.fullmatch(rf"test_(?:\w+_)?{path.stem}(?:_\w+)?", stem) for stem in heads)
        if not named and not any(f"`{path.stem}`" in head for head in heads.values()):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("old", sorted(ppml_helpers.MOVED))
def test_an_old_name_is_answered_with_the_new_one(old: str) -> None:
    for line in (
        f"import ppml_helpers.{old}",
        f"from ppml_helpers import {old}",
        f"from ppml_helpers.{old}.x import y",
    ):
        with pytest.raises(ImportError, match="any more: what it held is in"):
            exec(line, {})
    for new in re.findall(r"`(?:from )?(ppml_helpers[.\w]*)", ppml_helpers.MOVED[old]):
        assert is_module(new.removesuffix(".Explorer"))
