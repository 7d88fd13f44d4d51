"""A real JupyterLab, started by kit.py on a copy of the course, and a real Chromium to look at it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from front_door.checks import find_chromium
from ppml_helpers import processes

T = TypeVar("T")

REPO = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPO / "tests" / "screenshots"
PATIENCE = float(os.environ.get("KIT_PATIENCE", "180"))  # seconds; a busy 2-core machine can be 10x slower
expect.set_options(timeout=PATIENCE * 1000)
VIEWPORT = {"width": 1280, "height": 900}
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S*token=\w+\S*")
OWN_PROCESSES = "KIT_BROWSER_TEST"  # an environment variable that every process we cause inherits
NOT_THE_COURSE = (".git", ".venv", ".venvs", ".kit", ".results", ".progress", "__pycache__", ".ipynb_checkpoints")
NOT_THE_COURSE += ("*.egg-info", ".pytest_cache", ".ruff_cache", "screenshots")


# --- the machine -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """Headless Chromium that keeps its files below `home` and can reach no host but this machine."""
    arguments = [
        "--no-sandbox",  # it opens our own pages only, and the sandbox cannot start as root or in many containers
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    with sync_playwright() as playwright:
        environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
        app = playwright.chromium.launch(executable_path=find_chromium(), args=arguments, env=environment)
        try:
            yield app
        finally:
            app.close()


# --- the server ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A running JupyterLab: the address that kit.py printed, and what follows from it."""

    address: str
    mark: str
    process: subprocess.Popen

    @property
    def base(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.address))

    @property
    def token(self) -> str:
        """What the address lets its reader in with."""
        return parse_qs(urlsplit(self.address).query)["token"][0]

    def path_of(self, notebook: str) -> str:
        """Path of a notebook beside the one printed, as the server counts it."""
        folder = urlsplit(self.address).path.split("/tree/", 1)[1].rpartition("/")[0]
        return f"{folder}/{notebook}" if folder else notebook

    def page_of(self, notebook: str) -> str:
        """Address of a notebook beside the one printed, in a workspace of its own (no left-over tabs)."""
        workspace = f"lab/workspaces/test-{uuid.uuid4().hex}"
        return f"{self.base}/{workspace}/tree/{self.path_of(notebook)}?token={self.token}&reset"

    def start_kernel(self) -> None:
        """Start a kernel that belongs to no notebook."""
        asked = urllib.request.Request(f"{self.base}/api/kernels", b"{}", {"Authorization": f"token {self.token}"})
        urllib.request.urlopen(asked, timeout=PATIENCE).close()


_STAMP_ENVIRONMENT = """
import json
from front_door import environment, places
recipe = places.COURSE
python = environment.interpreter_version(recipe.folder)
stamp = {"key": recipe.key(), "python": python, "entries": []}
(recipe.folder / environment.STAMP).write_text(json.dumps(stamp))
"""


def copy_course(target: Path) -> Path:
    """Copy the repository's files to `target` and lend the copy the environment that runs the tests."""
    shutil.copytree(REPO, target, ignore=shutil.ignore_patterns(*NOT_THE_COURSE), dirs_exist_ok=True)
    return lend_environment(target)


def lend_environment(target: Path) -> Path:
    """Give a copy, or an edition for learners, the environment that runs the tests.

    Its `.venv` is a folder of links with a stamp of its own, so that its `kit.py` finds its set-up done and writes
    everything (settings, workspaces, logs) below `target`. In the place of the link to this repository, which makes
    its helpers importable, stands one to the copy.
    """
    ours, lent = Path(sys.prefix), target / ".venv"
    packages = Path(sysconfig.get_path("purelib")).relative_to(ours)
    (lent / packages).mkdir(parents=True)
    for folder in (Path(), packages):
        for entry in (ours / folder).iterdir():
            if not entry.name.startswith(("kit-stamp", "__editable__", packages.parts[0])):
                (lent / folder / entry.name).symlink_to(entry.resolve(), target_is_directory=entry.is_dir())
    (lent / packages / "the_copy.pth").write_text(f"{target}\n", encoding="utf-8")
    subprocess.run([sys.executable, "-c", _STAMP_ENVIRONMENT], cwd=target, check=True)
    return target


def _environment(home: Path, mark: str) -> dict[str, str]:
    places = {"HOME": "", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config"}
    places |= {"PPML_PROGRESS": "progress", "PPML_RESULTS": "results"}
    return {
        **os.environ,
        **{name: str(home / place) for name, place in places.items()},
        OWN_PROCESSES: mark,
        "KIT_EXPOSE_APP": "1",
        "PYTHONUNBUFFERED": "1",
    }


@contextlib.contextmanager
def lab_server(course: Path, home: Path, command: Sequence[str] = ("lab",)) -> Iterator[Server]:
    """Run `kit.py lab --no-browser` of `course` until the block ends, however it ends; leave no process behind.

    Another `command` that serves pages in the same way may stand for "lab".
    """
    mark = uuid.uuid4().hex
    log = home / "lab.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, str(course / "kit.py"), *command, "--no-browser", "--port", str(_first_port())],
            cwd=course,
            env=_environment(home, mark),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            running = Server(_when(lambda: _printed_address(log), process, log), mark, process)
            _when(lambda: _answers(running), process, log)
            yield running
        finally:
            process.terminate()  # kit.py ends its server, and the server its kernels
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            processes.end_all(carries(mark), patience=15)
            process.wait(PATIENCE)


def _first_port() -> int:
    """Return where a worker's server begins to look for a port: two that start at once must not find the same."""
    return 8888 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _when(found: Callable[[], T | None], process: subprocess.Popen, log: Path) -> T:
    """Wait until something is found of a server that starts; say what it printed if it never is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if there := found():
            return there
        time.sleep(0.05)
    printed = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"kit.py lab did not start in {PATIENCE:.0f} s or ended ({process.poll()}):\n{printed}")


def _printed_address(log: Path) -> str | None:
    found = ADDRESS.search(log.read_text(errors="replace"))
    return found and found.group()


def _answers(server: Server) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.base}/api", timeout=5):
        return True
    return False


def carries(mark: str) -> processes.Sign:
    """Tell the processes of one server: kit.py, JupyterLab, kernels and their children."""
    return lambda environment: environment.get(OWN_PROCESSES) == mark


def screenshot_path(name: str) -> Path:
    """Where the screenshot `name` is kept: a folder that git ignores."""
    SCREENSHOTS.mkdir(exist_ok=True)
    (SCREENSHOTS / ".gitignore").write_text("*\n")
    return SCREENSHOTS / f"{name}.png"


# --- the page --------------------------------------------------------------------------------------------

_UNFINISHED_CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().trim())
    .filter(cell => cell.model.executionCount === null
                    || cell.model.outputs.toJSON().some(output => output.output_type === 'error'))
    .filter(cell => !(cell.model.getMetadata('tags') || []).includes('raises-exception'))
    .map(cell => [cell.model.id, cell.model.executionCount, cell.model.outputs.toJSON()
                  .filter(output => output.output_type === 'error').map(output => output.evalue).join()])"""

_START_RUN = """() => { window.kitRun = 'busy';
    window.jupyterapp.commands.execute('notebook:run-all-cells')
        .then(() => { window.kitRun = 'done'; }, error => { window.kitRun = 'failed: ' + error; }); }"""

_RUN_CELL_WITH = """async text => { const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.findIndex(
        cell => cell.model.type === 'code' && cell.model.sharedModel.getSource().includes(text));
    await app.commands.execute('notebook:run-cell');
    const model = notebook.activeCell.model;
    return model.executionCount !== null
        && model.outputs.toJSON().every(output => output.output_type !== 'error'); }"""

_KERNEL_READY = """async () => { const widget = window.jupyterapp.shell.currentWidget;
    await widget.context.ready; await widget.sessionContext.ready;
    await widget.sessionContext.session.kernel.info; }"""

_OPEN_IN_PLACE = """async path => { const app = window.jupyterapp, before = app.shell.currentWidget;
    await before.sessionContext.shutdown();
    before.dispose();
    await app.commands.execute('docmanager:open', {path}); }"""


@dataclass
class NotebookPage:
    """A browser context with JupyterLab and one notebook open, and a record of what went wrong in the page."""

    app: Browser
    server: Server
    address: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = self.app.new_context(viewport=VIEWPORT, reduced_motion="reduce")
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?" would block for ever
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.goto(self.address)
        self._wait_for_kernel()

    def turn_to(self, notebook: str) -> None:
        """Open another notebook in the place of this one, whose kernel ends and whose record is forgotten."""
        self.page.set_viewport_size(VIEWPORT)
        self.page.evaluate(_OPEN_IN_PLACE, self.server.path_of(notebook))
        self.errors.clear()
        self.foreign.clear()
        self._wait_for_kernel()

    def _wait_for_kernel(self) -> None:
        self.page.wait_for_selector(f"{PANEL} .jp-Notebook .jp-Cell")
        self.page.evaluate(_KERNEL_READY)

    def _note(self, url: str) -> None:
        ours = (self.server.base, self.server.base.replace("http", "ws", 1), "data:", "blob:")
        if not url.startswith(ours):
            self.foreign.append(url)

    @property
    def panel(self) -> Locator:
        """The visible notebook."""
        return self.page.locator(PANEL)

    @property
    def complaints(self) -> Locator:
        """Dialogs and toasts: nobody wants to see one."""
        return self.page.locator(".jp-Dialog, .Toastify__toast")

    def run_all(self) -> None:
        """Run all cells; every code cell must get a number and none an error (unless it is meant to)."""
        self.page.evaluate(_START_RUN)
        self.page.wait_for_function("() => window.kitRun !== 'busy'")
        unfinished = self.page.evaluate(_UNFINISHED_CELLS)
        assert unfinished == []
        assert self.page.evaluate("() => window.kitRun") == "done"

    def run_only(self, text: str) -> None:
        """Run the first cell whose code contains `text`, without an error; what it needs was run before."""
        assert self.page.evaluate(_RUN_CELL_WITH, text)

    def stored_pictures(self) -> list[bool]:
        """Whether each picture in the outputs is really there, before or after a run."""
        pictures = self.panel.locator(".jp-OutputArea-output img")
        pictures.first.wait_for(timeout=30_000)
        return pictures.evaluate_all("all => all.map(one => one.complete && one.naturalWidth > 0)")

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page in `screenshots/`, which git ignores."""
        self.page.screenshot(path=screenshot_path(name))

    def close(self) -> None:
        """Close the page and all it stored."""
        self.context.close()


# --- an explorer on the page -----------------------------------------------------------------------------

_LOOK = """root => { const picture = root.querySelector('img');
    const box = picture.getBoundingClientRect();
    return {src: picture.src, alt: picture.alt, text: root.innerText,
            width: box.width, height: box.height,
            natural_width: picture.naturalWidth, natural_height: picture.naturalHeight}; }"""

_MARK_FOCUSABLE = """root => { const wanted = [...root.querySelectorAll(
        '[role=slider], select, input, textarea, button, [contenteditable=true]')]
        .filter(node => node.checkVisibility({visibilityProperty: true}) && !node.disabled);
    wanted.forEach((node, index) => { node.dataset.kitMark = index; });
    return wanted.length; }"""
_STOP_ONCE_IT_SAYS = """(root, words) => {
    const watch = new MutationObserver(() => {
        const stop = [...root.querySelectorAll("button")].find(one => one.textContent.trim() === "Stop");
        const bar = root.querySelector(".progress-bar");
        if (stop?.checkVisibility() && bar?.checkVisibility() && root.textContent.includes(words)) {
            watch.disconnect();
            stop.click();
        }
    });
    watch.observe(root, {subtree: true, childList: true, characterData: true, attributes: true});
}"""
_FOCUSED_MARK = "() => document.activeElement.dataset.kitMark ?? null"


@dataclass(frozen=True)
class View:
    """What a reader sees of an explorer at one moment; lengths in CSS pixels."""

    src: str
    alt: str
    text: str
    width: float
    height: float
    natural_width: int
    natural_height: int


class ExplorerView:
    """An explorer on the page: its controls, its picture and its sentence."""

    KNOB = "[role=slider]"

    def __init__(self, notebook: NotebookPage) -> None:
        """Find the first explorer of the notebook: an output with both a knob and a picture."""
        self.notebook = notebook
        self.page = notebook.page
        outputs = notebook.panel.locator(".jp-OutputArea-output", has=self.page.locator(self.KNOB))
        self.root = outputs.filter(has=self.page.locator("img")).first
        self.root.locator("img").first.wait_for(state="attached")
        self.root.scroll_into_view_if_needed()  # JupyterLab lays out only what is on screen: the rest has no text

    def screenshot(self, name: str) -> None:
        """Keep a picture of the explorer alone."""
        self.root.screenshot(path=screenshot_path(name))

    def control(self, label: str) -> Locator:
        """The box of the control labelled `label`: label, control and readout."""
        return self.root.locator(".widget-inline-hbox", has=self.page.locator(".widget-label", has_text=label)).first

    def slider(self, label: str) -> Locator:
        """The handle of the slider labelled `label`."""
        return self.control(label).get_by_role("slider")

    def readout(self, label: str) -> str:
        """The number that the slider labelled `label` shows, in the number box beside it or at its end."""
        box = self.number_box(label)
        if box.count():
            return box.input_value()
        return self.control(label).locator(".widget-readout").inner_text().strip()

    def number_box(self, label: str) -> Locator:
        """The box to type a number beside the slider labelled `label`, found by the name a screen reader says."""
        return self.root.get_by_role("spinbutton", name=f"{label} =")

    def controls(self) -> list[Locator]:
        """The boxes of all sliders, drop-downs, number boxes and the like."""
        return self.root.locator(".widget-slider, .widget-dropdown, .widget-text, .widget-radio").all()

    def poor_labels(self) -> list[str]:
        """What a reader misses: for each control whose label is hidden, empty or cut off, its label."""
        labels = [box.locator("label, .widget-label").first for box in self.controls()]
        whole = "node => node.checkVisibility() && node.innerText.trim() && node.scrollWidth <= node.clientWidth"
        return [label.inner_text() for label in labels if not label.evaluate(f"node => Boolean(({whole})(node))")]

    def choose(self, label: str, option: str) -> None:
        """Pick, in the drop-down labelled `label`, the first option that contains `option`."""
        box = self.control(label).locator("select")
        names = [name.replace("\u00a0", " ") for name in box.locator("option").all_text_contents()]
        box.select_option(index=next(i for i, name in enumerate(names) if option in name))

    def epsilon(self) -> float:
        """The epsilon on which the slider stands (ipywidgets gives the browser its logarithm)."""
        return 10 ** float(self.slider("epsilon").get_attribute("aria-valuenow"))

    def says_its_epsilon(self, view: View) -> bool:
        """Whether the sentence of `view` names the epsilon on which the slider stands, to two digits."""
        numbers = re.findall(r"epsilon (?:of )?(\d+(?:\.\d+)?)", view.alt)
        return any(float(number) == pytest.approx(self.epsilon(), rel=0.06) for number in numbers)

    def stop_button(self) -> Locator:
        return self.root.get_by_role("button", name="Stop")

    def stop_once_it_says(self, words: str) -> None:
        """Let the page itself press "Stop" beside the bar when it says this: Playwright looks once a second only."""
        self.root.evaluate(_STOP_ONCE_IT_SAYS, words)

    def usable(self, controls: int, first: Locator, focusable: int | None = None) -> None:
        """Demand as many controls, each with a label that can be read, and all in reach of Tab from the first."""
        assert len(self.controls()) == controls
        assert self.poor_labels() == []
        marks = self.root.evaluate(_MARK_FOCUSABLE)
        assert marks >= (focusable or controls)
        first.focus()
        reached = {self.page.evaluate(_FOCUSED_MARK)}
        for _ in range(marks):
            self.page.keyboard.press("Tab")
            reached.add(self.page.evaluate(_FOCUSED_MARK))
        assert {str(mark) for mark in range(marks)} - reached == set()

    def whole(self, name: str) -> View:
        """Demand a picture in its true shape whose alternative text is the sentence below; keep a screenshot `name`."""
        self.root.evaluate("node => node.scrollIntoView({block: 'center'})")
        self.screenshot(name)
        now = self.look()
        assert now.alt
        assert now.alt in now.text
        expect(self.root.get_by_role("img", name=now.alt, exact=True)).to_have_count(1)
        assert now.natural_width > max(700, 0.99 * now.width)
        assert now.width / now.height == pytest.approx(now.natural_width / now.natural_height, rel=0.01)
        return now

    def nudged(self, name: str) -> None:
        """Move the first slider by a key and demand that picture and sentence follow; keep a screenshot `name`."""
        before, handle = self.settled(), self.root.get_by_role("slider").first
        stood = handle.get_attribute("aria-valuenow")
        handle.press("ArrowRight")
        if handle.get_attribute("aria-valuenow") == stood:  # it was at its right end
            handle.press("ArrowLeft")
        self.settled(lambda now: changed(before, now))
        self.whole(name)

    def look(self) -> View:
        """What is to be seen now."""
        return View(**self.root.evaluate(_LOOK))

    def settled(self, ready: Callable[[View], bool] = lambda view: True, quiet: float = 0.5) -> View:
        """Wait until `ready` holds and nothing has changed for `quiet` seconds; return what is to be seen."""
        deadline = time.monotonic() + PATIENCE
        last, since = self.look(), time.monotonic()
        while time.monotonic() < deadline:
            now = self.look()
            if now != last or not ready(now):
                last, since = now, time.monotonic()
            elif time.monotonic() - since > quiet:
                return now
            self.page.wait_for_timeout(50)
        raise TimeoutError(f"the explorer did not settle; it says: {last.text}")

    def drag(self, label: str, pixels: int) -> None:
        """Drag the handle of the slider labelled `label` to the right (left if negative)."""
        handle = self.slider(label)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y + 3, steps=8)
        self.page.mouse.up()


def changed(before: View, after: View) -> bool:
    """Whether picture and sentence are both new."""
    return after.src != before.src and after.alt != before.alt
