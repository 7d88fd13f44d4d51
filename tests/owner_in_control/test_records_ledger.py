"""The budgets of the release gate survive a restart, and are never spent twice."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control.records import Ledger

RITA, EVE = "rita@university.example", "eve@university.example"


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.fix_total(RITA, 1.0)
    return ledger


def test_a_seen_run_stays_spent_and_others_are_given_back_also_after_a_restart(ledger, tmp_path):
    for run, epsilon in (("seen", 0.5), ("settled", 0.25), ("killed", 0.25)):
        ledger.reserve(run, RITA, "count", epsilon, 0.0)
    assert ledger.left(RITA).epsilon == 0
    ledger.settle("seen", seen=True)
    ledger.settle("settled", seen=False)
    after = Ledger(tmp_path / "ledger.db")
    assert after.left(RITA).epsilon == 0.25
    assert [after.paid(run) for run in ("seen", "settled", "killed")] == [True, False, False]
    after.settle("seen", seen=False)  # what was seen cannot be given back
    after.forget_unseen()
    assert after.left(RITA).epsilon == 0.5


def test_too_much_or_no_epsilon_is_refused_and_leaves_no_trace(ledger):
    ledger.reserve("a", RITA, "count", 0.8, 0.0)
    with pytest.raises(ReleaseRefused, match=r"'mean' costs epsilon 0\.3, but 0\.2 of 1 is left"):
        ledger.reserve("b", RITA, "mean", 0.3, 0.0)
    for epsilon in (0.0, float("nan"), None):
        with pytest.raises(ReleaseRefused, match="epsilon"):
            ledger.reserve("c", RITA, "mean", epsilon, 0.0)
    assert [entry.what for entry in ledger.budget(RITA).entries] == ["count"]


def test_a_total_of_epsilon_and_delta_is_fixed_once_and_needed(ledger, tmp_path):
    with pytest.raises(ReleaseRefused, match=r"eve@university.example has no privacy budget"):
        ledger.reserve("a", EVE, "count", 0.1, 0.0)
    with pytest.raises(DatasiteError, match="no privacy budget"):
        ledger.budget(EVE)
    with pytest.raises(PrivacyParameterError):
        ledger.fix_total(EVE, -1.0)
    with pytest.raises(ReleaseRefused, match="delta"):
        ledger.reserve("a", RITA, "count", 0.1, 1e-6)
    ledger.fix_total(EVE, 1.0, 1e-5)
    ledger.reserve("a", EVE, "count", 0.1, 1e-6)
    assert ledger.left(EVE).delta == pytest.approx(9e-6)
    ledger.fix_total(RITA, 1.0)
    with pytest.raises(DatasiteError, match="was given epsilon 1 and delta 0 in all"):
        Ledger(tmp_path / "ledger.db").fix_total(RITA, 2.0)


def test_the_same_epsilon_is_not_spent_twice_at_once(tmp_path, ledger):
    start, accepted = threading.Barrier(6), []

    def spend(name):
        mine = Ledger(tmp_path / "ledger.db")
        start.wait()
        try:
            mine.reserve(name, RITA, "count", 0.4, 0.0)
            accepted.append(name)
        except ReleaseRefused:
            pass

    threads = [threading.Thread(target=spend, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 2
    assert ledger.left(RITA).epsilon == pytest.approx(0.2)


def test_a_damaged_ledger_is_no_empty_one(tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database at all, but long enough to be one" * 50)
    with pytest.raises(DatasiteError, match=r"ledger\.db cannot be used .* restore it from a backup"):
        Ledger(path)


def test_a_ledger_in_use_says_so(tmp_path, ledger, monkeypatch):
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("ppml_helpers.owner_in_control.records.SECONDS", 0.1)
    with pytest.raises(DatasiteError, match="locked"):
        ledger.left(RITA)
    other.close()
    assert ledger.left(RITA).epsilon == 1.0
