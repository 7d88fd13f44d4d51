"""How long a dictionary needs to open a table of pseudonyms: run where that is quick, extrapolated where it is not.

The speed of one core is measured, and used as a power of ten only, because it varies from run to run. A salt in front
costs next to nothing, so a hash with a salt is as fast as one without: one measurement serves both.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from ppml_helpers.people import identities
from ppml_helpers.people.identifiers import new_key
from ppml_helpers.pseudonymise.guessing_attack import Cracked, Hasher, Progress, dictionary_attack

YEAR = 365.25 * 86400  # seconds

_BORN = ("1890-01-01", "1989-12-31")  # a hundred years in which every patient was born
_RECORDS = range(1_000_000, 10_000_000)
_RUN_UP_TO = 10_000_000  # candidates: a longer list takes too long to wait for
_UNITS = ((60, 1, "second"), (3600, 60, "minute"), (86400, 3600, "hour"), (YEAR, 86400, "day"))


class Identifier(NamedTuple):
    """What was pseudonymised: how many values are possible, and how to list them if that is wise."""

    name: str
    size: int
    candidates: Callable[[], Iterable[str]] | None = None
    of: Callable[[pd.DataFrame], Iterable[str]] | None = None


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
    cores: int
    records: int  # patients in the table
    seconds: dict[str, tuple[float, float] | None]  # shortest and longest time by method, None: nothing to try
    speed: dict[str, float]  # hashes a second on one core, by hash function
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
        "birth date": Identifier(
            "birth dates", _DAYS, birth_dates, lambda people: people["birth_date"].dt.strftime("%Y-%m-%d")
        ),
        "birth date, sex, postcode": Identifier(
            "birth dates with sex and postcode", _DAYS * 2 * len(identities.REGIONS)
        ),
        "record number": Identifier("record numbers", len(_RECORDS), _record_numbers, lambda people: people["mrn"]),
        "national id, test range": Identifier(
            "national ids of the test range",
            len(identities.national_ids()),
            lambda: identities.national_ids().tolist(),
            lambda people: people["national_id"],
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


def measured_speed(hash_function: str) -> float:
    """Measure hashes a second on one core: the best of several short runs of a plain loop."""
    make, count, runs = HASH_FUNCTIONS[hash_function]
    # Processor time does not count waiting for a busy processor; where its clock is coarse, the wall clock has to do.
    fine = time.get_clock_info("thread_time").resolution < 1e-6
    clock = time.thread_time if fine else time.perf_counter
    texts = [b"%010d" % number for number in range(count)]
    spent = math.inf
    for _ in range(runs):
        began = clock()
        for text in texts:
            make(text)
        spent = min(spent, clock() - began)
    return count / max(spent, 1e-9)


def time_needed(
    way: Method, size: int, records: int, cores: int, speed: Mapping[str, float]
) -> tuple[float, float] | None:
    """Return the shortest and the longest time, in seconds, for all tries; the speed is known to its power of ten."""
    if way.hash_function is None:
        return None
    tries = size * (records if way.own_salts else 1)
    slowest = 10.0 ** math.floor(math.log10(speed[way.hash_function])) * cores
    return tries / slowest / 10, tries / slowest


def is_quick(what: Identifier, way: Method) -> bool:
    """Tell whether the attack is run, or else extrapolated; by counting, so that every machine does the same."""
    return what.candidates is not None and way.hasher is not None and what.size <= way.run_up_to


def crack(people: pd.DataFrame, what: Identifier, way: Method, progress: Progress | None = None) -> Cracked:
    """Make the pseudonyms as the hospital does, and open them as the attacker can."""
    make = way.hasher(new_key())  # the salt that everybody knows, or the key that nobody does
    # Without the key the best that an attacker of an HMAC can do is to try some other one.
    tried = make if way.hash_function else way.hasher(new_key())
    return dictionary_attack([make(text) for text in what.of(people)], what.candidates(), tried, progress)


def span_in_words(low: float, high: float) -> str:
    """Say a span of time: "2 to 20 minutes"."""
    if high <= 1:
        return "less than a second"
    if low < 1:
        return f"at most {' '.join(_time(high))}"
    (first, unit), (second, other) = _time(low), _time(high)
    same = unit.rstrip("s") == other.rstrip("s")
    return f"{first} to {second} {other}" if same else f"{first} {unit} to {second} {other}"


def _time(seconds: float) -> tuple[str, str]:
    """Return a time as a number of two digits and its unit."""
    if seconds >= 1e5 * YEAR:
        return f"10^{math.floor(math.log10(seconds / YEAR))}", "years"
    size, unit = next(((size, unit) for below, size, unit in _UNITS if seconds < below), (YEAR, "year"))
    number = f"{float(f'{seconds / size:.2g}'):,g}"
    return number, unit if number == "1" else f"{unit}s"
