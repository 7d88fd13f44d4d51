"""Reading a job before it is approved (`review`)."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from ppml_helpers.errors import ReleaseRefused
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


def test_all_is_shown_with_its_number_and_no_text_passes_for_a_heading(job):
    code = job.job_submission_path / "code"
    (code / "main.py").write_text("code = readme = 1  \n--- code/readme\nprint(2)\n")
    (code / "more.json").write_text("{}")
    shown = str(read_job(job)).splitlines()
    assert shown[-6:] == [
        "--- code/main.py", "  1 code = readme = 1\\x20\\x20", "  2 --- code/readme", "  3 print(2)",
        "--- code/more.json   (not in the sender's list of files)", "  1 {}",
    ]  # fmt: skip
    assert "  9 python main.py" in shown


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (
            "main.py",
            b"# coding: unicode_escape\n# \\x0aprint(2)\n",
            "code/main.py, line 1, column 1, names the",
        ),
        ("helpers.pyc", b"\xa7\r\r\n", "code/helpers.pyc, line 1, column 1, has the byte 0xa7"),
        ("table.csv", b"1," * 100_000, "has more than 200,000 bytes or 100 files, which"),
    ],
)
def test_what_does_not_show_is_refused(job, name, data, words):
    (job.job_submission_path / "code" / name).write_bytes(data)
    with pytest.raises(ReleaseRefused, match=words):
        read_job(job)


def test_what_nobody_reads_is_refused(job):
    for number in range(99):
        (job.job_submission_path / "code" / f"{number}.txt").touch()
    with pytest.raises(ReleaseRefused, match="more than 200,000 bytes or 100 files"):
        read_job(job)


@pytest.mark.parametrize(
    "package",
    [
        "evil @ https://elsewhere.example/evil.whl", "git+https://elsewhere.example/evil", "./evil", "../evil.whl",
        "pandas @ file:///tmp/evil", "https://elsewhere.example/evil.whl", "no-such-package", "syft==0.9.5",
    ],
)  # fmt: skip
def test_a_package_from_anywhere_but_the_vetted_environment_is_refused(job, package):
    (job.job_submission_path / "run.sh").write_text(RUN.replace("pandas>=2,<4", package))
    with pytest.raises(ReleaseRefused, match="'count' asks for packages from elsewhere than the environment that you"):
        check_run_script(read_job(job), "main.py")


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


def test_the_script_that_syft_writes_is_let_through(job):
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
        ("uv pip", "uv sync --python 3.12\nuv pip", "uv sync"),  # of whatever a pyproject.toml names
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
