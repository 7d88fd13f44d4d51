"""The budgets of the release gate stand in its log: they survive a restart, and are never spent twice (`records`)."""

from __future__ import annotations

import pytest

from ppml_helpers.errors import DatasiteError, PrivacyParameterError, ReleaseRefused
from ppml_helpers.owner_in_control.records import AuditLog, Ledger

RITA, EVE = "rita@university.example", "eve@university.example"


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(AuditLog(tmp_path / "audit.log"))
    ledger.fix_total(RITA, 1.0)
    return ledger


def test_what_was_seen_stays_spent_and_the_rest_is_given_back_also_after_a_restart(ledger, tmp_path):
    for run, epsilon in (("seen", 0.5), ("failed", 0.25), ("killed", 0.25)):
        ledger.begin(run, RITA, "count", epsilon, 0.0)
    assert ledger.budget(RITA).left.epsilon == 0, "what is at work is charged as well"
    log = AuditLog(tmp_path / "audit.log")
    log.append("ended", run="seen", status="withheld")
    log.append("ended", run="failed", status="failed")
    after = Ledger(log)
    assert [run for run, said in after.runs().items() if said["status"] is None] == ["killed"]
    assert after.budget(RITA).left.epsilon == 0.25
    log.append("ended", run="killed", status="interrupted")
    assert after.budget(RITA).left.epsilon == 0.5
    ledger.begin("free", RITA, "count", None, charged=False)
    assert [after.runs()[run]["charged"] for run in ("seen", "free")] == [True, False]
    assert after.budget(RITA).left.epsilon == 0.5


def test_too_much_or_no_epsilon_is_refused_and_leaves_no_trace(ledger):
    ledger.begin("a", RITA, "count", 0.8, 0.0)
    with pytest.raises(ReleaseRefused, match=r"'mean' costs epsilon 0\.3, but 0\.2 of 1 is left"):
        ledger.begin("b", RITA, "mean", 0.3, 0.0)
    for epsilon in (0.0, float("nan"), None):
        with pytest.raises(ReleaseRefused, match="epsilon"):
            ledger.begin("c", RITA, "mean", epsilon, 0.0)
    assert [entry.what for entry in ledger.budget(RITA).entries] == ["count"]


def test_a_total_of_epsilon_and_delta_is_fixed_once_and_needed(ledger):
    with pytest.raises(ReleaseRefused, match=r"eve@university.example has no privacy budget"):
        ledger.begin("a", EVE, "count", 0.1, 0.0)
    with pytest.raises(DatasiteError, match="no privacy budget"):
        ledger.budget(EVE)
    with pytest.raises(PrivacyParameterError):
        ledger.fix_total(EVE, -1.0)
    with pytest.raises(ReleaseRefused, match="delta"):
        ledger.begin("a", RITA, "count", 0.1, 1e-6)
    ledger.fix_total(EVE, 1.0, 1e-5)
    ledger.begin("a", EVE, "count", 0.1, 1e-6)
    assert ledger.budget(EVE).left.delta == pytest.approx(9e-6)
    ledger.fix_total(RITA, 1.0)
    with pytest.raises(DatasiteError, match="was given epsilon 1 and delta 0 in all"):
        ledger.fix_total(RITA, 2.0)


def test_a_line_that_was_changed_gives_no_budget_back(ledger, tmp_path):
    ledger.begin("a", RITA, "count", 0.8, 0.0)
    path = tmp_path / "audit.log"
    path.write_text(path.read_text().replace("0.8", "0.1"))
    with pytest.raises(DatasiteError, match="Line 2 was edited"):
        ledger.budget(RITA)
