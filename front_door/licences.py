"""Licences of the pinned packages, from their own metadata, and the list of them as a CycloneDX document.

.venv/bin/python -m front_door.licences [SBOM.json]
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from pathlib import Path

from front_door import places

PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
COPYLEFT = re.compile(r"\b(?:A?GPL(?:v\d)?|SSPL)(?![a-z])|(?:(?<!Lesser )General|Affero General) Public Licen[cs]e")
# What a licence allows beside strong copyleft: "MIT OR GPL-2.0" is MIT for us, and GCC's runtime has an exception.
CHOICE = re.compile(r"\bOR\b|WITH GCC-exception")


def pins(lock: Path = places.ROOT / "requirements.lock") -> dict[str, str]:
    """Return the version of each package of the lock, by name."""
    return dict(PIN.findall(lock.read_text(encoding="utf-8")))


def canonical(name: str) -> str:
    """Return the one spelling of a package's name that all its spellings have in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


def stated(name: str) -> str | None:
    """Return what an installed package says of its licence: "" if nothing, None if it is not installed here."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    if told["License-Expression"]:
        return told["License-Expression"]
    classifiers = [line.split(" :: ")[-1] for line in told.get_all("Classifier") or [] if line.startswith("License ::")]
    first = (told["License"] or "").strip().partition("\n")[0]
    return "; ".join(classifiers) or first


def judge(licence: str | None) -> str:
    """Return "fine", "unknown", "not installed here" or "NOT COMPATIBLE" for what a package states."""
    if licence is None:
        return "not installed here"
    if not licence or licence.upper() == "UNKNOWN":
        return "unknown"
    return "NOT COMPATIBLE" if COPYLEFT.search(licence) and not CHOICE.search(licence) else "fine"


def sbom(packages: dict[str, str]) -> dict[str, object]:
    """Return a minimal CycloneDX 1.5 document: name, version, purl and stated licence of each package."""
    components = []
    for name, version in packages.items():
        component: dict[str, object] = {"type": "library", "name": name, "version": version}
        component["purl"] = f"pkg:pypi/{canonical(name)}@{version.replace('+', '%2B')}"
        if licence := stated(name):
            component["licenses"] = [{"license": {"name": licence}}]
        components.append(component)
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


def main(arguments: list[str]) -> int:
    """Print each package's licence, what is wrong last and loudly; return 1 if a licence is not compatible."""
    packages = pins()
    judged = {name: (judge(licence), licence) for name in packages for licence in [stated(name)]}
    for name, (verdict, licence) in sorted(judged.items(), key=lambda item: (item[1][0] == "NOT COMPATIBLE", item[0])):
        print(f"{verdict:18} {name} {packages[name]}: {licence or '-'}")
    if arguments:
        Path(arguments[0]).write_text(json.dumps(sbom(packages), indent=1) + "\n", encoding="utf-8")
    return int(any(verdict == "NOT COMPATIBLE" for verdict, _ in judged.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
