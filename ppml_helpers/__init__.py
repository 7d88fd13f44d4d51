"""Helpers of the kit: they carry what would distract a learner, and nothing that a learner must see."""

from __future__ import annotations

__version__ = "0.1.0"
