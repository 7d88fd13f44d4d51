"""The commands of ``kit.py``: arguments, help, and what Ctrl-C does."""

from __future__ import annotations

import argparse
import datetime
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from front_door import places
from front_door.course_process import in_course
from front_door.environment import AGAIN
from front_door.terminal import Stop, say

ABOUT = "A hands-on course in privacy-preserving machine learning on one real medical data set."
BEGIN = "Begin with:  python3 kit.py lab"


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a usage block."""
        raise Stop(f"{message[:1].upper()}{message[1:]}: see 'python3 kit.py --help'.")


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="kit.py", description=ABOUT, epilog=BEGIN)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    def add(name: str, does: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")

    lab = add("lab", "set up if needed and open the course in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    lab.add_argument("--port", type=int, default=8888, help="first port to try (default 8888)")
    explore = add("explore", "open an explorer as a page without code, for a meeting")
    explore.add_argument("name", nargs="?", metavar="NAME", help="such as epsilon or chooser (default: the list)")
    explore.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    explore.add_argument("--port", type=int, default=8888, help="first port to try (default 8888)")
    test = add("test", "set up if needed and run every test")
    test.add_argument("--only", choices=["unit", "faults", "notebooks", "browser"], help="one stage only")
    test.add_argument("--quick", action="store_true", help="the house, every exercise and two chapters")
    test.add_argument("--all", action="store_true", help="also chapter 09b, attacks on the hub, other Pythons")
    newest = add("canary", "run the chapters with the newest versions; tell the first cells that differ")
    newest.add_argument("--out", metavar="DIR", default="", help="where the report is written (default: .kit/canary)")
    add("audit", "look every pinned version up among known vulnerabilities, where a public list answers")
    doctor = add("doctor", "say in plain words what is wrong with this computer or set-up, and the mend")
    told = "write a zip for a report of a bug, without names, secrets and tables (default: kit-bundle.zip)"
    doctor.add_argument("--bundle", nargs="?", const="kit-bundle.zip", default="", metavar="FILE", help=told)
    run = add("run", "execute notebooks in place; the same bytes every time")
    run.add_argument("notebooks", nargs="*", metavar="NB", help="chapter name or path (default: all)")
    clear = add("clear", "take every output out of notebooks, in place: before one that saw your own table is shared")
    clear.add_argument("notebooks", nargs="+", metavar="NB", help="chapter name or path")
    assess = add("assess", "measure what a table of your own tells of its people, and write a report of it")
    assess.add_argument("table", metavar="TABLE", help="a .csv, .csv.gz or .parquet file")
    assess.add_argument(
        "--roles", metavar="TOML", help="what its columns mean; without it a proposal is written (exit 3)"
    )
    assess.add_argument("--report", metavar="HTML", help="file to write (default: beside the table)")
    learner = add("learner", "write the learner edition: no solutions, no outputs")
    learner.add_argument("out", metavar="OUT", help="folder to write")
    learner.add_argument("--chapters", metavar="NN,NN", default="", help="only these, and 00 (default: all)")
    learner.add_argument("--nbgrader", action="store_true", help="write assignments for nbgrader instead")
    collect = add("collect", "mark returned notebooks: their code runs in a sandbox, the marks go into a table")
    collect.add_argument("folder", metavar="FOLDER", help="a file or a subfolder a learner")
    collect.add_argument("--out", metavar="CSV", help="file to write (default: beside the folder)")
    collect.add_argument(
        "--no-isolation", action="store_true", help="also where this system keeps nothing from their code"
    )
    _add_hub(add("hub", "serve a workshop on this machine: JupyterHub, a password and a private copy for each learner"))
    site = add("site", "write the course as a website: stored outputs, nothing executed, no address outside")
    site.add_argument("out", metavar="OUT", help="folder to write")
    slides = add("slides", "write chapters as slides with speaker's notes, from the cells of their notebooks")
    slides.add_argument("out", metavar="OUT", help="folder to write")
    slides.add_argument("notebooks", nargs="*", metavar="NB", help="chapter name or number (default: all)")
    handouts = add("handouts", "write a printable page for each chapter, and the map of objectives in workshop/")
    handouts.add_argument("out", metavar="OUT", help="folder to write")
    handouts.add_argument("notebooks", nargs="*", metavar="NB", help="chapter name or number (default: all)")
    new = add("new", "write the skeleton of a new chapter: notebook, room, tests, a row in the map")
    new.add_argument("number", metavar="NN", help="two digits, such as 09")
    new.add_argument("name", metavar="NAME", help="small letters and underscores, such as secure_computation")
    add("tfe", "make the environment and the kernel of chapter 09b: 1.7 GB, on Python 3.10")
    board = add("scoreboard", "measure every technique on the patients, a row each; go on where it was stopped")
    board.add_argument("--fresh", action="store_true", help="measure rows anew that are there already")
    board.add_argument("--folder", metavar="DIR", default="", help="where rows are kept (default: .results/scoreboard)")
    bench = add("bench", "run benchmarks side by side with peers and print ratios")
    bench.add_argument("names", nargs="*", metavar="NAME", help="benchmark (default: all)")
    bench.add_argument("--quick", action="store_true", help="fewer repeats")
    return top


def _add_hub(hub: argparse.ArgumentParser) -> None:
    hub.add_argument("--learners", type=int, default=30, metavar="N", help="how many (default 30)")
    hub.add_argument("--chapters", metavar="NN,NN", default="", help="only these, and 00 (default: all)")
    hub.add_argument("--port", type=int, default=8000, help="where it listens (default 8000)")
    hub.add_argument("--host", default="", metavar="ADDRESS", help="of this machine in the room's network: with TLS")
    hub.add_argument("--certificate", default="", metavar="FILE", help="for TLS (default: one of its own)")
    hub.add_argument("--key", default="", metavar="FILE", help="of the certificate")
    hub.add_argument("--behind", default="", metavar="URL", help="https address of a proxy of yours in front of it")
    hub.add_argument("--memory", default="2G", metavar="SIZE", help="the most that one learner may use (default 2G)")
    hub.add_argument("--idle", type=int, default=3600, metavar="SECONDS", help="an unused server ends then (from 60)")
    hub.add_argument("--no-isolation", action="store_true", help="let learners reach each other's files and programs")
    hub.add_argument("--state", default="", metavar="DIR", help="where everything is kept (default .kit/hub)")
    hub.add_argument("--remove", action="store_true", help="remove its system users, passwords and slips, and end")


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    _write_whatever_is_said()
    _end_in_order_on_signals()
    try:
        return _dispatch(list(arguments))
    except Stop as stop:
        say(str(stop))
        return stop.code
    except KeyboardInterrupt:
        say(f"\nStopped. {AGAIN}")
        return 130


def _write_whatever_is_said() -> None:
    """Let a letter that the terminal or the pipe lacks come out as its number: the name of a folder may hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None without a console on Windows, and what a test puts there
            stream.reconfigure(errors="backslashreplace")


def _end_in_order_on_signals() -> None:
    """Let SIGTERM and a closed terminal end us like Ctrl-C, so that children are ended too."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Who starts us with a signal ignored ("nohup") means it: that stays.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        parser().print_help()
        return 0
    names = (
        "lab",
        "explore",
        "test",
        "canary",
        "audit",
        "doctor",
        "run",
        "clear",
        "assess",
        "learner",
        "collect",
        "hub",
        "site",
        "slides",
        "handouts",
        "new",
        "tfe",
        "scoreboard",
        "bench",
    )
    if not arguments[0].startswith("-") and arguments[0] not in names:
        raise Stop(f"There is no command '{arguments[0]}': the commands are {', '.join(names)}.")
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command != "test":  # the rest of "test" goes to pytest
        raise Stop(f"'{rest[0]}' is not understood: see 'python3 kit.py {options.command} --help'.")
    actions: dict[str, Callable[[], int]] = {
        "lab": lambda: _lab(options),
        "explore": lambda: _explore(options),
        "test": lambda: _test(options, rest),
        "canary": lambda: _canary(options),
        "audit": _audit,
        "doctor": lambda: _doctor(options),
        "run": lambda: run(options.notebooks),
        "clear": lambda: clear(options.notebooks),
        "assess": lambda: assess(options.table, options.roles, options.report),
        "learner": lambda: learner(options.out, options.chapters, options.nbgrader),
        "collect": lambda: collect(options.folder, options.out, options.no_isolation),
        "hub": lambda: _hub(options),
        "site": lambda: _site(options),
        "slides": lambda: _slides(options),
        "handouts": lambda: _handouts(options),
        "new": lambda: _new(options),
        "tfe": _tfe,
        "scoreboard": lambda: _scoreboard(options),
        "bench": lambda: _bench(options),
    }
    return actions[options.command]()


# Each part is imported when it is asked for: a slip in one cannot stop the others, and the doctor above all.


def _lab(options: argparse.Namespace) -> int:
    from front_door.lab import lab

    return lab(options.port, browser=not options.no_browser)


def _explore(options: argparse.Namespace) -> int:
    from front_door.explore import explore

    return explore(options.name, options.port, browser=not options.no_browser)


def _test(options: argparse.Namespace, rest: list[str]) -> int:
    from front_door.checks import run_tests

    return run_tests(rest, only=options.only, quick=options.quick, everything=options.all)


def _canary(options: argparse.Namespace) -> int:
    from front_door.canary import canary

    return canary(options.out)


def _audit() -> int:
    from front_door.audit import audit

    return audit(datetime.date.today())


def _doctor(options: argparse.Namespace) -> int:
    from front_door.doctor import doctor

    return doctor(bundle=options.bundle)


def _new(options: argparse.Namespace) -> int:
    from front_door.new import new

    written = [str(path) for path in new(options.number, options.name)]
    with tempfile.TemporaryDirectory(prefix="kit-new-") as scratch:  # the order of imports depends on the name
        for step in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
            if code := in_course(["-m", "ruff", *step, *written], Path(scratch)):
                return code
    return run([places.START, *written[-1:]])  # the first chapter shows the map and the progress bar


def _hub(options: argparse.Namespace) -> int:
    from front_door.hub import Plan, hub, remove

    names = ("learners", "chapters", "port", "host", "certificate", "key", "behind", "memory", "idle")
    state = Path(options.state).expanduser().resolve() if options.state else places.STATE / "hub"
    plan = Plan(**{name: getattr(options, name) for name in names}, isolated=not options.no_isolation, state=state)
    return remove(plan) if options.remove else hub(plan)


def _site(options: argparse.Namespace) -> int:
    from front_door.site import site

    return site(options.out)


def _slides(options: argparse.Namespace) -> int:
    from front_door.slides import slides

    return slides(options.out, find_notebooks(options.notebooks))


def _tfe() -> int:
    from front_door.tfe import tfe

    return tfe()


def _scoreboard(options: argparse.Namespace) -> int:
    results = Path(os.environ.get("PPML_RESULTS") or places.ROOT / ".results")
    folder = Path(options.folder).expanduser().resolve() if options.folder else results / "scoreboard"
    fresh = ["--fresh"] if options.fresh else []
    with tempfile.TemporaryDirectory(prefix="kit-scoreboard-") as scratch:
        return in_course(["-m", "ppml_helpers.choose.making", str(folder), *fresh], Path(scratch))


def _handouts(options: argparse.Namespace) -> int:
    from front_door.handouts import handouts

    return handouts(options.out, find_notebooks(options.notebooks))


def _bench(options: argparse.Namespace) -> int:
    from front_door.benches import bench

    return bench(options.names, quick=options.quick)


def run(names: list[str]) -> int:
    """Execute notebooks in place, each in the kernel that it declares; without a name all whose kernel is there."""
    from front_door import tfe

    paths = find_notebooks(names)
    if not names and (wrong := tfe.missing()):
        for path in filter(tfe.needs_it, paths):
            say(f"{path.stem} is left out, since {wrong}: '{tfe.MAKE}' makes it.")
        paths = [path for path in paths if not tfe.needs_it(path)]
    tfe.demand(paths)
    with tempfile.TemporaryDirectory(prefix="kit-run-") as scratch:
        return in_course(["-m", "ppml_helpers.course", "run", *map(str, paths)], Path(scratch))


def clear(names: list[str]) -> int:
    """Take every output out of notebooks, in place."""
    paths = find_notebooks(names)
    with tempfile.TemporaryDirectory(prefix="kit-clear-") as scratch:
        return in_course(["-m", "ppml_helpers.course", "clear", *map(str, paths)], Path(scratch))


def assess(table: str, roles: str | None, report: str | None) -> int:
    """Measure somebody's own table: exit status 0 if the report is written, 3 if a proposal is, 2 if refused."""
    options = [str(Path(table).expanduser().resolve())]
    for name, path in (("--roles", roles), ("--report", report)):
        options += [name, str(Path(path).expanduser().resolve())] if path else []
    with tempfile.TemporaryDirectory(prefix="kit-assess-") as scratch:
        return in_course(["-m", "ppml_helpers.choose.assess", *options], Path(scratch))


def learner(out: str, chapters: str = "", nbgrader: bool = False) -> int:
    """Write the learner edition, or assignments for nbgrader."""
    target = str(Path(out).expanduser().resolve())
    with tempfile.TemporaryDirectory(prefix="kit-learner-") as scratch:
        writes = ["ppml_helpers.nbgrader_edition"] if nbgrader else ["ppml_helpers.course", "learner"]
        return in_course(["-m", *writes, target, "--chapters", chapters], Path(scratch))


def collect(folder: str, out: str | None, no_isolation: bool) -> int:
    """Mark returned notebooks: exit status 0 if the table is written, 2 if refused."""
    options = [str(Path(folder).expanduser().resolve()), *(["--no-isolation"] if no_isolation else [])]
    options += ["--out", str(Path(out).expanduser().resolve())] if out else []
    with tempfile.TemporaryDirectory(prefix="kit-collect-") as scratch:
        return in_course(["-m", "ppml_helpers.exercises.collect", *options], Path(scratch))


def find_notebooks(names: list[str]) -> list[Path]:
    """Return the notebooks that are meant: all chapters, or by path, name ("05_private_training") or number ("05")."""
    chapters = places.chapters()
    if not names:
        if not chapters:
            raise Stop(f"There is no notebook in {places.NOTEBOOKS}: it belongs to the kit, fetch it again.")
        return chapters
    return [_find_notebook(name, chapters) for name in names]


def _find_notebook(name: str, chapters: list[Path]) -> Path:
    path = Path(name).expanduser()
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    stem = path.name.removesuffix(".ipynb")
    for chapter in chapters:
        if stem in (chapter.stem, chapter.stem.split("_")[0]):
            return chapter
    there = ", ".join(chapter.stem for chapter in chapters) or "none"
    raise Stop(f"There is no notebook '{name}': the notebooks are {there}.")
