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
from ppml_helpers.owner_in_control.review import visible_name

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
        numbers = [part for part in found if not isinstance(part, str) and part is not None]
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


def canonical(name: str, data: bytes, rule: OutputRule | None = None) -> tuple[bytes, Any]:
    """Write one output in the only form that leaves; return its bytes and its content.

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
            written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
        else:
            rows = csv.reader(io.StringIO(text), strict=True) if kind == ".csv" else map(str.split, text.splitlines())
            content = [[_cell(cell, digits) for cell in row] for row in rows if row]
            content = [*content[:1], *sorted(content[1:], key=repr)] if kind == ".csv" else content
            written = _lines(content, "," if kind == ".csv" else " ")
    except (ValueError, RecursionError, csv.Error) as error:
        raise ReleaseRefused(f"outputs/{visible_name(name)} cannot leave ({error}): answer in JSON or CSV.") from None
    return written.encode(), content


def _lines(rows: list[list[Any]], between: str) -> str:
    stream = io.StringIO()
    if between == ",":
        csv.writer(stream, lineterminator="\n").writerows(rows)
        return stream.getvalue()
    return "".join(between.join(map(str, row)) + "\n" for row in rows)


def _cell(text: str, digits: int | None) -> Any:
    text = " ".join(text.split())
    return _number(float(text), digits) if _NUMBER.fullmatch(text) else _word(text)


def _plain(value: Any, digits: int | None) -> Any:
    """Return a JSON value with every number and word in its only form."""
    if isinstance(value, dict):
        pairs = {_word(key): _plain(one, digits) for key, one in value.items()}
        if len(pairs) < len(value):
            raise ValueError("a key stands there twice")
        return pairs
    if isinstance(value, list):
        return [_plain(one, digits) for one in value]
    return _word(value) if isinstance(value, str) else value if value is None else _number(value, digits)


def _number(value: float, digits: int | None) -> float:
    if isinstance(value, bool):
        return value
    if (isinstance(value, int) and abs(value) > _EXACT) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:20]} is no number of ordinary size")
    number = float(value) if digits is None else float(f"{value:.{digits - 1}e}")
    return int(number) if number == int(number) and abs(number) <= _EXACT else number


def _word(text: str) -> str:
    if not all(c.isprintable() for c in "".join(text.split())):
        raise ValueError("it has characters that do not show")
    return " ".join(text.split())


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _parts(value: Any) -> Iterator[Any]:
    """Give all numbers and words of an answer, its keys included."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _parts(one)
    else:
        yield value
