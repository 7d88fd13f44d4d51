"""Text that somebody else wrote: what hides in it is made visible, and a job's file is taken only if all of it shows.

Python reads a file by the encoding that its first lines name (PEP 263), and a name by its normal form (NFKC). So a
comment can be code, and a name another one; and characters without ink reorder or hide what stands beside them.
"""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

_CODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)  # as PEP 263 has it
_UTF8 = ("utf-8", "utf8", "utf_8")
_WORD = re.compile(r"[^\W\d_]+")
#: Without ink, though Unicode counts them as marks, letters or symbols: joiners, fillers, variation selectors, blanks.
_BLANK = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810))))
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_UNITS = "µªº"  # their normal form is another letter, and they stand in units: µg
_LONGEST_LINE = 500  # characters of a line of code; beyond lies what nobody scrolls to


def visible(text: str) -> str:
    """Write characters that hide, reorder or overwrite what is read as escapes; line ends and tabs stay."""
    hidden = {c for c in text if not _shows(c)}
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in hidden})


def visible_name(name: str) -> str:
    """Do the same to the name of a file, which may hold line ends and tabs as well."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")


def numbered(text: str) -> str:
    """Write a text with the number of each line, which no line can forge, and white space at its end as escapes."""
    shown = re.sub(r"[^\S\n]+$", _as_escape, text.removesuffix("\n"), flags=re.MULTILINE)
    return "\n".join(f"{number:3} {visible(line)}".rstrip() for number, line in enumerate(shown.split("\n"), 1))


def _as_escape(blank: re.Match[str]) -> str:
    return blank[0].encode("unicode_escape").decode().replace(" ", "\\x20")


def plain(name: str, data: bytes) -> str:
    """Return the text of one file of a job.

    Raises
    ------
    ValueError
        If it holds anything that does not show, or shows as something else: what, and where.
    """
    if not name.isascii():
        raise ValueError(f"the name {visible_name(name)!r} has {_called(next(c for c in name if not c.isascii()))}")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode(), error.start)
        raise ValueError(
            f"{visible_name(name)}, line {line}, column {column}, has the byte 0x{data[error.start]:02x}, so it is no "
            f"UTF-8 text: a job is code that can be read, its tables JSON or CSV"
        ) from None
    for at, why in _objections(name, text):
        line, column = _place(text, at)
        raise ValueError(f"{visible_name(name)}, line {line}, column {column}, {why}")
    return text


def _objections(name: str, text: str) -> Iterator[tuple[int, str]]:
    """Give what speaks against a text, and the index where."""
    for found in re.finditer(r"[^\x20-\x7e\n\t]", text):
        c, at = found[0], found.start()
        if not _shows(c) and text[at : at + 2] != "\r\n":
            yield at, f"has {_called(c)}, which does not show"
    for line in re.split(r"\r\n|\n", text, maxsplit=2)[:2]:
        if (coding := _CODING.match(line)) and coding[1].lower() not in _UTF8:
            yield text.index(line), f"names the encoding {coding[1]!r}: Python would read other code than is shown"
    python = PurePosixPath(name).suffix == ".py"
    if python or name == "run.sh":
        for line in re.finditer(rf".{{{_LONGEST_LINE + 1},}}", text):
            yield line.start() + _LONGEST_LINE, f"goes on beyond {_LONGEST_LINE} characters: fold it"
    for at, part, is_name in _python_parts(text) if python else [(0, text, False)]:
        for word in _WORD.finditer(part):
            strange = [c for c in word[0] if _is_strange(c, word[0], is_name)]
            if strange:
                where = at + word.start() + word[0].index(strange[0])
                yield where, f"has {_called(strange[0])} in {word[0]!r}, where it passes for another letter"


def _python_parts(text: str) -> Iterator[tuple[int, str, bool]]:
    """Give names and strings of Python code: where, what, and whether it is a name. Comments may hold any letter."""
    starts = [0, *(end.end() for end in re.finditer("\n", text))]
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT:
                yield starts[token.start[0] - 1] + token.start[1], token.string, token.type == tokenize.NAME
    except (tokenize.TokenError, SyntaxError):  # what Python cannot read does not run; that it shows was looked at
        yield 0, text, True


def _is_strange(c: str, word: str, is_name: bool) -> bool:
    """Tell whether a letter passes for another: in a name all but a to z, elsewhere their forms, and mixed scripts."""
    if c.isascii() or not c.isalpha():
        return False
    if is_name or (c not in _UNITS and unicodedata.normalize("NFKC", c).isascii()):
        return True
    return not _is_latin(c) and any(map(_is_latin, word.replace(c, ""))) and c not in _UNITS


def _is_latin(c: str) -> bool:
    return c.isascii() or unicodedata.name(c, "").startswith("LATIN ")


def _shows(c: str) -> bool:
    return c in "\n\t" or (c.isprintable() and c not in _BLANK and c not in _SELECTORS)


def _called(c: str) -> str:
    return f"U+{ord(c):04X} ({unicodedata.name(c, 'a control character').lower()})"


def _place(text: str, at: int) -> tuple[int, int]:
    before = text[:at]
    return before.count("\n") + 1, at - before.rfind("\n")
