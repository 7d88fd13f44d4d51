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


class IdentityError(KitError):
    """A fictional identity, register or note cannot be made as asked, or an identifier is malformed."""


class AnonymityError(KitError):
    """A table, hierarchy or parameter cannot be anonymised, or measured, as asked."""


class PseudonymError(KitError):
    """Identifiers or a key cannot be turned into pseudonyms."""


class VaultError(KitError):
    """Something kept encrypted cannot be opened, written or trusted."""


class ColumnAccessError(VaultError, PermissionError):
    """A role asked for a column whose key it does not hold."""


class BudgetError(KitError):
    """A question costs more privacy budget than is left, or cannot be priced."""


class AuditError(KitError):
    """An audit was given scores, canaries or settings from which no valid bound follows."""


class FederationError(KitError):
    """Hospitals cannot train together as asked, or one of them, or the network between them, failed."""


class EncryptionError(KitError):
    """Parameters, keys, values or a message cannot be encrypted, computed on or trusted as asked."""


class ComputationError(KitError):
    """A secure computation cannot be set up, or a party did not finish it."""


class SandboxError(KitError):
    """Code of somebody else cannot be run, or not within the limits asked for."""


class DatasiteError(KitError):
    """A hospital's datasite, a researcher or the folder between them cannot do what was asked."""


class ReleaseRefused(DatasiteError):
    """The owner's release gate will not review, run or release this job."""


class ReportError(KitError):
    """A report, or an answer that goes into it, cannot be written, kept or read as asked."""


class TableError(KitError):
    """Somebody's own table, or what its columns are said to mean, cannot be used as it is."""
