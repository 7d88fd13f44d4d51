"""Another machine for a process of a test: mounts or a network of its own, where this machine lets us make them."""

from __future__ import annotations

import functools
import shutil
import subprocess

import pytest


@functools.cache
def can_have_its_own(what: str) -> bool:
    """Say whether a process may have its own "mount" or "net": root may, on Linux, outside most containers."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", f"--{what}", "true"], capture_output=True, check=False).returncode == 0


def with_its_own(what: str, script: str, *command: str) -> list[str]:
    """Return the command that runs a shell script, in which "$@" is ``command``, with its own "mount" or "net"."""
    if not can_have_its_own(what):
        pytest.skip(f"NOT TESTED: no {what} of its own for a process here (Linux, root, unshare)")
    return ["unshare", f"--{what}", "sh", "-ec", script, "sh", *command]
