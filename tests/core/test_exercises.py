"""The exercises: verdicts, hints, progress, and what happens when its file is in trouble; `frame` and `store`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ppml_helpers import exercises
from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises import check, hint, progress, progress_bar, store
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, right

ALL = [exercise for _, chapter in exercises._chapters().values() for exercise in chapter]
ODD = ["0.3", "", None, True, float("nan"), float("inf"), -(10**400), [], [1, 2], {"a": 1}, object(), int, lambda: 1,
       np.zeros((3, 3)), np.array(["x"]), np.array([None]), pd.Series([1.0, 2.0]), pd.DataFrame(), torch.zeros(2),
       torch.tensor(1.0, requires_grad=True), 1 + 2j, b"x", range(3), pd.NA, pd.NaT, np.ma.masked]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Keep the progress of these tests to themselves."""
    chosen = tmp_path / "progress"
    monkeypatch.setenv("PPML_PROGRESS", str(chosen))
    return chosen


# --------------------------------------------------------------------------------------------------- every exercise


def test_names_belong_to_their_chapter():
    assert exercises._collected()[1] == [], "each room can be loaded"
    for number, (title, chapter) in exercises._chapters().items():
        assert title
        assert [exercise.name for exercise in chapter] == [f"{number}.{k + 1}" for k in range(len(chapter))]


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_hints_come_one_at_a_time_and_then_there_are_no_more(exercise):
    assert len(exercise.hints) >= 2
    total = len(exercise.hints)
    for number, text in enumerate(exercise.hints, 1):
        assert str(hint(exercise.name)) == f"➜ Hint: ({number} of {total}) {text}"
    for _ in range(2):
        assert hint(exercise.name).text == f"There are no more hints for {exercise.name}. The last was: {text}"


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_no_odd_answer_crashes_a_check_and_the_dots_are_no_mistake(exercise):
    reply = check(exercise.name, ...)
    assert reply.kind == "open"
    assert "nothing to check yet" in reply.text
    for answer in ("0.3", None, float("nan"), {"a": 1}, lambda: 1, np.zeros((3, 3)), pd.DataFrame()):
        reply = check(exercise.name, answer)
        assert reply.kind == "wrong", answer
        assert reply.text.endswith((".", "?")), answer
        assert "\n" not in reply.text
    assert progress().course.done == 0


def test_what_is_no_number_is_told_so_and_one_number_is_read_from_many_types():
    for answer in ODD:
        with pytest.raises(NotAnAnswer) as told:
            as_number(answer)
        assert "\n" not in str(told.value)
    for two in (2, 2.0, np.int8(2), np.float64(2), [2], torch.tensor([2]), pd.Series([2.0])):
        assert as_number(two) == 2.0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("0.3", "this is the text '0.3'"),
        ([1, 2], "this holds 2 values"),
        (lambda: 0.29, "this is a function"),
        (None, "Does your function return something?"),
        (float("nan"), "nan"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_the_right_kind(answer, words):
    told = check("01.1", answer).text
    assert "a number between 0 and 1, such as 0.25" in told
    assert words in told


# -------------------------------------------------------------------------------------------------------- the frame


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("01.9", "'01.9': chapter 01 has 01.1, 01.2, 01.3, 01.4, 01.5"),
        ("99.1", "chapters with exercises are .*01"),
        *((name, "There is no exercise") for name in ("", None, 1, "one")),
        (0.1, 'write the name in quotes, as in "00.1"'),
        (np.float64(5.2), 'write the name in quotes, as in "05.2"'),
    ],
)
def test_an_unknown_exercise_names_those_that_there_are(name, words):
    for ask in (lambda: check(name, 1), lambda: hint(name)):
        with pytest.raises(ExerciseError, match=words):
            ask()


@pytest.mark.parametrize("room", ["private_training", "what_leaks"])
def test_a_room_that_cannot_be_loaded_is_named_and_the_others_go_on(monkeypatch, room):
    module = sys.modules[f"ppml_helpers.{room}.exercises"]
    monkeypatch.setitem(sys.modules, module.__name__, None)  # its import fails
    theirs, others = ("05.1", "01.1") if room == "private_training" else ("01.1", "00.1")
    said = f"The exercises of ppml_helpers.{room} cannot be loaded (ModuleNotFoundError"
    assert check(others, ...).kind == "open"
    assert str(progress_bar()).splitlines()[-1].startswith(said)
    with pytest.raises(ExerciseError) as told:
        check(theirs, 1)
    assert said in str(told.value)


def test_a_judge_that_fails_is_an_answer_that_cannot_be_read(monkeypatch):
    exercise = Exercise("77.1", "a table", (), lambda answer: answer.shape.nothing)
    monkeypatch.setattr(exercises, "_chapters", lambda: {"77": ("Title", (exercise,))})
    text = check("77.1", 3).text
    assert text == "The answer to 77.1 is a table; checking this one, of type int, stopped with AttributeError."
    assert hint("77.1").text == "77.1 has no hints."


def test_an_answer_may_be_one_of_a_few_words():
    assert as_choice(" Yes ", ("yes", "no")) == "yes"
    exercise = Exercise("99.1", "a word", ("a",), lambda answer: right(as_choice(answer, ("yes", "no"))))
    assert exercise.reply("no").right
    assert "the choices are 'yes', 'no'" in exercise.reply("maybe").text
    assert "the choices are 'yes', 'no'" in exercise.reply(["yes"]).text


def test_a_verdict_reads_as_text_and_as_html_without_markup_of_the_learner():
    reply = check("01.1", "<script>")
    bundle = reply._repr_mimebundle_()
    assert bundle["text/plain"] == str(reply)
    assert bundle["text/plain"].startswith("✘ Not yet: ")
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "<script>" not in bundle["text/html"]
    assert 'role="status"' in bundle["text/html"]
    words = {Reply(kind, "x")._repr_mimebundle_()["text/html"].split("</strong>")[0][-9:] for kind in
             ("right", "wrong", "open", "hint")}  # fmt: skip
    assert len(words) == 4  # the kinds differ in words, not only in colour


# --------------------------------------------------------------------------------------------------------- progress


def test_only_what_was_right_is_remembered_by_a_new_process(folder):
    assert progress()["01"] == (0, 5)
    assert check("01.1", 0.29, record=False).right  # a solution cell
    assert progress()["01"].done == 0
    assert not folder.exists(), "nothing done is no file"
    check("01.1", 0.29)
    check("01.1", 5)  # a wrong answer later takes nothing away
    hint("01.2")
    code = "from ppml_helpers.exercises import hint, progress; print(progress()['01'].done, hint('01.2').text[:8])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "1 (2 of 3)"


def test_the_folder_is_looked_up_at_each_call(tmp_path, monkeypatch):
    check("01.1", 0.29)
    monkeypatch.setenv("PPML_PROGRESS", str(tmp_path / "elsewhere"))
    assert progress()["01"].done == 0
    monkeypatch.delenv("PPML_PROGRESS")
    assert store.folder() == Path(exercises.__file__).parents[2] / ".progress"


def test_two_processes_writing_lose_nothing(folder):
    code = """
import sys
from dataclasses import replace
from ppml_helpers.exercises import store
for k in range(60):
    saved = store.change(lambda before: replace(before, done=before.done | {f"{sys.argv[1]}.{k}"}))
    assert not saved.remark, saved.remark
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert store.read().done == {f"{name}.{k}" for name in "ab" for k in range(60)}
    assert {path.name for path in folder.iterdir()} <= {"progress.json", "progress.lock"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"done": 3, "hints": {}}', b'{"done": [], "hints": {"01.1": "two"}}', b"null",
     b'{"done": []}', b'{"done": [1], "hints": {}}', b"[" * 100_000],
)  # fmt: skip
def test_every_damaged_file_is_set_aside_with_one_sentence(folder, content):
    folder.mkdir()
    damaged = folder / "progress.json"
    damaged.write_bytes(content)
    shown = progress()
    said = "Your progress file was damaged: it is set aside as progress.json.damaged-1, and counting starts afresh."
    assert (shown["01"].done, shown.remark) == (0, said)
    damaged.write_bytes(content)
    reply = check("01.1", 0.29)
    assert reply.right
    for told in (reply.remark, str(reply), reply._repr_mimebundle_()["text/html"]):
        assert said.replace("damaged-1", "damaged-2") in told
    assert (progress()["01"].done, progress().remark) == (1, ""), "it is said once"
    assert {path.read_bytes() for path in folder.glob("*.damaged-*")} == {content}
    damaged.write_bytes(content)
    assert str(progress_bar()).endswith("counting starts afresh.")


def test_names_of_other_editions_are_kept_and_not_counted(folder):
    folder.mkdir()
    (folder / "progress.json").write_text('{"done": ["01.1", "42.1"], "hints": {"42.1": 1}}')
    assert progress()["01"].done == 1
    hint("01.2")
    assert store.read().done == {"01.1", "42.1"}
    assert store.read().hints == {"42.1": 1, "01.2": 1}


def test_a_folder_that_cannot_be_made_or_written_costs_the_memory_not_the_verdict(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "read-only").mkdir(mode=0o500)
    writes_anywhere = not hasattr(os, "geteuid") or os.geteuid() == 0  # an administrator, or Windows
    for folder in ("file/progress", *(() if writes_anywhere else ("read-only",))):
        monkeypatch.setenv("PPML_PROGRESS", str(tmp_path / folder))
        reply = check("01.1", 0.29)
        assert reply.right
        assert "Your progress could not be saved in" in reply.remark
        assert hint("01.1").text.startswith("(1 of 2)")
        assert progress()["01"].done == 0


def test_a_full_disk_costs_the_memory_not_the_verdict(folder, monkeypatch):
    check("01.1", 0.29)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    reply = hint("01.1")
    assert reply.text.startswith("(1 of 2)")
    assert os.strerror(errno.ENOSPC) in reply.remark
    assert store.read().done == {"01.1"}
    assert {path.name for path in folder.iterdir()} <= {"progress.json", "progress.lock"}


def test_a_lock_that_is_held_is_not_waited_for_for_ever(folder, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(store, "_WAIT", 0.05)
    folder.mkdir()
    with FileLock(folder / "progress.lock"):
        reply = check("01.1", 0.29)
    assert reply.right
    assert "another program holds it" in reply.remark


def test_the_bar_shows_the_course_as_text_and_html():
    check("01.1", 0.29)
    bundle = progress_bar()._repr_mimebundle_()
    total = sum(len(chapter) for _, chapter in exercises._chapters().values())
    assert bundle["text/plain"].splitlines()[0] == f"Your course: 1 of {total} exercises done"
    assert "01  ■□□□□  1 of 5  What leaks" in bundle["text/plain"].splitlines()
    assert "aria-label='chapter 01' value='1' max='5'" in bundle["text/html"]
