"""Exercises of chapter 10: the owner stays in control."""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from ppml_helpers.errors import DatasiteError, SandboxError
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, close, right, wrong
from ppml_helpers.owner_in_control.syft_client import demand_syft

TITLE = "The owner in control"

# --- 10.1: a budget -------------------------------------------------------------------------------------------------

_TOTAL, _EACH = 1.75, 0.5
_CHARGED = {  # what is said to an answer that charges so many of the four
    0: "Nothing is spent there, and yet an answer lies with the researcher.",
    1: "Only the released one counts there. The dropped one was looked at, and that the owner keeps it back says "
    "something too: it stays spent.",
    3: "One too many is charged. Which of these runs has no result at all?",
    4: "That charges all four, and below 0 the gate would not have run the last. One never started.",
}


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _TOTAL - 2 * _EACH, 1e-6):
        return right(
            "0.75: the dropped run and the released one are paid for. A failed run gives no answer and costs nothing; "
            "but that it failed is a bit about the patients, so look into every failure."
        )
    if close(value, 2 * _EACH, 1e-6):
        return wrong("That is what is spent. Asked is what is left of 1.75.")
    charged = (said for number, said in _CHARGED.items() if close(value, _TOTAL - number * _EACH, 1e-6))
    return wrong(
        next(charged, "Go through the four: did the job run, did it give a result? If so it costs 0.5, else nothing.")
    )


# --- 10.2: the leak in three jobs -----------------------------------------------------------------------------------

_STOPPED_BY = ("logs", "stray_files", "fingerprint", "scratch_copy", "nothing")
_LEAKS = {"A": "logs", "B": "stray_files", "C": "nothing"}
_SAID_OF = {
    "A stray_files": "It leaves no file but its output. What becomes of the text behind an assert that fails?",
    "A nothing": "Its output is a summary of all. Look at the line before: what happens at an unlikely pressure?",
    "B logs": "It prints nothing. Where does prepared.pkl lie when the job is done?",
    "B scratch_copy": "prepared.pkl lies in the job's own folder, beside its code; another defence looks there.",
    "B nothing": "Its output is a mean a diagnosis. But it makes a second file.",
    "C logs": "It prints nothing, and asserts nothing.",
    "C stray_files": "Its only file is the output, which the gate releases.",
    "C scratch_copy": "It writes nowhere but into outputs/. How many patients are behind each row there?",
    "A scratch_copy": "It writes nothing outside its own folder.",
}


def _judge_2(answer: object) -> Reply:
    if not isinstance(answer, Mapping) or set(answer) != set(_LEAKS):
        raise NotAnAnswer("its keys are 'A', 'B' and 'C'")
    chosen = {job: as_choice(answer[job], _STOPPED_BY) for job in _LEAKS}
    missed = [job for job, fits in _LEAKS.items() if chosen[job] != fits]
    if not missed:
        return right(
            "The traceback of A, the file of B, and the answer of C itself: many of its groups are one patient, and "
            "the mean of one patient's death is that death. No gate counts heads; whoever reads the code must."
        )
    key = f"{missed[0]} {chosen[missed[0]]}"
    said = _SAID_OF.get(key, "The code is what was reviewed; nobody swaps it. The leak is in plain sight.")
    more = f" And {len(missed) - 1} more to think over." if missed[1:] else ""
    return wrong(f"{missed[0]}: {said}{more}")


# --- 10.3: a job that answers without leaking -----------------------------------------------------------------------

_EPSILON, _PATIENTS = 0.25, 80
_TABLES, _RUNS = 8, 150  # so many tables of invented patients, and runs on each; and once more with rigged dice
_TIMEOUT = 180  # seconds, for all runs together: some 8 on a computer that has nothing else to do
_FALSE_ALARM = 1e-5  # how often a right job is refused by chance

# Runs the job again and again in one process, each time in a new folder: importing syft takes most of the time. In the
# last runs Python's dice fall to the ends of their range, mostly to the one, to the other, or to both: noise that is
# made from them shows how far it reaches.
_DRIVER = """
import json, os, random, shutil, sys
import pandas, syft

def rigged(*_):
    cast.append(2.0**-50 if os.urandom(1)[0] < 256 * low else 1 - 2.0**-50)
    return cast[-1]

runs, tables, found = int(sys.argv[1]), [os.path.abspath(name) for name in sys.argv[2:]], []
home, code = os.getcwd(), compile(open("job.py", encoding="utf-8").read(), "job.py", "exec")
honest, sys.stderr = runs * len(tables), sys.stdout
for number in range(honest + runs):
    table, cast, low = tables[min(number, honest - 1) // runs], [], (0.03, 0.5, 0.97)[number % 3]
    if number == honest:
        random.random = random.SystemRandom.random = rigged
    syft.resolve_dataset_file_path = lambda name, **_: {"patients": table}[name]
    os.makedirs("run/outputs")
    os.chdir("run")
    try:
        exec(code, {"__name__": "__main__"})
    except Exception:
        if number < honest:
            raise
    os.chdir(home)
    left = [os.path.relpath(os.path.join(place, name), "run") for place, _, names in os.walk("run") for name in names]
    has_answer = "outputs/result.json" in left
    answer = open("run/outputs/result.json", errors="replace", newline="").read(1000) if has_answer else ""
    found.append({"left": left, "answer": answer, "rigged": bool(cast)})
    shutil.rmtree("run")
json.dump(found, open("report.json", "w"))
"""
_CLOCK = re.compile(r"\b(time|datetime|getpid)\b")


def _judge_3(answer: object) -> Reply:
    if not isinstance(answer, str):
        raise NotAnAnswer("give the code itself, as a text in quotes")
    try:
        compile(answer, "job.py", "exec")
    except SyntaxError as error:
        return wrong(f"Python cannot read it: {error.msg}, in line {error.lineno}.")
    if "resolve_dataset_file_path" not in answer:
        return wrong('It must find the table with sy.resolve_dataset_file_path("patients"), there and here.')
    if _CLOCK.search(answer):
        return wrong("It looks at the clock or at its process. Noise from the clock can be guessed, and taken off.")
    found, truths, said = _try_out(answer)
    honest, rigged = found[: _TABLES * _RUNS], found[_TABLES * _RUNS :]
    reply = _of_leaks(honest, said)
    if reply is None:
        reply = _of_noise(np.reshape([_died(run) for run in honest], (-1, _RUNS)) - truths[:, np.newaxis])
    far = [abs(_died(run) - truths[-1]) for run in rigged if run["rigged"] and _FORM.fullmatch(run["answer"])]
    if reply.right and far and not 15 / _EPSILON < max(far) < 250 / _EPSILON:
        return wrong(
            f"In {len(honest):,} runs its noise is as asked. But with dice that fall as far out as dice can, it is off "
            f"by {max(far):,.0f} at most: what is very rare gives a patient away. Cut no tail, and add none."
        )
    if reply.right and "laplace" in answer.lower() and "opendp" not in answer.lower():
        return right(f"{reply.text} {_ROUNDED}")
    return reply


def _died(run: dict[str, Any]) -> float:
    return json.loads(run["answer"])["died"]


_ROUNDED = (
    "Laplace noise that is rounded afterwards is another mechanism than the geometric one. On paper its epsilon is the "
    "same; in a computer its draws are floating-point numbers (chapter 04), and OpenDP's whole numbers are exact."
)


def _try_out(code: str) -> tuple[list[dict[str, Any]], np.ndarray, str]:
    """Run a job many times on invented patients, as the gate would; give what it left, the truths, what it printed."""
    from ppml_helpers.owner_in_control import attacks, mock_patients
    from ppml_helpers.sandbox import runner

    tables = {f"{n}.csv": mock_patients(attacks.ASKED, rows=_PATIENTS, seed=10 + n) for n in range(_TABLES)}
    for table in tables.values():
        table.loc[20:, "dzgroup"] = "Coma"  # so many that hardly an answer is below 0: some jobs cut there
    texts = {name: table.to_csv(index=False) for name, table in tables.items()} | {"job.py": code, "try.py": _DRIVER}
    texts = {name: text.encode() for name, text in texts.items()}
    command, limits = [sys.executable, "try.py", str(_RUNS), *tables], runner.Limits(seconds=_TIMEOUT)
    with tempfile.TemporaryDirectory() as folder:
        ended = runner.run(Path(folder), command, texts, limits=limits)
    if ended.why == "seconds":
        raise NotAnAnswer(f"{_TABLES * _RUNS:,} runs of this job take longer than {_TIMEOUT} seconds")
    said = ended.logs["stdout"].strip()
    if not said and not ended.files.get("report.json"):
        raise NotAnAnswer("this job ended the process that ran it")
    truths = [table.hospdead[table.dzgroup == "Coma"].sum() for table in tables.values()]
    found = json.loads(ended.files.get("report.json") or "[]")
    return found, np.array(truths), said


def _with_syft(judge: Callable[[object], Reply]) -> Callable[[object], Reply]:
    """Say in a reply why syft, or a job, cannot be run on this computer."""

    def judged(answer: object) -> Reply:
        try:
            demand_syft()
            return judge(answer)
        except (DatasiteError, SandboxError) as error:
            raise NotAnAnswer(f"it cannot be tried on this computer. {str(error).removesuffix('.')}") from None

    return judged


def _of_leaks(found: list[dict[str, Any]], said: str) -> Reply | None:
    if not found:
        return wrong(
            f"On invented patients the job stops with {said.splitlines()[-1][:120]!r}. A traceback goes into the log, "
            f"and the log to the researcher."
        )
    if said:
        return wrong(
            "It prints something. What a job prints lies in the log, and goes to the researcher: print nothing."
        )
    strays = sorted({name for run in found for name in run["left"]} - {"outputs/result.json"})
    if strays:
        return wrong(f"Besides its answer it leaves {strays[0]!r}, and that goes to the researcher as well.")
    if any("outputs/result.json" not in run["left"] for run in found):
        return wrong("It leaves no outputs/result.json, the one file that is to be released.")
    texts = [run["answer"] for run in found]
    for text in texts:
        try:
            content = json.loads(text)
        except ValueError:
            return wrong("outputs/result.json holds no JSON: write it with json.dump.")
        if not isinstance(content, dict) or set(content) != {"died"}:
            return wrong('outputs/result.json must hold {"died": ...} and nothing else: what was not asked may leak.')
        died = content["died"]
        if isinstance(died, bool) or not isinstance(died, int | float) or not math.isfinite(died):
            return wrong('The value of "died" must be a finite number.')
        if died % 1:
            return wrong(
                "Its answers have decimals. Noise with decimals leaks in the last digits (chapter 04): round, or "
                "draw whole numbers."
            )
    forms = {_FORM.fullmatch(text) and _NUMBER.sub("", text) for text in texts}
    if None in forms or len(forms) > 1:
        return wrong(
            "Two runs write their answer in different forms, or one in a form of its own: white space, zeros at the "
            "end, a key that stands there twice. There is room for the exact count in that: write the number as "
            "json.dump does."
        )
    return None


_NUMBER = re.compile(r"-?\d+(\.0)?")
_FORM = re.compile(rf'\s{{0,9}}\{{\s{{0,9}}"died"\s{{0,9}}:\s{{0,9}}{_NUMBER.pattern}\s{{0,9}}\}}\s{{0,9}}')


def _of_noise(errors: np.ndarray) -> Reply:
    """Judge how far the answers are off, a row a table."""
    spread, wanted, most = float(np.abs(errors).mean()), 1 / _EPSILON, float(np.abs(errors).max())
    if not errors.any():
        return wrong(
            "It answers with the exact count, each time. Two such counts, with a patient and without, tell about the "
            "one: add noise."
        )
    if not np.ptp(errors, axis=1).all():
        return wrong(
            "On one table its noise is the same in every run. It comes from a seed or from the table, and "
            "who knows that takes it off. Draw it from the operating system."
        )
    if errors.min() == 0 or errors.max() == 0:
        return wrong("Its noise goes one way only: the answer is a bound of the count, and a sure one. Draw both ways.")
    if abs(float(np.median(errors))) > 2:
        return wrong(
            f"Its answers lie around {np.median(errors):+.0f} of the count of invented patients with coma who died."
        )
    if most < 3.3 * spread:
        return wrong(
            f"It is never off by more than {most:.0f}. So there are answers that can only come about with a patient, "
            f"or without: such noise has no epsilon at all. Draw noise whose tails never end."
        )
    if spread < 0.87 * wanted:
        return wrong(
            f"It is off by {spread:.1f} on average, and noise for epsilon {_EPSILON} by about {wanted:.0f}: it has "
            f"less noise than asked. One patient moves the count by 1, so the scale is 1 / epsilon."
        )
    if spread > 1.13 * wanted:
        return wrong(
            f"It is off by {spread:.1f} on average, and {wanted:.0f} would do for epsilon {_EPSILON}. More noise "
            f"than needed is paid for in answers, not in budget."
        )
    if _fit(errors.ravel()) < _FALSE_ALARM:
        return wrong(
            f"It is off by {spread:.1f} on average, as asked, but its noise is not of the shape that keeps epsilon. "
            f"(Gaussian noise keeps an epsilon only with a delta.) Use the two-sided geometric noise of chapter 04."
        )
    return right(
        f"In {errors.size:,} runs on invented patients it printed nothing, left one file, and its noise fits that of "
        f"epsilon {_EPSILON}, off by about {wanted:.0f}. (Runs show few of the rare answers: an owner reads the code.)"
    )


_CUTS = np.array([-15.5, -11.5, -8.5, -5.5, -3.5, -2.5, -1.5, -0.5])
_CUTS = np.concatenate([_CUTS, -_CUTS[::-1]])


def _fit(errors: np.ndarray) -> float:
    """Return how probable it is that the right noise fits no better (Pearson's chi-square test).

    That is two-sided geometric noise, or Laplace noise rounded to the nearest whole number, down, or up.
    """
    from scipy.stats import chisquare, dlaplace, laplace

    seen = np.bincount(np.searchsorted(_CUTS, errors), minlength=len(_CUTS) + 1)
    rounded = (laplace.cdf(_CUTS + by, scale=1 / _EPSILON) for by in (0, 0.5, -0.5))
    chances = (np.diff([0, *below, 1]) for below in (dlaplace.cdf(_CUTS, _EPSILON), *rounded))
    return max(float(chisquare(seen, chance * errors.size).pvalue) for chance in chances)


# --- 10.4: a policy that lets exactly the stated reads through ------------------------------------------------------

_RITA, _EVE = "rita@university.example", "eve@university.example"

READS = {
    "results/summary.json": {_RITA, _EVE},
    "results/rita/model.json": {_RITA},
    "results/rita/notes/first.txt": {_RITA},
    "results/eve/count.json": {_EVE},
    "results/draft.txt": set(),
    "tables/patients.csv": set(),
}
"""The paths of 10.4 in the datasite, and who shall read each."""

_ABOUT_MORE = {
    "results/draft.txt": "A pattern such as 'results/*' fits every file of the folder: name the one that is meant.",
    "tables/patients.csv": "Leave out what nobody shall read: without a rule a file is closed.",
}
_PEOPLE = (_RITA, _EVE, "max@elsewhere.example", "finn@university.example")


def _rights(rules: object) -> pd.DataFrame:
    """Say what syft's own permissions make of rules that lie in ``syft.pub.yaml`` at the top of a datasite."""
    from pydantic import ValidationError
    from syft_permissions import PERMISSION_FILE_NAME
    from syft_permissions.spec.ruleset import RuleSet

    from ppml_helpers.owner_in_control import access_matrix

    try:
        ruleset = RuleSet.model_validate({"rules": rules})
    except ValidationError as error:
        first = error.errors()[0]
        rule, *where = first["loc"][1:]
        place = "".join(f"[{part!r}]" for part in where)
        raise NotAnAnswer(f"syft cannot read rule {rule + 1}{place}: {first['msg'].lower()}") from None
    with tempfile.TemporaryDirectory() as folder:
        owner = SimpleNamespace(syftbox_folder=Path(folder), email="north@hospital.example")
        site = owner.syftbox_folder / owner.email
        site.mkdir()
        ruleset.save(site / PERMISSION_FILE_NAME)
        return access_matrix(owner, _PEOPLE, READS)


def _judge_4(answer: object) -> Reply:
    if isinstance(answer, Mapping) and "rules" in answer:
        answer = answer["rules"]
    if not isinstance(answer, list | tuple) or not answer or not all(isinstance(rule, Mapping) for rule in answer):
        raise NotAnAnswer("a rule is a dict with the keys 'pattern' and 'access'")
    fault = _first_fault([dict(rule) for rule in answer])
    if fault:
        return wrong(fault)
    return right(
        "Exactly these reads. What no rule mentions stays closed, the most specific rule that fits a file is the one "
        "that counts, and a file added tomorrow is open only where a rule of today fits it."
    )


def _first_fault(rules: list[dict[str, Any]]) -> str:
    rights = _rights(rules).T.to_dict()
    for path, of in rights.items():
        if may_write := [who for who, right in of.items() if right in ("write", "admin")]:
            return f"{min(may_write)} may write {path}. Reading was asked for, and who may write may read."
    granted = {path: {who for who, right in of.items() if right} for path, of in rights.items()}
    if granted == READS:
        return ""
    strangers = [(path, person) for path in READS for person in _PEOPLE[2:] if person in granted[path]]
    if strangers:
        path, person = strangers[0]
        return f"{person} may read {path}. A star stands for everybody, also for those who come later: name people."
    path = next(path for path in READS if granted[path] != READS[path])
    if more := granted[path] - READS[path]:
        about = _ABOUT_MORE.get(path, "** reaches through all folders below, * stays in one.")
        return f"{min(more)} may read {path}, which is more than was asked for. {about}"
    person = min(READS[path] - granted[path])
    return f"{person} may not read {path}, and should.{_about_fewer(path, rules)}"


def _about_fewer(path: str, rules: list[dict[str, Any]]) -> str:
    patterns = [str(rule.get("pattern")) for rule in rules]
    if len(set(patterns)) < len(patterns):
        return " Two rules with the same pattern do not add up, the first one counts: put all readers into one rule."
    if path == "results/rita/notes/first.txt":
        return " * stays in one folder; ** reaches through all folders below."
    if any(pattern.endswith("/") for pattern in patterns):
        return " A pattern that ends in / fits no file: say 'results/rita/**'."
    return " Is there a rule whose pattern fits it, from the datasite's top, and has it the whole address?"


EXERCISES = (
    Exercise(
        name="10.1",
        expects="a number, the epsilon that is left",
        hints=(
            "A budget pays for what somebody learns from an answer. Which of the four gave one, to anybody?",
            "The owner looked at the dropped one before dropping it. The failed one has no result to look at.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="10.2",
        expects="a dict with a defence for each of the jobs A, B and C",
        hints=(
            "Three ways out: what is printed (also by an error), what is left lying about, and the answer.",
            "One of the three does nothing but answer. Think of a woman of 93 with a rare diagnosis.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="10.3",
        expects="the code of a job, a text",
        hints=(
            "Take the noisy count of this chapter. Whom does it count, and for which epsilon?",
            'row["dzgroup"] is "Coma"; geometric() divides by epsilon; and no print.',
        ),
        judge=_with_syft(_judge_3),
    ),
    Exercise(
        name="10.4",
        expects="a list of rules",
        hints=(
            'A rule is {"pattern": "results/summary.json", "access": {"read": [...]}}; three of them are enough.',
            "Rita's folder has a folder in it: that takes **. Draft and table need no rule.",
        ),
        judge=_with_syft(_judge_4),
    ),
)
