"""Fictional identities for the patients, a fictional register around them, and the "de-identified" extract.

SUPPORT2 names nobody, and the course must not try to find out who anybody was. What an attack needs (names, numbers,
dates, addresses, a register to look people up in) is therefore invented here, from a seed: an invented country of 600
postcodes, admissions that all lie in 1993, telephone numbers from ranges that are reserved for fiction. Age and sex are
the patient's; everything else is made up, and every table says so (`Fictional`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from faker import Faker

from ppml_helpers import checks
from ppml_helpers.columns import as_numbers, as_objects, is_one_of
from ppml_helpers.errors import IdentityError
from ppml_helpers.people.country import REGIONS, draw_postcodes
from ppml_helpers.people.fictional import (
    FICTIONAL,
    Fictional,
    check_table,
    generator,
    plain_dates,
    without_traces,
)
from ppml_helpers.people.free_text import write_notes
from ppml_helpers.people.national_id import national_ids, valid_national_id, valid_numbers

__all__ = [
    "REGIONS",
    "Register",
    "deidentified",
    "identities",
    "national_ids",
    "register",
    "scaled_up",
    "valid_national_id",
]

YEAR = 1993  # of every fictional admission; the middle of the study's second phase
SMALLEST_REGISTER = 50_000
SEXES = ("male", "female")

#: Locales for names, with telephone numbers that are reserved for fiction ("#" is any digit): 555-01xx in the North
#: American Numbering Plan, Ofcom's numbers for drama, and the Bundesnetzagentur's numbers for media productions
#: (Mitteilung 148/2021: Berlin, Frankfurt, Hamburg, Cologne, Munich).
LOCALES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en_US": tuple(f"({code}) 555-01##" for code in (202, 212, 303, 312, 404, 415, 503, 617, 713, 816)),
        "en_GB": ("07700 900###", "020 7946 0###", "0113 496 0###", "0161 496 0###", "0117 496 0###"),
        "de_DE": ("030 23125 ###", "069 90009 ###", "040 66969 ###", "0221 4710 ###", "089 99998 ###"),
    }
)


class Register(NamedTuple):
    """A fictional public register and, apart from it, who is who.

    Attributes
    ----------
    table : Fictional
        One row a person: `name`, `age` (years, 1993 less the year of birth), `sex`, `postcode`, `birth_date`.
    truth : Series
        For each person the label of the patient in `people.index`, NaN for everybody else (so whole numbers are
        floats). It belongs to nobody in the story: use it to score an attack, never to make one.
    """

    table: Fictional
    truth: pd.Series


def identities(patients: pd.DataFrame, seed: int = 0, locale: str = "en_US") -> Fictional:
    """Invent an identity for each patient.

    Parameters
    ----------
    patients : DataFrame
        One row a patient, unique index, with `age` (years, decimal) and `sex` ("male" or "female"). Nothing else of
        it is used.
    seed : int
        The same seed gives the same identities.
    locale : {"en_US", "en_GB", "de_DE"}
        Whose names and telephone numbers to imitate. Notes are in English everywhere.

    Returns
    -------
    Fictional
        Index of `patients`; `name`, `sex`, `birth_date` and `admission_date` (datetime64; the admission lies in 1993,
        the birth as long before it as the patient is old), `mrn` (the hospital's number, "H" and seven digits),
        `national_id` (ten digits, see `check_digit`), `postcode`, `phone`, `email`, `note` (see
        `ppml_helpers.people.free_text.write_notes`, which gives the same notes with their spans for the same seed).
        `mrn`, `national_id` and `email` are unique, names need not be.
    """
    ages, sexes = _checked_patients(patients, locale)
    rng = generator(seed, stream=1)
    n = len(patients)
    admission = np.datetime64(f"{YEAR}-01-01", "D") + rng.integers(0, 365, n)
    first, last = _names(sexes, locale, rng)
    people = Fictional(
        {
            "name": first + " " + last,
            "sex": sexes,
            "birth_date": _births(admission, ages),
            "admission_date": admission.astype("datetime64[us]"),
            "mrn": [f"H{number}" for number in rng.choice(9_000_000, n, replace=False) + 1_000_000],
            "national_id": rng.choice(valid_numbers(), n, replace=False).astype("U10"),
            "postcode": draw_postcodes(n, rng),
            "phone": _phones(n, locale, rng),
            "email": _emails(first, last),
        },
        index=patients.index,
    )
    people["note"] = write_notes(people, seed).text
    return people


def _checked_patients(patients: pd.DataFrame, locale: str) -> tuple[np.ndarray, np.ndarray]:
    """Return ages and sexes, whatever pandas type holds them."""
    checks.choice(locale, "locale", LOCALES, error=IdentityError)
    check_table(patients, ("age", "sex"), "patients", "one row a patient")
    ages, sexes = as_numbers(patients["age"]), as_objects(patients["sex"])
    _refuse(patients["age"], ~((ages >= 0) & (ages <= 130)), "must be a number of years from 0 to 130")
    _refuse(patients["sex"], ~is_one_of(patients["sex"], SEXES), f"must be one of {SEXES}")
    if len(patients) > len(valid_numbers()):
        raise IdentityError(
            f"The table patients has {len(patients):,} rows, but only {len(valid_numbers()):,} national ids are "
            f"reserved for tests: pass fewer."
        )
    return ages, sexes


def _refuse(values: pd.Series, wrong: np.ndarray, rule: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise IdentityError(
            f"{values.name} = {values.iloc[row]!s} in row {row + 1} {rule}: correct it or leave the row out."
        )


# --------------------------------------------------------------------------------------------------------------
# Parts of an identity
# --------------------------------------------------------------------------------------------------------------


# Surnames of Faker's lists that would read as a bad joke, or worse, beside a seriously ill patient.
_UNFIT = frozenset({"Butcher", "Downs", "Gay", "Graves", "Grimes", "Heydrich", "Junk", "Killer", "Krebs", "Savage"})


@lru_cache(maxsize=8)
def name_pool(locale: str) -> Mapping[str, tuple[str, ...]]:
    """Return the names to draw from: first names by sex ("male", "female") and surnames ("last").

    Faker is asked once and answers are drawn from with numpy, which is some thousand times faster than asking it for
    every person. Names of several words, with a full stop or without a capital are left out, and a few unfit ones.
    """
    fake = Faker(locale, use_weighting=False)
    fake.seed_instance(0)
    makers = {"male": fake.first_name_male, "female": fake.first_name_female, "last": fake.last_name}
    drawn = {kind: {make() for _ in range(4000)} - _UNFIT for kind, make in makers.items()}
    word = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
    return MappingProxyType(
        {
            kind: tuple(sorted(name for name in names if word.fullmatch(name) and name[0].isupper()))
            for kind, names in drawn.items()
        }
    )


def _names(sexes: np.ndarray, locale: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pool = name_pool(locale)
    first = np.empty(len(sexes), dtype=object)
    for sex in SEXES:
        chosen = sexes == sex
        first[chosen] = rng.choice(np.array(pool[sex], dtype=object), int(chosen.sum()))
    return first, rng.choice(np.array(pool["last"], dtype=object), len(sexes))


def _births(admission: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """Go back the whole years by the calendar, then the rest in days.

    At most 364 days: so somebody of 64.99 years is 64 on the day of admission, whatever leap years lie between.
    """
    years = np.floor(ages)
    days = np.floor((ages - years) * 365).astype(int)
    month = admission.astype("datetime64[M]")
    birthday = (month - 12 * years.astype(int)).astype("datetime64[D]") + (admission - month.astype("datetime64[D]"))
    return (birthday - days).astype("datetime64[us]")


def _phones(n: int, locale: str, rng: np.random.Generator) -> list[str]:
    forms = LOCALES[locale]
    digits = rng.integers(0, 1000, n)
    form = rng.integers(0, len(forms), n)
    return [_filled(forms[i], int(number)) for i, number in zip(form, digits, strict=True)]


def _filled(form: str, number: int) -> str:
    places = form.count("#")
    return form.rstrip("#") + f"{number % 10**places:0{places}d}"


def _emails(first: np.ndarray, last: np.ndarray) -> pd.Series:
    """Make addresses at example.org, which RFC 2606 keeps for examples; namesakes get a number."""
    local = pd.Series([_ascii(f"{a}.{b}") for a, b in zip(first, last, strict=True)], dtype="str")
    earlier = local.groupby(local).cumcount()
    number = earlier.add(1).astype("str").where(earlier > 0, "")  # names hold no digit, so no two can meet
    return (local + number + "@example.org").to_numpy()


_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower().translate(_SPELT_OUT))
    return re.sub("[^a-z.-]", "", plain)


# --------------------------------------------------------------------------------------------------------------
# The register
# --------------------------------------------------------------------------------------------------------------


def register(
    people: pd.DataFrame, size: int = 100_000, seed: int = 0, listed: float = 0.9, locale: str = "en_US"
) -> Register:
    """Invent a public register (of voters, say) that lists most of the patients among many others.

    Parameters
    ----------
    people : DataFrame
        What `identities` returned.
    size : int
        People on the register, 50,000 or more.
    seed : int
        The same seed gives the same register.
    listed : float
        Share of the patients who are on it, 0 to 1.
    locale : {"en_US", "en_GB", "de_DE"}
        Whose names the others have; give the locale of `people`.

    Returns
    -------
    Register
        `table` and `truth`, both indexed by the number of the `person`, in random order.

    Notes
    -----
    The others live in the same country as the patients, spread the same way. Their ages (18 to 100) follow a rough,
    made-up curve of the kind that rich countries had around 1990: most people between 20 and 45, fewer with each year
    from there, and more women than men among the old.
    """
    checks.choice(locale, "locale", LOCALES, error=IdentityError)
    check_table(people, ("name", "sex", "birth_date", "postcode"), "people", "what identities returned")
    known = round(checks.share(listed, "listed", error=IdentityError, mend="use 0.9 for 90 %") * len(people))
    total = checks.whole(
        size, "size", max(SMALLEST_REGISTER, known), error=IdentityError, mend="it holds the listed patients and decoys"
    )
    rng = generator(seed, stream=2)
    chosen = np.sort(rng.choice(len(people), known, replace=False))
    known_of = {column: people[column].astype(object).astype("str") for column in ("name", "sex", "postcode")}
    real = pd.DataFrame(known_of | {"birth_date": plain_dates(people["birth_date"])}).iloc[chosen]
    everyone = pd.concat([real, _decoys(total - known, locale, rng)], ignore_index=True)
    order = rng.permutation(total)  # or the first rows would be the patients
    person = pd.RangeIndex(total, name="person")
    table = Fictional(everyone.iloc[order].set_axis(person))
    table.insert(1, "age", YEAR - table["birth_date"].dt.year.astype("int64"))
    source = np.concatenate([chosen, np.full(total - known, -1)])[order]
    return Register(table, _labels(people.index, source, person))


def _decoys(n: int, locale: str, rng: np.random.Generator) -> pd.DataFrame:
    ages = np.arange(18, 101)
    share = np.interp(ages, (18, 27, 45, 65, 75, 85, 100), (0.95, 1.1, 0.95, 0.55, 0.4, 0.17, 0.004))
    age = rng.choice(ages, n, p=share / share.sum())
    women = np.interp(age, (18, 60, 90), (0.5, 0.52, 0.7))
    sex = np.where(rng.random(n) < women, "female", "male").astype(object)
    year = (YEAR - 1970 - age).astype("datetime64[Y]")
    length = ((year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")).astype(int)
    birth = year.astype("datetime64[D]") + rng.integers(0, length)
    first, last = _names(sex, locale, rng)
    born = birth.astype("datetime64[us]")
    return pd.DataFrame(
        {"name": first + " " + last, "sex": sex, "postcode": draw_postcodes(n, rng), "birth_date": born}
    )


def _labels(index: pd.Index, source: np.ndarray, person: pd.RangeIndex) -> pd.Series:
    """Label of the patient for each person, missing where the source is -1.

    Whole numbers become floats with NaN, on purpose: NaN equals nothing, so a wrong match counts as wrong. With the
    nullable Int64 the comparison would be missing, and a mean would leave it out. Labels that no float can hold, or
    of another extension type, stay as they are, as objects.
    """
    labels = pd.Series(index.to_flat_index(), dtype=None if index.nlevels == 1 else object)
    kind = labels.dtype
    if not isinstance(kind, np.dtype | pd.StringDtype) or (kind.kind in "iu" and labels.abs().max() > 2**53):
        labels = labels.astype(object)
    truth = labels.reindex(source).set_axis(person).rename("patient")
    truth.attrs["fictional"] = FICTIONAL
    return truth


# --------------------------------------------------------------------------------------------------------------
# What the hospital gives away
# --------------------------------------------------------------------------------------------------------------

#: The label of the extract, whose clinical columns are real.
PARTLY_FICTIONAL = (
    "Fictional in part: postcode and admission are made up and belong to no real person, and age is counted from a "
    "made-up date of birth; the other columns are SUPPORT2 as published."
)
#: The label of a table made larger.
SYNTHETIC = (
    "Synthetic: rows drawn again and again from an extract, with noise, for tests of scale. No row is a patient."
)
_EXTRACT = ("age", "sex", "race", "edu", "income")
_AGE_SLACK = 0.02  # years: a birth is some whole years and days back, and not every year has 365.25 days


def deidentified(patients: pd.DataFrame, people: pd.DataFrame) -> Fictional:
    """Return the extract that a hospital would call de-identified: no name, no number, no note.

    Parameters
    ----------
    patients : DataFrame
    people : DataFrame
        What `identities(patients)` returned.

    Returns
    -------
    Fictional
        Rows and index of `patients` (the index is kept only to score attacks). Columns: `age` (whole years: year of
        admission less year of birth), `sex`, `race`, `edu`, `income`, `postcode`, `admission` (datetime64, the day),
        then the other columns as published without `sno`. Its label says which columns are made up.
    """
    check_table(patients, _EXTRACT, "patients", "the published table")
    check_table(people, ("birth_date", "admission_date", "postcode"), "people", "what identities returned")
    own = _own(patients, people)
    extract = Fictional(patients.drop(columns=["sno", "age"], errors="ignore"))
    extract = extract[[*_EXTRACT[1:], *(column for column in extract.columns if column not in _EXTRACT)]]
    age = own["admission_date"].dt.year - own["birth_date"].dt.year
    extract.insert(0, "age", age.astype("int64"))
    extract.insert(len(_EXTRACT), "postcode", own["postcode"])
    extract.insert(len(_EXTRACT) + 1, "admission", own["admission_date"])
    extract = without_traces(extract)
    extract.attrs = {"fictional": PARTLY_FICTIONAL}
    return extract


def _own(patients: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Return the identity of each patient by the index; refuse one that is somebody else's.

    A table that was sorted, or has lost its labels, would find for each patient the birthday of another.
    """
    there = patients.index.isin(people.index)
    if not there.all():
        raise IdentityError(
            f"The patient {patients.index[~there].tolist()[0]!r} has no identity in people ({int((~there).sum())} have "
            f"none), each must have one: pass what identities(patients) returned for this table."
        )
    if taken := [column for column in ("postcode", "admission") if column in patients.columns]:
        raise IdentityError(f"The table patients has a column {taken[0]!r} already: pass the published table.")
    dates = {column: plain_dates(people[column]) for column in ("birth_date", "admission_date")}
    own = people.assign(**dates).loc[patients.index]
    years = (own["admission_date"] - own["birth_date"]).dt.days.to_numpy() / 365.25
    wrong = np.abs(years - as_numbers(patients["age"])) > _AGE_SLACK
    if "sex" in own.columns:
        wrong |= as_objects(own["sex"]) != as_objects(patients["sex"])
    if wrong.any():
        raise IdentityError(
            f"The identity of patient {patients.index[wrong].tolist()[0]!r} has another age or sex than the patient "
            f"({int(wrong.sum())} have): the labels belong to other rows; keep the index that identities(patients) saw."
        )
    return own


def scaled_up(extract: pd.DataFrame, rows: int, seed: int = 0) -> Fictional:
    """Resample an extract to any size, for tests of scale and for nothing else.

    Parameters
    ----------
    extract : DataFrame
        What `deidentified` returned.
    rows : int
        Rows wanted, 1 or more.
    seed : int
        The same seed gives the same table.

    Returns
    -------
    Fictional
        Rows drawn with replacement, RangeIndex; `age` moved by up to two years (within the range of the extract),
        `postcode` drawn anew from the invented country, `admission` anew within 1993. `attrs["synthetic"]` says so.
    """
    check_table(extract, ("age", "postcode", "admission"), "extract", "what deidentified returned")
    if not pd.api.types.is_numeric_dtype(extract["age"].dtype):
        raise IdentityError(
            f"age in the extract is of type {extract['age'].dtype}, it must be a number of years: pass the extract "
            f"before it is generalised."
        )
    ages = as_numbers(extract["age"])
    if np.isnan(ages).any():
        raise IdentityError("age in the extract is missing in some rows, each needs one: leave those rows out.")
    n = checks.whole(rows, "rows", 1, error=IdentityError)
    rng = generator(seed, stream=3)
    drawn = rng.integers(0, len(extract), n)
    table = Fictional(extract.iloc[drawn].reset_index(drop=True))
    noise = rng.integers(-2, 3, n)
    moved = pd.Series(np.clip(ages[drawn] + noise, ages.min(), ages.max()))
    table["age"] = moved.astype(extract["age"].dtype)
    table["postcode"] = draw_postcodes(n, rng)
    admission = np.datetime64(f"{YEAR}-01-01", "D") + rng.integers(0, 365, n)
    table["admission"] = admission.astype("datetime64[us]")
    table.attrs |= {"fictional": SYNTHETIC, "synthetic": SYNTHETIC}
    return table
