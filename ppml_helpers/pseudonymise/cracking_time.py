"""How long a dictionary needs to open a table of pseudonyms: run where that is quick, extrapolated where it is not.

The speeds are round or published figures and not measured while the course runs, so that every machine says the same;
`measured_speed` says what yours does. A salt in front costs next to nothing, so one speed serves a hash with and
without.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers.columns import as_objects
from ppml_helpers.errors import ExplorerError
from ppml_helpers.people import identities
from ppml_helpers.people.fictional import plain_dates
from ppml_helpers.people.identifiers import checked, new_key
from ppml_helpers.pseudonymise.guessing_attack import Cracked, Hasher, Progress, dictionary_attack
from ppml_helpers.words import counted

YEAR = 365.25 * 86400  # seconds

_BORN = ("1890-01-01", "1989-12-31")  # a hundred years in which every patient was born
_RECORDS = range(1_000_000, 10_000_000)
_RUN_UP_TO = 10_000_000  # candidates: a longer list takes too long to wait for
_UNITS = ((60, 1, "second"), (3600, 60, "minute"), (86400, 3600, "hour"), (YEAR, 86400, "day"))

Speed = Mapping[str, float]
"""Hashes a second, by hash function; a hash function whose speed nobody knows is missing."""

#: One core of an ordinary machine, in Python: round figures.
ORDINARY_CORE: Speed = MappingProxyType({"SHA-256": 2e6, "scrypt": 30.0})
#: A graphics card of 2018, published and not measured here: hashcat 5.0.0 on a GeForce RTX 2080 Ti, mode 1420 (SHA-256
#: of a salt and a text), github.com/analsec/hashcatbenchmark, Nvidia/rtx_2080ti.txt. What that says of scrypt is about
#: another setting than this chapter's.
GRAPHICS_CARD: Speed = MappingProxyType({"SHA-256": 6_349.7e6})
CARD = "1 graphics card"


class Identifier(NamedTuple):
    """What was pseudonymised: how many values are possible, and how to list them if that is wise."""

    name: str
    size: int
    candidates: Callable[[], Iterable[str]] | None = None
    column: str | None = None  # of the people; None where no attack is run on it


class Method(NamedTuple):
    """A way to make pseudonyms; without a `hash_function` there is nothing to try."""

    name: str
    hash_function: str | None  # whose speed counts: one of `HASH_FUNCTIONS`
    hasher: Callable[[bytes], Hasher] | None = None  # from a salt or key; None where the attack is never run
    own_salts: bool = False
    run_up_to: int = _RUN_UP_TO


class Opened(NamedTuple):
    """What one setting of the explorer's knobs gives."""

    identifier: Identifier
    method: str  # one of `METHODS`
    attacker: str  # one of `attackers`
    records: int  # patients in the table
    seconds: dict[str, float | None]  # time for all tries by method, None: nothing to try, or no speed known
    speed: Speed  # of the attacker
    attack: Cracked | None  # None if it would take too long


def birth_dates() -> list[str]:
    """Return every day of a hundred years, 1890 to 1989, as text such as "1931-05-04"."""
    return np.arange(_BORN[0], np.datetime64(_BORN[1]) + 1, dtype="datetime64[D]").astype(str).tolist()


def _record_numbers() -> Iterator[str]:
    """Give every record number ("H" and seven digits), one at a time: nine million need not lie in memory."""
    return (f"H{number}" for number in _RECORDS)


def _valid_ids() -> int:
    """Count the ten-digit ids with a right check digit: one in eleven sequences of nine digits has none."""
    sums = np.zeros(11, dtype=np.int64)
    sums[0] = 1
    for weight in range(10, 1, -1):
        sums = sum(np.roll(sums, weight * digit) for digit in range(10))
    return int(sums.sum() - sums[1])


_DAYS = len(birth_dates())
IDENTIFIERS: Mapping[str, Identifier] = MappingProxyType(
    {
        "birth date": Identifier("birth dates", _DAYS, birth_dates, "birth_date"),
        "birth date, sex, postcode": Identifier(
            "birth dates with sex and postcode", _DAYS * 2 * len(identities.REGIONS)
        ),
        "record number": Identifier("record numbers", len(_RECORDS), _record_numbers, "mrn"),
        "national id, test range": Identifier(
            "national ids of the test range",
            len(identities.national_ids()),
            lambda: identities.national_ids().tolist(),
            "national_id",
        ),
        "national id, all": Identifier("national ids of ten digits", _valid_ids()),
        "random 128-bit number": Identifier("random 128-bit numbers", 2**128),
    }
)


def _salted(salt: bytes) -> Hasher:
    return lambda text: hashlib.sha256(salt + text.encode()).hexdigest()


def _keyed(key: bytes) -> Hasher:
    return lambda text: hmac.digest(key, text.encode(), "sha256").hex()


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "plain SHA-256": Method("SHA-256", "SHA-256", lambda _: _salted(b"")),
        "one salt, known": Method("salted SHA-256", "SHA-256", _salted),
        "a salt per record, known": Method("salted SHA-256", "SHA-256", own_salts=True),
        "slow hash (scrypt)": Method("scrypt", "scrypt"),
        "HMAC, secret key": Method("HMAC", None, _keyed, run_up_to=1_000_000),
    }
)

#: How one text is hashed, how many texts are hashed in a run, and how many runs are measured. Runs are short, so that
#: some of them fall between what else the processor is doing.
HASH_FUNCTIONS: Mapping[str, tuple[Callable[[bytes], bytes], int, int]] = MappingProxyType(
    {
        "SHA-256": (lambda text: hashlib.sha256(text).digest(), 500, 200),
        "scrypt": (lambda text: hashlib.scrypt(text, salt=b"a public salt", n=2**14, r=8, p=1), 1, 5),
    }
)


def attackers(core: Speed = ORDINARY_CORE) -> dict[str, Speed]:
    """Return who may attack, and how fast each hashes: so many cores of that speed, or a graphics card."""
    cores = {n: {name: n * speed for name, speed in core.items()} for n in (1, 10, 100, 1_000, 10_000)}
    return {counted(n, "core"): speed for n, speed in cores.items()} | {CARD: GRAPHICS_CARD}


def measured_speed() -> dict[str, float]:
    """Measure hashes a second on one core of this machine: the best of several short runs of a plain loop."""
    found = {}
    for name, (make, count, runs) in HASH_FUNCTIONS.items():
        texts = [b"%010d" % number for number in range(count)]
        spent = math.inf
        for _ in range(runs):
            began = time.perf_counter()
            for text in texts:
                make(text)
            spent = min(spent, time.perf_counter() - began)
        found[name] = count / max(spent, 1e-9)
    return found


def time_needed(way: Method, size: int, records: int, speed: Speed) -> float | None:
    """Return the seconds for all tries; None if there is nothing to try, or nobody knows how fast that goes."""
    if way.hash_function not in speed:
        return None
    return size * (records if way.own_salts else 1) / speed[way.hash_function]


def is_quick(what: Identifier, way: Method) -> bool:
    """Tell whether the attack is run, or else extrapolated; by counting, so that every machine does the same."""
    return what.candidates is not None and way.hasher is not None and what.size <= way.run_up_to


def crack(people: pd.DataFrame, what: Identifier, way: Method, progress: Progress | None = None) -> Cracked:
    """Make the pseudonyms as the hospital does, and open them as the attacker can."""
    make = way.hasher(new_key())  # the salt that everybody knows, or the key that nobody does
    # Without the key the best that an attacker of an HMAC can do is to try some other one.
    tried = make if way.hash_function else way.hasher(new_key())
    return dictionary_attack(map(make, texts(people, what.column)), what.candidates(), tried, progress)


def texts(people: pd.DataFrame, column: str) -> list[str]:
    """Return the identifiers of those who have one as a hospital hashes them, also after a trip through a CSV file.

    There a date becomes text, and a number, which had leading zeros, whole or (beside a missing one) a decimal.
    """
    values = people[column][people[column].notna()]
    if values.empty:
        raise ExplorerError(f"people has no {column} at all, at least one is needed: give people with that column.")
    if column == "birth_date":
        try:
            return plain_dates(values).dt.strftime("%Y-%m-%d").tolist()
        except (ValueError, TypeError, AttributeError):
            raise ExplorerError(f"people has a {column} that is no date, write dates as 1931-05-04.") from None
    whole = [str(int(value)).zfill(10) if isinstance(value, Real) else str(value) for value in as_objects(values)]
    return checked(whole, column, ExplorerError)


def time_in_words(seconds: float) -> str:
    """Return a time with two digits of it: "22 minutes", "10^23 years"."""
    if seconds < 1:
        return "less than a second"
    if seconds >= 1e5 * YEAR:
        return f"10^{math.floor(math.log10(seconds / YEAR))} years"
    size, unit = next(((size, unit) for below, size, unit in _UNITS if seconds < below), (YEAR, "year"))
    number = float(f"{seconds / size:.2g}")
    return f"{number:,g} {unit}{'' if number == 1 else 's'}"
