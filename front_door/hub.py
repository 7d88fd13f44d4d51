"""``kit.py hub``: a JupyterHub for a workshop on this machine, in which no learner reaches another."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from front_door import places, surroundings
from front_door.course_process import in_course, told_of_our_end
from front_door.environment import WINDOWS, Recipe, end_process, ensure, python_of, site_packages
from front_door.hub_people import COURSE, LECTURER, Passwords, checked_number, give_copies, names, write_slips
from front_door.terminal import Progress, Stop, say

PARTS = Path(__file__).with_name("workshop_hub")
LOOPBACK = "127.0.0.1"
FIRST_PORT = 8000
IDLE = 3600  # seconds after which a server that nobody uses ends
SHORTEST_IDLE = 60  # which leaves the servers time to report that they are used
MEMORY_A_LEARNER = 0.6  # GB: a server, and a kernel that has drawn the explorer of chapter 05
MEMORY_OF_HUB = 0.3  # GB: hub, proxy and what ends idle servers
LEARNERS_A_CORE = 8
PATIENCE = 180.0  # seconds for the hub to answer
PATIENCE_AT_END = 120.0  # seconds for all servers to end in order
CERTIFICATE_DAYS = 30
NO_NODE = "its proxy is a program of Node.js, which is not here: install node (20 or newer) and npm"
# Of the system, all that others may write to or that holds people's files.
HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/run", "/mnt", "/media")


@dataclass(frozen=True)
class Plan:
    """What was asked for on the command line."""

    learners: int = 30
    port: int = FIRST_PORT
    host: str = ""  # an address other machines reach; then TLS is spoken
    certificate: str = ""
    key: str = ""
    behind: str = ""  # the address of a proxy that speaks TLS
    memory: str = "2G"  # chapter 07b starts ten processes
    isolated: bool = True
    chapters: str = ""
    idle: int = IDLE
    state: Path = places.STATE / "hub"

    @property
    def secrets(self) -> Path:
        """The folder that only who runs the hub may enter."""
        return self.state / "secrets"

    @property
    def tag(self) -> str:
        """What the names of the system's things of this hub begin with."""
        default = self.state == places.STATE / "hub"
        return "learner" if default else hashlib.sha256(str(self.state).encode()).hexdigest()[:6]

    def user(self, name: str) -> str:
        """Return the system user of somebody."""
        return f"kit-{self.tag}-{name.removeprefix('learner-')}"

    def address(self) -> str:
        """Return what a learner types into the browser."""
        if self.behind:
            return self.behind
        host = self.host if self.host != "0.0.0.0" else socket.gethostname()
        return _url("https", host, self.port) if self.host else _url("http", LOOPBACK, self.port)


def recipe(root: Path = places.ROOT) -> Recipe:
    """Return what the hub's environment must hold."""
    return Recipe(
        name="the workshop's hub",
        folder=root / ".venvs" / "hub",
        state=root / ".kit",
        requirements=root / "requirements-hub.lock",
        disk_needed=400_000_000,
    )


def hub(plan: Plan) -> int:
    """Serve a workshop until Ctrl-C."""
    limit = _checked(plan)
    with _one_at_a_time(plan.state):
        from front_door import hub_system

        hub_system.end_all(hub_system.users_of(plan.state / "learners").values())  # of a hub that was killed
        python, proxy = make()
        settings = _settings(plan, limit, proxy)
        page = _slips(plan)
        try:
            return _serve(plan, python, settings, page)
        finally:
            hub_system.end_all(hub_system.users_of(plan.state / "learners").values())
            hub_system.remove_groups(plan.tag)


def make() -> tuple[Path, list[str]]:
    """Make or repair the hub's environment; return its Python and the command of its proxy."""
    ensure(places.COURSE)
    return ensure(recipe()), _proxy()


def why_not_here() -> str:
    """Return in plain words why learners cannot be kept apart on this machine, or an empty string where they can."""
    if WINDOWS:
        return "JupyterHub does not run on Windows"
    if not shutil.which("node") or not shutil.which("npm"):
        return NO_NODE
    from front_door.hub_system import why_not_isolated

    return why_not_isolated()


def remove(plan: Plan) -> int:
    """Remove the system users, the passwords and the slips of a hub; what learners wrote stays, for root alone."""
    _on_this_system()
    if not plan.state.exists():
        raise Stop(f"There is no hub in {plan.state}.")
    with _one_at_a_time(plan.state):
        from front_door import hub_system
        from front_door.hub_people import hand_over

        users = hub_system.users_of(plan.state / "learners")
        hub_system.end_all(users.values())
        for name in users:
            hub_system.remove_user(name)
        for home in (plan.state / "learners").glob("*/"):
            hand_over(home, os.geteuid(), os.getegid())
        hub_system.remove_groups(plan.tag)
        shutil.rmtree(plan.secrets)
    say(f"{len(users)} system users, the passwords and the slips are removed.")
    say(f"What the learners wrote is in {plan.state / 'learners'}: remove that folder when nobody needs it any more.")
    return 0


# -------------------------------------------------------------------------------------------------- before it runs


def _on_this_system() -> None:
    if WINDOWS:
        raise Stop("JupyterHub does not run on Windows: use Linux, or 'python3 kit.py lab' on each learner's computer.")
    if not (places.ROOT / "requirements-hub.lock").is_file():
        raise Stop("This is the learner edition: the hub is in the full kit.")


def _checked(plan: Plan) -> int:
    """Stop at what cannot be, and return the limit of memory in bytes."""
    _on_this_system()
    checked_number(plan.learners)
    limit = memory_of(plan.memory)
    if bool(plan.certificate) != bool(plan.key):
        raise Stop("A certificate and its key belong together: give --certificate and --key, or neither.")
    if plan.host and not plan.behind and _is_loopback(plan.host):
        raise Stop(f"{plan.host} is this machine alone, which is what the hub does without --host.")
    if plan.behind and (plan.host or not plan.behind.startswith("https:")):
        raise Stop("--behind names the address of a proxy that speaks TLS (https); --host does not go with it.")
    if not 0 < plan.port < 65536:
        raise Stop(f"{plan.port} is no port: give --port a number from 1024 to 65535.")
    if plan.idle < SHORTEST_IDLE:
        raise Stop(
            f"--idle is {plan.idle}: an unused server ends after {SHORTEST_IDLE} seconds or more, such as {IDLE}."
        )
    if not shutil.which("node") or not shutil.which("npm"):
        raise Stop(f"The hub cannot start: {NO_NODE}.")
    from front_door.hub_system import why_not_isolated

    if plan.isolated and (reason := why_not_isolated()):
        told = f"Learners would reach each other's files and programs here, since {reason}"
        raise Stop(f"{told}: run it as root on Linux, or type --no-isolation if all of them may.")
    return limit


def memory_of(text: str) -> int:
    """Return the bytes of "1G", "1.5G" or "800M"."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([MG])", text)
    size = float(found[1]) * {"M": 2**20, "G": 2**30}[found[2]] if found else 0
    if size < 400 * 2**20:
        raise Stop(f"--memory is {text!r}: give what one learner may use, 400M or more, such as 1G or 1.5G.")
    return int(size)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_number(host) else host == "localhost"


@contextlib.contextmanager
def _one_at_a_time(state: Path) -> Iterator[None]:
    """Make the hub's folders, and stop where another hub uses them."""
    import fcntl

    for folder, mode in ((state, 0o711), (state / "learners", 0o711), (state / "secrets", 0o700)):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    with (state / "secrets" / "lock").open("w") as lock:
        (state / "secrets" / "lock").chmod(0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop(f"A hub is running already with {state}: end it with Ctrl-C where it was started.") from None
        yield


def _proxy() -> list[str]:
    """Install the proxy if it is not there yet, and return its command."""
    folder, lock = recipe().folder / "proxy", "package-lock.json"
    program = folder / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    done = folder / "done"
    wanted = (PARTS / lock).read_text("utf-8")
    if not (done.is_file() and done.read_text("utf-8") == wanted and program.is_file()):
        say("Installing the hub's proxy.")
        folder.mkdir(exist_ok=True)
        for name in ("package.json", lock):
            shutil.copy(PARTS / name, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if told.returncode:
            last = (told.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Stop(f"npm could not install the hub's proxy ({last}): see to its network, and try again.", code=1)
        done.write_text(wanted, "utf-8")
    return [str(shutil.which("node")), str(program)]


def _slips(plan: Plan) -> Path:
    """Give passwords to those who have none, and return the page of slips."""
    passwords = Passwords.read(plan.secrets / "passwords.json")
    fresh = passwords.give(names(plan.learners))
    page = write_slips(plan.secrets, fresh, plan.address())  # first: a password without a slip is nobody's
    passwords.write(plan.secrets / "passwords.json")
    return page


def _settings(plan: Plan, limit: int, proxy: list[str]) -> dict[str, Any]:
    """Return what the hub's own process must know, with users, homes and limits made."""
    from front_door import hub_system

    everyone = names(plan.learners)
    homes = {name: plan.state / "learners" / name for name in everyone}
    owners: dict[str, tuple[int, int] | None] = dict.fromkeys(everyone)
    groups: dict[str, str] = {}
    if plan.isolated:
        owners = {name: hub_system.make_user(plan.user(name), homes[name]) for name in everyone}
        groups = hub_system.limit_memory(plan.tag, everyone, limit)
    give_copies(plan.state, owners, lambda folder: _edition(folder, plan.chapters))
    learners: dict[str, Any] = {}
    for name in everyone:
        learners[name] = {"home": str(homes[name]), "environment": _variables(homes[name], name)}
        if (owner := owners[name]) is not None:
            limits = {"group": groups.get(name, ""), "memory": limit}
            learners[name]["cell"] = {**_cell(homes[name]), "uid": owner[0], "gid": owner[1], **limits}
    certificate, key = _certificate(plan)
    return {
        "root": str(places.ROOT),
        "secrets": str(plan.secrets),
        "lecturer": LECTURER,
        "chapters": plan.chapters,
        "learners": learners,
        "isolated": plan.isolated,
        "python": str(python_of(places.COURSE.folder)),
        "proxy": proxy,
        "bind_url": _url("https" if certificate else "http", plan.host or LOOPBACK, plan.port),
        "public_url": plan.behind,
        "certificate": certificate,
        "key": key,
        "hub_port": _free_port(),
        "proxy_port": _free_port(),
        "start": places.START,
        "at_once": max(2, os.cpu_count() or 1),
        "idle": plan.idle,
        "reported": min(300, plan.idle // 6),  # seconds between two reports of who is active
        "memory": limit,
        "limited": "together" if groups else "each process",
    }


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def _edition(folder: Path, chapters: str) -> None:
    arguments = ["-m", "ppml_helpers.course", "learner", str(folder), "--chapters", chapters]
    with tempfile.TemporaryDirectory(prefix="kit-learner-") as scratch:
        if in_course(arguments, Path(scratch)):
            raise Stop("The learner edition could not be written: see above.", code=1)


def _variables(home: Path, name: str) -> dict[str, str]:
    """Return the variables of somebody's server; none is taken over from who runs the hub."""
    course, packages = home / COURSE, site_packages(recipe().folder)
    path = [python_of(places.COURSE.folder).parent, "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(map(str, path)),
        "HOME": str(home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(course),  # the copy's own helpers, progress and results
        "PYTHONNOUSERSITE": "1",
        "OMP_NUM_THREADS": "1",
        "KIT_HUB_PACKAGES": str(packages),
        "JUPYTERHUB_ROOT_DIR": str(course),
        "NO_PROXY": f"{LOOPBACK},localhost",
        "no_proxy": f"{LOOPBACK},localhost",
        **places.jupyter_variables(course),
    }


def _cell(home: Path) -> dict[str, Any]:
    """Return what a learner's processes see of the machine: the environments, to be read, and their own home."""
    from front_door.hub_system import barred

    possible = places.COURSE.folder, recipe().folder, places.ROOT / ".venvs" / "tfe"
    environments = [folder for folder in possible if folder.is_dir()]
    pythons = [_base(folder) for folder in environments]
    read = [*environments, PARTS, *pythons]
    hide = {Path(path) for path in HIDDEN if Path(path).is_dir()} | {places.ROOT, home.parent.parent}
    hide |= {folder for folder in map(barred, (*read, home)) if folder is not None and folder != Path("/")}
    hide = {folder for folder in hide if not any(above in hide for above in folder.parents)}
    read = [folder for folder in read if any(above in hide for above in (folder, *folder.parents))]
    return {
        "home": str(home),
        "read": list(dict.fromkeys(map(str, read))),
        "hide": sorted(map(str, hide)),
    }


def _base(environment: Path) -> Path:
    """Return the folder of the Python that an environment was made from."""
    told = re.search(r"^home\s*=\s*(.+)$", (environment / "pyvenv.cfg").read_text("utf-8"), re.MULTILINE)
    return Path(told[1].strip()).resolve().parent if told else Path(sys.base_prefix)


def _certificate(plan: Plan) -> tuple[str, str]:
    """Return certificate and key: those that were given, or a pair of our own for the address."""
    if not plan.host or plan.certificate:
        return plan.certificate, plan.key
    host = plan.host if plan.host != "0.0.0.0" else socket.gethostname()
    certificate, key = (plan.secrets / f"{host.replace(':', '_')}.{kind}" for kind in ("crt", "key"))
    if not (certificate.exists() and _openssl("x509", "-checkend", "86400", "-noout", "-in", str(certificate))):
        kind = "IP" if _is_number(host) else "DNS"
        what = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={host}"]
        what += ["-days", str(CERTIFICATE_DAYS), "-addext", f"subjectAltName={kind}:{host}"]
        if not _openssl("req", *what, "-keyout", str(key), "-out", str(certificate)):
            told = f"openssl could not make a certificate for {host}"
            raise Stop(f"{told}: give one of your own with --certificate and --key.")
    return str(certificate), str(key)


def _openssl(*arguments: str) -> bool:
    """Call openssl, whose files are nobody else's; say whether it is there and did it."""
    with contextlib.suppress(OSError):
        return not subprocess.run(["openssl", *arguments], capture_output=True, check=False, umask=0o077).returncode
    return False


def _is_number(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


# ------------------------------------------------------------------------------------------------- while it runs


def _serve(plan: Plan, python: Path, settings: dict[str, Any], page: Path) -> int:
    """Run the hub until Ctrl-C, and end everything that it started."""
    from front_door.hub_people import write_private

    told, log = plan.secrets / "settings.json", plan.secrets / "hub.log"
    write_private(told, json.dumps(settings))
    environment = {**surroundings.own(), "KIT_HUB_SETTINGS": str(told)}
    command = [str(python), "-m", "jupyterhub", "-f", str(PARTS / "jupyterhub_config.py")]
    _adopt_orphans()
    with log.open("a", encoding="utf-8") as output:
        log.chmod(0o600)
        child = subprocess.Popen(
            command,
            cwd=plan.secrets,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone
            umask=0o077,
            preexec_fn=told_of_our_end(signal.SIGTERM),
        )
    try:
        _wait_until_it_answers(child, settings, log)
        _tell(plan, settings, page)
        while child.poll() is None:
            time.sleep(0.2)
        raise Stop(f"The hub ended by itself (code {child.returncode}); its log is {log}.", code=1)
    except KeyboardInterrupt:
        say("\nEnding the hub and every learner's server. What they saved is saved.")
        return 0
    finally:
        try:
            end_process(child, PATIENCE_AT_END)
        finally:  # also when Ctrl-C comes a second time
            child.kill()
            child.wait()
            _end_children()


def _tell(plan: Plan, settings: dict[str, Any], page: Path) -> None:
    say(f"The hub is ready: {plan.address()}")
    say(f"The slips of {plan.learners} learners and of '{LECTURER}', to be printed: {page}")
    if plan.host and not plan.certificate:
        say(f"Its certificate is its own: a browser asks once, and shows {_fingerprint(settings['certificate'])}.")
    if not plan.host and not plan.behind:
        say("It is reachable from this computer only: --host, or a proxy in front (--behind), opens it to a room.")
    if not plan.isolated:
        say("Without isolation: each learner can read and change what the others and you have on this machine.")
    if settings["limited"] == "each process":
        say(f"There is no control group to limit a learner's memory: each process by itself gets twice {plan.memory}.")
    say("Press Ctrl-C here to end it and every learner's server.")


def _fingerprint(certificate: str) -> str:
    der = ssl.PEM_cert_to_DER_cert(Path(certificate).read_text("utf-8"))
    return "SHA-256 " + hashlib.sha256(der).digest().hex(":").upper()


def _wait_until_it_answers(child: subprocess.Popen, settings: dict[str, Any], log: Path) -> None:
    progress = Progress("Starting the hub", every=20)
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE  # our own, on this machine
    handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    direct = urllib.request.build_opener(*handlers)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if child.poll() is not None:
            progress.end()
            last = "\n".join("    " + line for line in log.read_text("utf-8", "replace").splitlines()[-8:])
            raise Stop(f"The hub did not start; the last lines of {log}:\n{last}", code=1)
        progress.show("waiting for it to answer")
        with contextlib.suppress(OSError):
            direct.open(f"{settings['bind_url'].replace('0.0.0.0', LOOPBACK)}hub/health", timeout=5).close()
            progress.end()
            return
        time.sleep(0.5)
    progress.end()
    raise Stop(f"The hub did not answer in {PATIENCE:.0f} s: its log is {log}.", code=1)


def _adopt_orphans() -> None:
    """Become the parent of everything whose own parent ends, so that nothing is lost sight of."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _end_children() -> None:
    """Kill what a hub that did not end in order has left behind."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.is_file() and (left := children.read_text().split()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(int(pid), signal.SIGKILL)
                os.waitpid(int(pid), 0)
