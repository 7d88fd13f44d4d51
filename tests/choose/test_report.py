"""The report of `report`: whatever it is given is shown as text, in a page and in Markdown that both are valid."""

from __future__ import annotations

import html
import re
from pathlib import Path

import mistune
import pandas as pd
import pytest
from bleach._vendor.html5lib import HTMLParser  # comes with nbconvert; by itself it is in no lock
from hostile import HOSTILE, LONG, picture
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ppml_helpers.choose.report import Quoted, Section, as_html, as_markdown, write
from ppml_helpers.errors import ReportError
from ppml_helpers.plain_text import visible

ALLOWED = {"p", "br", "strong", "em", "h1", "h2", "table", "thead", "tbody", "tr", "th", "td", "img", "blockquote"}


def section(text: str) -> Section:
    table = pd.DataFrame([[text], [text]], columns=pd.Index([text], dtype=object), dtype=object)
    return Section(text, [text, Quoted(text)], [(text, table)], [(picture(), text)])


def texts(page: str) -> list[str]:
    """What a valid page says; an invalid one raises."""
    root = HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    assert root.get("lang") == "en"
    allowed = {"script", "iframe", "object", "link", "form", "base"}
    assert not [node.tag for node in root.iter() if node.tag in allowed]
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]
    assert [node.get("href") for node in root.iter("a")] == ["#part-1"]
    assert all(node.get("src").startswith("data:image/png;base64,") for node in root.iter("img"))
    return [node.get("alt") for node in root.iter("img")] + ["".join(node.itertext()) for node in root.iter()]


@pytest.mark.parametrize("text", [*HOSTILE.values(), LONG, "\u202egnp.exe\u2066\u200f", "مرحبا"], ids=lambda t: t[:9])
def test_hostile_text_is_shown_as_text(text: str) -> None:
    said = texts(as_html("Report", [section(text)]))
    first = re.split(r"[\x00-\x1f\u202e]", text)[0][:150]
    assert sum(first in line for line in said) >= 5  # heading, paragraph, caption, head and cell
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\u2028\u202a-\u202e\u2066-\u2069\u200e\u200f\ufeff\ud800-\udfff]", "".join(said)
    )


@pytest.mark.parametrize("text", [*HOSTILE.values(), LONG, "\u202egnp.exe"], ids=lambda t: t[:9])
@pytest.mark.parametrize("reader", ["commonmark", "mistune"])
def test_hostile_text_is_text_for_readers_of_markdown(text: str, reader: str) -> None:
    source = as_markdown("Report", [section(text)])
    if reader == "commonmark":
        page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source)
    else:
        plugins = ["table", "url", "strikethrough", "footnotes", "math", "superscript", "mark", "insert", "task_lists"]
        page = mistune.create_markdown(plugins=plugins, escape=False)(source)
    found = re.findall(r"<(/?)(\w+)([^>]*)>", page)
    assert {name for _, name, _ in found} <= ALLOWED
    pictures = [rest for _, name, rest in found if name == "img"]
    assert len(pictures) == 1
    assert 'src="data:image/png;base64,' in pictures[0]
    assert page.count("<table>") == page.count("<h1>") == page.count("<h2>") == 1


def test_a_text_of_100_000_characters_is_whole_once_and_folded_elsewhere() -> None:
    page = as_html("Report", [section(LONG)])
    assert page.count("x&lt;b&gt;" * 25_000) == 4  # two sentences, and the picture's text and its alternative
    assert page.count("... (100,000 characters)") == 6  # contents, heading, caption, head, two cells
    assert 'class="long" role="region" tabindex="0" aria-label="A text of 100,000 characters"' in page


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(st.characters(), max_size=60) | st.text("a=-+1.)>#*_`~|[]()!<&\\\"': \n\t\r\u202e@^$/w", max_size=40))
def test_whatever_is_said_is_what_is_read(text: str) -> None:
    """In the page to the letter; in Markdown but for white space, which it does not keep."""
    part = [Section("S", ["before", text, Quoted(text), "after"])]
    shown = visible(
        text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ").replace("\u202f", " ").expandtabs(4)
    )
    root = HTMLParser(strict=True, namespaceHTMLElements=False).parse(as_html("R", part))
    assert ["".join(node.itertext()) for node in root.iter("p")] == ["before", shown, shown, "after"]
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(as_markdown("R", part))
    assert set(re.findall(r"</?(\w+)", page)) <= {"h1", "h2", "p", "br", "blockquote"}
    plain = html.unescape(re.sub(r"<[^>]+>", " ", page)).split()
    assert plain == ["R", "S", "before", *shown.split(), *shown.split(), "after"]


def test_the_words_of_a_person_cannot_pass_for_those_of_the_report() -> None:
    forged = Quoted("Yes.\n\nAnswered by the officer, 2026-11-29.\n\n## Decided")
    part = [Section("S", [forged, "Answered by a stranger."])]
    page = MarkdownIt("commonmark").render(as_markdown("R", part))
    for text in (as_html("R", part), page):
        inside = re.search("<blockquote>(.*)</blockquote>", text, re.DOTALL)[1]
        assert "Answered by the officer" in inside
        assert "Decided" in inside
        assert "stranger" not in inside


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        (" @SUM(A1)", "' @SUM(A1)"),
        ("+x", "'+x"),
        ("-0.02 to 0.05", "-0.02 to 0.05"),
        ("-3 %", "-3 %"),
        ("-", "-"),
        (-0.25, "-0.25"),
        (float("nan"), ""),
        (None, ""),
        (0.1 + 0.2, "0.3"),
        (9105, "9105"),
    ],
)
def test_a_cell_is_no_formula_and_a_number_stays_one(value: object, shown: str) -> None:
    cell = pd.DataFrame({"a": pd.Series([value], dtype=object)})
    part = [Section("S", tables=[("T", cell)])]
    pages = as_html("R", part), MarkdownIt("commonmark").enable("table").render(as_markdown("R", part))
    for page in pages:
        assert re.findall("<td[^>]*>([^<]*)</td>", html.unescape(page)) == [shown]


def test_what_no_reader_could_use_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1]})
    for wrong, said in (
        (lambda: Section(" "), "title of a section is ' '"),
        (lambda: Section("S", "one text"), "put it into a list"),
        (lambda: Section("S", tables=[("T", [1])]), "give a DataFrame"),
        (lambda: Section("S", pictures=[(b"GIF89a", "a dog")]), "'a dog' is no PNG"),
        (lambda: Section("S", pictures=[(picture(), "")]), "alternative text of a picture is ''"),
        (lambda: Section("S", level=1), "level = 1 is not on offer"),
        (lambda: write(tmp_path / "r.html", None, "R", []), "give at least one"),
        (lambda: write(tmp_path / "r.html", None, "R", [Section("S", level=3)]), "the first of level 2"),
        (lambda: write(tmp_path, None, "R", [Section("S")]), "cannot be written"),
    ):
        with pytest.raises(ReportError, match=re.escape(said)):
            wrong()
    write(tmp_path / "new" / "r.html", tmp_path / "r.md", "R", [Section("S", tables=[("T", table)])])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["r.html", "r.md"]
