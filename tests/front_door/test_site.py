"""What the website is made from: every chapter once, folded where it gives something away, no link into nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from front_door import places, site
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
    for path in [*places.NOTEBOOKS.glob("*.ipynb"), *places.NOTEBOOKS.glob("*.md"), places.ROOT / "data/DATA_CARD.md"]:
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
