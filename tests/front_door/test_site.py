"""What the website is made from: every chapter once, folded where it gives something away, no link into nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samples import code, prose, stored

from front_door import places, site, slides
from front_door.terminal import Stop


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    site.prepare(places.ROOT, folder)
    return folder


def cells(folder: Path) -> list[dict]:
    return [cell for path in folder.rglob("*.ipynb") for cell in json.loads(path.read_text("utf-8"))["cells"]]


def test_every_chapter_and_page_is_there_and_in_the_sidebar(source: Path) -> None:
    index = (source / "index.md").read_text("utf-8")
    for path in [*places.chapters(), *(places.ROOT / name for name in site.PAGES)]:
        name = path.relative_to(places.ROOT)
        assert (source / name).is_file()
        assert f"\n{name.with_suffix('').as_posix()}\n" in index


def test_solutions_are_folded_and_pictures_keep_their_words(source: Path) -> None:
    found = cells(source)
    solved = [cell["metadata"]["tags"] for cell in found if "solution" in cell["metadata"].get("tags", [])]
    assert len(solved) > 50
    assert all("hide-cell" in tags for tags in solved)
    data = [output["data"] for cell in found for output in cell.get("outputs", []) if "data" in output]
    pictures = [one for one in data if "<img" in "".join(one.get("text/html", ""))]
    assert len(pictures) > 50
    assert all(re.search(r'<img alt="[^"]{20,}"', "".join(one["text/html"])) for one in pictures)
    assert not [one for one in data if "image/png" in one or "application/vnd.jupyter.widget-view+json" in one]


def test_every_link_leads_to_a_page_of_the_site(source: Path) -> None:
    texts = {path: [path.read_text("utf-8")] for path in source.rglob("*.md")}
    for path in source.rglob("*.ipynb"):
        texts[path] = ["".join(cell["source"]) for cell in cells(path.parent) if cell["cell_type"] == "markdown"]
    for path, parts in texts.items():
        for address in re.findall(r"\]\(([^)\s]+)\)", "\n".join(parts)):
            if not re.match(r"[a-z]+:|#", address):
                assert (path.parent / address.partition("#")[0]).is_file(), (path.name, address)


@pytest.mark.parametrize(
    ("name", "text", "becomes"),
    [
        ("notebooks/05_x.ipynb", "see [00](00_x.ipynb#a-b)", "see [00](../notebooks/00_x.ipynb#a-b)"),
        ("notebooks/05_x.ipynb", "[start](../README.md)", "[start](../index.md)"),
        ("README.md", "[code](kit.py) and [page](https://opacus.ai)", "code and [page](https://opacus.ai)"),
        ("README.md", "![what is seen](docs/a.png)", "![what is seen](docs/a.png)"),
    ],
)
def test_links_into_the_code_become_words(name: str, text: str, becomes: str) -> None:
    assert site.links(text, name, {"README.md", "notebooks/00_x.ipynb", "docs/a.png"}) == becomes


def test_what_somebody_keeps_beside_the_course_is_not_published(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    for name in ("README.md", "docs/a.png", "notebooks/law.md", "workshop/README.md"):
        (kit / name).parent.mkdir(parents=True, exist_ok=True)
        (kit / name).write_text("# The course")
    stored(kit / "notebooks" / "00_start_here.ipynb", prose("# 00 Start here"))
    for name in ("notebooks/my_patients.ipynb", "notebooks/00_start_here-Copy1.ipynb"):
        stored(kit / name, prose("Mrs Miller, 61"))
    for name in ("notebooks/notes.md", "workshop/marks.md", "data/patients.md"):
        (kit / name).parent.mkdir(exist_ok=True)
        (kit / name).write_text("Mrs Miller, 61")
    site.prepare(kit, tmp_path / "source")
    assert not [path for path in (tmp_path / "source").rglob("*") if path.is_file() and b"Miller" in path.read_bytes()]
    stored(kit / "notebooks" / "11b_own.ipynb", code('PATH = "patients.csv"', count=1))
    for show in (site.prepare, lambda root, out: slides.write(root / "notebooks" / "11b_own.ipynb", out)):
        with pytest.raises(Stop, match=r"11b_own\.ipynb shows a table of your own: .*kit\.py clear 11b"):
            show(kit, tmp_path / "again")


def test_written_again_only_what_was_written_before_is_replaced(tmp_path: Path) -> None:
    built, target = tmp_path / "built", tmp_path / "site"
    (built / "old").mkdir(parents=True)
    (built / "old" / "page.html").write_text("1")
    site.replace(target, built, site.MARK)
    (target / ".git").mkdir()
    (target / ".git" / "config").write_text("mine")
    (target / "CNAME").write_text("mine")
    with (target / site.MARK).open("a") as mark:  # a list that somebody tampered with reaches no other file
        mark.write("../precious\n")
    (tmp_path / "precious").write_text("mine")
    (built / "old" / "page.html").rename(built / "new.html")
    site.may_write(target, site.MARK)
    site.replace(target, built, site.MARK)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {f"site/{name}" for name in (".git/config", "CNAME", "new.html", site.MARK)}
    assert there == {*kept, "precious", "built/new.html"}


def test_nothing_is_overwritten_that_is_no_earlier_site(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder, words in (
        (tmp_path, "is not empty and was not written by this"),
        (tmp_path / "file", "is a file"),
        (places.ROOT, "holds the kit itself"),
        (places.ROOT.parent, "holds the kit itself"),
    ):
        with pytest.raises(Stop, match=words):
            site.site(str(folder))
    assert (tmp_path / "file").read_text() == "mine"
