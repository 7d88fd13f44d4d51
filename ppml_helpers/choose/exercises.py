"""The exercises of chapter 11 and their judges; those of 11b are in `own_table_exercises`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from ppml_helpers import accounting, cohort
from ppml_helpers.choose import making, own_table_exercises, scoreboard
from ppml_helpers.choose.chooser import Setting, choose
from ppml_helpers.choose.scoreboard import Row
from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, close, right, wrong
from ppml_helpers.words import percent

TITLE = {"11": "Choose", "11b": "Your own table"}

WISH = Setting(held="rows", hospitals="the rules", server="the rules", researcher="a model", weight="usefulness")
"""What exercise 11.3 asks for."""


@lru_cache
def _rows() -> dict[str, Row]:
    return {row.technique: row for row in scoreboard.load(making.COMMITTED)}


def _judge_1(answer: object) -> Reply:
    value, models = as_number(answer), [row for row in _rows().values() if row.advantage_interval]
    holds = [row for row in models if row.advantage_interval[0] <= 0 <= row.advantage_interval[1]]
    if value == len(holds):
        found = ", ".join(row.technique for row in models if row not in holds)
        return right(f"{len(holds)} of {len(models)} models. Told from guessing: {found}. No proof for the others.")
    if value == len(models) - len(holds):
        return wrong("Those are the models that the attack does tell from guessing: the others are asked for.")
    if value == sum(row.advantage <= 0 for row in models):
        return wrong(
            "You counted advantages of 0 or less. One of 0.004 is not told from 0 either: look at its interval."
        )
    if value in (len(models), len(_rows())):
        return wrong("Not all: look for an interval that lies far above 0.")
    return wrong("Count the rows whose `advantage_interval` begins at 0 or below and ends at 0 or above.")


@lru_cache
def _most() -> int:
    noise = accounting.noise_multiplier(1.0, 1.0, 100)
    return max(n for n in range(1, 50) if accounting.epsilon(noise, 1.0, 100 * n) <= 3)


def _judge_2(answer: object) -> Reply:
    value, most = as_number(answer), _most()
    noise = accounting.noise_multiplier(1.0, 1.0, 100)
    if value == most:
        spent = accounting.epsilon(noise, 1.0, 100 * most)
        return right(
            f"{most} models come to epsilon {spent:.2f}, one more to "
            f"{accounting.epsilon(noise, 1.0, 100 * (most + 1)):.2f}."
        )
    if value == 3:
        return wrong("That adds up epsilons: safe, but each training has noise of its own, and noise composes better.")
    if value == 9:
        return wrong("Epsilon grows a little faster than the root of the number: compute it with accounting.epsilon.")
    if value == 12:
        spent = accounting.epsilon(noise, 1.0, 1200)
        return wrong(f"Twelve models of epsilon 1 come to epsilon {spent:.2f} for a patient who is in all of them.")
    if 0 < value < most:
        return wrong("That keeps the promise, and one more model does too: look for the largest number.")
    return wrong("More than epsilon 3 is spent then: n models cost accounting.epsilon(noise, 1.0, 100 * n).")


def _judge_3(answer: object) -> Reply:
    chosen = choose(list(_rows().values()), WISH)
    name = as_choice(answer, tuple(_rows()))
    best, row = chosen.left[0], _rows()[name]
    if name == best.technique:
        return right(
            f"AUC {best.auc:.2f}, and the server sees a sum. What the model tells of a patient, nothing limits."
        )
    if row in chosen.left:
        return wrong(
            f"It is left, but less useful: AUC {row.auc:.2f}, where {best.auc:.2f} can be had. No promise is wanted."
        )
    if name == "federated":
        return wrong(f"The server sees updates: {row.reads.partition(';')[0]}.")
    why = next(each.why for each in chosen.fallen if each.row is row)
    return wrong(f"The chooser lets it fall: {why}")


def _judge_4(answer: object) -> Reply:
    if not isinstance(answer, tuple | list) or len(answer) != 2 or not isinstance(answer[0], str):
        return wrong("Give a pair: the name of the field, and its value, such as ('auc', 0.81).")
    field, row = answer[0].strip(), _rows()["pseudonymised"]
    value = as_number(answer[1])
    if field not in ("reidentified", "read"):
        if field in ("advantage", "tpr_at_1_percent", "advantage_interval", "tpr_interval"):
            return wrong("These are about a model trained on the records. Here the records themselves leave.")
        if field in ("auc", "log_loss"):
            return wrong("That says how useful the records are, not what they give away.")
        return wrong("Look for a field about released records: who is named, or what is read.")
    if close(value, getattr(row, field), 0.006):
        return right(
            f"The register names {percent(row.reidentified)} of the rows, and whoever has them reads every value."
        )
    if close(value, 100 * getattr(row, field), 0.6):
        return wrong("That is the percentage: give the share, as the row has it.")
    return wrong(f"The field is right; its value is another: print the row's `{field}`.")


NEEDED = ("dzgroup", "scoma", "age", "hday")
"""The answer to 11.5: the columns that reach 0.80 in the chapter's table, from the top (a test compares)."""

_NEXT = ("meanbp", "bili", "crea")


def _judge_5(answer: object) -> Reply:
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise NotAnAnswer("put the names of the columns into square brackets")
    names = [str(name).strip() for name in answer]
    if any(name.startswith("and ") for name in names):
        return wrong("A column is called 'scoma', not 'and scoma': take the word off.")
    if odd := [name for name in names if name not in cohort.SUPPORT2.columns]:
        return wrong(f"{odd[0][:40]!r} is none of the 26 columns.")
    given = set(names)
    if given == set(NEEDED):
        return right(
            "Four columns reach 0.80 and all 26 reach 0.81. Under `minimisation` you can write so, with the figure: "
            "each of the other 22 has to be justified by something else."
        )
    if len(given) == len(cohort.SUPPORT2.columns):
        return wrong("All 26 reach 0.81. The law asks for what is necessary: begin at the top of the table.")
    if given in ({*NEEDED, *_NEXT[:more]} for more in (1, 2, 3)):
        return wrong("That reaches 0.80, and fewer columns do too: look for the first row with 0.80.")
    if given in (set(NEEDED[:few]) for few in (1, 2, 3)):
        return wrong(f"The first {len(given)} reach less than 0.80: go on to the next row.")
    return wrong("The table adds one column after the other, so its figures are for the columns from the top.")


_OWN: tuple[tuple[str, str, tuple[str, ...], Callable[[object], Reply]], ...] = (
    (
        "11.1",
        "a whole number",
        ("`row.advantage_interval` is a pair, or None where there is no model.", "Is 0 between its ends?"),
        _judge_1,
    ),
    (
        "11.2",
        "a whole number",
        (
            "`noise = accounting.noise_multiplier(1.0, 1.0, 100)` is what one model needs.",
            "`accounting.epsilon(noise, 1.0, 100 * n)` is what n models cost.",
        ),
        _judge_2,
    ),
    (
        "11.3",
        "the name of a technique, as the rows have it",
        (
            "Set the knobs: parts by rows; hospitals trusted with the rules.",
            "The first of the list is the most useful.",
        ),
        _judge_3,
    ),
    (
        "11.4",
        "a pair: the name of a field, and its value",
        ("An attack on a model asks who trained it. What leaves here?", "The register is asked in one field."),
        _judge_4,
    ),
    (
        "11.5",
        "a list of columns, such as ['age', 'crea']",
        (
            "`needed.tables[0][1]` is the table: a row a column, and the AUC of all columns down to it.",
            "Find the first row with 0.80, and name the columns down to it.",
        ),
        _judge_5,
    ),
)

EXERCISES = (
    *(Exercise(name=name, expects=expects, hints=hints, judge=judge) for name, expects, hints, judge in _OWN),
    *own_table_exercises.EXERCISES,
)
