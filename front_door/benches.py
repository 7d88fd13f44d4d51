"""``kit.py bench``: run benchmark scripts, each beside its peer, in the environments that they need."""

from __future__ import annotations

import ast
import os
import tempfile
from pathlib import Path

from front_door import places
from front_door.course_process import in_course
from front_door.environment import Recipe, ensure, python_of
from front_door.terminal import Stop, say


def bench(names: list[str], quick: bool = False) -> int:
    """Run benchmarks by name, all by default.

    Returns
    -------
    int
        0 when all ran and held their bounds, else 1.
    """
    there = benchmarks()
    if not there:
        raise Stop("There are no benchmarks here: they are in the full kit.")
    wanted = [name.replace("_", "-").removesuffix(".py") for name in names] or list(there)
    for name in wanted:
        if name not in there:
            raise Stop(f"There is no benchmark '{name}': the benchmarks are {', '.join(there)}.")
    failed = [name for name in wanted if _run(name, there[name], quick)]
    if failed:
        say(f"Did not run to the end or missed a bound: {', '.join(failed)}.")
    return 1 if failed else 0


def benchmarks(folder: Path = places.BENCHMARKS) -> dict[str, Path]:
    """Return the benchmarks by name ("epsilon-sweep" for ``epsilon_sweep.py``): the scripts that use the frame."""
    scripts = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]
    return {path.stem.replace("_", "-"): path for path in scripts if "from _frame import" in path.read_text("utf-8")}


def peer_requirements(script: Path) -> tuple[str, ...]:
    """Return ``PEER_REQUIREMENTS`` of a benchmark, read without running it.

    Raises
    ------
    Stop
        When it is no plain list of exact pins.
    """
    for node in ast.parse(script.read_text("utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if getattr(target, "id", "") == "PEER_REQUIREMENTS":
            try:
                pins = tuple(ast.literal_eval(node.value))
            except (ValueError, TypeError):
                pins = (None,)
            if not all(isinstance(pin, str) and ("==" in pin or "://" in pin) for pin in pins):
                raise Stop(f"PEER_REQUIREMENTS in {script.name} must be a plain list of pins like 'opacus==1.6.0'.")
            return pins
    return ()


def peer_recipe(name: str, pins: tuple[str, ...]) -> Recipe:
    """Return what the peer's own environment ``.venvs/NAME`` must hold."""
    return Recipe(f"the peer of the benchmark {name}", places.ROOT / ".venvs" / name, places.STATE, pins)


def _run(name: str, script: Path, quick: bool) -> int:
    ensure(places.COURSE)
    # Both sides may use every core, as they would at work; a person's own setting comes first.
    extra = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count() or 1))}
    pins = peer_requirements(script)
    if pins:
        ensure(peer_recipe(name, pins))
        extra["KIT_PEER_PYTHON"] = str(python_of(places.ROOT / ".venvs" / name))
    say(f"\n=== {name}")
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as scratch:
        return in_course([str(script), *(["--quick"] if quick else [])], Path(scratch), extra)
