"""The explorers: knobs, an honest computation, one picture and one sentence."""

from __future__ import annotations

from ppml_helpers.widgets.explorer import Explorer, Progress, Stopped

__all__ = ["Explorer", "Progress", "Stopped"]
