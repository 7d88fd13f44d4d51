"""Reading a job before it is approved, and the folder as it was before a run (`review`, `closed_room`)."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.owner_in_control.closed_room import Snapshot, copy_aside
from ppml_helpers.owner_in_control.review import check_run_script, difference, read_job

RUN = """#!/bin/bash
set -euo pipefail
export UV_SYSTEM_PYTHON=false
cd code
uv venv --python 3.12
source .venv/bin/activate
uv pip install "syft==0.10.0" "pandas>=2,<4"
export PYTHONPATH=.:${PYTHONPATH:-}
python main.py
"""
posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes as on Linux and macOS")


@pytest.fixture
def job(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("print(1)\n")
    (tmp_path / "run.sh").write_text(RUN)
    (tmp_path / "config.yaml").write_text("name: count\n")
    details = SimpleNamespace(type="python", files=["main.py"], entrypoint="main.py")
    return SimpleNamespace(
        name="count", submitted_by="rita", job_submission_path=tmp_path, job_metadata=details, code="print(1)\n"
    )


def test_the_fingerprint_is_of_every_file_and_its_name(job):
    before = read_job(job)
    assert before.fingerprint == read_job(job).fingerprint
    assert set(before.hashes) == {"run.sh", "config.yaml", "code/main.py"}
    (job.job_submission_path / "code" / "main.py").rename(job.job_submission_path / "code" / "other.py")
    after = read_job(job)
    assert after.fingerprint != before.fingerprint
    assert difference(before.hashes, after.hashes) == "code/main.py went (and 1 more)"
    assert after.unlisted == ("other.py",)


def test_what_hides_text_is_shown(job):
    (job.job_submission_path / "code" / "main.py").write_text("x = 1  # \u202e nothing\rprint(2)\x1b[2K\u2028x\n")
    (job.job_submission_path / "code" / "blob.bin").write_bytes(b"\xff\xfe\x00")
    text = str(read_job(job))
    shown = ("python main.py", "\\u202e", "\\r", "\\x1b", "\\u2028", "<3 bytes that are no text")
    assert [words for words in shown if words not in text] == []
    assert "code/blob.bin   (not in the sender's list of files)" in text


@pytest.mark.parametrize("place", ["other.py", "code\r/main.py", "Code/main.py"])
def test_what_lies_where_it_would_not_be_shown_is_refused(job, place):
    if os.name == "nt" or (job.job_submission_path / "CODE").exists():
        pytest.skip("a file system that knows no such name")
    (job.job_submission_path / place).parent.mkdir(exist_ok=True)
    (job.job_submission_path / place).write_text("print(2)")
    with pytest.raises(ReleaseRefused, match=r"'count' has the file '.*\.py' beside its code, where syft puts none"):
        read_job(job)


@posix
def test_a_link_in_a_job_is_refused(job):
    (job.job_submission_path / "code" / "link").symlink_to("/etc/passwd")
    with pytest.raises(ReleaseRefused, match="'link' in job 'count' is no ordinary file"):
        read_job(job)


@pytest.mark.parametrize("script", [RUN, RUN.replace("uv pip", "uv sync --python 3.12\nuv pip")])
def test_the_script_that_syft_writes_is_let_through(job, script):
    (job.job_submission_path / "run.sh").write_text(script)
    check_run_script(read_job(job), "main.py")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("python main.py", "python other.py", "python other.py"),
        ("python main.py", "python main.py; cp a b", "python main.py; cp a b"),
        ("cd code", "cd code\ncp a b", "cp a b"),
        ("python main.py\n", "python main.py\ncp a b\n", "cp a b"),
        ('"pandas>=2,<4"', '"$(cp a b)"', "uv pip install"),
        ('"pandas>=2,<4"', '"`cp a b`"', "uv pip install"),
        ('"pandas>=2,<4"', '"--index-url=http://elsewhere"', "uv pip install"),
        ("PYTHONPATH=.", "PYTHONPATH=/elsewhere", "export PYTHONPATH"),
        ("python main.py\n", "", "end"),
        (RUN, "", "the line ''"),
        ("cd code\n", "cd code\r\n", r"cd code\\r"),  # bash looks for a folder of that name
        ("python main.py", "python main.py\x0c", r"python main.py\\x0c"),
    ],
)
def test_any_other_script_is_refused(job, old, new, named):
    (job.job_submission_path / "run.sh").write_text(RUN.replace(old, new))
    with pytest.raises(ReleaseRefused) as refused:
        check_run_script(read_job(job), "main.py")
    assert named in str(refused.value)


@pytest.mark.parametrize("kind", ["Python", "bash", ""])
def test_no_other_name_for_the_job_keeps_its_script_from_being_looked_at(job, kind):
    job.job_metadata.type = kind
    with pytest.raises(ReleaseRefused, match=f"'count' says that it is a '{kind}' job, and it is not made like one"):
        check_run_script(read_job(job), "main.py")


def test_a_bash_job_is_its_script(job):
    job.job_metadata.type = "bash"
    (job.job_submission_path / "code" / "script.sh").write_text(RUN)
    check_run_script(read_job(job), None)


@pytest.mark.parametrize("entry", [None, "other.py", "../main.py", "main.py; cp a b", "-c.py"])
def test_the_entry_point_is_a_file_of_the_code(job, entry):
    (job.job_submission_path / "run.sh").write_text(RUN.replace("main.py", str(entry)))
    with pytest.raises(ReleaseRefused, match="that is no file of its code"):
        check_run_script(read_job(job), entry)


# the copy of a folder: what changed since, and how to put it back


@pytest.fixture
def snapshot(tmp_path):
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("one")
    (root / "empty").write_text("")
    return Snapshot.take(root, tmp_path / "copy")


def test_every_change_is_found_and_put_back(snapshot):
    root = snapshot.root
    assert snapshot.changes() == ()
    (root / "a" / "b" / "file").write_text("two")
    (root / "empty").unlink()
    (root / "new").mkdir()
    (root / "new" / "file").write_text("three")
    assert snapshot.changes() == ("a/b/file", "empty", "new/file")
    loaded = Snapshot.load(root, snapshot.copy)
    loaded.put_back(loaded.changes())
    assert (root / "a" / "b" / "file").read_text() == "one"
    assert loaded.changes() == ()


@posix
def test_links_and_pipes_are_neither_followed_nor_opened(snapshot, tmp_path):
    root, outside = snapshot.root, tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("not mine")
    (root / "a" / "b" / "file").unlink()
    (root / "a" / "b").rmdir()
    (root / "a" / "b").symlink_to(outside)
    os.mkfifo(root / "pipe")
    changes = snapshot.changes()
    assert changes == ("a/b", "a/b/file", "pipe")
    copy_aside(root, changes, tmp_path / "aside")
    snapshot.put_back(changes)
    assert (outside / "file").read_text() == "not mine"
    assert (root / "a" / "b" / "file").read_text() == "one"
    assert not (root / "a" / "b").is_symlink()
    assert snapshot.changes() == ()


def test_a_copy_that_was_changed_is_not_put_back(snapshot):
    (snapshot.copy / "files" / "empty").write_text("forged")
    (snapshot.root / "empty").write_text("changed")
    with pytest.raises(DatasiteError, match="The gate's copy of empty was changed"):
        snapshot.put_back(["empty"])
    assert (snapshot.root / "empty").read_text() == "changed"
