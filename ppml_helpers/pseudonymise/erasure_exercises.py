"""Exercises of chapter 02b, keys and erasure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

import pandas as pd

from ppml_helpers.exercises.frame import Exercise, NotAnAnswer, Reply, as_choice, as_number, close, right, wrong

TITLE = "Keys and erasure"

_KEYS_KEPT, _DATA_KEPT = 30, 365  # days, of 02b.3


@cache
def _people() -> pd.DataFrame:
    """Return the chapter's invented identities."""
    from ppml_helpers import cohort
    from ppml_helpers.people import identities

    return identities.identities(cohort.load_patients(), seed=0)


# 02b.1 --------------------------------------------------------------------------------------------------------------


def due(today: str, years: int) -> int:
    """Count the records whose time is up: so many years after admission."""
    return int((_people()["admission_date"] + pd.DateOffset(years=years) <= pd.Timestamp(today)).sum())


def _judge_1(answer: object) -> Reply:
    value = as_number(answer)
    today, years = "1998-04-01", 5
    if close(value, due(today, years), 0.4):
        return right(
            f"{due(today, years):,} records: those of the admissions until 1 April 1993. A rule with a date can be run "
            "every night; a rule without one is never run."
        )
    if close(value, due("1998-07-01", years), 0.4):
        return wrong("That is for 1 July, the day of the chapter. Put the clock back to 1 April 1998.")
    if close(value, due("1998-03-31", years), 0.4):
        return wrong("Nearly: who was admitted on 1 April 1993 is due on 1 April 1998 too.")
    if close(value, due(today, years) - due("1998-03-31", years), 0.4):
        return wrong("Those are due on that very day. Those of earlier days are due too.")
    if value == 0:
        return wrong("Somebody is due. Count in `people`: `held` has only whom the hospital kept until 1 July.")
    if close(value, len(_people()) - due(today, years), 0.4):
        return wrong("Those are the records that are kept. How many are due?")
    if close(value, due(today, years) / len(_people()), 0.01):
        return wrong("That is their share; give how many there are.")
    if close(value, due(today, 4), 0.4):
        return wrong("Count the years once more: admissions of 1993, and five years from then.")
    return wrong("A record is due if five years after its admission are over on 1 April 1998. How many are?")


# 02b.2 --------------------------------------------------------------------------------------------------------------

ROLES: Mapping[str, tuple[str, ...]] = {
    "registry": ("footer", "names"),
    "analyst": ("footer", "labs"),
    "fairness officer": ("footer", "labs", "groups"),
}
"""Which keys each role of 02b.2 holds."""

WANTED: Mapping[str, frozenset[str]] = {
    "registry": frozenset({"name", "phone"}),
    "analyst": frozenset({"crea", "sod"}),
    "fairness officer": frozenset({"crea", "sod", "race", "sex"}),
}
"""What each role is to read, and nothing else."""


def _as_groups(answer: object) -> dict[str, list[str]]:
    """Read an answer as columns by the name of their key."""
    if not isinstance(answer, Mapping):
        raise NotAnAnswer(f"this is of type {type(answer).__name__}: give a dict, columns by the name of their key")
    groups: dict[str, list[str]] = {}
    for key, columns in answer.items():
        if isinstance(columns, str) or not isinstance(columns, Iterable):
            raise NotAnAnswer(f"the columns under {key!r} are no list: write {key!r}: [...]")
        groups[str(key)] = [str(column) for column in columns]
    return groups


def _judge_2(answer: object) -> Reply:
    groups = _as_groups(answer)
    held = {key for keys in ROLES.values() for key in keys}
    if odd := sorted(set(groups) - held):
        return wrong(f"No role holds a key named {odd[0]!r}: the keys are {', '.join(sorted(held))}.")
    columns = set().union(*WANTED.values())
    given = [column for each in groups.values() for column in each]
    if odd := sorted(set(given) - columns):
        return wrong(f"{odd[0]!r} is no column of this table.")
    if forgotten := sorted(columns - set(given)):
        return wrong(f"{forgotten[0]!r} is in no group: pyarrow leaves such a column readable, and without a word.")
    if len(given) > len(set(given)):
        twice = next(column for column in given if given.count(column) > 1)
        return wrong(f"{twice!r} stands in two groups, and a column has one key. Who needs it holds that key.")
    for role, keys in ROLES.items():
        reads = {column for key in keys for column in groups.get(key, [])}
        if more := sorted(reads - WANTED[role]):
            return wrong(f"The {role} would read {more[0]!r} with the keys {' and '.join(keys)}.")
        if less := sorted(WANTED[role] - reads):
            return wrong(f"The {role} could not read {less[0]!r}: its key is not among {' and '.join(keys)}.")
    return right(
        "Each role reads what it is for. Race and sex lie apart, for whoever checks that the model treats groups "
        "alike, and a column has one key however many roles hold it."
    )


# 02b.3 --------------------------------------------------------------------------------------------------------------


def _judge_3(answer: object) -> Reply:
    value = as_number(answer)
    if close(value, _KEYS_KEPT, 1):
        return right(
            "For 30 days last night's copy of the key store still holds the patient's key, and the data is in every "
            "backup. Then the last copy of the key is gone; the data backups may stay for the year."
        )
    if close(value, _DATA_KEPT, 1):
        return wrong("That is how long you wait without any keys of their own. What is a data backup without the key?")
    if close(value, 0, 0.5):
        return wrong("The key is gone from the live store. Is it gone from last night's backup of that store?")
    if close(value, _KEYS_KEPT + _DATA_KEPT, 1):
        return wrong("The two periods run at the same time: they do not add up.")
    if close(value, _DATA_KEPT - _KEYS_KEPT, 1):
        return wrong("Nothing has to be subtracted. Who can read the patient on day 29, and with which two files?")
    return wrong("Reading the patient takes two things: their data and their key. Until when is there a copy of both?")


# 02b.4 --------------------------------------------------------------------------------------------------------------


@cache
def _surnames_left() -> tuple[int, int, int, int]:
    """Count the notes that hold the patient's surname: masked, masked as a word, not masked, and full names masked."""
    from ppml_helpers.people import free_text

    people = _people()
    masked = people["note"].map(free_text.mask)
    names = people["name"].str.casefold()
    pairs = list(
        zip(names.str.split().str[-1], names, masked.str.casefold(), people["note"].str.casefold(), strict=True)
    )
    words = [set("".join(c if c.isalpha() or c in "'-" else " " for c in text).split()) for _, _, text, _ in pairs]
    return (
        sum(last in text for last, _, text, _ in pairs),
        sum(last in found for (last, *_), found in zip(pairs, words, strict=True)),
        sum(last in note for last, _, _, note in pairs),
        sum(name in text for _, name, text, _ in pairs),
    )


def _judge_4(answer: object) -> Reply:
    value, (anywhere, as_word, unmasked, full) = as_number(answer), _surnames_left()
    all_ = len(_people())
    if as_word - 0.5 <= value <= anywhere + 0.5:
        return right(
            f"{value:,.0f} of {all_:,} notes still name their patient. The misspelt ones are not even counted, and "
            "whoever knows the ward needs no more than one of them."
        )
    if close(value, unmasked, 20):
        return wrong("That is before masking. Count in the notes that free_text.mask returns.")
    if close(value, full, 20):
        return wrong("That counts whole names, first name and surname. Many notes hold the surname alone, or first.")
    if 0 < value < 1:
        return wrong("That is a share; give how many notes there are.")
    if as_word / 2 < value < as_word:
        return wrong("Nearly: some notes write the surname in capitals. Compare without regard to capitals.")
    return wrong("In how many masked notes does the patient's own surname, the last word of `name`, still stand?")


# 02b.5 --------------------------------------------------------------------------------------------------------------

WAYS = ("vault", "HMAC")
_SERVES = {  # what each wish of 02b.5 needs, and what is said to the other
    "agree": (
        "HMAC",
        "Two vaults draw other tokens for one person. Two sites with one key compute the same.",
    ),
    "strike out": ("vault", "An HMAC strikes nobody out: whoever has the key computes the pseudonym anew."),
    "stolen key": ("vault", "With the key of an HMAC all identifiers are tried, as in chapter 02. No file is needed."),
    "no file": ("HMAC", "A vault is a file, and who loses it loses every way back. An HMAC needs a key and no file."),
    "reasons": ("vault", "Nobody sees when somebody computes an HMAC. A vault can ask for a reason, and keep a log."),
}


def _judge_5(answer: object) -> Reply:
    if not isinstance(answer, Mapping) or set(answer) != set(_SERVES):
        raise NotAnAnswer(f"its keys are {', '.join(map(repr, _SERVES))}")
    chosen = {wish: as_choice(answer[wish], tuple(way.lower() for way in WAYS)) for wish in _SERVES}
    missed = [wish for wish, (serves, _) in _SERVES.items() if chosen[wish] != serves.lower()]
    if not missed:
        return right(
            "A vault is a lock with somebody beside it; an HMAC is a rule that its key holders follow alone. Both keep "
            "the way back, so both leave personal data."
        )
    more = f" And {len(missed) - 1} more to think over." if missed[1:] else ""
    return wrong(f"{missed[0]!r}: {_SERVES[missed[0]][1]}{more}")


EXERCISES = (
    Exercise(
        name="02b.1",
        expects="a number of records, 0 or more",
        hints=(
            "`ends`, of the chapter's first table, is the day on which each record's time is up.",
            "pd.Timestamp('1998-04-01') is the new day.",
        ),
        judge=_judge_1,
    ),
    Exercise(
        name="02b.2",
        expects="a dict of lists of columns, such as {'names': ['name']}",
        hints=(
            "A role reads the columns under each key that it holds.",
            "Both the analyst and the fairness officer hold 'labs'. What may stand under it?",
            "All three hold 'footer'. Nothing that one of them must not read may stand under it.",
        ),
        judge=_judge_2,
    ),
    Exercise(
        name="02b.3",
        expects="a number of days, 0 or more",
        hints=(
            "The data of the patient is in many backups. What does one need to read it?",
            "The key was in the key store until the erasure, and so in its backups.",
        ),
        judge=_judge_3,
    ),
    Exercise(
        name="02b.4",
        expects="a number of notes, 0 or more",
        hints=(
            "The surname is people['name'].str.split().str[-1].",
            "people['note'].map(free_text.mask) gives the masked notes.",
            "Compare both in small letters: text.lower().",
        ),
        judge=_judge_4,
    ),
    Exercise(
        name="02b.5",
        expects="a dict that gives each of the five wishes 'vault' or 'HMAC'",
        hints=(
            "A vault is a file under a key. An HMAC is computed from a key and the identifier, by whoever has the key.",
            "Ask of each wish: is there a file in which somebody could look, strike out, or write down?",
        ),
        judge=_judge_5,
    ),
)
