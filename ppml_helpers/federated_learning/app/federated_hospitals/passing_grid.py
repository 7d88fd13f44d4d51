"""A grid that stands before another one and passes everything on: what `Meter` and `MaskedGrid` have in common."""

from __future__ import annotations

from typing import Any

from flwr.serverapp import Grid


class PassingGrid:
    """Has all that the grid behind it has; a subclass changes what it needs to."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def __getattr__(self, name: str) -> Any:
        """Ask the grid behind."""
        return getattr(self._grid, name)
