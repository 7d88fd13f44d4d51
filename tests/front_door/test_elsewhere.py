"""``kit.py test --all`` holds the course to its outputs on each Python that is found, and says which were not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from front_door import checks, elsewhere, environment, hub, places, tfe
from front_door.terminal import Stop

ALL = ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("running", ALL)
def test_every_python_that_the_kit_runs_on_is_tried_but_the_one_that_runs_us(
    running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere.sys, "version_info", (*map(int, running.split(".")), 1))
    assert elsewhere.others() == [version for version in ALL if version != running]


def test_another_python_gets_all_that_the_course_has_and_leaves_its_environment_alone() -> None:
    usual = places.COURSE
    recipes = [elsewhere.recipe(version) for version in ALL]
    assert {recipe.key() for recipe in recipes} == {usual.key()}, "the same lock, the same optional packages"
    assert len({usual.folder, *(recipe.folder for recipe in recipes)}) == 1 + len(ALL)
    assert all(replace(one, name=usual.name, folder=usual.folder, version="") == usual for one in recipes)


def test_each_is_set_up_and_tested_or_said_to_be_missing_or_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ensure(recipe: environment.Recipe) -> None:
        if recipe.version == "3.13":
            raise Stop("pip's last lines\nThe set-up stopped, since the disk is full: make room.", code=1)

    def in_course(arguments: list[str], scratch: Path, extra: object, recipe: environment.Recipe) -> int:
        ran.append((recipe.version, {Path(word).name for word in arguments}))
        return int(recipe.version == "3.12" and "--nbval" in arguments)

    ran: list[tuple[str, set[str]]] = []
    monkeypatch.setattr(elsewhere, "others", lambda: ["3.11", "3.12", "3.13"])
    monkeypatch.setattr(elsewhere, "find", lambda version: "" if version == "3.11" else "/x/python")
    monkeypatch.setattr(tfe, "tfe", lambda: 0)
    monkeypatch.setattr(hub, "why_not_here", lambda: "it takes root")
    monkeypatch.setattr(checks, "ensure", ensure)
    monkeypatch.setattr(checks, "in_course", in_course)
    assert checks.run_tests([], only="unit", everything=True) == 1
    there = [words for version, words in ran if version == "3.12"]
    assert len(there) == 3
    assert "tests" in there[0]
    assert {path.name for path in places.chapters() if not tfe.needs_it(path)} <= there[-1]
    told = capsys.readouterr().out
    assert "  skip  Python 3.11                        skipped: there is no Python 3.11 on PATH" in told
    assert "skipped: learners cannot be kept apart here, since it takes root" in told
    assert "  ok    Python 3.12: unit " in told
    assert "  FAIL  Python 3.12: notebooks: chapters " in told
    assert "  FAIL  Python 3.13                        The set-up stopped, since the disk is full: make room." in told
