"""The exercises of chapter 10: right answers in several forms, what wrong ones are told, and that they are true."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from answers import cells, reply

from ppml_helpers import cohort
from ppml_helpers.owner_in_control import Network, ReleaseGate, mock_patients, silence
from ppml_helpers.owner_in_control import exercises as chapter_10
from ppml_helpers.owner_in_control.attacks import ASKED
from ppml_helpers.owner_in_control.exercises import READS

RITA, EVE = "rita@university.example", "eve@university.example"


def job(line: str, noise: str = "geometric() - geometric()") -> str:
    """Give the code of a job that counts deaths with some noise, and ends in a line of its own."""
    return f"""
import csv
import json
import math
import random
import syft as sy

def geometric():
    return math.floor(-math.log(1 - random.SystemRandom().random()) / 0.25)

rows = list(csv.DictReader(open(sy.resolve_dataset_file_path("patients"))))
died = sum(row["hospdead"] == "1" for row in rows if row["dzgroup"] == "Coma")
answer = died + {noise}
{line}
"""


WRITE = 'json.dump({"died": answer}, open("outputs/result.json", "w"))'
GOOD = job(WRITE)


ROUNDED_LAPLACE = """
import json
import numpy as np
import pandas as pd
import syft as sy

table = pd.read_csv(sy.resolve_dataset_file_path("patients"))
died = table.query("dzgroup == 'Coma'").hospdead.sum()
noisy = round(died + np.random.default_rng().laplace(scale=4))
with open("outputs/result.json", "w") as file:
    file.write(json.dumps({"died": int(noisy)}))
"""


OPENDP = """
import json
import opendp.prelude as dp
import pandas as pd
import syft as sy

dp.enable_features("contrib")
noisy = dp.m.make_laplace(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=4.0)
table = pd.read_csv(sy.resolve_dataset_file_path("patients"))
died = table.hospdead[table.dzgroup == "Coma"].sum()
json.dump({"died": noisy(int(died))}, open("outputs/result.json", "w"), indent=2)
"""


def rule(pattern: str, *readers: str, **access: list[str]) -> dict[str, Any]:
    return {"pattern": pattern, "access": {"read": list(readers), **access} if readers else dict(access)}


SUMMARY = rule("results/summary.json", RITA, EVE)
RITAS, EVES = rule("results/rita/**", RITA), rule("results/eve/**", EVE)


RIGHT = [
    ("10.1", 0.75),
    ("10.1", np.float32(0.75)),
    ("10.2", {"A": "logs", "B": "stray_files", "C": "nothing"}),
    ("10.2", {"C": "nothing", "A": "Logs", "B": " stray_files "}),
    ("10.3", GOOD),
    ("10.3", OPENDP),
    ("10.4", (EVES, RITAS, SUMMARY)),
    ("10.4", {"rules": [SUMMARY, RITAS, EVES]}),
    (
        "10.4",
        [SUMMARY, rule("results/rita/*.json", RITA), rule("results/rita/notes/*", RITA), rule("results/eve/*", EVE)],
    ),
    ("10.4", [rule("results/**"), SUMMARY, RITAS, EVES]),  # the most specific rule counts, whatever its place
    ("10.4", [SUMMARY, RITAS, EVES, rule("results/**")]),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_in_several_forms(name: str, answer: object) -> None:
    assert reply(name, answer) == ""


WRONG = [
    ("10.1", 1.0, "what is spent"),
    ("10.1", 1.25, "The dropped one was looked at"),
    ("10.1", 0.25, "no result at all"),
    ("10.1", -0.25, "never started"),
    ("10.1", 1.75, "Nothing is spent"),
    ("10.1", 3, "Go through the four"),
    ("10.2", {"A": "logs", "B": "stray_files"}, "its keys are"),
    ("10.2", {"A": "log", "B": "stray_files", "C": "nothing"}, "the choices are"),
    ("10.2", {"A": "stray_files", "B": "stray_files", "C": "nothing"}, "assert that fails"),
    ("10.2", {"A": "nothing", "B": "stray_files", "C": "nothing"}, "unlikely pressure"),
    ("10.2", {"A": "fingerprint", "B": "stray_files", "C": "nothing"}, "nobody swaps it"),
    ("10.2", {"A": "scratch_copy", "B": "stray_files", "C": "nothing"}, "outside its own folder"),
    ("10.2", {"A": "logs", "B": "logs", "C": "nothing"}, "Where does prepared.pkl lie"),
    ("10.2", {"A": "logs", "B": "scratch_copy", "C": "nothing"}, "beside its code"),
    ("10.2", {"A": "logs", "B": "nothing", "C": "nothing"}, "a second file"),
    ("10.2", {"A": "logs", "B": "stray_files", "C": "logs"}, "asserts nothing"),
    ("10.2", {"A": "logs", "B": "stray_files", "C": "stray_files"}, "which the gate releases"),
    ("10.2", {"A": "logs", "B": "stray_files", "C": "scratch_copy"}, "How many patients"),
    ("10.2", {"A": "nothing", "B": "logs", "C": "logs"}, "And 2 more"),
    ("10.3", 12, "as a text in quotes"),
    ("10.3", "died = (", "Python cannot read it"),
    ("10.3", "print(1)", "resolve_dataset_file_path"),
    ("10.3", job(WRITE + "\nprint(rows[0])"), "print nothing"),
    ("10.3", job("answer.nothing"), "stops with"),
    ("10.3", job(WRITE, "random.Random(0).randint(1, 9)"), "from a seed"),
    ("10.3", job(WRITE, "random.Random(__import__('time').time_ns()).randint(-9, 9)"), "Noise from the clock"),
    ("10.3", job(WRITE, "random.Random(str(rows)).randint(-9, 9)"), "or from the table"),
    ("10.3", job(WRITE + "; open('outputs/result.json', 'a').write(' ' * died)"), "white space"),
    ("10.3", job("open('outputs/result.json', 'w').write('{\"died\": %d.%s}' % (answer, '0' * died))"), "white space"),
    ("10.3", job("open('outputs/result.json', 'w').write('{\"died\": %d, \"died\": %d}' % (died, answer))"), "twice"),
    ("10.4", "results/**", "a dict with the keys"),
    ("10.4", [{"pattern": "results/*"}], "field required"),
    ("10.4", [rule("results/**", "*")], "A star stands for everybody"),
    ("10.4", [rule("results/summary.json", "*@university.example"), RITAS, EVES], "A star stands for everybody"),
    ("10.4", [rule("results/**", RITA, EVE)], "** reaches through"),
    ("10.4", [rule("results/*", RITA, EVE), RITAS, EVES], "fits every file of the folder"),
    ("10.4", [SUMMARY, rule("results/rita/*", RITA), EVES], "* stays in one folder"),
    ("10.4", [SUMMARY, rule("results/rita/", RITA), EVES], "ends in / fits no file"),
    (
        "10.4",
        [rule("results/summary.json", RITA), rule("results/summary.json", EVE), RITAS, EVES],
        "do not add up",
    ),
    ("10.4", [SUMMARY, RITAS], "from the datasite's top"),
    ("10.4", [SUMMARY, rule("results/rita/**", "rita"), EVES], "the whole address"),
    ("10.4", [SUMMARY, rule("results/rita/**", write=[RITA]), EVES], "may write"),
    ("10.4", [SUMMARY, RITAS, EVES, rule("tables/**", RITA)], "without a rule a file is closed"),
]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_sentence(
    name: str, answer: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chapter_10, "_RUNS", 3)  # enough for the sentences here; those on the noise come below
    assert words in reply(name, answer)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"left": []}, "leaves no outputs/result.json"),
        ({"answer": "17"}, "and nothing else"),
        ({"answer": "died: 17"}, "holds no JSON"),
        ({"answer": '{"died": 17, "patients": 200}'}, "and nothing else"),
        ({"answer": '{"died": "17"}'}, "must be a finite number"),
        ({"answer": '{"died": true}'}, "must be a finite number"),
        ({"answer": '{"died": NaN}'}, "finite"),
        ({"answer": '{"died": 17.5}'}, "decimals"),
        ({"answer": '{"died":17}'}, "different forms"),
        ({"left": ["outputs/rows.json", "outputs/result.json"]}, "rows.json"),
    ],
)
def test_10_3_says_what_is_wrong_with_what_a_job_leaves(left: dict[str, Any], words: str) -> None:
    fine = {"left": ["outputs/result.json"], "answer": '{"died": 17}'}
    assert chapter_10._of_leaks([fine, {**fine, "answer": '{"died": -3}'}], "") is None
    found = chapter_10._of_leaks([fine, {**fine, **left}], "")
    assert found is not None
    assert words in found.text


def geometric(rng: np.random.Generator, scale: float = 4) -> Any:
    return np.subtract(*(rng.geometric(1 - np.exp(-1 / scale), (2, 8, 150))))


def rounded(noise: str, *arguments: float) -> Callable[[np.random.Generator], Any]:
    return lambda rng: getattr(rng, noise)(*arguments, (8, 150)).round()


NOISES = [
    (lambda rng: np.zeros((8, 150)), "the exact count"),
    (lambda rng: np.abs(geometric(rng)), "one way only"),
    (lambda rng: geometric(rng) + 100, "lie around +100"),
    (lambda rng: geometric(rng, 2), "less noise"),  # as in the chapter
    (lambda rng: geometric(rng, 8), "More noise than needed"),
    (rounded("normal", 0, 5), "not of the shape"),
    (rounded("uniform", -8.49, 8.49), "never off by more than 8"),
    (lambda rng: np.clip(geometric(rng), -11, 11), "never off by more than 11"),
    (rounded("laplace", 0, 4), "fits that of epsilon 0.25"),
    (geometric, "fits that of epsilon 0.25"),
]


@pytest.mark.parametrize(("noise", "words"), NOISES)
def test_10_3_says_what_is_wrong_with_the_noise(noise: Callable[[np.random.Generator], Any], words: str) -> None:
    for seed in range(20):
        assert words in chapter_10._of_noise(noise(np.random.default_rng(seed)).astype(float)).text


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        ("max(-30, min(30, geometric() - geometric()))", "it is off by 30 at most"),
        ("geometric() - geometric() + 10**6 * (random.random() < 1e-6)", "it is off by 1,000"),
    ],
)
def test_10_3_sees_rare_answers_by_dice_that_fall_far_out(noise: str, words: str) -> None:
    assert words in reply("10.3", job(WRITE, noise))


BY_TRIALS = """
def geometric():
    trials = 0
    while random.random() < math.exp(-0.25):
        trials += 1
    return trials
"""


def test_noise_by_trials_is_right_and_cut_answers_below_0_are_not_held_against_a_job() -> None:
    code = GOOD.replace("rows = ", f"{BY_TRIALS}\nrows = ").replace("answer = died + ", "answer = max(0, died + ")
    assert reply("10.3", code.replace("\njson.dump", ")\njson.dump")) == ""


def test_laplace_noise_that_is_rounded_is_called_another_mechanism() -> None:
    assert "is another mechanism than the geometric one" in chapter_10._judge_3(ROUNDED_LAPLACE).text


def test_a_job_that_never_ends_or_ends_its_process_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ended the process" in reply("10.3", "import os\n" + job("os._exit(3)"))
    monkeypatch.setattr(chapter_10, "_TIMEOUT", 0.5)
    assert "take longer" in reply("10.3", job("while True:\n    pass"))


@pytest.mark.parametrize(("name", "answer"), [("10.3", GOOD), ("10.4", [SUMMARY, RITAS, EVES])])
def test_where_syft_cannot_run_the_reply_says_so(name: str, answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert "WSL" in reply(name, answer)


def test_10_1_and_10_2_are_what_the_gate_does() -> None:
    """The three jobs of 10.2 run behind a gate; and one that fails and one that is dropped, for the bill of 10.1."""
    task = cells("10_owner_in_control")["exercise-2-task"].source
    head, *jobs = re.findall(r"```python\n(.*?)```", task, re.DOTALL)
    with Network() as network:
        north, rita = network.hospital("north"), network.researcher("rita")
        network.pair()
        network.publish(
            north, "patients", cohort.load_patients()[list(ASKED)].dropna().head(400), mock_patients(ASKED, 5, 0)
        )
        gate = ReleaseGate(north, budgets={rita.email: 1.75})
        with silence():
            for name, lines in zip("ABC", jobs, strict=True):
                code = f"import pandas as pd\nimport syft as sy\n{head}{lines}"
                code = str(network.write(rita, f"job_{name}.py", code))
                rita.submit_python_job(north.email, code, name)
            rita.submit_python_job(north.email, code, "rejected")
        gate.sync()
        gate.reject("rejected")
        runs = {}
        for name in "ABC":
            gate.approve(gate.review(name), epsilon=0.5)
            runs[name] = gate.run(name)
        assert runs["A"].status == "failed"
        assert "unlikely pressure: {'age'" in runs["A"].logs["stderr.txt"]
        gate.drop(runs["A"])
        assert runs["B"].removed == ("code/prepared.pkl",)
        gate.drop(runs["B"])
        groups = [line.split(",") for line in runs["C"].outputs["deaths.csv"].splitlines()[1:]]
        assert not runs["C"].removed
        assert sum(size == "1" for *_, size, _ in groups) > len(groups) / 2
        gate.release(runs["C"])
        assert reply("10.1", gate.budget(rita.email).left.epsilon) == ""


def test_the_task_in_the_notebook_shows_the_table_that_is_judged() -> None:
    task = cells("10_owner_in_control")["exercise-4-task"].source
    lines = [line for line in task.splitlines() if line[:3] == "| `"]
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines]
    assert {
        row[0].strip("`"): {who for who, cell in zip((RITA, EVE), row[1:], strict=False) if cell} for row in rows
    } == READS
