"""Law page, glossary and decision page: their links lead somewhere, and they agree with what they sum up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ppml_helpers import course
from ppml_helpers.choose.about import ABOUT
from ppml_helpers.choose.questions import LAW

NOTEBOOKS = course.ROOT / "notebooks"
PAGES = sorted(NOTEBOOKS.glob("*.md"))
HEADINGS = {
    "statistics": "A few figures",
    "a model": "A model",
    "predictions": "Only predictions",
    "records": "Records",
}

# In bold where something is called so, and yet no word of the field.
PLAIN = {
    "deeper", "the task of the whole course", "the duties it serves", "invented", "choice", "at least", "refuted",
    "bug", "the control that keeps us honest", "one patient", "error", "sum", "with noise", "one", "control",
    "within chance", "south", "north",
    "larger model", "all its patients together", "different", "two", "one key holder", "finished model", "peers",
    "not even shared", "rule", "what is true of everybody like you", "online", "uniform", "node", "local", "randomised",
    "epsilon per patient", "register", "bold",
}  # fmt: skip
_IS = r"(?=[ \n](?:is|are|means)\b|[ \n]\(|[ \n]of[ \n](?:a|the|such)\b)"
_CALLED = r"(?:called[ \n](?:an?[ \n]|the[ \n]|this[ \n])?|\b(?:is|are)[ \n](?:an?[ \n]|the[ \n]|called[ \n])?)"
DEFINED = re.compile(rf"\*\*([A-Za-z][\w ()-]{{2,40}})\*\*{_IS}|{_CALLED}\*\*([A-Za-z][\w -]{{2,40}})\*\*")


def text(name: str) -> str:
    return (NOTEBOOKS / f"{name}.md").read_text("utf-8")


def prose(path: Path) -> str:
    return "\n\n".join(cell.source for cell in course.read(path).cells if cell.cell_type == "markdown")


def entries() -> dict[str, str]:
    """Term -> the notebook that it names."""
    return dict(re.findall(r"^- \*\*(.+?)\*\*: .+ \(\[\w+\]\((.+?)\)\)$", text("glossary"), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    assert len(found) >= 7
    assert [address for address in found if not (page.parent / address.partition("#")[0]).is_file()] == []


def test_the_pages_are_reached_from_the_readme_and_each_other() -> None:
    assert {page.name for page in PAGES} == {"law.md", "glossary.md", "decide.md"}
    linked = (course.ROOT / "README.md").read_text("utf-8")
    assert [page.name for page in PAGES if f"(notebooks/{page.name})" not in linked] == []
    assert sum("(law.md)" in prose(path) for path in course.chapters()) >= 7


def test_the_law_page_says_of_each_article_what_the_review_says() -> None:
    rows = dict(re.findall(r"^\| ([\w() ]+?) \| (.+?) \| .+ \|$", text("law"), re.MULTILINE))
    assert LAW.items() <= rows.items()
    eight = text("law").split("## Eight questions")[1].split("## ")[0]
    cited = {law for cell in re.findall(r"\| ([\w(), ]+) \|$", eight, re.MULTILINE) for law in cell.split(", ")}
    assert cited - {"article"} <= set(LAW)
    assert "not legal advice" in text("law")


def test_the_glossary_is_in_order_and_its_words_are_in_the_chapters_that_it_names() -> None:
    terms = entries()
    assert len(terms) > 80
    assert list(terms) == sorted(terms, key=str.casefold)
    there = {path.name: prose(path).casefold() for path in course.chapters()}
    stems = {"k-anonymity": "k-anonymous", "l-diversity": "l-diverse", "re-identification": "re-identif"}
    stems |= {"local differential privacy": "local", "Laplace noise": "laplace"}
    lost = [term for term, name in terms.items() if stems.get(term, term.casefold()) not in there[name]]
    assert lost == []


def test_every_word_that_a_chapter_defines_in_bold_is_in_the_glossary() -> None:
    lines = [line.casefold() for line in text("glossary").splitlines() if line.startswith("- **")]
    known = " ".join([*lines, text("law").casefold()])
    missing = {}
    for path in course.chapters():
        for found in DEFINED.finditer(prose(path)):
            term = (found[1] or found[2]).casefold().replace("\n", " ")
            root = re.sub(r"(?:ous|ity|e|s|isation)$", "", term)
            if term not in PLAIN and root not in known:
                missing.setdefault(term, path.name)
    assert missing == {}, "add them to notebooks/glossary.md, or write them without bold"


def test_the_decision_page_has_every_technique_of_the_scoreboard_where_it_belongs() -> None:
    page = text("decide")
    for name, about in ABOUT.items():
        part = page.split(f"## {HEADINGS[about.leaves]}")[1].split("\n## ")[0]
        [row] = re.findall(rf"^\| .+ \| {re.escape(name)} \| .+ \|$", part, re.MULTILINE)
        assert set(about.chapters) <= set(re.findall(r"\[(\w+)\]", row)), name
    named = re.findall(r"^\| [^|]+ \| ([^|]+) \| \[", page, re.MULTILINE)
    assert set(named) - {"take", "publish none of them"} == set(ABOUT)
