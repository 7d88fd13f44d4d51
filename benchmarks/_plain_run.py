"""A floor of `course.py`: the code cells of one notebook, one after the other, in this process.

No kernel, no messages, no comparison with what is stored. What a cell shows is still made, and thrown away.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import nbformat
from IPython.core.interactiveshell import InteractiveShell


def main(path: Path) -> int:
    """Run a notebook; return 1 with the number of the first cell that fails and is not meant to."""
    os.chdir(path.parent)
    shell = InteractiveShell.instance()
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells):
        with contextlib.redirect_stdout(io.StringIO()):
            failed = not shell.run_cell(cell.source).success
        if failed and "raises-exception" not in cell.metadata.get("tags", []):
            print(f"code cell {number} of {path.name} failed")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
