"""Dictionary attack: hash every possible identifier and look which pseudonyms come out.

It needs no weakness of the hash. It needs a list of possible identifiers, and identifiers are few: about 36,500 birth
dates in a century, 909 million valid ten-digit numbers. A public salt does not shorten or lengthen the list; a slow
hash multiplies the time; only a secret key takes the attack away, because the attacker cannot compute the hash.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from urllib.parse import unquote

from ppml_helpers.errors import AttackError
from ppml_helpers.people import identifiers

Hasher = Callable[[str], str]
Progress = Callable[[float, str], None]

_REPORT_EVERY = 0.05  # seconds: often enough for a progress bar, seldom enough to cost nothing
_SHORTEST = 16  # characters: what is shorter is no digest, and may be read in too many ways
_HEX = re.compile(r"(?:0[xX]|\\x)?((?:[0-9a-fA-F][-: ]?)+)")
_UUID = (slice(8), slice(8, 12), slice(12, 16), slice(16, 20), slice(20, 32))
_BASE64, _BASE32 = re.compile(r"[A-Za-z0-9+/]+"), re.compile(r"[A-Z2-7]+", re.IGNORECASE)
_LABEL = re.compile(r".*[$}:;|,](?=.)|(?:sha|md|hmac|blake)[a-z0-9/]*(?:[-_]\d+)?[-= ]", re.IGNORECASE)
_AROUND = " \t\r\n\"'<>[]{}()"


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
        What the attacker holds; repeats are allowed. A digest is found in whatever form it is written: hexadecimal
        in small letters or capitals, with dashes or colons, base64 of either alphabet, base32, and with a label in
        front, such as "sha256:", "0x" or a salt and "$".
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
    people, wanted, found, tried = len(set(given)), {}, {}, 0

    def report(share: float) -> None:
        if progress is not None:
            progress(share, f"{tried:,} tried, {len(found):,} of {people:,} found")

    told = time.perf_counter()
    # NumPy hands out its own text type one by one, which takes longer than to hash it.
    for tried, text in enumerate(candidates.tolist() if hasattr(candidates, "tolist") else candidates, 1):
        digest = _hashed(hasher, text)
        if tried == 1:
            wanted = _written_like(digest, set(given))
        if digest in wanted:
            found |= dict.fromkeys(wanted.pop(digest), text)
            if len(found) == people:
                break
        if progress is not None and time.perf_counter() - told > _REPORT_EVERY:
            report(tried / total if total else len(found) / people)
            told = time.perf_counter()
    if not tried:
        raise AttackError("candidates is empty, an attack needs possible identifiers: list some.")
    report(1.0 if total else len(found) / people)
    return Cracked(found, tried, sum(text in found for text in given) / len(given))


def _written_like(digest: str, pseudonyms: set[str]) -> dict[str, list[str]]:
    """Return the pseudonyms by each text that the hasher, whose work `digest` is, may return for them."""
    wanted: dict[str, list[str]] = {}
    for pseudonym in pseudonyms:
        for text in {pseudonym, *_writings(pseudonym, digest)}:
            wanted.setdefault(text, []).append(pseudonym)
    return wanted


def _writings(pseudonym: str, digest: str) -> list[str]:
    """Return every other way to write a digest that has the length of the hasher's."""
    if len(pseudonym) == len(digest) and pseudonym.islower() and digest.islower():  # both in the usual form
        return []
    parts = {part for part in (pseudonym, _bare(pseudonym)) if len(part) >= _SHORTEST}
    digits = [_digits(part) for part in parts]  # of a digest that was cut, the last may be half a byte
    texts = [*parts, *map(str.lower, digits), *map(str.upper, digits)]
    for raw in {raw for part in parts for raw in _readings(part)}:
        plain, dashed = raw.hex(), "-".join(map(raw.hex().__getitem__, _UUID)) if len(raw) == 16 else ""
        coded = [base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b32encode(raw)]
        texts += [plain, plain.upper(), dashed, dashed.upper()]
        texts += [one for text in coded for one in (text.decode(), text.decode().rstrip("="))]
    front = digest.removesuffix(_bare(digest))
    return [front + text for text in texts if len(front + text) == len(digest)]


def _bare(text: str) -> str:
    """Return a digest without what stands around it and in front, such as "sha256:", "{SHA256}" or a salt and "$"."""
    return _LABEL.sub("", unquote(text).strip(_AROUND), count=1)


def _readings(text: str) -> list[bytes]:
    """Return the bytes that a text may stand for, as one digest may be written in several ways."""
    bare, found = unquote(text).rstrip("=").replace("-", "+").replace("_", "/"), []
    if len(text) < _SHORTEST:
        return found
    if (digits := _digits(text)) and len(digits) % 2 == 0:
        found.append(bytes.fromhex(digits))
    if _BASE64.fullmatch(bare) and len(bare) % 4 != 1:
        found.append(base64.b64decode(bare + "=" * (-len(bare) % 4)))
    if _BASE32.fullmatch(bare) and len(bare) % 8 in (0, 2, 4, 5, 7):
        found.append(base64.b32decode(bare.upper() + "=" * (-len(bare) % 8)))
    return found


def _digits(text: str) -> str:
    """Return the hexadecimal digits of a text that is a digest written so, else nothing."""
    match = _HEX.fullmatch(text) if len(text) >= _SHORTEST else None
    return re.sub("[-: ]", "", match[1]) if match else ""


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
