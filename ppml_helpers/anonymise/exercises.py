"""Exercises of chapter 03: anonymise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong

if TYPE_CHECKING:
    import pandas as pd

    from ppml_helpers.anonymise import Hierarchy, Released

TITLE = "Anonymise"

_RISK = 0.08  # the prosecutor risk that 03.1 allows
_TIMES = 3  # how much more often than in the table 03.2 allows metastatic cancer to be in a class
_K, _LIMIT = 5, 0.05  # of 03.3
_GROUPS = 4  # labels that 03.3 allows between the diagnoses and "*"
_NEEDED = 0.65  # the AUC that 03.3 asks for
_CERTAIN = 0.01  # share of the patients with metastases for whom 03.3 lets it be certain
_K_HANDED, _L_HANDED, _COLUMNS_HANDED = 11, 2, 3  # of the table that is handed out
_FEWEST_WORDS = 3  # of what still leaks, in 03.5
_NOTHING = ("nothing", "none", "no leak", "not applicable", "n/a")


class _Hospital(NamedTuple):
    """The chapter's tables: the patients to release, and those who come later."""

    table: pd.DataFrame
    later: pd.DataFrame


@cache
def _hospital() -> _Hospital:
    from ppml_helpers import cohort
    from ppml_helpers.people import identities

    patients = cohort.load_patients()
    extract = identities.deidentified(patients, identities.identities(patients))
    split = cohort.split(*cohort.features(patients), seed=0)
    return _Hospital(extract.loc[split.X_train.index], extract.loc[split.X_test.index])


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    least = math.ceil(1 / _RISK)
    if close(value, least, 1e-9):
        return right(
            f"1 / {least} = {1 / least:.3f}. The prosecutor knows that the person is in the table. A journalist, who "
            f"does not, has to look among the people of the register, who are many more."
        )
    if close(value, 1 / _RISK, 1e-9):
        return wrong(f"1 / {_RISK} is {1 / _RISK:g}, and a class holds whole patients.")
    if close(value, least - 1, 1e-9):
        return wrong(f"1 / {least - 1} = {1 / (least - 1):.3f}: a little above {_RISK}. Rounding down breaks the rule.")
    if 0 < value < 1:
        return wrong("That is a risk. k is a number of patients: how many must share a class?")
    if close(value, 100 * _RISK, 1e-9):
        return wrong(f"{value:g} patients in a class leave a risk of 1 / {value:g} = {1 / value:.3f}.")
    if value != int(value) or value < 1:
        return wrong("k is a whole number of patients, at least 1.")
    if value < least:
        return wrong(f"With k = {value:g} the smallest class may hold {value:g} patients: a risk of {1 / value:.3f}.")
    return wrong(f"k = {value:g} keeps the rule, and costs more than it must. Look for the smallest k that does.")


def _metastatic() -> float:
    """Share of the chapter's patients who have metastatic cancer."""
    return float((_hospital().table.ca == "metastatic").mean())


def _judge_2(answer: object) -> Reply:
    value = as_number(answer)
    if value == 1:
        return wrong("t = 1 asks for nothing: no two distributions are farther apart.")
    if value in (2, 3, 4):
        return wrong("That looks like an l, or a factor. t is a distance between two shares, from 0 to 1.")
    base = _metastatic()
    truth = (_TIMES - 1) * base
    if close(value, truth, 0.003):
        return right(
            f"A class may exceed the table's {base:.3f} by t, so {base:.3f} + {truth:.3f} = {_TIMES} x {base:.3f}. "
            f"No l promises that: a class of five is 2-diverse with four patients who have metastases."
        )
    if close(value, _TIMES * base, 0.003):
        return wrong(
            f"That is the share that a class may reach. t is the distance from the table's share, and that share is "
            f"not 0: take {base:.3f} off."
        )
    if close(value, base, 0.003):
        return wrong(
            f"That is the share in the table. With this t it may double in a class: how large for {_TIMES} times?"
        )
    if close(value, 100 * truth, 0.3):
        return wrong("The idea is right; give it as a share of 1, not in percent.")
    if not 0 <= value <= 1:
        return wrong("t is a distance between two distributions: from 0 to 1.")
    if value < truth:
        return wrong(
            f"That keeps the promise: nobody is more than {1 + value / base:.1f} times as suspect. Find the largest t."
        )
    return wrong(
        f"With t = {value:.2g} the share in a class may reach {base + value:.2f}, which is {1 + value / base:.1f} "
        f"times the table's {base:.3f}. A release may stay below its bound by luck; promise the bound."
    )


class _Design(NamedTuple):
    """What 03.3 makes of a hierarchy of the diagnoses."""

    given_up: bool  # whether the optimum says nothing of the diagnosis
    auc: float
    certain: float  # share of the patients with metastatic cancer for whom that is certain


def _optimum(hospital: _Hospital, mine: Hierarchy) -> _Design:
    from ppml_helpers.anonymise import Lattice, model_auc, support2_hierarchies
    from ppml_helpers.anonymise.bench import QUASI_IDENTIFIERS, certain

    qi = list(QUASI_IDENTIFIERS)
    lattice = Lattice(hospital.table, qi, {**support2_hierarchies(hospital.table), "dzgroup": mine})
    solution = lattice.solve(_K, _LIMIT)
    released = lattice.apply(solution)
    return _Design(
        given_up=solution.node["dzgroup"] == mine.height,
        auc=model_auc(released, hospital.table, hospital.later, qi),
        certain=certain(released.table, qi, "ca"),
    )


def _judge_3(answer: object) -> Reply:
    from ppml_helpers.anonymise import Hierarchy, support2_hierarchies
    from ppml_helpers.errors import AnonymityError

    groups = answer[0] if isinstance(answer, list | tuple) and len(answer) == 1 else answer
    if isinstance(groups, dict) and groups and all(isinstance(name, str) for name in groups):
        return wrong("Those are groups. Make a hierarchy of them: Hierarchy.groups(DIAGNOSES, groups).")
    try:
        listed = isinstance(answer, list | tuple)
        mine = Hierarchy(answer, "dzgroup") if listed else Hierarchy.of(answer, "dzgroup")
    except AnonymityError as error:
        return wrong(str(error))
    if (broken := _broken_rule(mine)) is not None:
        return wrong(broken)
    hospital = _hospital()
    yours = _optimum(hospital, mine)
    if yours.given_up:
        return wrong(
            f"The search gives the diagnosis up (AUC {yours.auc:.2f}): with these groups too many patients would "
            f"stand in small classes. Make the groups fewer, or more alike in size."
        )
    if yours.auc < _NEEDED:
        return wrong(
            f"The diagnosis survives, but tells the model little: AUC {yours.auc:.2f}, and {_NEEDED} is wanted. Put "
            f"together the diagnoses whose stays end alike."
        )
    if yours.certain > _CERTAIN:
        return wrong(
            f"AUC {yours.auc:.2f}, but metastatic cancer is certain for {100 * yours.certain:.0f} % of those who have "
            f"it: every patient with colon or lung cancer has it, so these two must share a group with others."
        )
    given = _optimum(hospital, support2_hierarchies(hospital.table)["dzgroup"])  # the study's own, as in the chapter
    return right(
        f"AUC {yours.auc:.2f} where the given groups have {given.auc:.2f}, and metastatic cancer is certain for "
        f"{100 * yours.certain:.0f} % of those who have it in place of {100 * given.certain:.0f} %. One caution: "
        f"groups that were fitted to these patients' deaths tell about them, so take them from a publication."
    )


def _broken_rule(mine: Hierarchy) -> str | None:
    """Say which rule of 03.3 a hierarchy breaks: without rules more levels always win."""
    from ppml_helpers.cohort import DIAGNOSES

    base, diagnoses = set(mine.levels[0]), set(DIAGNOSES)
    if lacking := sorted(diagnoses - base):
        return f"Your hierarchy lacks the diagnosis {lacking[0]!r}: each of the eight needs a group."
    if strange := sorted(base - diagnoses):
        return f"{strange[0][:40]!r} is no diagnosis of this table: the eight are in DIAGNOSES."
    labels = [len(set(level)) for level in mine.levels]
    if labels[-1] != 1:
        return "At the top all diagnoses must share one label, such as '*': else the search cannot give them up."
    if len(labels) != 3:
        return f"The rule is one level between the diagnoses and the top; you have {len(labels) - 2}."
    if labels[1] > _GROUPS:
        return f"The rule is at most {_GROUPS} groups, as many as the given ones; you have {labels[1]}."
    if labels[1] == 1:
        return "One group for all says as little as '*': make two to four."
    return None


def two_days() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the two tables of 03.4: the one that was handed out, and the same a day later with one patient more."""
    handed, newcomer = _handed_out()
    return handed.table, _shuffled(handed, newcomer)


@cache
def _handed_out() -> tuple[Released, pd.DataFrame]:
    """Return the release of the chapter's end, and a patient who came later."""
    from ppml_helpers.anonymise import mondrian
    from ppml_helpers.anonymise.support2 import minimised

    hospital = _hospital()
    study, seven, hierarchies = minimised(hospital.table)
    kept = [*seven[:_COLUMNS_HANDED], "hospdead"]
    handed = mondrian(study[kept], kept[:-1], _K_HANDED, hierarchies, sensitive="hospdead", l=_L_HANDED)
    return handed, hospital.later[kept].iloc[[0]]


def _shuffled(handed: Released, newcomer: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    both = pd.concat([pd.DataFrame(handed.table), pd.DataFrame(handed.recode(newcomer))], ignore_index=True)
    return both.sample(frac=1, random_state=0, ignore_index=True)


def _judge_4(answer: object) -> Reply:
    handed, newcomer = _handed_out()
    names = list(handed.table.columns)
    [own] = _as_text(handed.recode(newcomer)[names].itertuples(index=False))
    rows = _rows(answer, names)
    if isinstance(rows, str):
        return wrong(rows)
    if not rows:
        return wrong(
            "No row is left. Patients of one class have the same values, so a row of Tuesday also stands in Monday's "
            "table: count how often, on each day."
        )
    if len(rows) > 1:
        return wrong(f"{len(rows):,} rows, and one patient came. Take the row that stands there once more than before.")
    [row] = rows
    if row == own:
        end = "died in hospital" if newcomer["hospdead"].iloc[0] else "left hospital alive"
        return right(
            f"Whoever knows that somebody came in that day knows now that they {end}, though each of the two tables "
            f"keeps k = {_K_HANDED} and l = {_L_HANDED}. The promise of a table ends with the next one."
        )
    if row[:-1] == own[:-1]:
        return wrong("That is the right class, with the other outcome. Which of its two counts grew by one?")
    return wrong("That row stands in both tables equally often. Compare how often each row occurs on the two days.")


def _rows(answer: object, names: list[str]) -> list[tuple[str, ...]] | str:
    """Return the rows that an answer to 03.4 holds, as text, or the sentence that it gets."""
    import pandas as pd

    if isinstance(answer, pd.Series) and list(answer.index.names) == names:  # counts of rows
        answer = answer.index
    if isinstance(answer, pd.Series | dict):
        answer = pd.DataFrame([dict(answer)])
    if isinstance(answer, pd.DataFrame):
        there = set(names) <= set(answer.columns)
        rows = list(answer[names].itertuples(index=False)) if there else [()]
    elif isinstance(answer, pd.Index | list | tuple):
        rows = list(answer)
        rows = [tuple(rows)] if rows and not isinstance(rows[0], list | tuple) else rows
    else:
        return f"A row is wanted: a table of one row, a dict or a tuple, and this is a {type(answer).__name__}."
    if any(len(row) != len(names) for row in rows):
        return f"Give the whole row, with all of its columns: {', '.join(names)}."
    return _as_text(rows)


def _as_text(rows: Iterable[Iterable[object]]) -> list[tuple[str, ...]]:
    from ppml_helpers.anonymise.hierarchy import label_of

    return [tuple(label_of(value) for value in row) for row in rows]


@cache
def _counted_again() -> dict[str, str | int | float]:
    """Return what the page of the chapter's release must say, counted here and not taken from the answer."""
    from sklearn.linear_model import LogisticRegression

    from ppml_helpers import cohort
    from ppml_helpers.anonymise import Checklist, listed, model_quality, quality
    from ppml_helpers.anonymise.support2 import PERSONAL, minimised

    (table, later), (handed, _) = _hospital(), _handed_out()
    study = minimised(table).study
    (X, y), (X_later, y_later) = (cohort.features(some) for some in (study, later))
    forecast = LogisticRegression(max_iter=1000).fit(X, y).predict_proba(X_later)[:, 1]
    use = model_quality(handed, study, later)
    figures = {
        "AUC, all 26 as they were": quality(y_later, forecast).auc,
        "AUC of the release": use.auc,
        "calibration of the release": use.calibration,
        "columns that the register has": len(set(PERSONAL) & set(handed.qi)),
        "membership advantage": 1 - listed(handed, later).mean(),
    }
    return dict(Checklist.measure("Counted again", handed, study, "hospdead", ["race"], figures).measured)


def _same(found: object, counted: str | float) -> bool:
    """Whether a page says what was counted again; other processors may differ in the last digit of a fraction."""
    if isinstance(counted, float) and isinstance(found, int | float):
        return close(found, counted, 0.0015)
    return found == counted


def _judge_5(answer: object) -> Reply:
    from ppml_helpers.anonymise import Checklist
    from ppml_helpers.anonymise.checklist import QUESTIONS

    if not isinstance(answer, Checklist):
        return wrong("That is no page. Write `filled = page.answer(purpose=..., recipient=..., ...)`.")
    counted, said = answer.measured, answer.answers
    if answer.missing:
        return wrong(f"{len(answer.missing)} of {len(QUESTIONS)} answers are missing: {', '.join(answer.missing)}.")
    if counted.get("k", 0) < _K_HANDED or counted.get("l", 0) < _L_HANDED:
        return wrong(
            f"This release keeps k = {counted.get('k')} and l = {counted.get('l')}: begin with the page above."
        )
    if counted.get("columns not declared") != "none":
        return wrong(f"Undeclared: {counted.get('columns not declared')}. Every column of this release is declared.")
    again = _counted_again()
    if strange := [name for name in again if not _same(counted.get(name), again[name])]:
        said_there = counted.get(strange[0], "nothing of it")
        return wrong(
            f"Counted again from the release above, {strange[0]!r} is {again[strange[0]]}, and this page says "
            f"{said_there}. What code can count nobody types: fill the page above with `page.answer(...)`."
        )
    if twice := [name for name in QUESTIONS if list(said.values()).count(said[name]) > 1]:
        return wrong(f"{' and '.join(twice[:2])} have the same answer. They ask two things.")
    names = str(counted.get("declared quasi-identifiers")).replace(" and ", ", ").split(", ")
    if unexplained := [name for name in names if name not in said["why_columns"]]:
        return wrong(f"why_columns does not say what {unexplained[0]} is for. Name each column, or release without it.")
    leaks = said["still_leaks"].lower().strip(" .")
    if leaks.startswith(_NOTHING) or len(leaks.split()) < _FEWEST_WORDS:
        return wrong(
            "Every table of rows tells something. Look at the table of attacks: who is in it, an only one of a class, "
            "the next release. Write what it tells, and to whom."
        )
    return right(
        "The page is complete: somebody can read in a minute what leaves, why, and who answers for it. "
        "`filled.save()` keeps it for the last chapter."
    )


EXERCISES = (
    Exercise(
        name="03.1",
        expects="a k, a whole number of patients",
        hints=(
            "The prosecutor's risk for a row is 1 divided by the rows in its class.",
            "The smallest class decides, and it holds k rows at least: 1 / k must not exceed 0.08.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="03.2",
        expects="a t, a number from 0 to 1",
        hints=(
            "A class may exceed the table's share of a value by at most t.",
            "(table.ca == 'metastatic').mean() is the table's share. Three times that share is how far above it?",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="03.3",
        expects="a Hierarchy of the eight diagnoses",
        hints=(
            "Hierarchy.groups(DIAGNOSES, {name: [diagnoses], ...}) adds the '*' by itself.",
            "Small groups fill small classes: with coma alone in a group, too many patients would be left out.",
            "table.groupby('dzgroup').hospdead.mean() shows which diagnoses end alike. Put together what is close.",
        ),
        judge=_judge_3,
        takes=("ppml_helpers.anonymise.hierarchy.Hierarchy",),
    ),
    Exercise(
        name="03.4",
        expects="the row that is new, with all its columns",
        hints=(
            "Both tables hold the same rows many times over: a class is made of them.",
            "monday.value_counts() says how often each row occurs. Do the same for tuesday.",
            "tuesday.value_counts().sub(monday.value_counts(), fill_value=0) is 0 for all rows but one.",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="03.5",
        expects="a Checklist with every question answered",
        hints=(
            "page.missing lists the questions by name; page.answer(purpose='...', ...) returns a page with answers.",
            "why_columns has to name each column. For still_leaks read the table of attacks once more.",
            "decision is one of 'release', 'do not release', 'ask first'; date is a day such as '2026-11-28'.",
        ),
        judge=_judge_5,
        takes=("ppml_helpers.anonymise.checklist.Checklist",),
    ),
)
