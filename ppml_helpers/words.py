"""Numbers in words, for sentences and tables."""

from __future__ import annotations


def in_100(share: float) -> str:
    """Return a share as so many in 100: two digits, or near 100 as many as show the gap to it."""
    gap = 1 - share
    if gap >= 0.05:
        return f"{100 * share:.2g}"
    return f"{100 - float(f'{100 * gap:.1g}'):.10g}"
