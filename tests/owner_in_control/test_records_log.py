"""The log of the release gate tells who touched it."""

from __future__ import annotations

import hashlib

import pytest

from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control.records import AuditLog, Head


@pytest.fixture
def log(tmp_path):
    log = AuditLog(tmp_path / "audit.log")
    for number in range(1, 6):
        log.append("run", job=f"job {number}", by="rita@university.example")
    return log


def rewrite(log, change):
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(change(lines)))


def test_a_log_that_nobody_touched_is_sound(log, tmp_path):
    verdict = log.verify()
    assert (verdict.sound, verdict.line) == (True, None)
    assert repr(log).splitlines()[0] == "   1  run          'job 1' from rita@university.example", "without its time"
    empty = AuditLog(tmp_path / "empty.jsonl")
    assert (empty.entries, empty.verify(empty.head).sound) == ((), True)
    assert [line["number"] for line in log.entries] == [1, 2, 3, 4, 5]
    assert log.head == Head(5, log.entries[-1]["hash"])
    assert log.verify(log.head).sound


def with_a_new_hash(lines):
    text = lines[1].partition(b" ")[2].replace(b"job 2", b"forged")
    seal = hashlib.sha256(lines[0].partition(b" ")[0] + text.rstrip()).hexdigest()
    return [lines[0], seal.encode() + b" " + text, *lines[2:]]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"job 3", b"job 9"), *lines[3:]], 3),  # edited
        (lambda lines: [*lines[:2], *lines[3:]], 3),  # dropped in the middle
        (lambda lines: lines[1:], 1),  # dropped at the start
        (lambda lines: lines[:-1], 5),  # dropped at the end
        (lambda lines: [], 1),  # all dropped
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),  # two swapped
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], 3),  # one twice
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),  # an empty line
        (lambda lines: [*lines[:4], lines[4].replace(b'"by": ', b'"by":  ')], 5),  # same meaning, other bytes
        (lambda lines: [*lines[:4], lines[4][:-1]], 5),  # only the end of the last line
        (with_a_new_hash, 3),  # the second was edited: the next does not follow it
    ],
)
def test_a_touched_line_is_named(log, change, line):
    noted = log.head  # which is needed where the end is gone
    rewrite(log, change)
    verdict = log.verify(noted)
    assert not verdict.sound
    assert verdict.line == line
    assert f"Line {line}" in verdict.why


def test_a_log_written_anew_is_sound_in_itself_and_found_out_by_the_head_kept_elsewhere(log, tmp_path):
    noted = log.head
    for path in tmp_path.iterdir():
        path.unlink()
    for number in range(1, 6):
        log.append("run", job=f"other {number}", by="rita@university.example")
    assert log.verify().sound
    verdict = log.verify(noted)
    assert (verdict.sound, verdict.line) == (False, 5)
    assert log.verify(noted._replace(lines=7)).line == 6, "and one that is too short for it"


def test_nothing_is_added_to_a_log_that_was_touched(log):
    rewrite(log, lambda lines: lines[:2] + lines[3:])
    with pytest.raises(DatasiteError, match="Line 3 was edited, or a line was dropped, added or moved here"):
        log.append("run")
    with pytest.raises(DatasiteError, match="Line 3"):
        _ = log.entries


@pytest.mark.parametrize("torn", [b'{"at": "2026-', '{"job": "ü'.encode()[:-1]])
def test_what_a_crash_left_unfinished_was_never_part_of_the_log(log, torn):
    with log.path.open("ab") as stream:
        stream.write(torn)
    assert log.verify().why == "All 5 lines are as they were written."
    log.append("run")
    assert log.entries[-1]["number"] == 6
    assert log.verify(log.head).why == "All 6 lines are as they were written."


def test_text_of_a_researcher_stays_one_line_and_what_json_cannot_hold_is_refused(log):
    job = 'a\n{"number": 7}\u2028'
    log.append("run", job=job, by="rita@university.example")
    for value in (float("nan"), object()):
        with pytest.raises(DatasiteError, match="use text or numbers"):
            log.append("run", value=value)
    assert log.verify().sound
    assert len(log.entries) == 6
    assert log.entries[-1]["details"]["job"] == job
