"""The progress page shows those who agreed, whatever a learner puts in the place of a store."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("the hub does not run on Windows", allow_module_level=True)

from front_door import hub_progress, places
from front_door.hub_progress import FEW, MOST_BYTES, Consents, Row, Work
from ppml_helpers import exercises
from ppml_helpers.exercises import store

KNOWN = ["05.1", "05.2", "06.1"]


def content(done: list[str], hints: dict[str, int] | None = None) -> str:
    return json.dumps({"done": done, "hints": hints or {}})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A learner's home, with a store."""
    folder = tmp_path / "learners" / "learner-01" / "course" / ".progress"
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text(content(["05.1"], {"05.2": 2}), "utf-8")
    return tmp_path / "learners" / "learner-01"


def shown(consents: Consents, homes: dict[str, Path]) -> str:
    return hub_progress.lecturers_page(hub_progress.rows(consents, homes, KNOWN), KNOWN)


def test_the_exercises_are_those_of_the_course():
    of_the_rooms = {name for _, some in exercises._chapters().values() for name in (one.name for one in some)}
    assert hub_progress.exercises(places.chapters()) == sorted(of_the_rooms)


def test_what_the_course_writes_is_read(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PPML_PROGRESS", str(home.joinpath(*hub_progress.STORE).parent))
    store.change(lambda saved: store.Saved(saved.done | {"06.1"}, {**saved.hints, "06.1": 1}))
    assert hub_progress.read(home, KNOWN) == Work(frozenset({"05.1", "06.1"}), frozenset({"05.2", "06.1"}))
    written = home.joinpath(*hub_progress.STORE).read_bytes()
    assert len(written) < MOST_BYTES / 10


def test_nobody_is_on_the_page_who_has_not_agreed(tmp_path: Path, home: Path):
    consents = Consents(tmp_path / "secrets")
    assert hub_progress.rows(consents, {"learner-01": home}, KNOWN) == []
    page = shown(consents, {"learner-01": home})
    assert "learner-01" not in page
    assert consents.pseudonym("learner-01") not in page


def test_who_withdraws_is_gone_and_nothing_is_kept(tmp_path: Path, home: Path):
    consents = Consents(tmp_path / "secrets")
    consents.choose("learner-01", "name")
    assert "learner-01" in shown(consents, {"learner-01": home})
    consents.choose("learner-01", "no")
    assert "learner-01" not in shown(Consents(tmp_path / "secrets"), {"learner-01": home})
    assert not any(b"learner-01" in path.read_bytes() for path in (tmp_path / "secrets").iterdir())


def test_the_key_lasts_and_nobody_else_reads_the_folder(tmp_path: Path):
    before, after = Consents(tmp_path / "secrets"), Consents(tmp_path / "secrets")
    before.choose("learner-01", "pseudonym")
    assert before.pseudonym("learner-01") == after.pseudonym("learner-01") != after.pseudonym("learner-02")
    assert Consents(tmp_path / "others").pseudonym("learner-01") != after.pseudonym("learner-01")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert (stat.S_IMODE((tmp_path / "secrets").stat().st_mode), modes) == (0o700, {0o600})


def test_a_choice_that_there_is_not_changes_nothing(tmp_path: Path):
    consents = Consents(tmp_path / "secrets")
    with pytest.raises(ValueError, match="'everything' is no choice: take one of no, pseudonym, name"):
        consents.choose("learner-01", "everything")
    assert consents.all() == {}


def replaced(by: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else in the place of the store; the file of another learner lies beside the homes."""

    def attack(home: Path) -> None:
        file = home.joinpath(*hub_progress.STORE)
        file.unlink()
        by(file)

    return attack


def another(home: Path) -> Path:
    """Another's store, in a home of theirs."""
    file = home.parent / "learner-02" / Path(*hub_progress.STORE)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content(["06.1"]), "utf-8")
    return file


def link_the_folder(home: Path, part: str) -> None:
    target = next(path for path in another(home).parents if path.name == part)
    place = next(path for path in home.joinpath(*hub_progress.STORE).parents if path.name == part)
    place.rename(home / "before")
    place.symlink_to(target)


HOSTILE = {
    "a link to another's store": replaced(lambda file: file.symlink_to(another(file.parents[2]))),
    "a hard link to another's store": replaced(lambda file: os.link(another(file.parents[2]), file)),
    "a linked folder": lambda home: link_the_folder(home, ".progress"),
    "a linked course": lambda home: link_the_folder(home, "course"),
    "a pipe that nobody writes to": replaced(lambda file: os.mkfifo(file)),
    "a folder": replaced(lambda file: file.mkdir()),
    "a huge store": replaced(lambda file: file.write_text(content(["05.1"]) + " " * MOST_BYTES, "utf-8")),
    "an endless number": replaced(lambda file: file.write_text('{"done": [], "hints": {"05.1": ' + "9" * 9000 + "}}")),
    "a deep nesting": replaced(lambda file: file.write_text("[" * (MOST_BYTES - 1))),
    "a pickle": replaced(lambda file: file.write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")),
    "a list": replaced(lambda file: file.write_text("[]")),
    "names that are none": replaced(lambda file: file.write_text('{"done": 5, "hints": []}')),
}


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_store_is_unreadable_and_nobody_elses(attack: Callable[[Path], None], home: Path):
    attack(home)
    assert hub_progress.read(home, KNOWN) is None


def test_a_home_that_is_a_link_is_not_followed(home: Path):
    linked = home.with_name("learner-03")
    linked.symlink_to(home)
    assert hub_progress.read(linked, KNOWN) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_store_of_another_user_is_unreadable(home: Path):
    os.chown(home.joinpath(*hub_progress.STORE), 65_534, 65_534)
    assert hub_progress.read(home, KNOWN) is None


def test_a_store_that_lies_about_names_puts_nothing_on_the_page(tmp_path: Path, home: Path):
    bad = "<script>alert(1)</script>"
    text = json.dumps({"done": [bad, "05.1", 7, ["05.2"]], "hints": {bad: 1, "05.2": True}})
    home.joinpath(*hub_progress.STORE).write_text(text, "utf-8")
    consents = Consents(tmp_path / "secrets")
    consents.choose("learner-01", "name")
    page = shown(consents, {"learner-01": home})
    assert "script" not in page
    assert ">1</td>" in page


@pytest.mark.parametrize("number", [4, 5])
def test_few_are_not_shown_at_all(number: int):
    rows = [Row(f"abcd-{n:04}", False, Work(frozenset({"05.1"}))) for n in range(number)]
    rows.append(Row("learner-09", True, Work(frozenset({"05.1", "05.2"}))))
    page = hub_progress.lecturers_page(rows, KNOWN)
    enough = number >= hub_progress.LEAST
    assert "learner-09" in page
    assert (FEW in page) is not enough
    assert ("abcd-0000" in page) is enough
    assert ('<th scope="row">05.1</th><td>6</td><td>0</td>' in page) is enough
    assert ("05.1" in page) is enough  # among few, no exercise is told of, not even of who is named


def test_names_are_escaped_and_the_learner_sees_their_own_choice():
    page = hub_progress.consent_page("a<b>", "pseudonym", "abcd-efgh", '<input name="_xsrf">')
    assert "a<b>" not in page
    assert "a&lt;b&gt;" in page
    assert re.findall(r'value="(\w+)" checked', page) == ["pseudonym"]
    assert "<b>" not in hub_progress.lecturers_page([Row("<b>", True, Work())], KNOWN)
