"""Exercises of chapter 03: anonymise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ppml_helpers.exercises.frame import Exercise, Reply, as_number, close, right, wrong

if TYPE_CHECKING:
    import pandas as pd

    from ppml_helpers.anonymise import Hierarchy
    from ppml_helpers.people.identities import Register

TITLE = "Anonymise"

_RISK = 0.08  # the prosecutor risk that 03.1 allows
_TIMES = 4  # how much more often than in the table 03.2 allows dementia to be in a class
_KNOWS = ("age", "sex", "race", "edu", "income", "dzgroup")  # quasi-identifiers of 03.3
_K, _LIMIT = 10, 0.05  # of 03.3
_GROUPS = 4  # labels that 03.3 allows between the diagnoses and "*"
_NEEDED = 0.65  # the AUC that 03.3 asks for; the given groups reach 0.57
_QI = ("age", "sex", "race", "edu", "income", "postcode", "admission")  # of the two releases of 03.4
_PERSON = 70724  # of 03.4, on the register
_CHARGES = (100, 5_000_000)  # dollars; no stay cost less or more


class _Hospital(NamedTuple):
    """The chapter's tables: the patients to release, those who come later, and the register."""

    table: pd.DataFrame
    later: pd.DataFrame
    register: Register


def _hospital() -> _Hospital:
    from ppml_helpers import cohort
    from ppml_helpers.people import identities

    patients = cohort.load_patients()
    people = identities.identities(patients)
    extract = identities.deidentified(patients, people)
    split = cohort.split(*cohort.features(patients), seed=0)
    table, later = extract.loc[split.X_train.index], extract.loc[split.X_test.index]
    return _Hospital(table, later, identities.register(people))


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


def _dementia() -> float:
    """Share of the chapter's patients who have dementia."""
    from ppml_helpers import cohort

    patients = cohort.load_patients()
    chosen = cohort.split(*cohort.features(patients), seed=0).X_train.index
    return float(patients.loc[chosen, "dementia"].mean())


def _judge_2(answer: object) -> Reply:
    value = as_number(answer)
    if value == 1:
        return wrong("t = 1 asks for nothing: no two distributions are farther apart.")
    if value in (2, 3, 4):
        return wrong("That looks like an l, or a factor. t is a distance between two shares, from 0 to 1.")
    base = _dementia()
    truth = (_TIMES - 1) * base
    if close(value, truth, 0.003):
        return right(
            f"A class may exceed the table's {base:.3f} by t, so {base:.3f} + {truth:.3f} = {_TIMES} x {base:.3f}. "
            f"No l promises that: a class of five is 2-diverse with two patients who have dementia."
        )
    if close(value, _TIMES * base, 0.003):
        return wrong(
            f"That is the share that a class may reach. t is the distance from the table's share, and that share is "
            f"not 0: take {base:.3f} off."
        )
    if close(value, base, 0.003):
        return wrong("That is the share in the table. With this t it may double in a class: what may it do four times?")
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
    loss: float
    certain: float  # share of the patients with metastatic cancer for whom that is certain


def _optimum(hospital: _Hospital, mine: Hierarchy) -> _Design:
    from ppml_helpers.anonymise import Lattice, model_auc, support2_hierarchies
    from ppml_helpers.anonymise.bench import certain

    qi = list(_KNOWS)
    slim = hospital.table.drop(columns=["postcode", "admission"])
    lattice = Lattice(slim, qi, {**support2_hierarchies(slim), "dzgroup": mine})
    solution = lattice.solve(_K, _LIMIT)
    released = lattice.apply(solution)
    return _Design(
        given_up=solution.node["dzgroup"] == mine.height,
        auc=model_auc(released, slim, hospital.later),
        loss=solution.loss,
        certain=certain(released.table, qi, "ca"),
    )


def _given_groups() -> Hierarchy:
    """Group the diagnoses by the study's own four classes, as the chapter does."""
    from ppml_helpers import cohort
    from ppml_helpers.anonymise import Hierarchy

    classes = cohort.load_patients().groupby("dzclass")["dzgroup"].unique()
    return Hierarchy.groups(cohort.DIAGNOSES, {name: list(group) for name, group in classes.items()})


def _judge_3(answer: object) -> Reply:
    from ppml_helpers.anonymise import Hierarchy
    from ppml_helpers.errors import AnonymityError

    if isinstance(answer, dict) and answer and all(isinstance(name, str) for name in answer):
        return wrong("Those are groups. Make a hierarchy of them: Hierarchy.groups(DIAGNOSES, groups).")
    try:
        mine = Hierarchy.of(answer, "dzgroup")
    except AnonymityError as error:
        return wrong(str(error))
    if (broken := _broken_rule(mine)) is not None:
        return wrong(broken)
    hospital = _hospital()
    yours = _optimum(hospital, mine)
    if yours.given_up:
        return wrong(
            f"The search gives the diagnosis up again (AUC {yours.auc:.2f}): with these groups too many patients would "
            f"stand in small classes. Make the groups fewer, or more alike in size."
        )
    if yours.auc < _NEEDED:
        return wrong(
            f"The diagnosis survives, but tells the model little: AUC {yours.auc:.2f}, and {_NEEDED} is wanted. Put "
            f"together the diagnoses whose stays end alike."
        )
    given = _optimum(hospital, _given_groups())
    return right(
        f"AUC {yours.auc:.2f} instead of {given.auc:.2f} at the same k and limit, with a loss of {yours.loss:.2f} "
        f"instead of {given.loss:.2f}. Metastatic cancer is certain for {100 * yours.certain:.0f} % of those who have "
        f"it. One caution: groups that were fitted to these patients' deaths tell about them, so take them from a "
        f"publication."
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


class _Neighbour(NamedTuple):
    """What the two releases of 03.4 say of the neighbour; charges in dollars."""

    own: float
    by_age: pd.Series  # charges in the neighbour's class of the first release, by age and sex
    by_place: pd.Series  # the same of the second, by district


def _neighbour() -> _Neighbour:
    from ppml_helpers.anonymise import Lattice, support2_hierarchies

    hospital = _hospital()
    qi = list(_QI)
    wide = Lattice(hospital.table, qi, support2_hierarchies(hospital.table))
    person = hospital.register.table.loc[[_PERSON], ["age", "sex", "postcode"]]
    classes = []
    for weights, known in (({"age": 9, "sex": 3}, ["age", "sex"]), ({"postcode": 9, "admission": 3}, ["postcode"])):
        released = wide.apply(wide.solve(5, weights=dict.fromkeys(qi, 0) | weights))
        alike = (released.table[known] == released.recode(person)[known].iloc[0]).all(axis=1)
        classes.append(released.table.loc[alike, "charges"])
    own = hospital.table.loc[hospital.register.truth[_PERSON], "charges"]
    return _Neighbour(float(own), *classes)


def _judge_4(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _PERSON, 0.5):
        return wrong("That is the neighbour's number on the register. What did the stay cost?")
    if not _CHARGES[0] <= value <= _CHARGES[1]:
        return wrong(
            f"No stay of this table cost {value:.6g} dollars: look for the neighbour's row in `joined`, and there at "
            f"the column charges."
        )
    known = _neighbour()
    if close(value, known.own, 1):
        return right(
            f"{known.own:,.0f} dollars, and with the row comes the rest: the diagnosis, whether the cancer had spread, "
            f"whether there was an order not to resuscitate. In the first release {len(known.by_age)} patients have "
            f"that age and sex, in the second {len(known.by_place)} that district; one is in both. (The neighbour is "
            f"made up: whose row it is, nobody learns here.)"
        )
    if close(value, known.own, 0.02 * known.own):
        return wrong("That is the right row, but give the charges to the dollar.")
    for alike, what, other in (
        (known.by_age, "age and sex", "second release and its district"),
        (known.by_place, "district", "first release with its age and sex"),
    ):
        if (alike - value).abs().min() <= 1:
            return wrong(f"That is somebody of the neighbour's {what}. The {other} rule them out: use both.")
        if min(abs(value - alike.mean()), abs(value - alike.median())) <= 1:
            return wrong(
                f"That is an average over everybody of the neighbour's {what}: all that one release alone tells."
            )
    return wrong("That is the bill of neither class. Recode the neighbour with by_age.recode and by_place.recode.")


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
            "With two values, the equal distance is how far the class's share of dementia lies from the table's.",
            "slim.dementia.mean() is the table's share. Four times that share is how far above it?",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="03.3",
        expects="a Hierarchy of the eight diagnoses",
        hints=(
            "Hierarchy.groups(DIAGNOSES, {name: [diagnoses], ...}) adds the '*' by itself.",
            "Small groups fill small classes: with coma alone in a group, too many patients would be left out.",
            "patients.groupby('dzgroup').hospdead.mean() shows which diagnoses end alike. Put together what is close.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="03.4",
        expects="the charges of a stay in dollars, a number",
        hints=(
            "by_age.recode(neighbour) gives the neighbour's labels in the first release, by_place.recode the second's.",
            "In `joined`, the columns of the first release end in ' 1', those of the second in ' 2'.",
            "Compare 'age 1', 'sex 1' and 'postcode 2' with those labels: one row is left.",
        ),
        judge=_judge_4,
    ),
)
