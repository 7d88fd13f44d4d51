"""A choice of epsilon in words that can be pasted into a protocol, kept for chapter 11; and what others chose."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType

from ppml_helpers import outcome
from ppml_helpers.errors import OutcomeError
from ppml_helpers.files import keep

FOLDER = "choices"  # in the folder of the results

DEPLOYED: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "US Census 2020, redistricting": (
            "17.14 (persons) and 2.47 (housing), delta 1e-10",
            "a person, a housing unit; once a decade",
            "US Census Bureau, 9 June 2021",
        ),
        "Apple, emoji suggestions": (
            "4, local",
            "a device's reports of one day",
            "Apple, Differential Privacy Overview (2017)",
        ),
        "LinkedIn, Audience Engagements": (
            "34.9, delta 7e-9",
            "a member, for one analyst's questions of a month",
            "Rogers et al. (2020), arXiv:2002.05839",
        ),
        "Google, COVID-19 Search Trends symptoms": (
            "1.68",
            "a user's searches of one day",
            "Bavadekar et al. (2020), arXiv:2009.01265",
        ),
        "Google, COVID-19 Vaccination Search Insights": (
            "2.19, delta 1e-5",
            "a user's searches of one day",
            "Bavadekar et al. (2021), arXiv:2107.01179",
        ),
    }
)
"""System -> epsilon, what one unit of privacy is, and who published it. Compare units before you compare numbers."""

COLUMNS = ("epsilon", "unit", "source")
MORE_DEPLOYED = "D. Desfontaines, A list of real-world uses of differential privacy (desfontain.es)"


@dataclass(frozen=True)
class Choice:
    """A setting that somebody decided for.

    Parameters
    ----------
    technique : str
        What is trained, in a few words.
    epsilon, delta : float
        Of all releases together.
    releases : int
    statement : str
        The whole promise with its assumptions.
    """

    technique: str
    epsilon: float
    delta: float
    releases: int
    statement: str

    def save(self, folder: str | Path | None = None) -> Path:
        """Keep the choice for a later chapter; the same statement is kept once.

        Parameters
        ----------
        folder : str or Path, optional
            Of the results, as for `outcome.save`.

        Raises
        ------
        OutcomeError
            If the file cannot be written.
        """
        digest = hashlib.sha256(self.statement.encode()).hexdigest()[:12]
        target = _folder(folder) / f"choice-{digest}.json"
        mend = f"free the disk, or let {outcome.FOLDER_VARIABLE} name a folder that can be written"
        return keep(target, asdict(self), mend, OutcomeError)

    @classmethod
    def load(cls, folder: str | Path | None = None) -> list[Choice]:
        """Read all choices that were kept, the smallest epsilon first; none if there is no folder yet."""
        return sorted(map(_read, _folder(folder).glob("choice-*.json")), key=lambda one: (one.epsilon, one.statement))


def _read(file: Path) -> Choice:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or set(content) != {field.name for field in fields(Choice)}:
            raise ValueError("it must hold the fields of a Choice")
        return Choice(**content)
    except (OSError, ValueError, RecursionError) as error:
        raise OutcomeError(f"{file} is damaged or cannot be read ({error}): delete it, and keep it again.") from None


def _folder(folder: str | Path | None) -> Path:
    return Path(folder or os.environ.get(outcome.FOLDER_VARIABLE) or outcome.DEFAULT_FOLDER) / FOLDER
