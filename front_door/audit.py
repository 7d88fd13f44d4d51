"""``kit.py audit``: look every pinned version up among known vulnerabilities, with pip-audit.

Names and versions of packages go to a public service, and nothing else. Where no service answers, that is said loudly:
pip-audit itself says "no known vulnerabilities" of a package that the service has never heard of.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from front_door import licences, places, surroundings
from front_door.environment import Recipe, ensure
from front_door.terminal import Stop, say

SERVICES = ("osv", "pypi")  # the first that answers
KNOWN = Path(__file__).with_name("known_vulnerabilities.toml")
_KEYS = {"package": str, "ids": list, "reason": str, "until": datetime.date}


@dataclass(frozen=True)
class Finding:
    """A vulnerability that is known of one pinned version."""

    lock: str
    package: str
    version: str
    ids: tuple[str, ...]  # its own and the names that other lists give it
    mended_in: tuple[str, ...]

    def line(self) -> str:
        """Return what is printed of it."""
        mend = f"mended in {', '.join(self.mended_in)}" if self.mended_in else "no version mends it yet"
        return f"{self.lock}: {self.package} {self.version}: {', '.join(self.ids)}, {mend}"


def recipe(root: Path = places.ROOT) -> Recipe:
    """Return what the environment of pip-audit must hold."""
    return Recipe(
        name="pip-audit",
        folder=root / ".venvs" / "audit",
        state=root / ".kit",
        requirements=root / "requirements-audit.lock",
        disk_needed=150_000_000,
    )


def audit(today: datetime.date, root: Path = places.ROOT, known: Path = KNOWN) -> int:
    """Audit every lock of the kit; return 1 if a finding is not accepted, or was accepted until a day that is over.

    Parameters
    ----------
    today
        The day up to which an acceptance must last.
    root
        The folder of the locks.
    known
        The list of what is accepted.
    """
    accepted = read_known(known)
    python = ensure(recipe())
    locks = {lock.name: licences.pins(lock) for lock in sorted(root.glob("requirements*.lock"))}
    service = _that_answers(python, locks["requirements.lock"])
    if not service:
        say(f"SKIPPED: no list of vulnerabilities answers ({', '.join(SERVICES)}): nothing was audited.")
        return 0
    findings: list[Finding] = []
    for name, pins in locks.items():
        told = _ask(python, service, pins)
        answered = {licences.canonical(one["name"]) for one in told if "vulns" in one}
        unknown = [pin for pin in pins if licences.canonical(pin) not in answered]
        found = list(_findings(name, told))
        say(f"{name}: {len(pins) - len(unknown)} of {len(pins)} versions were looked up, {len(found)} findings.")
        if unknown:
            say(f"  NOT looked up, since {service} knows nothing of them: {', '.join(unknown)}.")
        findings += found
    judged = [(finding, why_accepted(finding, accepted, today)) for finding in findings]
    for finding, (fine, why) in judged:
        say(f"  {'known' if fine else 'MEND '} {finding.line()}{f' ({why})' if why else ''}")
    return int(any(not fine for _, (fine, _) in judged))


def read_known(path: Path) -> list[dict[str, Any]]:
    """Return the accepted findings, or stop at an entry that leaves out why or until when."""
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("known", [])
    except (OSError, ValueError) as error:
        raise Stop(f"{path.name} cannot be read ({error}): mend it, or fetch it from the kit again.") from None
    for entry in entries:
        for key, kind in _KEYS.items():
            if not isinstance(entry.get(key), kind) or not entry[key]:
                raise Stop(f"{path.name}: the entry of {entry.get('package', '?')} needs '{key}', see its first lines.")
    return entries


def why_accepted(finding: Finding, accepted: Sequence[dict[str, Any]], today: datetime.date) -> tuple[bool, str]:
    """Say whether a finding is accepted today, and in words until when or since when not."""
    for entry in accepted:
        same = licences.canonical(entry["package"]) == licences.canonical(finding.package)
        if same and (entry["ids"] == ["all"] or set(entry["ids"]) & set(finding.ids)):
            if today <= entry["until"]:
                return True, f"until {entry['until']}: {entry['reason']}"
            return False, f"accepted until {entry['until']}, which is over: {entry['reason']}"
    return False, ""


def _that_answers(python: Path, pins: dict[str, str]) -> str:
    """Return the first service that knows one of a few packages, or ""."""
    few = dict(list(pins.items())[:3])
    return next((name for name in SERVICES if any("vulns" in one for one in _ask(python, name, few))), "")


def _ask(python: Path, service: str, pins: dict[str, str]) -> list[dict[str, Any]]:
    """Return what pip-audit tells of each package by a service; nothing, if that does not answer."""
    with tempfile.TemporaryDirectory(prefix="kit-audit-") as scratch:
        asked = Path(scratch) / "pins.txt"  # without markers: what other systems get is looked up as well
        asked.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), "utf-8")
        command = [str(python), "-m", "pip_audit", "--requirement", str(asked), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--desc", "off", "--cache-dir", scratch]
        answer = subprocess.run(
            [*command, "--vulnerability-service", service],
            env=surroundings.own(),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    return _dependencies(answer.stdout)


def _dependencies(text: str) -> list[dict[str, Any]]:
    """Return the packages of pip-audit's report; none, where it stopped before it wrote one."""
    try:
        return json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return []


def _findings(lock: str, told: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    for one in told:
        for hole in one.get("vulns", []):
            ids = (hole["id"], *hole.get("aliases", []))
            yield Finding(lock, one["name"], one["version"], ids, tuple(hole.get("fix_versions", [])))
