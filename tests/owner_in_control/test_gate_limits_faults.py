"""What no gate can stop, each by a job that does it: `CANNOT_STOP` in `defences` is true."""

from __future__ import annotations

import json
import time

from desk import ANSWER, PRIVATE, SECRET

from ppml_helpers.owner_in_control import CANNOT_STOP, OutputRule, ReleaseGate


def test_numbers_within_the_owners_rule_spell_a_name(desk):
    desk.gate = ReleaseGate(desk.north, rule=OutputRule(answers=20, digits=3, smallest=10))
    letters = """for i in $(seq 0 6); do printf '%s%d' "$comma" "'${n:$i:1}"; comma=,; done"""
    script = f"n=$(sed -n 2p {PRIVATE}); (echo [; {letters}; echo ]) > code/outputs/ages.json"
    desk.gate.release(desk.run("ages", script))
    [text] = [text for path, text in desk.arrived().items() if path.endswith("ages.json")]
    assert "".join(map(chr, json.loads(text))) == SECRET
    assert "digits of a few numbers" in CANNOT_STOP[0]
    assert len(CANNOT_STOP) == 4


def test_how_long_an_answer_takes_tells_something(shared):
    """An owner who releases as soon as the job ends shows whether it waited."""
    script = f"if grep -q {SECRET} {PRIVATE}; then sleep 1.5; fi\n{ANSWER}"
    review, began = shared.approved("there", script), time.monotonic()
    shared.gate.release(shared.gate.run(review))
    assert time.monotonic() - began > 1.5
    assert "how long the job ran" in CANNOT_STOP[1]


def test_a_failure_is_one_bit_for_nothing(shared):
    for name, needle in (("is-there", SECRET), ("is-absent", "Nobody")):
        shared.run(name, f"grep -q {needle} {PRIVATE}\n{ANSWER}")
    assert [shared.told(name).status for name in ("is-there", "is-absent")] == ["done", "failed"]
    assert "failed is one bit" in CANNOT_STOP[2]


def test_two_researchers_with_a_budget_each_spend_both(desk):
    desk.gate.release(desk.run("one", ANSWER, epsilon=1.0))
    desk.gate.release(desk.gate.run(desk.approved("two", ANSWER, by=desk.eve, epsilon=1.0)))
    assert sum(desk.gate.budget(who.email).spent.epsilon for who in (desk.rita, desk.eve)) == 2.0
    assert "have spent both" in CANNOT_STOP[3]
