"""`kit.py assess` without its door: what stands on stdout, on stderr, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_tables import mixed, roles_of

from ppml_helpers.choose import assess


@pytest.fixture
def heart(tmp_path: Path) -> Path:
    path = tmp_path / "heart.csv"
    mixed(200).to_csv(path, index=False)
    return path


def run(capfd: pytest.CaptureFixture, *arguments: object) -> tuple[int, str, str]:
    status = assess.main([str(one) for one in arguments])
    return status, *capfd.readouterr()


def test_without_roles_a_proposal_is_written_once_and_the_status_asks_for_it(heart: Path, capfd) -> None:
    roles = heart.with_name("heart.roles.toml")
    status, out, err = run(capfd, heart)
    assert (status, out) == (assess.TO_EDIT, f"{roles}\n")
    assert "correct it" in err
    roles.write_text("mine", encoding="utf-8")
    status, out, err = run(capfd, heart)
    assert (status, out) == (assess.TO_EDIT, f"{roles}\n")
    assert "left as it is" in err
    assert roles.read_text(encoding="utf-8") == "mine"


def test_with_roles_a_report_is_written_and_progress_goes_to_stderr(heart: Path, capfd) -> None:
    roles = roles_of(mixed(200)).save(heart.with_name("own.toml"))
    status, out, err = run(capfd, heart, "--roles", roles)
    assert (status, out) == (assess.WRITTEN, f"{heart.with_name('heart.report.html')}\n")
    assert err.splitlines()[0] == "  0 %  what the columns are"
    assert err.splitlines()[-1] == "100 %  done"
    assert all("%  " in line for line in err.splitlines())
    assert "<title>What heart.csv tells of its people</title>" in Path(out.strip()).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("table", "roles", "word"),
    [
        ("no.csv", "own.toml", "no.csv cannot be read"),
        ("heart.csv", "no.toml", "no.toml cannot be read"),
        ("heart.csv", "b", "say nothing of the column"),
    ],
)
def test_what_is_refused_is_one_sentence_and_leaves_no_report(heart, capfd, table: str, roles: str, word: str) -> None:
    roles_of(mixed(200)).save(heart.with_name("own.toml"))
    heart.with_name("b").write_text("several = 'averaged'", encoding="utf-8")
    status, out, err = run(capfd, heart.with_name(table), "--roles", heart.with_name(roles))
    assert (status, out) == (assess.REFUSED, "")
    assert len(err.splitlines()) == 1
    assert word in err
    assert not heart.with_name("heart.report.html").exists()


def test_stopped_it_says_so_and_writes_nothing(heart: Path, capfd, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(assess, "findings", stop)
    roles = roles_of(mixed(200)).save(heart.with_name("own.toml"))
    assert run(capfd, heart, "--roles", roles) == (assess.STOPPED, "", "Stopped; no report was written.\n")
    assert not heart.with_name("heart.report.html").exists()
