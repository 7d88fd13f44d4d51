"""Mutated solutions against the exercises' judges: the share that each judge refuses.

Each solution of the course is changed in small ways, as a learner's slip would change it (another number, another
operator, the wrong of two functions, a line forgotten), and judged in a process of its own, in the state of its
notebook. What stops with an error before it is judged, or gives the same answer as the solution, is not counted: a
judge has nothing to say to it. Among what passes are slips that change nothing that was asked for: read them before
you blame the judge. The results hold them all.

    python3 kit.py bench judges            # all chapters, about a quarter of an hour
    python3 kit.py bench judges --quick    # three chapters
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import pickle
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a fork of a process with more threads may wait for ever

import numpy as np
from _frame import RESULTS
from IPython.core.interactiveshell import InteractiveShell

from ppml_helpers import course
from ppml_helpers.exercises import check

MOST = 40  # mutants of a solution
PATIENCE = 20  # seconds for one
LEAST, LEAST_EACH = 0.95, 0.85
QUICK = ("00", "03", "05")
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


def mutants(source: str, answer: str) -> Iterator[str]:
    """Yield changed forms of a solution, each with one slip in what makes the answer."""
    tree = ast.parse(source)
    counted = _what_makes(tree, {node.id for node in ast.walk(ast.parse(answer)) if isinstance(node, ast.Name)})
    for number, node in enumerate(ast.walk(tree)):
        for change in _changes(node) if id(node) in counted else ():
            twin = copy.deepcopy(tree)
            change(list(ast.walk(twin))[number])
            try:
                yield ast.unparse(ast.fix_missing_locations(twin))
            except (ValueError, AttributeError, TypeError):
                continue


def _what_makes(tree: ast.Module, needed: set[str]) -> set[int]:
    """Return the nodes of the statements from which some names come; what is only printed makes nothing."""
    counted: set[int] = set()
    for statement in reversed(tree.body):
        inside = list(ast.walk(statement))
        names = {node.id for node in inside if isinstance(node, ast.Name)} | {getattr(statement, "name", "")}
        printed = isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")
        if names & needed and not printed:
            counted |= {id(node) for node in inside}
            needed = needed | names
    return counted


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


def verdict(mutant: str, answer: str, name: str, names: dict[str, Any]) -> str:
    """Judge a mutant in a process of its own: "refused", "passed", "same", "stopped" or "late"."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        word = "stopped"
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            right, there = eval(answer, dict(names)), dict(names)
            exec(compile(mutant, "<mutant>", "exec"), there)
            given = eval(answer, there)
            word = "late"
            os.write(writer, b"judged ")
            word = "same" if same(right, given) else "passed" if check(name, given, record=False).right else "refused"
        except BaseException:  # a slip may do anything, and this process ends either way
            word = word if word != "late" else "refused"
        os.write(writer, word.encode())
        os._exit(0)
    os.close(writer)
    told = b""
    while select.select([reader], [], [], PATIENCE)[0] and (part := os.read(reader, 100)):
        told += part
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told.decode().removeprefix("judged ") or ("late" if told else "stopped")


def chapter(path: Path) -> Iterator[tuple[str, dict[str, int], list[str]]]:
    """Run a notebook; yield each exercise with how many of its mutants came to what, and those that passed."""
    shell = InteractiveShell.instance()
    shell.reset()
    for cell in course.read(path).cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code":
            continue
        ran = shell.run_cell(cell.source, silent=True)
        ran.raise_error()
        asked = _CHECK.search(cell.source)
        if "solution" not in tags or asked is None:
            continue
        solution = _CHECK.sub("", cell.source)
        made = sorted(set(mutants(solution, asked[2])) - {ast.unparse(ast.parse(solution))})
        if asked[2].isidentifier():
            made += [f"{solution}\n{asked[2]} = {slip.format(asked[2])}" for slip in _SLIPS]
        chosen = np.random.default_rng(0).permutation(len(made))[:MOST]
        told = dict.fromkeys(("refused", "passed", "same", "stopped", "late"), 0)
        let_through = []
        for number in chosen:
            word = verdict(made[number], asked[2], asked[1], shell.user_ns)
            told[word] += 1
            let_through += [made[number]] * (word == "passed")
        yield asked[1], told, let_through


def main() -> int:
    """Print a line for each exercise; write what was let through beside the other results."""
    parser = argparse.ArgumentParser(prog="judges", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three chapters")
    parser.add_argument("chapters", nargs="*", help="numbers, such as 05 or 02b (default: all)")
    options = parser.parse_args()
    wanted = options.chapters or (QUICK if options.quick else ())
    part = bool(wanted)
    found: dict[str, Any] = {}
    broken: list[str] = []
    silent, spoken = os.open(os.devnull, os.O_WRONLY), os.dup(1)
    for path in course.chapters():
        if part and path.stem.partition("_")[0] not in wanted:
            continue
        os.dup2(silent, 1)  # the notebooks' own prints
        try:
            for name, told, let_through in chapter(path):
                judged = told["refused"] + told["passed"] + told["late"]
                share = 1 - told["passed"] / judged if judged else 1.0
                found[name] = {**told, "share": round(share, 3), "let through": let_through}
                besides = f"({told['same']} same, {told['stopped']} stopped)"
                os.write(spoken, f"{name:<7}{share:>6.0%} of {judged:>2} refused {besides}\n".encode())
        except Exception as error:  # a chapter that does not run is said, and the others go on
            broken.append(f"{path.stem}: {error}")
        finally:
            sys.stdout.flush()
            os.dup2(spoken, 1)
        target = RESULTS / ("judges.quick.json" if part else "judges.json")
        target.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return _sum_up(found, broken)


def _sum_up(found: dict[str, Any], broken: list[str]) -> int:
    passed = sum(one["passed"] for one in found.values())
    judged = passed + sum(one["refused"] + one["late"] for one in found.values())
    weak = [name for name, one in found.items() if one["share"] < LEAST_EACH]
    told = f"All: {1 - passed / max(1, judged):.1%} of {judged} refused"
    print(f"{told}; below {LEAST_EACH:.0%}: {', '.join(weak) or 'none'}", *broken, sep="\n")
    return 0 if not (weak or broken) and passed <= (1 - LEAST) * judged else 1


if __name__ == "__main__":
    sys.exit(main())
