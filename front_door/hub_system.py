"""What a hub asks of Linux: users, namespaces, a limit of memory; and the end of whatever still runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from front_door.terminal import Stop

GROUPS = Path("/sys/fs/cgroup")
TOOLS = ("unshare", "useradd", "userdel")


def why_not_isolated() -> str:
    """Return in plain words why learners cannot be kept apart here, or an empty string where they can."""
    if sys.platform != "linux":
        return "only Linux has what keeps them apart"
    if os.geteuid():
        return "it takes root to give each a user and a network of their own"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"{missing[0]} is not installed"
    probe = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--mount-proc", "true"]
    told = subprocess.run(probe, capture_output=True, text=True, check=False)
    if told.returncode:
        return f"this system gives no namespaces ({told.stderr.strip() or 'no reason given'})"
    return ""


def make_user(name: str, home: Path) -> tuple[int, int]:
    """Make a system user, or find the one that this hub made before; return user and group."""
    with contextlib.suppress(KeyError):
        found = pwd.getpwnam(name)
        if Path(found.pw_dir) != home:
            told = f"The system user {name} is there already, with the home {found.pw_dir}"
            raise Stop(f"{told}: it is another hub's; end that with 'hub --remove' and its --state.")
        return found.pw_uid, found.pw_gid
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(home)]
    told = subprocess.run([*command, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False)
    if told.returncode:
        raise Stop(f"The system user {name} could not be made ({told.stderr.strip()}).", code=1)
    found = pwd.getpwnam(name)
    return found.pw_uid, found.pw_gid


def users_of(learners: Path) -> dict[str, int]:
    """Return the system users whose homes are in this folder."""
    return {user.pw_name: user.pw_uid for user in pwd.getpwall() if Path(user.pw_dir).parent == learners}


def remove_user(name: str) -> None:
    """Remove a system user and its group; its files stay."""
    subprocess.run(["userdel", name], capture_output=True, check=False)


def end_all(users: Iterable[int]) -> None:
    """Kill every process of these users, until there is none."""
    users = set(users)
    for _ in range(200):
        running = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _owner(pid) in users]
        if not running:
            return
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _owner(pid: int) -> int | None:
    """Return whose a process is that still runs."""
    with contextlib.suppress(OSError, IndexError):
        told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
        return None if told["State"].strip().startswith("Z") else int(told["Uid"].split()[0])
    return None


def limit_memory(tag: str, names: Iterable[str], limit: int, groups: Path = GROUPS) -> dict[str, str]:
    """Make a control group a learner and return the file that a process writes itself into, of each.

    Parameters
    ----------
    tag
        Of this hub, for the groups' common folder.
    limit
        Bytes for all processes of one learner together, and what they keep in folders of memory.

    Returns
    -------
    dict of str
        Empty where no control group can be made: then each process is limited by itself.
    """
    second = "memory" in _read(groups / "cgroup.controllers").split()
    parent = (groups if second else groups / "memory") / f"kit-hub-{tag}"
    try:
        parent.mkdir(exist_ok=True)
        if second:
            for above in (groups, parent):
                (above / "cgroup.subtree_control").write_text("+memory")
        for name in names:
            group = parent / name
            group.mkdir(exist_ok=True)
            (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(limit))
            swap = group / ("memory.swap.max" if second else "memory.memsw.limit_in_bytes")
            if swap.exists():
                swap.write_text("0" if second else str(limit))
    except OSError:
        return {}
    return {name: str(parent / name / "cgroup.procs") for name in names}


def remove_groups(tag: str, groups: Path = GROUPS) -> None:
    """Remove the control groups of a hub that has ended."""
    for parent in (groups / f"kit-hub-{tag}", groups / "memory" / f"kit-hub-{tag}"):
        for group in (*parent.glob("*/"), parent):
            with contextlib.suppress(OSError):
                group.rmdir()


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def barred(path: Path) -> Path | None:
    """Return the first folder on the way to a path through which other users cannot go, or None."""
    return next((above for above in reversed(path.parents) if not above.stat().st_mode & 0o001), None)
