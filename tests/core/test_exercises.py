"""The exercises: verdicts, hints, progress, and what happens when its file is in trouble; `frame` and `store`."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from ppml_helpers import exercises
from ppml_helpers.errors import ExerciseError
from ppml_helpers.exercises import check, hint, progress, progress_bar, store
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, right

ALL = [exercise for _, chapter in exercises._chapters().values() for exercise in chapter]
ODD = ["0.3", "", None, True, float("nan"), float("inf"), -(10**400), [], [1, 2], {}, {"a": 1}, {1}, object(),
       int, lambda: 1, np.array([]), np.zeros((3, 3)), np.array(["x"]), np.array([None]), pd.Series([1.0, 2.0]),
       pd.DataFrame(), torch.zeros(2), torch.tensor(1.0, requires_grad=True), 1 + 2j, b"x", range(3), Exception("x"),
       pd.NA, pd.NaT, np.ma.masked]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Keep the progress of these tests to themselves."""
    chosen = tmp_path / "progress"
    monkeypatch.setenv("PPML_PROGRESS", str(chosen))
    return chosen


# --------------------------------------------------------------------------------------------------- every exercise


def test_names_are_unique_and_belong_to_their_chapter():
    assert len({exercise.name for exercise in ALL}) == len(ALL) >= 4
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
def test_the_dots_are_no_answer_and_no_mistake(exercise):
    reply = check(exercise.name, ...)
    assert reply.kind == "open"
    assert "nothing to check yet" in reply.text
    assert progress().course.done == 0


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_no_odd_answer_crashes_a_check(exercise):
    for answer in ("0.3", None, float("nan"), {"a": 1}, lambda: 1, np.zeros((3, 3)), pd.DataFrame()):
        reply = check(exercise.name, answer)
        assert reply.kind == "wrong", answer
        assert reply.text.endswith((".", "?")), answer
        assert "\n" not in reply.text


@pytest.mark.parametrize("answer", ODD, ids=lambda answer: repr(answer)[:20].splitlines()[0])
def test_what_is_no_number_is_told_so(answer):
    with pytest.raises(NotAnAnswer) as told:
        as_number(answer)
    assert "\n" not in str(told.value)


def test_an_answer_of_the_wrong_kind_is_told_the_right_kind():
    for answer in ("0.3", None, [1, 2], int, float("nan")):
        assert "a number between 0 and 1, such as 0.25" in check("01.1", answer).text
    assert "this is the text '0.3'" in check("01.1", "0.3").text
    assert "this holds 2 values" in check("01.1", [1, 2]).text
    assert "this is a function" in check("01.1", lambda: 0.29).text
    assert "Does your function return something?" in check("01.1", None).text


# -------------------------------------------------------------------------------------------------------- the frame


def test_an_unknown_exercise_names_those_that_there_are():
    with pytest.raises(ExerciseError, match=r"'01.9': chapter 01 has 01.1, 01.2, 01.3, 01.4, 01.5"):
        check("01.9", 1)
    with pytest.raises(ExerciseError, match=r"chapters with exercises are .*01"):
        hint("99.1")
    for name in ("", None, 1, "one"):
        with pytest.raises(ExerciseError, match="There is no exercise"):
            check(name, 1)


@pytest.mark.parametrize(("name", "quoted"), [(0.1, "00.1"), (1.4, "01.4"), (np.float64(5.2), "05.2")])
def test_a_name_without_quotes_is_told_to_wear_them(name, quoted):
    for ask in (lambda: check(name, 1), lambda: hint(name)):
        with pytest.raises(ExerciseError, match=f'write the name in quotes, as in "{quoted}"'):
            ask()


def test_a_judge_that_fails_is_an_answer_that_cannot_be_read():
    exercise = Exercise("99.1", "a table", ("a",), lambda answer: answer.shape.nothing)
    text = exercise.reply(3).text
    assert text == "The answer to 99.1 is a table; checking this one, of type int, stopped with AttributeError."


def test_an_answer_may_be_one_of_a_few_words():
    assert as_choice(" Yes ", ("yes", "no")) == "yes"
    exercise = Exercise("99.1", "a word", ("a",), lambda answer: right(as_choice(answer, ("yes", "no"))))
    assert exercise.reply("no").right
    assert "the choices are 'yes', 'no'" in exercise.reply("maybe").text
    assert "the choices are 'yes', 'no'" in exercise.reply(["yes"]).text


@pytest.mark.parametrize("answer", [2, 2.0, np.int8(2), np.float64(2), [2], torch.tensor([2]), pd.Series([2.0])])
def test_one_number_is_read_from_many_types(answer):
    assert as_number(answer) == 2.0


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


def test_the_same_answer_gets_the_same_words():
    assert str(check("01.1", 0.29)) == str(check("01.1", 0.29)) == str(check("01.1", 0.29, record=False))


# --------------------------------------------------------------------------------------------------------- progress


def test_nothing_done_is_no_file(folder):
    assert progress()["01"] == (0, 5)
    assert not folder.exists()


def test_progress_is_remembered_by_a_new_process(folder):
    check("01.1", 0.29)
    hint("01.2")
    code = "from ppml_helpers.exercises import hint, progress; print(progress()['01'].done, hint('01.2').text[:8])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "1 (2 of 3)"


def test_a_solution_cell_does_not_count(folder):
    assert check("01.1", 0.29, record=False).right
    assert progress()["01"].done == 0


def test_a_wrong_answer_later_takes_nothing_away():
    check("01.1", 0.29)
    check("01.1", 5)
    assert progress()["01"].done == 1


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
def test_a_damaged_file_is_set_aside_with_one_sentence(folder, content):
    folder.mkdir()
    (folder / "progress.json").write_bytes(content)
    shown = progress()
    assert shown["01"].done == 0
    assert shown.remark == (
        "Your progress file was damaged: it is set aside as progress.json.damaged-1, and counting starts afresh."
    )
    assert (folder / "progress.json.damaged-1").read_bytes() == content
    assert check("01.1", 0.29).remark == ""
    assert progress()["01"].done == 1


def test_every_damaged_file_is_kept(folder):
    folder.mkdir()
    for number in (1, 2):
        (folder / "progress.json").write_text(f"damaged {number}")
        reply = check("01.1", 0.29)
        assert reply.right
        assert f"damaged-{number}" in reply.remark
        assert f"damaged-{number}" in str(reply)
        assert f"damaged-{number}" in reply._repr_mimebundle_()["text/html"]
    assert (folder / "progress.json.damaged-1").read_text() == "damaged 1"
    assert json.loads((folder / "progress.json").read_text())["done"] == ["01.1"]


def test_names_of_other_editions_are_kept_and_not_counted(folder):
    folder.mkdir()
    (folder / "progress.json").write_text('{"done": ["01.1", "42.1"], "hints": {"42.1": 1}}')
    assert progress()["01"].done == 1
    hint("01.2")
    assert store.read().done == {"01.1", "42.1"}
    assert store.read().hints == {"42.1": 1, "01.2": 1}


def test_a_folder_that_cannot_be_made_costs_the_memory_not_the_verdict(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PPML_PROGRESS", str(tmp_path / "file" / "progress"))
    reply = check("01.1", 0.29)
    assert reply.right
    assert "Your progress could not be saved in" in reply.remark
    assert hint("01.1").text.startswith("(1 of 2)")
    assert progress()["01"].done == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="an administrator may write anywhere")
def test_a_read_only_folder_costs_the_memory_not_the_verdict(folder):
    folder.mkdir(mode=0o500)
    assert "could not be saved" in check("01.1", 0.29).remark


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


def test_the_bar_says_when_the_file_was_damaged(folder):
    folder.mkdir()
    (folder / "progress.json").write_text("?")
    assert str(progress_bar()).endswith("counting starts afresh.")


def test_an_exercise_without_hints_says_so(monkeypatch):
    bare = Exercise("77.1", "a number", (), lambda answer: right("yes"))
    monkeypatch.setattr(exercises, "_chapters", lambda: {"77": ("Title", (bare,))})
    assert hint("77.1").text == "77.1 has no hints."
    assert check("77.1", SimpleNamespace()).right
