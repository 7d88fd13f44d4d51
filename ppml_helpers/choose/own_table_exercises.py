"""Exercises of chapter 11b, your own table; they are about the bundled one, whatever else is open."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from ppml_helpers import cohort
from ppml_helpers.choose.table import Table, read_frame
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_number, close, right, wrong

TITLE = "Your own table"
FILE = cohort.DATA_FOLDER / "actg175.csv.gz"

_AFTER = frozenset({"offtrt", "cd420", "cd496", "r", "cd820", "days"})
_BEGIN = frozenset({"treat", "arms", "cd40", "cd80"})  # of the same subjects, and known when the treatment begins


@cache
def bundled() -> Table:
    """Return the bundled table with the roles beside it."""
    return Table.read(FILE)


@cache
def _alone(*columns: str) -> int:
    return int((bundled().people.groupby(list(columns))["target"].transform("size") == 1).sum())


def _judge_1(answer: object) -> Reply:
    value, people = as_number(answer), bundled().people
    truth, all_four = _alone("age", "race", "gender"), _alone("age", "wtkg", "race", "gender")
    if value == truth:
        return right(f"{truth} people, against {all_four:,} with the weight: it is the weight that singles out.")
    if close(value, truth / len(people), 0.0005) or close(value, 100 * truth / len(people), 0.05):
        return wrong("That is a share. The task asks how many people.")
    if value == all_four:
        return wrong("That is with the weight. Leave it out.")
    if value == people.groupby(["age", "race", "gender"]).ngroups:
        return wrong("That is how many groups there are. Count the groups that have one person.")
    if value == len(people) - truth:
        return wrong("Those are the people who are not alone. Count the others.")
    if value == _alone("age", "gender"):
        return wrong("That is without race. The three columns are age, race and gender.")
    return wrong("Group by the three columns, count the people of each group, and count the groups of one.")


def _names(answer: object) -> set[str]:
    """Return names of columns, however somebody lists them."""
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise NotAnAnswer("put several names into braces, such as {'age', 'wtkg'}")
    return {name for name in answer if isinstance(name, str)}


def _judge_2(answer: object) -> Reply:
    given = _names(answer)
    unknown = given - set(map(str, read_frame(FILE).columns))
    if unknown:
        return wrong(f"The table has no column {sorted(unknown)[0]!r}.")
    if given == _AFTER:
        return right("These six hold the future: `days` even tells in part who had an event.")
    if "cens" in given:
        return wrong("`cens` is what is predicted, the target. Name what else is known only later.")
    if given & _BEGIN:
        early = sorted(given & _BEGIN)[0]
        return wrong(f"`{early}` is known when the treatment begins: 0 at the end of a name is week 0.")
    if given - _AFTER:
        return wrong(f"`{sorted(given - _AFTER)[0]}` is known when the treatment begins.")
    missing = _AFTER - given
    hints = {"days": "until what?", "r": "of what is it the sign?", "offtrt": "before which week?"}
    name = next((name for name in ("days", "r", "offtrt") if name in missing), sorted(missing)[0])
    return wrong(f"One at least is missing: think of `{name}`, {hints.get(name, 'measured in which week?')}")


def _judge_3(answer: object) -> Reply:
    value, ages = as_number(answer), read_frame(FILE)["age"]
    public = bundled().decided.columns["age"]
    if value == ages.max():
        return right(f"Somebody is {ages.max()}, and no noise was ever added to that. Public bounds tell nobody's age.")
    if value == public.high:
        return wrong(f"{public.high:g} is the public bound of the corrected roles. The proposal read another.")
    if value == ages.min():
        return wrong("That is the youngest. The task asks for the oldest.")
    if value == ages.median():
        return wrong("That is the proposal's value for missing ages. It gives away less than the other end does.")
    if value == len(ages):
        return wrong("That is how many people there are. The task asks for an age.")
    if close(value, ages.mean(), 0.5):
        return wrong("That is the mean, which noise can protect. The bound is exact.")
    return wrong("Look at `high` of the column `age` in `proposal.columns`.")


_OFFERED = (0.1, 0.3, 1.0, 3.0, 10.0)  # the epsilons of 11b.4
_SERVES = 0.65  # the mean test AUC that 11b.4 asks for


@cache
def _useful() -> dict[float, float]:
    """Train on the bundled table as the chapter's explorer does; return each epsilon's mean test AUC."""
    import numpy as np

    from ppml_helpers.private_training.curve import Bench, Judge
    from ppml_helpers.private_training.engine import RECIPES, no_progress

    split, model = cohort.checked_split(bundled().split(seed=0)), "logistic regression"
    bench = Bench(split, len(split.y_train), model, RECIPES[model], 1e-5)
    auc = Judge("AUC", split.y_test.to_numpy(), np.ones(len(split.y_test), bool))
    trained = bench.logits(_OFFERED, bench.seeds, no_progress)
    return {epsilon: float(auc(logits).mean()) for epsilon, logits in trained.items()}


def _judge_4(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _SERVES, 1e-6):
        return wrong("That is the AUC that is asked for. Which epsilon gives it?")
    epsilon = next((offered for offered in _OFFERED if close(value, offered, 1e-6)), None)
    if epsilon is None:
        return wrong(f"Choose one of {', '.join(f'{offered:g}' for offered in _OFFERED)}.")
    useful = _useful()
    smallest = min(offered for offered, auc in useful.items() if auc >= _SERVES)
    if epsilon < smallest:
        return wrong(f"At epsilon {epsilon:g} the five trainings have a mean AUC of {useful[epsilon]:.2f}: too little.")
    if epsilon > smallest:
        return wrong(f"Epsilon {epsilon:g} gives {useful[epsilon]:.2f}, and a smaller one on the list is enough, too.")
    before = _OFFERED[_OFFERED.index(epsilon) - 1]
    return right(
        f"Epsilon {epsilon:g} gives {useful[epsilon]:.2f}, and epsilon {before:g} only {useful[before]:.2f}. You "
        "looked at five epsilons on these people to find it: publish one model, and not the search."
    )


EXERCISES = (
    Exercise(
        name="11b.1",
        expects="a number of people",
        hints=(
            "`bundled.people` has a row a person.",
            "`groupby([...]).transform('size')` tells how many people share a person's values.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="11b.2",
        expects="a set of names of columns",
        hints=(
            "`data/ACTG175_CARD.md` says what each column is.",
            "Imagine the first day of the treatment: which of the fields are still empty?",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="11b.3",
        expects="an age in years",
        hints=(
            "A public statement of a promise names the bounds that were used.",
            "`proposal.columns['age']` shows what the proposal would use.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="11b.4",
        expects="one of the epsilons 0.1, 0.3, 1, 3, 10",
        hints=(
            "EpsilonExplorer(bundled.split(seed=0)).set(epsilon=1.0).result.present holds the five AUCs.",
            "Loop over the list and keep the epsilons whose mean is at least 0.65.",
        ),
        judge=_judge_4,
    ),
)
