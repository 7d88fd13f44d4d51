"""The kit's own exceptions: one sentence that names the value, the rule and the mend."""

from __future__ import annotations


class KitError(ValueError):
    """Base class of everything the kit refuses."""


class DataError(KitError):
    """The patients' table is missing, damaged or holds an impossible value."""


class PrivacyParameterError(KitError):
    """A privacy parameter (epsilon, delta, noise multiplier, sample rate ...) is outside its range."""


class TrainingDataError(KitError):
    """Features or labels cannot be trained on (NaN, wrong labels, one class, too few patients)."""


class AttackError(KitError):
    """An attack was given scores, labels or settings that it cannot be measured on."""


class ExplorerError(KitError):
    """An explorer was asked for a knob or a value that it does not have."""


class ExerciseError(KitError):
    """An exercise was named that does not exist, or answered with something that cannot be an answer."""


class OutcomeError(KitError):
    """A row for the scoreboard is incomplete, out of range or unreadable."""


class CourseError(KitError):
    """A notebook of the course is missing, unreadable or did not run."""
