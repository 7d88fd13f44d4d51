"""The commands of ``kit.py``: arguments, help, and what Ctrl-C does."""

from __future__ import annotations

import argparse
import signal
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
    explore.add_argument("name", nargs="?", metavar="NAME", help="epsilon, anonymity or budget (default: the list)")
    explore.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    explore.add_argument("--port", type=int, default=8888, help="first port to try (default 8888)")
    test = add("test", "set up if needed and run every test")
    test.add_argument("--only", choices=["unit", "faults", "notebooks", "browser"], help="one stage only")
    test.add_argument("--quick", action="store_true", help="the house, every exercise and two chapters")
    add("doctor", "say in plain words what is wrong with this computer or set-up, and the mend")
    run = add("run", "execute notebooks in place; the same bytes every time")
    run.add_argument("notebooks", nargs="*", metavar="NB", help="chapter name or path (default: all)")
    learner = add("learner", "write the learner edition: no solutions, no outputs")
    learner.add_argument("out", metavar="OUT", help="folder to write")
    learner.add_argument("--chapters", metavar="NN,NN", default="", help="only these, and 00 (default: all)")
    site = add("site", "write the course as a website: stored outputs, nothing executed, no address outside")
    site.add_argument("out", metavar="OUT", help="folder to write")
    slides = add("slides", "write chapters as slides with speaker's notes, from the cells of their notebooks")
    slides.add_argument("out", metavar="OUT", help="folder to write")
    slides.add_argument("notebooks", nargs="*", metavar="NB", help="chapter name or number (default: all)")
    new = add("new", "write the skeleton of a new chapter: notebook, room, tests, a row in the map")
    new.add_argument("number", metavar="NN", help="two digits, such as 09")
    new.add_argument("name", metavar="NAME", help="small letters and underscores, such as secure_computation")
    bench = add("bench", "run benchmarks side by side with peers and print ratios")
    bench.add_argument("names", nargs="*", metavar="NAME", help="benchmark (default: all)")
    bench.add_argument("--quick", action="store_true", help="fewer repeats")
    return top


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    _end_in_order_on_signals()
    try:
        return _dispatch(list(arguments))
    except Stop as stop:
        say(str(stop))
        return stop.code
    except KeyboardInterrupt:
        say(f"\nStopped. {AGAIN}")
        return 130


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
    names = ("lab", "explore", "test", "doctor", "run", "learner", "site", "slides", "new", "bench")
    if not arguments[0].startswith("-") and arguments[0] not in names:
        raise Stop(f"There is no command '{arguments[0]}': the commands are {', '.join(names)}.")
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command != "test":  # the rest of "test" goes to pytest
        raise Stop(f"'{rest[0]}' is not understood: see 'python3 kit.py {options.command} --help'.")
    actions: dict[str, Callable[[], int]] = {
        "lab": lambda: _lab(options),
        "explore": lambda: _explore(options),
        "test": lambda: _test(options, rest),
        "doctor": _doctor,
        "run": lambda: run(options.notebooks),
        "learner": lambda: learner(options.out, options.chapters),
        "site": lambda: _site(options),
        "slides": lambda: _slides(options),
        "new": lambda: _new(options),
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

    return run_tests(rest, only=options.only, quick=options.quick)


def _doctor() -> int:
    from front_door.doctor import doctor

    return doctor()


def _new(options: argparse.Namespace) -> int:
    from front_door.new import new

    written = [str(path) for path in new(options.number, options.name)]
    with tempfile.TemporaryDirectory(prefix="kit-new-") as scratch:  # the order of imports depends on the name
        for step in (["check", "--fix", "--quiet"], ["format", "--quiet"]):
            if code := in_course(["-m", "ruff", *step, *written], Path(scratch)):
                return code
    return run([places.START, *written[-1:]])  # the first chapter shows the map and the progress bar


def _site(options: argparse.Namespace) -> int:
    from front_door.site import site

    return site(options.out)


def _slides(options: argparse.Namespace) -> int:
    from front_door.slides import slides

    return slides(options.out, find_notebooks(options.notebooks))


def _bench(options: argparse.Namespace) -> int:
    from front_door.benches import bench

    return bench(options.names, quick=options.quick)


def run(names: list[str]) -> int:
    """Execute notebooks in place in the environment of the course."""
    paths = find_notebooks(names)
    with tempfile.TemporaryDirectory(prefix="kit-run-") as scratch:
        return in_course(["-m", "ppml_helpers.course", "run", *map(str, paths)], Path(scratch))


def learner(out: str, chapters: str = "") -> int:
    """Write the learner edition."""
    target = str(Path(out).expanduser().resolve())
    with tempfile.TemporaryDirectory(prefix="kit-learner-") as scratch:
        return in_course(["-m", "ppml_helpers.course", "learner", target, "--chapters", chapters], Path(scratch))


def find_notebooks(names: list[str]) -> list[Path]:
    """Return the notebooks that are meant: all, or by path, name ("05_private_training") or number ("05")."""
    chapters = sorted(places.NOTEBOOKS.glob("*.ipynb"))
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
