"""One report as a web page and as Markdown: complete in one file each, and whatever it is given is shown as text.

The web page names no address outside itself: pictures are inside, the style is its own, and a policy in its head
forbids everything else. Answers and names of columns come from people and from tables: nothing in them becomes markup
or a formula of a spreadsheet, reorders what stands beside it, or hides.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ppml_helpers import checks, figures
from ppml_helpers.errors import ReportError
from ppml_helpers.files import replacing
from ppml_helpers.plain_text import visible

_LONGEST_NAME = 200  # characters of a heading, a caption, a cell
_LONG = 2_000  # characters of a sentence; beyond, the page shows it in a box that scrolls
_NUMBERS = re.compile(r"(?:[+-]?[\d.,]+(?:e[+-]?\d+)?|%|to|[\s()])+|-")  # "-0.02 (-0.05 to 0.05)" is none
_PNG = b"\x89PNG\r\n\x1a\n"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 48rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; break-after: avoid; }
h2 { border-top: 1px solid #767676; padding-top: 1rem; margin-top: 2rem; }
p, td, th { white-space: pre-line; }
a { color: #0056a3; }
table { border-collapse: collapse; font-size: .875rem; }
caption { text-align: left; font-weight: bold; padding: .25rem 0; }
th, td { border: 1px solid #b0b0b0; padding: .25rem .5rem; text-align: left; vertical-align: top; min-width: 4rem;
  max-width: 16rem; overflow-wrap: break-word; }
thead th { background: #f0f0f0; }
figure { margin: 1rem 0; break-inside: avoid; }
blockquote { margin: .5rem 0; padding: .1rem 1rem; border-left: 4px solid #767676; background: #f6f6f6; }
.wide { overflow-x: auto; margin: 1rem 0; }
.long { max-height: 16rem; overflow: auto; border: 1px solid #b0b0b0; padding: 0 .5rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  .wide, .long { overflow: visible; max-height: none; }
  tr { break-inside: avoid; }
  table { font-size: .8rem; }
  th, td { overflow-wrap: anywhere; min-width: 5rem; }
}
"""


class Quoted(str):
    """The words of a person among the sentences: set off, so that they cannot pass for the report's own."""


@dataclass(frozen=True)
class Section:
    """One part of a report: a heading, then its sentences, its tables and its pictures, in this order.

    Parameters
    ----------
    title : str
    sentences : sequence of str
        A paragraph each, a block if it is `Quoted`; line ends within one are kept.
    tables : sequence of (str, DataFrame)
        Caption and rows; the index is shown if it has a name. Numbers are shown as they are: round them first.
    pictures : sequence of (bytes, str)
        PNG, and the alternative text, which also stands below the picture.
    level : int
        2, or 3 for a part of the section before.

    Raises
    ------
    ReportError
        If a title or an alternative text is empty, a table is no DataFrame, or a picture is no PNG.
    """

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    pictures: Sequence[tuple[bytes, str]] = ()
    level: int = 2

    def __post_init__(self) -> None:
        """Refuse what no reader could use."""
        _named(self.title, "The title of a section")
        checks.choice(self.level, "level", (2, 3), error=ReportError)
        if isinstance(self.sentences, str):
            raise ReportError(f"sentences = {checks.shown(self.sentences)} is one text: put it into a list.")
        for caption, rows in self.tables:
            _named(caption, "The caption of a table")
            if not isinstance(rows, pd.DataFrame):
                raise ReportError(f"The table {checks.shown(caption)} is a {type(rows).__name__}: give a DataFrame.")
        for png, alt in self.pictures:
            _named(alt, "The alternative text of a picture")
            if not isinstance(png, bytes) or not png.startswith(_PNG):
                raise ReportError(f"The picture {checks.shown(alt)} is no PNG: give the bytes of `figures.to_png`.")


def write(path_html: str | Path, path_md: str | Path | None, title: str, sections: Sequence[Section]) -> None:
    """Write a report as one web page and, if asked, as one Markdown file; each replaces an older one in one step.

    Parameters
    ----------
    path_html, path_md : str or Path
        None for `path_md` writes the page alone.
    title : str
    sections : sequence of Section
        The first of level 2.

    Raises
    ------
    ReportError
        If there is no section, the first is part of none, or a file cannot be written.
    """
    _named(title, "The title of the report")
    if not sections or sections[0].level != 2:
        raise ReportError("A report needs sections, and the first of level 2: give at least one.")
    for path, text in ((path_html, as_html(title, sections)), (path_md, as_markdown(title, sections))):
        if path is None:
            continue
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as scratch:
                scratch.write_text(text, encoding="utf-8", newline="\n")
        except OSError as refused:
            reason = refused.strerror or refused
            raise ReportError(f"{target} cannot be written ({reason}): name a folder that can be.") from None


def as_html(title: str, sections: Sequence[Section]) -> str:
    """Return the report as a web page that is complete in itself."""
    name = _escaped(_short(title))
    linked = "".join(
        f'<li><a href="#part-{n}">{_escaped(_short(part.title))}</a></li>\n'
        for n, part in enumerate(sections, 1)
        if part.level == 2
    )
    body = "".join(_html_section(n, part) for n, part in enumerate(sections, 1))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1 dir="auto">{name}</h1>\n</header>\n'
        f'<nav aria-label="Contents">\n<ol>\n{linked}</ol>\n</nav>\n<main>\n{body}</main>\n</body>\n</html>\n'
    )


def fragment(part: Section) -> str:
    """Return one part as a piece of a web page, for a notebook."""
    return _html_section(f"of-{re.sub('[^a-z]+', '-', part.title.lower())}", part)


def _html_section(n: int | str, part: Section) -> str:
    tag = f"h{part.level}"
    lines = [f'<{tag} id="part-{n}" dir="auto">{_escaped(_short(part.title))}</{tag}>']
    lines += [_html_sentence(sentence) for sentence in part.sentences]
    lines += [_html_table(f"table-{n}-{m}", *table) for m, table in enumerate(part.tables, 1)]
    for png, alt in part.pictures:
        said = visible(_plain(alt))
        width = struct.unpack(">I", png[16:20])[0]  # a PNG begins with its size
        caption = f'<figcaption dir="auto">{html.escape(said)}</figcaption>'
        lines.append(f"<figure>\n{figures.to_html(png, said, width)}\n{caption}\n</figure>")
    return "\n".join(lines) + "\n"


def _html_sentence(sentence: str) -> str:
    text = f'<p dir="auto">{_escaped(sentence)}</p>'
    text = f"<blockquote>{text}</blockquote>" if isinstance(sentence, Quoted) else text
    if len(sentence) <= _LONG:
        return text
    label = f"A text of {len(sentence):,} characters"
    return f'<div class="long" role="region" tabindex="0" aria-label="{label}">{text}</div>'


def _html_table(name: str, caption: str, rows: pd.DataFrame) -> str:
    head, body, has_index = _cells(rows)
    heads = "".join(f'<th scope="col" dir="auto">{_escaped(cell)}</th>' for cell in head)
    lines = []
    for cells in body:
        row = [f'<td dir="auto">{_escaped(cell)}</td>' for cell in cells]
        if has_index:
            row[0] = f'<th scope="row" dir="auto">{_escaped(cells[0])}</th>'
        lines.append(f"<tr>{''.join(row)}</tr>")
    return (
        f'<div class="wide" role="region" tabindex="0" aria-labelledby="{name}">\n<table>\n'
        f'<caption id="{name}" dir="auto">{_escaped(_short(caption))}</caption>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table>\n</div>"
    )


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """Return the report as Markdown, its pictures at the end."""
    parts, pictures = [f"# {_in_line(_short(title))}"], []
    for part in sections:
        parts.append(f"{'#' * part.level} {_in_line(_short(part.title))}")
        parts += [_md_sentence(sentence) for sentence in part.sentences]
        parts += [part for caption, rows in part.tables for part in _md_table(caption, rows)]
        for png, alt in part.pictures:
            pictures.append(f"[picture-{len(pictures) + 1}]: data:image/png;base64,{base64.b64encode(png).decode()}")
            parts.append(f"![{_in_line(alt)}][picture-{len(pictures)}]")
    return "\n\n".join([*(part for part in parts if part), *pictures]) + "\n"


def _md_sentence(sentence: str) -> str:
    """Return a paragraph whose line ends are kept; an empty line begins the next."""
    lines = (_in_line(line) for line in _plain(sentence).split("\n"))
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip("\n")
    text = re.sub(r"(?<!\n)\n(?!\n)", "\\\\\n", text)
    return re.sub(r"^", "> ", text, flags=re.MULTILINE) if isinstance(sentence, Quoted) else text


def _md_table(caption: str, rows: pd.DataFrame) -> Iterator[str]:
    head, body, _ = _cells(rows)
    lines = [head, ["---"] * len(head)]
    text = [f"| {' | '.join(_in_line(cell) or ' ' for cell in cells)} |" for cells in [head, *body]]
    text.insert(1, f"|{'|'.join(lines[1])}|")
    yield f"**{_in_line(_short(caption))}**"
    yield "\n".join(text)


def _cells(rows: pd.DataFrame) -> tuple[list[str], list[list[str]], bool]:
    """Return a table as text: its head, its rows, and whether their first cell names them."""
    has_index = any(name is not None for name in rows.index.names)
    shown = rows.reset_index(allow_duplicates=True) if has_index else rows
    head = [_cell(" / ".join(map(str, name)) if isinstance(name, tuple) else name) for name in shown.columns]
    return head, [[_cell(value) for value in row] for row in shown.itertuples(index=False, name=None)], has_index


def _cell(value: Any) -> str:
    """Return the text of a cell; what a spreadsheet would take for a formula gets an apostrophe in front."""
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.10g}"
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    text = _short(str(value))
    return f"'{text}" if re.match(r"\s*[=+\-@]", text) and not _NUMBERS.fullmatch(text) else text


def _named(text: Any, what: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ReportError(f"{what} is {checks.shown(text)}, it must be a text with words in it: write one.")


def _short(text: str) -> str:
    """Cut a long name, and say how long it was."""
    text = _plain(text)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]} ... ({len(text):,} characters)"


def _plain(text: str) -> str:
    """Return a text with one kind of line end and one kind of space."""
    return re.sub("[\u00a0\u202f]", " ", text.replace("\r\n", "\n").replace("\r", "\n")).expandtabs(4)


def _escaped(text: str) -> str:
    return html.escape(visible(_plain(text)))


def _in_line(text: str) -> str:
    """Return a text as one line of Markdown that shows it, whatever characters it has."""
    line = " ".join(visible(_plain(text)).split())
    line = re.sub(r"[\\`*_{}\[\]<>#|~&$@^]", r"\\\g<0>", line)
    line = re.sub(r":(?=\S)", r"\\:", line)  # an address, or the name of a picture
    line = re.sub(r"(?i)\b(www)\.", r"\1\\.", line)
    line = re.sub(r"^([+\-=])(?!\d)", r"\\\1", line)  # a list, or the line below a heading
    return re.sub(r"^(\d+)([.)])(?!\d)", r"\1\\\2", line)
