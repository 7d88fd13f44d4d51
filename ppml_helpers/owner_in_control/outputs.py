"""What may leave: the agreed files, in canonical bytes, and only if the owner's own rule allows their content.

One content has one form of bytes. What a job could hide in white space, in the order of keys or rows, in trailing zeros
or in a second way to write a number is gone before anybody looks.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ppml_helpers import checks
from ppml_helpers.errors import DatasiteError, ReleaseRefused
from ppml_helpers.plain_text import visible_name

KINDS = (".json", ".csv", ".txt")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NAMED = re.compile(r"outputs/([A-Za-z0-9_][A-Za-z0-9_.-]*)", re.ASCII)
_EXACT = 2**53  # whole numbers up to here are themselves as floating-point numbers


@dataclass(frozen=True)
class OutputRule:
    """An owner's own rule for the content of every answer, kept by code: an answer that breaks it is not released.

    Parameters
    ----------
    answers : int
        How many numbers one job may answer with.
    digits : int
        Significant digits that each number is rounded to.
    smallest : int
        A whole number above 0 and below this is a cell too small, and refused.
    labels : collection of str, optional
        The only words that may stand in an answer (keys, column names, categories); None: any word may.
    """

    answers: int = 20
    digits: int = 3
    smallest: int = 10
    labels: Collection[str] | None = None

    def __post_init__(self) -> None:
        for name, least in (("answers", 1), ("digits", 1), ("smallest", 0)):
            checks.whole(getattr(self, name), name, least, error=DatasiteError)

    def check(self, outputs: Iterable[Any]) -> None:
        """Refuse answers, as `canonical` read them, that break the rule."""
        found = [part for output in outputs for part in _parts(output)]
        numbers = [part for part in found if isinstance(part, int | float)]
        if len(numbers) > self.answers:
            raise ReleaseRefused(
                f"The answer has {len(numbers)} numbers, and {self.answers} are allowed: ask for fewer."
            )
        for number in numbers:
            if number is not True and 0 < number < self.smallest and number == int(number):
                raise ReleaseRefused(
                    f"The answer has a cell of {number}, and cells below {self.smallest} are withheld: join groups."
                )
        for word in found:
            if self.labels is not None and isinstance(word, str) and word not in self.labels:
                raise ReleaseRefused(f"The answer has the word {word[:40]!r}, which is none of the agreed labels.")


def agreed(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names below ``outputs/`` that stand in the reviewed texts, sorted."""
    return tuple(sorted({name.rstrip(".") for text in texts for name in _NAMED.findall(text)}))


def canonical(name: str, data: bytes, rule: OutputRule | None = None) -> tuple[str, Any]:
    """Write one output in the only form that leaves; return its text and its content.

    JSON gets sorted keys and no white space, a CSV table sorted rows, a text single spaces; a number is written as
    short as it can be, after it was rounded if there is a rule. A text is read as lines of words.

    Raises
    ------
    ReleaseRefused
        If it is none of the three, or holds what cannot be shown: other encodings, hidden characters, NaN.
    """
    digits = rule.digits if rule else None
    kind = PurePosixPath(name).suffix
    try:
        if kind not in KINDS:
            raise ValueError(f"only {', '.join(KINDS)} leave")
        text = data.decode()
        if kind == ".json":
            content = _plain(json.loads(text, object_pairs_hook=_distinct), digits)
            return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n", content
        rows = csv.reader(io.StringIO(text), strict=True) if kind == ".csv" else map(str.split, text.splitlines())
        content = _plain([list(map(_cell, row)) for row in rows if row], digits)
    except (ValueError, RecursionError, csv.Error) as error:
        raise ReleaseRefused(f"outputs/{visible_name(name)} cannot leave ({error}): answer in JSON or CSV.") from None
    if kind == ".txt":
        return "".join(" ".join(map(str, row)) + "\n" for row in content), content
    content[1:] = sorted(content[1:], key=repr)
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(content)
    return written.getvalue(), content


def _cell(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text.strip()) else text


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {_word(key): value for key, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _plain(value: Any, digits: int | None) -> Any:
    """Return a value with every number and word in its only form."""
    match value:
        case dict():
            return {key: _plain(one, digits) for key, one in value.items()}
        case list():
            return [_plain(one, digits) for one in value]
        case str():
            return _word(value)
        case None | bool():
            return value
    if (isinstance(value, int) and abs(value) > _EXACT) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:20]} is no number of ordinary size")
    number = float(value) if digits is None else float(f"{value:.{digits - 1}e}")
    return int(number) if number == int(number) and abs(number) <= _EXACT else number


def _word(text: str) -> str:
    words = text.split()
    if not all(word.isprintable() for word in words):
        raise ValueError("it has characters that do not show")
    return " ".join(words)


def _parts(value: Any) -> Iterator[Any]:
    """Give all numbers and words of an answer, its keys included."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
    else:
        yield value
