"""Dictionary attack: hash every possible identifier and look which pseudonyms come out.

It needs no weakness of the hash. It needs a list of possible identifiers, and identifiers are few: about 36,500 birth
dates in a century, 909 million valid ten-digit numbers. A public salt does not shorten or lengthen the list; a slow
hash multiplies the time; only a secret key takes the attack away, because the attacker cannot compute the hash.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from types import MappingProxyType

from ppml_helpers.errors import AttackError
from ppml_helpers.pseudonymise.pseudonyms import Pseudonymiser

Hasher = Callable[[str], str]
Progress = Callable[[float, str], None]

PBKDF2_ROUNDS = 10_000
SCRYPT_COST = 2**14
_REPORT_EVERY = 0.05  # seconds: often enough for a progress bar, seldom enough to cost nothing


@dataclass(frozen=True)
class Cracked:
    """What a dictionary attack found.

    Attributes
    ----------
    found : dict of str to str
        Identifier by pseudonym.
    tried : int
        Candidates that were hashed.
    recovered : float
        Share of the given pseudonyms, repeats counted, whose identifier is found.
    """

    found: dict[str, str]
    tried: int
    recovered: float


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, as `pseudonyms.plain_hash` does for one in its normal form."""
    return hashlib.sha256(text.encode()).hexdigest()


def _salted(salt: bytes) -> Hasher:
    start = hashlib.sha256(salt)

    def salted_sha256(text: str) -> str:
        state = start.copy()
        state.update(text.encode())
        return state.hexdigest()

    return salted_sha256


def _pbkdf2(salt: bytes) -> Hasher:
    return lambda text: hashlib.pbkdf2_hmac("sha256", text.encode(), salt, PBKDF2_ROUNDS).hex()


def _scrypt(salt: bytes) -> Hasher:
    return lambda text: hashlib.scrypt(text.encode(), salt=salt, n=SCRYPT_COST, r=8, p=1, dklen=32).hex()


def _hmac(key: bytes) -> Hasher:
    return Pseudonymiser(key, "dictionary")._one


#: Ways to make a pseudonym, by name: ``HASHERS[name](secret)`` is the hasher. `secret` is bytes: ignored by plain
#: SHA-256; a salt that the attacker knows for the next three; the key, which the attacker does not know, for HMAC.
HASHERS: Mapping[str, Callable[[bytes], Hasher]] = MappingProxyType(
    {
        "SHA-256": lambda secret: sha256,
        "salted SHA-256": _salted,
        "PBKDF2": _pbkdf2,
        "scrypt": _scrypt,
        "HMAC": _hmac,
    }
)


def dictionary_attack(
    pseudonyms: Iterable[str], candidates: Iterable[str], hasher: Hasher, progress: Progress | None = None
) -> Cracked:
    """Hash candidates one after the other until every pseudonym is explained or the candidates end.

    Parameters
    ----------
    pseudonyms : iterable of str
        What the attacker holds; repeats are allowed.
    candidates : iterable of str
        Possible identifiers, in their normal form. May be a generator.
    hasher : callable
        Turns an identifier into a pseudonym, as the attacker believes it was done.
    progress : callable, optional
        Called about 20 times a second, and at the end, with the share of candidates tried (with a generator, whose
        length is unknown: of pseudonyms found) and a sentence. It may raise to stop the attack.

    Returns
    -------
    Cracked

    Raises
    ------
    AttackError
        If there are no pseudonyms or no candidates, or the hasher does not return text.
    """
    given = _checked_pseudonyms(pseudonyms)
    _check_hasher(hasher)
    total = _length(candidates)
    wanted, found, tried, size = set(given), {}, 0, 1
    # NumPy hands out its own text type one by one, which takes longer than to hash it.
    remaining = iter(candidates.tolist() if hasattr(candidates, "tolist") else candidates)
    while wanted and (batch := list(itertools.islice(remaining, size))):
        started = time.perf_counter()
        tried += _try_batch(batch, hasher, wanted, found)
        # A fast hash gets large batches and a slow one small ones, so that progress is told as often.
        spent = time.perf_counter() - started
        size = 2 * size if spent < _REPORT_EVERY / 2 else max(size // 2, 1)
        if progress is not None:
            done = not wanted
            share = tried / total if total else len(found) / (len(found) + len(wanted))
            progress(1.0 if done else share, f"{tried:,} tried, {len(found):,} of {len(found) + len(wanted):,} found")
    if not tried:
        raise AttackError("candidates is empty, an attack needs possible identifiers: list some.")
    return Cracked(found, tried, sum(text in found for text in given) / len(given))


def _try_batch(batch: list[str], hasher: Hasher, wanted: set[str], found: dict[str, str]) -> int:
    """Move what the batch explains from wanted to found; return how many candidates were hashed."""
    try:
        for number, text in enumerate(batch, 1):
            digest = hasher(text)
            if digest in wanted:
                wanted.remove(digest)
                found[digest] = text
                if not wanted:
                    return number
    except (AttributeError, TypeError) as error:
        raise AttackError(
            f"The hasher failed on the candidate {text!r} ({error}): candidates must be text, and the hasher must turn "
            f"text into text."
        ) from None
    if not isinstance(digest, str):
        raise AttackError(f"The hasher returned a {type(digest).__name__}, pseudonyms are text: let it return text.")
    return len(batch)


def rate(hasher: Hasher, seconds: float = 0.2) -> float:
    """Measure how many identifiers a second this machine hashes, on one core.

    Parameters
    ----------
    hasher : callable
        Turns an identifier into a pseudonym.
    seconds : float
        How long to measure, above 0; one hash is always finished.

    Returns
    -------
    float
        Hashes a second.
    """
    _check_hasher(hasher)
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise AttackError(f"seconds = {seconds!r} must be a number above 0: try 0.2.")
    done, size = 0, 1
    started = now = time.perf_counter()
    while now - started < seconds:
        for number in range(done, done + size):
            hasher(f"{number:010d}")
        done += size
        spent = time.perf_counter() - now
        now += spent
        # Few looks at the clock for a fast hash; no long overrun for a slow one.
        size = 2 * size if spent < seconds / 20 else size
    return done / (now - started)


def _check_hasher(hasher: Hasher) -> None:
    if not callable(hasher):
        raise AttackError(
            f"hasher is of type {type(hasher).__name__}, it must be callable: try HASHERS['SHA-256'](b'')."
        )


def _checked_pseudonyms(pseudonyms: Iterable[str]) -> list[str]:
    if isinstance(pseudonyms, str | bytes) or not isinstance(pseudonyms, Iterable):
        raise AttackError(
            f"pseudonyms is one {type(pseudonyms).__name__}, it must be a Series, array or list of texts."
        )
    given = list(pseudonyms)
    if not given:
        raise AttackError("pseudonyms is empty, there is nothing to attack: pass at least one.")
    for position, value in enumerate(given):
        if not isinstance(value, str):
            raise AttackError(f"pseudonyms[{position}] = {value!r} must be text: drop or convert it.")
    return given


def _length(candidates: Iterable[str]) -> int | None:
    if isinstance(candidates, str | bytes) or not isinstance(candidates, Iterable):
        raise AttackError(f"candidates is one {type(candidates).__name__}, it must be a list or generator of texts.")
    return len(candidates) if isinstance(candidates, Sized) else None
