"""What goes out with a release agrees: one version, a citation that tools read, a complete list of changes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from front_door.commands import parser
from ppml_helpers import course

REPO = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CHANGES = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_citation_has_what_its_schema_requires():
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert (citation["cff-version"], citation["type"], citation["version"]) == ("1.2.0", "software", VERSION)
    for work in (citation, *citation["references"]):
        assert work["authors"]
        assert all(author.keys() in ({"name"}, {"family-names", "given-names"}) for author in work["authors"])
    assert all({"type", "title", "authors"} <= work.keys() for work in citation["references"])


def test_the_newest_changes_are_those_of_this_version():
    assert re.findall(r"^## (\S+?),? ", CHANGES, re.MULTILINE)[0] == VERSION


def test_a_release_has_one_date():
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    told = re.search(r"^## \S+, (.+)$", CHANGES, re.MULTILINE)[1]
    assert told == str(citation.get("date-released", "not yet released"))


def test_the_check_list_of_a_release_names_the_commands_of_today():
    text = (
        (REPO / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("### Before a release")[2].partition("###")[0]
    )
    named = re.findall(r"`kit\.py ([^`]+)`", text)
    assert {"test --all", "audit", "canary", "bench"} <= set(named)
    for command in named:
        options, rest = parser().parse_known_args(command.split())
        assert (options.command, rest) == (command.split()[0], [])


def test_the_changes_name_every_chapter_and_only_commands_that_exist():
    assert [path.stem for path in course.chapters() if path.stem.split("_")[0] + " " not in CHANGES] == []
    for command in re.findall(r"`kit\.py (\w+)", CHANGES):
        words = {"assess": ["table.csv"], "explore": ["epsilon"], "learner": ["x"], "collect": ["x"]}.get(command, [])
        assert parser().parse_known_args([command, *words])[0].command == command
