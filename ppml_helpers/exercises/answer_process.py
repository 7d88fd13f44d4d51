"""The process with a learner's code: it runs the cells that it is told to, and hands over what they gave to `check`.

Nothing that it says is believed to be a verdict: there is none among what it can say (`judge_process`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

import ppml_helpers.exercises
from ppml_helpers.exercises.frame import Reply
from ppml_helpers.exercises.line import Gone, Line


class Cells:
    """A notebook's cells in one namespace, and the answers that they gave to `check`."""

    def __init__(self) -> None:
        self._shell = InteractiveShell.instance(history_length=0)
        self._shell.history_manager.enabled = False
        self._answers: dict[str, Any] = {}
        ppml_helpers.exercises.check = self._check

    def _check(self, name: str, answer: object, record: bool = True) -> Reply:
        """Stand in for the kit's `check`: a cell that shows a solution passes record=False."""
        if record:
            self._answers[str(name).strip()] = answer
        return Reply("open", "The answer is judged elsewhere.")

    def run(self, source: str) -> tuple[list[str], str]:
        """Run a cell; name the exercises that it answered, and the error that stopped it."""
        before, self._answers = self._answers, {}
        error = self._shell.run_cell(source, silent=True)
        error = error.error_before_exec or error.error_in_exec
        found, self._answers = list(self._answers), {**before, **self._answers}
        return found, f"{type(error).__name__}: {error}"[:200] if error else ""

    def answer(self, name: str) -> Any:
        """Give what was last answered."""
        return self._answers[name]

    def look_up(self, expression: str) -> Any:
        """Give what an expression stands for, such as the variable of an exercise whose check was deleted."""
        return self._shell.ev(expression)


def main() -> None:
    """Serve the process that started this one, over the two pipes that it names."""
    os.nice(5)  # however much it starts, the judge gets its turn
    cells, handles = Cells(), [int(handle) for handle in sys.argv[1:]]
    for handle in handles:
        os.set_inheritable(handle, False)
    does = {"run": cells.run, "answer": cells.answer, "look up": cells.look_up}
    with open(handles[0], "rb") as reading, open(handles[1], "wb") as writing, contextlib.suppress(Gone):
        Line(reading, writing, does, trusting=True).serve()


if __name__ == "__main__":
    main()
