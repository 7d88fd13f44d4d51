"""Dictionary attack: hash every possible identifier and look which pseudonyms come out.

It needs no weakness of the hash. It needs a list of possible identifiers, and identifiers are few: about 36,500 birth
dates in a century, 909 million valid ten-digit numbers. A public salt does not shorten or lengthen the list; a slow
hash multiplies the time; only a secret key takes the attack away, because the attacker cannot compute the hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass

from ppml_helpers.errors import AttackError
from ppml_helpers.people import identifiers

Hasher = Callable[[str], str]
Progress = Callable[[float, str], None]

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
    """
    given = identifiers.checked(pseudonyms, "pseudonyms", AttackError)
    if not given:
        raise AttackError("pseudonyms is empty, there is nothing to attack: pass at least one.")
    if isinstance(candidates, str | bytes) or not isinstance(candidates, Iterable):
        raise AttackError(f"candidates is one {type(candidates).__name__}, it must be a list or generator of texts.")
    if not callable(hasher):
        raise AttackError(f"hasher is of type {type(hasher).__name__}, it must be a function: give it without calling.")
    total = len(candidates) if isinstance(candidates, Sized) else 0
    people, wanted, found, tried = len(set(given)), set(given), {}, 0

    def report(share: float) -> None:
        if progress is not None:
            progress(share, f"{tried:,} tried, {len(found):,} of {people:,} found")

    told = time.perf_counter()
    # NumPy hands out its own text type one by one, which takes longer than to hash it.
    for tried, text in enumerate(candidates.tolist() if hasattr(candidates, "tolist") else candidates, 1):
        digest = _hashed(hasher, text)
        if digest in wanted:
            wanted.remove(digest)
            found[digest] = text
            if not wanted:
                break
        if progress is not None and time.perf_counter() - told > _REPORT_EVERY:
            report(tried / total if total else len(found) / people)
            told = time.perf_counter()
    if not tried:
        raise AttackError("candidates is empty, an attack needs possible identifiers: list some.")
    report(1.0 if total or not wanted else len(found) / people)
    return Cracked(found, tried, sum(text in found for text in given) / len(given))


def _hashed(hasher: Hasher, text: str) -> str:
    """Hash one candidate; a digest that is no text would never be found, and nobody would know why."""
    try:
        digest = hasher(text)
    except (AttributeError, TypeError) as error:
        raise AttackError(
            f"The hasher failed on the candidate {text!r} ({error}): candidates must be text, and the hasher must turn "
            f"text into text."
        ) from None
    if not isinstance(digest, str):
        raise AttackError(f"The hasher returned a {type(digest).__name__}, pseudonyms are text: let it return text.")
    return digest
