"""Mutated solutions against the exercises' judges: the share that each judge refuses.

Each solution of the course is changed in small ways, as a learner's slip would change it (another number, another
operator, the wrong of two functions, a line forgotten), and judged in a process of its own, in the state of its
notebook. Not every slip makes an answer wrong. These are not counted, and the results say how many they are:

- **stopped**: it ends in an error, or never ends, so that nothing reaches the judge.
- **same**: it gives the solution's answer.
- **right otherwise**: the judge takes it, and an automatic rule says that it is right (`right_otherwise`): it agrees
  with the solution in the two digits that a learner may round to; it is a function that gives what the solution gives
  on other draws of the judge's probes; or the exercise asks for a property that many answers have, and the reason
  stands in `OPEN`.

All other answers that a judge takes are let through, and count against it. The results hold each of them.

    python3 kit.py bench judges            # all chapters, about a quarter of an hour
    python3 kit.py bench judges --quick    # two chapters
    .venv/bin/python benchmarks/judges.py 05 02b    # these anew, in the results of the full run
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import json
import multiprocessing
import os
import pickle
import random
import re
import resource
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from numbers import Integral, Real
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a fork of a process with more threads may wait for ever

import numpy as np
from _frame import RESULTS
from IPython.core.interactiveshell import InteractiveShell

from ppml_helpers import course
from ppml_helpers.exercises import check

MOST = 24  # mutants of a solution
PATIENCE = 60  # seconds of processor time for one
LEAST, LEAST_EACH = 0.95, 0.85
QUICK = ("00", "03")
DRAWS = (1, 2, 3)  # other dice for the probes of a judge
OPEN = {
    "02.3": "any five columns that cost no more than the board allows; the judge measures what they cost",
    "03.3": "any groups whose release serves the model; the judge searches, trains and counts",
    "04.2": "what= is a note to oneself; the judge reads the total, and what was paid for whom",
    "04.3": "any split that keeps the three margins within epsilon 1; the judge computes them with OpenDP",
    "06.4": "any tables that let the sound training pass and the four broken ones not; the judge tries all five",
    "08.4": "any parameters that are safe and exact enough; the judge encrypts with them and measures",
    "09b.2": "any pieces that are off by at most 0.02; the judge measures on a grid of its own",
    "10.4": "any rules that let exactly these reads through; PySyft's own permissions judge them",
}
"""Exercises with many right answers, of which the judge measures the very property that is asked for, and why."""
KINDS = ("refused", "let through", "right otherwise", "same", "stopped")
_CHECK = re.compile(r'^check\("([\w.]+)", (.+), record=False\)$', re.MULTILINE)

_OPERATORS: dict[type, list[type]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.Mod: [ast.FloorDiv],
    ast.Lt: [ast.GtE, ast.LtE],
    ast.Gt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Gt, ast.Lt],
    ast.GtE: [ast.Lt, ast.Gt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.USub: [ast.UAdd],
}
_TWINS = (
    {"min", "max", "sum", "len"},
    {"mean", "median", "max", "min", "sum", "std"},
    {"any", "all"},
    {"idxmax", "idxmin"},
    {"argmax", "argmin"},
    {"encrypt", "decrypt"},
    {"sqrt", "log", "exp"},
)
_SLIPS = (  # of the answer itself, whatever made it
    "{0} + 1", "{0} * 1.5", "{0} / 2", "-{0}", "0", "1", "[]", "''", "{0}[:-1]", "{0}[1:]", "not {0}", "type({0})()",
    "lambda *_, **__: 0", "lambda *_, **__: True", "lambda given=None, *_, **__: given", "{0}.upper()", "100 * {0}",
)  # fmt: skip


def mutants(source: str) -> Iterator[str]:
    """Yield changed forms of a solution, each with one slip."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        for change in _changes(node):
            twin = copy.deepcopy(tree)
            change(list(ast.walk(twin))[number])
            try:
                yield ast.unparse(ast.fix_missing_locations(twin))
            except (ValueError, AttributeError, TypeError):
                continue


def what_makes(source: str, answer: str) -> str:
    """Keep the statements from which an answer comes; what is only printed or tried on the side makes nothing."""
    tree = ast.parse(source)
    needed = {node.id for node in ast.walk(ast.parse(answer)) if isinstance(node, ast.Name)}
    kept: list[ast.stmt] = []
    for statement in reversed(tree.body):
        inside = list(ast.walk(statement))
        names = {node.id for node in inside if isinstance(node, ast.Name)} | {getattr(statement, "name", "")}
        bound = {node.id for node in inside if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        useful = bound & needed if isinstance(statement, ast.Assign) and bound else names & needed
        printed = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")
        if isinstance(statement, ast.Import | ast.ImportFrom):
            kept.append(statement)
        elif useful and not printed:
            kept.append(statement)
            needed = needed | names
    return ast.unparse(ast.Module(kept[::-1], []))


def _changes(node: ast.AST) -> Iterator[Callable[[Any], None]]:
    """Yield functions that change a node of this kind in place."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        for value in (node.value + 1, node.value * 2, node.value / 2, 0):
            yield lambda twin, value=value: setattr(twin, "value", value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield lambda twin: setattr(twin, "value", not twin.value)
    for name in ("op", "ops"):
        there = getattr(node, name, None)
        first = there[0] if isinstance(there, list) else there
        for other in _OPERATORS.get(type(first), []):
            value = [other(), *there[1:]] if isinstance(there, list) else other()
            yield lambda twin, name=name, value=value: setattr(twin, name, value)
    for name in ("id", "attr"):
        word = getattr(node, name, "")
        for other in sorted(set().union(*(twins for twins in _TWINS if word in twins)) - {word}):
            yield lambda twin, name=name, other=other: setattr(twin, name, other)
    if isinstance(node, ast.Call) and len(node.args) > 1:
        yield lambda twin: twin.args.reverse()
    if isinstance(node, ast.Call) and node.keywords:
        yield lambda twin: twin.keywords.pop()
    if isinstance(node, ast.FunctionDef | ast.For | ast.If | ast.While | ast.With):
        for place in range(len(node.body)):
            yield lambda twin, place=place: twin.body.__setitem__(place, ast.Pass())
    if isinstance(node, ast.IfExp):
        yield lambda twin: setattr(twin, "test", ast.UnaryOp(ast.Not(), twin.test))
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        for place in range(len(node.elts)):
            yield lambda twin, place=place: twin.elts.pop(place)
    if isinstance(node, ast.Dict):
        for place in range(len(node.keys)):
            yield lambda twin, place=place: (twin.keys.pop(place), twin.values.pop(place))


def same(left: object, right: object) -> bool:
    """Say whether two answers are the same answer; of functions that is not known."""
    if callable(left) and not isinstance(left, type):
        return False
    try:
        return bool(np.allclose(left, right, rtol=1e-12, atol=0))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        pass
    try:
        return pickle.dumps(left) == pickle.dumps(right)
    except Exception:  # what cannot be pickled is compared by what it shows
        return repr(left) == repr(right)


def alike(left: Any, right: Any) -> bool:
    """Say whether two answers agree in two digits, number by number; whole numbers and truths must be equal.

    So must words, but for blanks and empty lines around them.
    """
    if isinstance(left, str) and isinstance(right, str):
        return left.strip() == right.strip()
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.shape == right.shape and bool(np.allclose(left, right, rtol=1e-3, atol=1e-3))
    if isinstance(left, bool | Integral) or not (isinstance(left, Real) and isinstance(right, Real)):
        return same(left, right)
    digit = 10.0 ** np.floor(np.log10(abs(float(left)) or 1.0) - 1)
    return bool(abs(float(left) - float(right)) <= digit / 2)


def heard(name: str, function: Callable[..., Any], draw: int) -> tuple[list[Any], bool]:
    """Judge a function with other dice; return what it gave to each call of the judge, and the verdict."""
    given: list[Any] = []

    def listening(*arguments: Any, **named: Any) -> Any:
        answer = function(*arguments, **named)
        given.append(copy.deepcopy(answer))
        return answer

    real, dice = np.random.default_rng, random.Random
    np.random.default_rng = lambda seed=None: _other_dice(real, draw, seed)
    random.Random = lambda seed=None: dice(f"{draw} {seed}")  # type: ignore[assignment, misc]
    try:
        return given, check(name, listening, record=False).right
    finally:
        np.random.default_rng, random.Random = real, dice  # type: ignore[misc]


def _other_dice(real: Callable[..., np.random.Generator], draw: int, seed: object) -> np.random.Generator:
    return seed if isinstance(seed, np.random.Generator) else real([draw, zlib.crc32(repr(seed).encode())])


def right_otherwise(name: str, right: Any, given: Any) -> bool:
    """Say whether an answer that the judge took is right, though it is not the solution."""
    if name in OPEN:
        return True
    if not callable(given) or isinstance(given, type) or not callable(right):
        return alike(right, given)
    for draw in DRAWS:
        (told, _), (other, taken) = (heard(name, function, draw) for function in (right, given))
        if not (taken and told and alike(told, other)):
            return False
    return True


def verdict(mutant: str, answer: str, name: str, names: dict[str, Any]) -> str:
    """Judge a mutant in a process of its own; return one of `KINDS`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        word = "stopped"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            used = resource.getrusage(resource.RUSAGE_SELF)
            most = int(used.ru_utime + used.ru_stime) + PATIENCE  # not of the clock: a busy machine is not late
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
            right, there = eval(answer, dict(names)), dict(names)
            exec(compile(mutant, "<mutant>", "exec"), there)
            given = eval(answer, there)
            if same(right, given):
                word = "same"
            elif not check(name, given, record=False).right:
                word = "refused"
            else:
                word = "let through"  # unless the rules say better
                word = "right otherwise" if right_otherwise(name, right, given) else word
        except BaseException:  # a slip may do anything, and this process ends either way
            pass
        os.write(writer, word.encode())
        os._exit(0)
    os.close(writer)
    told = b""
    while part := os.read(reader, 100):
        told += part
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told.decode() or "stopped"


def chapter(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a notebook; yield each exercise with what its mutants came to, and those that were let through."""
    shell = InteractiveShell.instance()
    notebook = course.read(path)
    elsewhere = notebook.metadata.kernelspec.name != "python3"  # its library is not here, and its judges need none
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        ran = shell.run_cell(cell.source, silent=True)
        if not elsewhere:
            ran.raise_error()
        asked = _CHECK.search(cell.source)
        if "solution" in cell.metadata.get("tags", []) and asked:
            yield asked[1], _tried(what_makes(_CHECK.sub("", cell.source), asked[2]), asked[1], asked[2], shell.user_ns)


def _tried(solution: str, name: str, answer: str, names: dict[str, Any]) -> dict[str, Any]:
    """Judge the mutants of a solution."""
    made = sorted(set(mutants(solution)) - {solution})
    if answer.isidentifier():
        made += [f"{solution}\n{answer} = {slip.format(answer)}" for slip in _SLIPS]
    told: dict[str, Any] = {kind: [] for kind in KINDS}
    for number in np.random.default_rng(0).permutation(len(made))[:MOST]:
        told[verdict(made[number], answer, name, names)].append(made[number])
    judged = len(told["refused"]) + len(told["let through"])
    counts = {kind: len(told[kind]) for kind in KINDS}
    share = round(len(told["refused"]) / judged, 3) if judged else 1.0
    return {"share": share, "counts": counts, **{kind: told[kind] for kind in ("let through", "right otherwise")}}


def _in_silence(path: Path, told: Connection) -> None:
    """Send a chapter's exercises, from a process of its own; the notebook's prints go nowhere, its files to scratch."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with tempfile.TemporaryDirectory(prefix="judges-") as scratch:
        (Path(scratch) / "data").symlink_to(course.ROOT / "data")
        (Path(scratch) / "notebooks").mkdir()
        with contextlib.chdir(Path(scratch) / "notebooks"):
            try:
                told.send(dict(chapter(path)))
            except Exception as error:  # a chapter that does not run is said, and the others go on
                told.send(f"{type(error).__name__}: {error}")


def _apart(path: Path) -> dict[str, dict[str, Any]] | str:
    """Return a chapter's exercises, or what went wrong, even where its process dies."""
    spawn = multiprocessing.get_context("spawn")
    hear, tell = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_in_silence, args=(path, tell))
    process.start()
    tell.close()
    try:
        return hear.recv()
    except EOFError:
        return "its process ended"
    finally:
        process.join()


def main() -> int:
    """Print a line for each exercise; write what was let through beside the other results."""
    parser = argparse.ArgumentParser(prog="judges", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two chapters")
    parser.add_argument("chapters", nargs="*", help="numbers, such as 05 or 02b: their part of the results anew")
    options = parser.parse_args()
    wanted = options.chapters or (QUICK if options.quick else ())
    paths = [path for path in course.chapters() if not wanted or path.stem.partition("_")[0] in wanted]
    target = RESULTS / ("judges.quick.json" if options.quick else "judges.json")
    kept = json.loads(target.read_text("utf-8"))["exercises"] if options.chapters and target.exists() else {}
    broken: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        asked = {pool.submit(_apart, path): path.stem for path in paths}
        for done in as_completed(asked):
            found, stem = done.result(), asked[done]
            if isinstance(found, str):
                broken.append(f"{stem}: {found}")
                continue
            others = {name: one for name, one in kept.items() if name.partition(".")[0] != stem.partition("_")[0]}
            kept = others | found
            for name, one in found.items():
                print(_line(name, one), flush=True)
            whole = {"exercises": dict(sorted(kept.items())), "open": OPEN}
            target.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return _sum_up(kept, broken)


def _line(name: str, one: dict[str, Any]) -> str:
    """Return what is printed of an exercise."""
    counts = one["counts"]
    besides = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS[2:])
    return f"{name:<7}{one['share']:>6.0%} of {counts['refused'] + counts['let through']:>2} refused ({besides})"


def _sum_up(found: dict[str, Any], broken: list[str]) -> int:
    passed, refused = (sum(one["counts"][kind] for one in found.values()) for kind in ("let through", "refused"))
    weak = [name for name, one in found.items() if one["share"] < LEAST_EACH]
    told = f"All: {refused / max(1, passed + refused):.1%} of {passed + refused} refused"
    print(f"{told}; below {LEAST_EACH:.0%}: {', '.join(weak) or 'none'}", *broken, sep="\n")
    print(*(f"{name} has many right answers: {why}" for name, why in OPEN.items()), sep="\n")
    return 0 if not (weak or broken) and refused >= LEAST * (passed + refused) else 1


if __name__ == "__main__":
    sys.exit(main())
