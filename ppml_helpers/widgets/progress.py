"""A progress bar for the long cells of a notebook."""

from __future__ import annotations

from typing import Any

import ipywidgets as W


class ProgressBar:
    """A bar to pass as ``progress``: live in a notebook, one line of text where nothing can move.

    Parameters
    ----------
    what : str
        What is being done, for example "Hashing every national id".

    Examples
    --------
    ``display(bar := ProgressBar("Hashing"))``, then ``dictionary_attack(..., progress=bar)``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar = W.FloatProgress(min=0.0, max=1.0, description="", layout={"width": "260px"})
        self._text = W.Label(what)
        self._box = W.HBox([self._bar, self._text])

    def __call__(self, fraction: float, text: str = "") -> None:
        """Move the bar to a share of 0 to 1, and say how far the work is."""
        self._bar.value = fraction
        self._text.value = f"{self._what}: {text}" if text else self._what

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the live bar, and for places without a kernel one line that is the same in every run."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}
        return {
            "text/plain": f"{self._what} (a progress bar while it runs)",
            "application/vnd.jupyter.widget-view+json": view,
        }
