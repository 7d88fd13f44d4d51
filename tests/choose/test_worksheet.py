"""The `worksheet` of the review, driven without a browser: what is typed is kept, and nobody's answer is lost."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ppml_helpers.choose import ReviewWorksheet
from ppml_helpers.choose.questions import PARTS, QUESTIONS

Opener = Callable[[], ReviewWorksheet]


@pytest.fixture
def clock() -> Iterator[str]:
    return (f"2026-11-29T08:00:{second:02}+00:00" for second in count())


@pytest.fixture
def opened(tmp_path: Path, clock: Iterator[str]) -> Opener:
    return lambda: ReviewWorksheet(tmp_path / "review.json", now=lambda: next(clock))


def test_what_is_typed_is_there_when_it_is_opened_again(opened: Opener) -> None:
    sheet = opened()
    sheet.by.value = "<b>M</b>"
    for end in range(1, 12):
        sheet.fields["purpose"].value = "for teaching"[:end]
    sheet.fields["roles"].value = "typed and taken back"
    sheet.fields["roles"].value = ""
    again = opened()
    assert {name: field.value for name, field in again.fields.items() if field.value} == {"purpose": "for teachin"}
    assert again._said["purpose"].value == "Saved 2026-11-29 08:00, by &lt;b&gt;M&lt;/b&gt;."
    assert again._done.value == f"1 of {len(QUESTIONS)} answered"
    assert [one.signed for one in again.review.read()["purpose"].answers] == ["2026-11-29 08:00, by <b>M</b>"]


def test_two_that_are_open_keep_both_answers_until_somebody_decides(opened: Opener) -> None:
    mine, yours = opened(), opened()
    mine.by.value, yours.by.value = "M", "Y"
    mine.fields["purpose"].value = "mine"
    yours.fields["purpose"].value = "yours"
    yours.fields["data"].value = "only yours"
    assert "Another answer is kept beside it, 2026-11-29 08:00, by M" in yours._said["purpose"].value
    assert yours.only["purpose"].layout.display == "flex"
    mine.fields["purpose"].value = "mine, longer"
    assert {one.text for one in opened().review.read()["purpose"].answers} == {"mine, longer", "yours"}
    mine.again.click()
    assert (mine.fields["data"].value, mine.fields["purpose"].value) == ("only yours", "mine, longer")
    yours.only["purpose"].click()
    assert [one.text for one in opened().review.read()["purpose"].answers] == ["yours"]
    assert yours.only["purpose"].layout.display == "none"


def test_every_question_is_on_one_page_and_every_box_has_a_label(opened: Opener) -> None:
    sheet = opened()
    shown = []
    for part in PARTS:
        sheet.part.value = part
        shown += [one for one in sheet._page.children if one in sheet.fields.values()]
    assert shown == list(sheet.fields.values())
    assert all(field.description and field.tooltip for field in shown)


def test_a_file_that_cannot_be_read_or_written_is_said_and_the_text_stays(opened: Opener, tmp_path: Path) -> None:
    sheet = opened()
    (tmp_path / "review.json").write_text("{")
    sheet.fields["purpose"].value = "typed"
    assert "Not saved: " in sheet._said["purpose"].value
    assert "is damaged" in opened()._done.value
    sheet.again.click()
    assert sheet.fields["purpose"].value == "typed"
    (tmp_path / "review.json").unlink()
    sheet.fields["purpose"].value = "typed on"
    assert opened().fields["purpose"].value == "typed on"
    (tmp_path / "review.json").write_text("{")
    sheet.fields["data"].value = "kept for later"
    (tmp_path / "review.json").unlink()
    sheet.again.click()
    assert opened().fields["data"].value == "kept for later"


def test_what_a_notebook_stores_holds_no_answer(opened: Opener) -> None:
    empty = opened()._repr_mimebundle_()
    sheet = opened()
    sheet.fields["purpose"].value = "a secret"
    stored = sheet._repr_mimebundle_()
    assert [stored[kind] for kind in ("text/plain", "text/html")] == [
        empty[kind] for kind in ("text/plain", "text/html")
    ]
    assert "secret" not in stored["text/html"]


def test_the_report_is_written_and_handed_to_the_browser(opened: Opener, tmp_path: Path) -> None:
    sheet = opened()
    sheet.fields["purpose"].value = "for <teaching>"
    sheet.write.click()
    [page, text] = re.findall(
        r'<a download="report\.(?:html|md)" href="data:text/\w+;base64,([^"]+)"', sheet._links.value
    )
    assert base64.b64decode(page) == (tmp_path / "report.html").read_bytes()
    assert "for \\<teaching\\>" in base64.b64decode(text).decode()
    (tmp_path / "review.json").write_text("{")
    sheet.write.click()
    assert "Not written: " in sheet._links.value
