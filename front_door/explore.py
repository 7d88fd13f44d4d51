"""``kit.py explore``: an explorer as a page of its own, without code, for a meeting."""

from __future__ import annotations

import json
from typing import NamedTuple

from front_door import places
from front_door.environment import ensure, site_packages
from front_door.lab import FIRST_PORT, serve
from front_door.terminal import Stop

FOLDER = places.STATE / "explore"
IDLE = 600  # seconds after which a kernel that nobody looks at ends


class Page(NamedTuple):
    """A heading, what to do, and the cell that makes the explorer."""

    title: str
    text: str
    code: str


_SPLIT = "from ppml_helpers import cohort\nsplit = cohort.split(*cohort.features(cohort.load_patients()), seed=0)\n"
PAGES = {
    "epsilon": Page(
        "What does a promise of epsilon cost, and what does it buy?",
        "Each move trains private models on 6,829 real patients and plays the membership game for one of them. "
        "Chapter 05 explains it.",
        f"{_SPLIT}from ppml_helpers.private_training import EpsilonExplorer\nEpsilonExplorer(split)",
    ),
    "anonymity": Page(
        "What does anonymising cost, and what still leaks?",
        "Each move makes a release of 6,829 real patients and attacks it by a fictional register. "
        "Chapter 03 explains it.",
        "from ppml_helpers.anonymise import AnonymityExplorer\nAnonymityExplorer()",
    ),
    "budget": Page(
        "How is a privacy budget shared out among questions?",
        "Each move draws noise for three statistics of 9,105 real patients. Chapter 04 explains it.",
        "from ppml_helpers.private_statistics import BudgetExplorer\nBudgetExplorer()",
    ),
    "chooser": Page(
        "Which technique, for which need?",
        "Say what must leave the house and who is trusted: techniques fall out one by one, each with its reason. "
        "Chapter 11 explains it.",
        "from ppml_helpers.choose import ChooseExplorer, making, scoreboard\n"
        "from ppml_helpers.choose.explorer import in_order\n"
        "ChooseExplorer(in_order(scoreboard.load(making.COMMITTED)))",
    ),
}
# Nothing is fetched from outside, whatever a template asks for.
_POLICY = "default-src 'self' data: blob: ws: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'"
_HEADERS = {"Content-Security-Policy": _POLICY}


def explore(name: str | None = None, port: int = FIRST_PORT, browser: bool = True) -> int:
    """Serve an explorer, or the list of all, until Ctrl-C.

    Parameters
    ----------
    name
        One of `PAGES`; without it the list of all is opened.
    port, browser
        As for `lab`.
    """
    if name is not None and name not in PAGES:
        raise Stop(f"There is no explorer '{name}' to open alone: choose among {', '.join(PAGES)}.")
    ensure(places.COURSE)
    packages = site_packages(places.COURSE.folder)
    if packages is None or not (packages / "voila").is_dir():
        raise Stop("Voila, which shows a page without code, is not installed: 'python3 kit.py doctor' says why.")
    write()
    command = [
        "jupyter_server",
        f"--ServerApp.root_dir={FOLDER}",
        "--ServerApp.jpserver_extensions={'voila.server_extension': True}",
        f"--ServerApp.tornado_settings={{'headers': {_HEADERS}}}",
        "--ServerApp.terminals_enabled=False",
        f"--MappingKernelManager.cull_idle_timeout={IDLE}",
        "--MappingKernelManager.cull_interval=60",
    ]
    return serve("The page", command, f"voila/render/{name}.ipynb" if name else "voila/tree", port, browser)


def write() -> None:
    """Write the pages' notebooks into the kit's own folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        said = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# {page.title}\n\n{page.text}"}
        made = {"cell_type": "code", "id": "explorer", "metadata": {}, "execution_count": None, "outputs": []}
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = {"cells": [said, {**made, "source": page.code}], "metadata": {"kernelspec": kernel}}
        text = json.dumps({**notebook, "nbformat": 4, "nbformat_minor": 5})
        (FOLDER / f"{name}.ipynb").write_text(text, "utf-8")
