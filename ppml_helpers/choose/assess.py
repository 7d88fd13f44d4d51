"""The road of chapter 11b without a notebook: a table and its roles in, a report out; a status for scripts.

Exit status: 0, the report is written; 2, something was refused, in one sentence on stderr; 3, no roles were given, and
a proposal was written (or is there already) for a person to correct; 130, stopped. On stdout stands the path of what
was written and nothing else; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ppml_helpers.choose.findings import findings
from ppml_helpers.choose.report import write
from ppml_helpers.choose.table import Table, read_frame, roles_path
from ppml_helpers.errors import KitError

WRITTEN, REFUSED, TO_EDIT, STOPPED = 0, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Assess one table; return the exit status."""
    parser = argparse.ArgumentParser(prog="kit.py assess", description="Measure what a table tells of its people.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--roles", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        if options.roles is None:
            return _propose(options.table)
        target = options.report or roles_path(options.table).with_suffix("").with_suffix(".report.html")
        return _assess(options.table, options.roles, target, options.seed)
    except KitError as refused:
        print(refused, file=sys.stderr, flush=True)
        return REFUSED
    except KeyboardInterrupt:
        print("Stopped; no report was written.", file=sys.stderr, flush=True)
        return STOPPED


def _propose(path: Path) -> int:
    target = roles_path(path)
    if target.exists():
        again = "is there already and was left as it is: give it with --roles, or delete it for a new proposal."
        print(f"{target} {again}", file=sys.stderr)
    else:
        Table(read_frame(path), name=path.name).proposal.save(target)
        print("Nobody has said what the columns mean. A proposal is written: correct it, then give it", file=sys.stderr)
        print("with --roles. It may hold values of real people: keep it as you keep the table.", file=sys.stderr)
    print(target, flush=True)
    return TO_EDIT


def _assess(path: Path, roles: Path, target: Path, seed: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they may repeat values; what matters of them is in the report
        table = Table.read(path, roles)
        sections = findings(table, seed, _tell)
    write(target, None, f"What {table.name} tells of its people", sections)
    print(target, flush=True)
    return WRITTEN


def _tell(fraction: float, what: str) -> None:
    print(f"{100 * fraction:3.0f} %  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
