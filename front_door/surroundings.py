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


def for_pip(python: Path) -> dict[str, str]:
    """Return the variables for the pip of ``python``: a person's index, certificates and caches, no other setting."""
    values = {name: value for name, value in own().items() if name == "PIP_CONFIG_FILE" or not name.startswith("PIP_")}
    # An empty --python and many a -v undo what the files say about just these two.
    command = [str(python), "-m", "pip", "--python=", "config", "list", "-vvvv"]
    told = subprocess.run(command, env=values, capture_output=True, text=True, errors="replace", check=False)
    if told.returncode:
        return values  # a file that pip cannot read: it says so itself when it installs
    settings = {}
    for name, value in re.findall(r"^(?:global|install)\.(\S+?)=(['\"].*)$", told.stdout, re.MULTILINE):
        settings["PIP_" + name.replace("-", "_").upper()] = ast.literal_eval(value)
    settings |= {name: value for name, value in os.environ.items() if value}  # a variable comes before a file
    wanted = ("PIP_" + name.replace("-", "_").upper() for name in _SOURCES.split())
    return {**values, **{name: settings[name] for name in wanted if name in settings}, "PIP_CONFIG_FILE": os.devnull}
