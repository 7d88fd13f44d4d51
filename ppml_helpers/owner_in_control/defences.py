"""What the release gate does, one switch each, and what no gate can do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar


@dataclass(frozen=True)
class Defences:
    """Each defence of the gate; all are on unless switched off, to see what it was good for.

    `STOPS` says in one sentence what each is made against, `NAMES` what to call it on a page.
    """

    logs: bool = True
    stray_files: bool = True
    fingerprint: bool = True
    run_script: bool = True
    scratch_copy: bool = True
    sender_check: bool = True
    quarantine: bool = True
    budget: bool = True

    STOPS: ClassVar[dict[str, str]] = {
        "logs": "What a job prints, its traceback, its exit code and how long it ran stay with the owner.",
        "stray_files": "What a job leaves in its own folders beside its agreed outputs is thrown away.",
        "fingerprint": "Code or run script that was swapped after the review does not run.",
        "run_script": "A Python job whose run script does something else than start the code shown is refused.",
        "scratch_copy": "A job runs in a copy, without network: what it changes in a public folder is thrown away.",
        "sender_check": "A message that names somebody else as its sender, or a file that its sender never listed, is "
        "refused.",
        "quarantine": "A message that is damaged or out of date is set aside, and does not stop every later one.",
        "budget": "A question asked again and again runs out of privacy budget.",
    }
    NAMES: ClassVar[dict[str, str]] = {field: field.replace("_", " ") for field in STOPS}

    @classmethod
    def off(cls) -> Defences:
        """Return no defence at all: PySyft as it comes, with a log."""
        return cls(**{field.name: False for field in fields(cls)})


CANNOT_STOP = (
    "Approved code can hide a patient in an answer that looks right: in the digits of a few numbers, say. An "
    "OutputRule leaves few digits; against the rest only reading the code helps, and noise that the owner adds.",
    "When an answer arrives tells how long the job ran, and that can depend on a patient. Release at fixed times.",
    "Whether a job failed is one bit about the data, and costs no budget. Look into every failure.",
    "Two researchers with a budget each, who share their answers, have spent both. Give budgets to projects.",
)
