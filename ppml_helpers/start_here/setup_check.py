"""Look whether a notebook runs on the Python and packages that the course was checked with, and has the patients.

``kit.py doctor`` looks at the computer from outside; this looks from inside a running notebook, and says the same
on every computer on which all is well.
"""

from __future__ import annotations

import html
import platform
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ppml_helpers import cohort
from ppml_helpers.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
REPAIR = "leave the notebook and run `python3 kit.py lab` in a terminal: it repairs the set-up"
_SHOWN = 3  # packages named in one sentence


@dataclass(frozen=True)
class Look:
    """One thing looked at."""

    what: str
    found: str  # the same on every computer where it is fine
    mend: str = ""  # empty when it is fine


@dataclass(frozen=True)
class SetupReport:
    """What `check_setup` found: lines in a notebook, text elsewhere."""

    looks: tuple[Look, ...]

    @property
    def fine(self) -> bool:
        """Whether nothing needs mending."""
        return not any(look.mend for look in self.looks)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        count = sum(bool(look.mend) for look in self.looks)
        return "Everything is in place." if self.fine else f"Not yet: {count} of {len(self.looks)} to mend."

    def __str__(self) -> str:
        lines = [self.headline]
        for look in self.looks:
            lines.append(f"{'✘' if look.mend else '✔'} {look.what}: {look.found}")
            lines += [f"  {look.mend}"] if look.mend else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        first, *others = (html.escape(line) for line in str(self).splitlines())
        return {"text/plain": str(self), "text/html": "<br>".join([f"<strong>{first}</strong>", *others])}


def check_setup(root: Path = ROOT) -> SetupReport:
    """Look at Python, at every pinned package and at the patients' file; each gets a line, with its mend.

    Needs no network, and never raises: what cannot be looked at is a finding too.
    """
    return SetupReport((look_at_python(root), look_at_packages(root), look_at_patients()))


def look_at_python(root: Path = ROOT, running: str | None = None) -> Look:
    """Compare the running Python with the versions that ``pyproject.toml`` allows."""
    running = running or platform.python_version()
    try:
        wanted = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
        supported = SpecifierSet(wanted).contains(running)
    except (OSError, KeyError, UnicodeDecodeError, tomllib.TOMLDecodeError, InvalidSpecifier):
        return Look("Python", "pyproject.toml, which names the versions, cannot be read", "take it from the kit again")
    if supported:
        return Look("Python", "a version that the course supports")
    return Look("Python", f"this is {running}, and the course needs {wanted}", REPAIR)


def look_at_packages(root: Path = ROOT, version_of: Callable[[str], str] = metadata.version) -> Look:
    """Compare every installed package with its pin in ``requirements.lock``."""
    try:
        pins = _pins((root / "requirements.lock").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, InvalidRequirement):
        return Look("packages", "requirements.lock, which names them, cannot be read", "take it from the kit again")
    differing = [sentence for pin in pins if (sentence := _difference(pin, version_of))]
    if not differing:
        return Look("packages", "every one has the version that the course was checked with")
    more = f", and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return Look("packages", "; ".join(differing[:_SHOWN]) + more, REPAIR)


def look_at_patients() -> Look:
    """Load the patients, which checks the file's SHA-256 and every value."""
    try:
        patients = cohort.load_patients()
    except DataError as error:
        return Look("patients", "their table cannot be used", str(error))
    return Look("patients", f"the published table, unchanged: {len(patients):,} people")


def _pins(lock: str) -> list[Requirement]:
    """Return the pins that hold on this operating system and Python."""
    lines = [line.strip() for line in lock.splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


def _difference(pin: Requirement, version_of: Callable[[str], str]) -> str:
    try:
        installed = version_of(pin.name)
    except metadata.PackageNotFoundError:
        return f"{pin.name} is not installed"
    # A local label ("2.13.0+cpu") is another build of the same version, and the specifier takes it for that.
    if pin.specifier.contains(installed, prereleases=True):
        return ""
    return f"{pin.name} is {installed} and should be {str(pin.specifier).removeprefix('==')}"
