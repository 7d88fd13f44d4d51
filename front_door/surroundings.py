"""The variables that reach what the front door starts: what a person has set up for other programs stays out.

``PYTHONPATH``, another virtual environment or ``target = ...`` in a pip.conf are right for some other program. Here
they would put another's packages in the place of the pinned ones, or ours where nobody finds them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

_ANOTHERS = re.compile(r"PYTHON|__PYVENV_LAUNCHER__|VIRTUAL_ENV|CONDA_PREFIX|SETUPTOOLS_|DISTUTILS_")
_HARMLESS = {"PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONUTF8"}

# pip has a hundred options, and each may stand in a variable or in a file. These say where packages come from.
_SOURCES = "index-url extra-index-url no-index find-links constraint prefer-binary trusted-host proxy cert client-cert "
_SOURCES += "timeout default-timeout retries cache-dir no-cache-dir keyring-provider use-feature use-deprecated"


def own() -> dict[str, str]:
    """Return the variables for a Python of ours: none that brings packages, options or a start-up file along."""
    kept = {name: value for name, value in os.environ.items() if name in _HARMLESS or not _ANOTHERS.match(name)}
    return {**kept, "PYTHONNOUSERSITE": "1"}


def without_pips_settings() -> dict[str, str]:
    """Return the variables for a pip that only says whether it starts: none of a person's settings, from no file."""
    return {name: value for name, value in own().items() if not name.startswith("PIP_")} | {
        "PIP_CONFIG_FILE": os.devnull
    }


def for_pip(python: Path) -> dict[str, str]:
    """Return the variables for the pip of ``python``: a person's index, certificates and caches, no other setting."""
    theirs = {name: value for name, value in own().items() if name == "PIP_CONFIG_FILE" or not name.startswith("PIP_")}
    # An empty --python and many a -v undo what the files say about just these two.
    command = [str(python), "-m", "pip", "--python=", "config", "list", "-vvvv"]
    told = subprocess.run(command, env=theirs, capture_output=True, text=True, errors="replace", check=False)
    settings = {}
    for name, value in re.findall(r"^(?:global|install)\.(\S+?)=(['\"].*)$", told.stdout, re.MULTILINE):
        settings[_variable(name)] = ast.literal_eval(value)
    settings |= {name: value for name, value in os.environ.items() if value}  # a variable comes before a file
    kept = {name: settings[name] for name in map(_variable, _SOURCES.split()) if name in settings}
    if told.returncode == 0:  # else there is a file that pip cannot read: it says so itself when it installs
        kept["PIP_CONFIG_FILE"] = os.devnull
    return theirs | kept


def _variable(option: str) -> str:
    return "PIP_" + option.replace("-", "_").upper()
