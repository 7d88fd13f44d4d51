"""``kit.py lab``: JupyterLab on the first notebook, on this computer only, and a clean end; other pages likewise."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path
from typing import Any

from front_door import places
from front_door.environment import WINDOWS, end_process, ensure
from front_door.terminal import Progress, Stop, say

HOST = "127.0.0.1"
FIRST_PORT = 8888
PATIENCE = 180.0  # seconds for the server to answer; a busy laptop may need a minute
_DOOR = "open-the-course-{}.html"  # in sight: browsers that come as a snap read no hidden folder


def lab(port: int = FIRST_PORT, browser: bool = True) -> int:
    """Serve the course until Ctrl-C.

    Parameters
    ----------
    port
        First port to try; a taken one is no error, the next free one is used.
    browser
        Open the browser when the server answers.
    """
    command = ["jupyterlab", f"--ServerApp.root_dir={places.ROOT}"]
    if os.environ.get("KIT_EXPOSE_APP") == "1":  # browser tests drive the page through window.jupyterapp
        command.append("--LabApp.expose_app_in_browser=True")
    return serve("JupyterLab", command, f"lab/tree/{places.START}", port, browser)


def serve(name: str, command: list[str], page: str, port: int = FIRST_PORT, browser: bool = True) -> int:
    """Serve a page of a Jupyter server until Ctrl-C.

    Parameters
    ----------
    name
        What to call it.
    command
        The server's module in the environment of the course, and its options.
    page
        Its first page, below the server's address.
    port, browser
        As for `lab`.
    """
    python = ensure(places.COURSE)
    token = secrets.token_hex(24)
    log = places.STATE / "logs" / f"lab-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    door = places.ROOT / _DOOR.format(os.getpid())
    with log.open("w", encoding="utf-8") as output:
        server = _start([str(python), "-m", "ppml_helpers.jupyter", *command], free_port(port), token, output)
    try:
        actual = _wait_until_it_answers(server, name, page.partition("/")[0] + "/tree", token, log)
        if actual != port:
            say(f"Port {port} is taken; using {actual}.")
        url = f"http://{HOST}:{actual}/{page}?token={token}"
        say(f"{name} is ready: {url}")
        say("It is reachable from this computer only. Press Ctrl-C here to end it and its kernels.")
        if browser:  # one that runs in this terminal returns when it is closed: we go on watching the server
            threading.Thread(target=_open, args=(url, door), daemon=True).start()
        while server.poll() is None:  # not wait(): on Windows Ctrl-C cannot interrupt it
            time.sleep(0.2)
        raise Stop(f"{name} ended by itself (code {server.returncode}); its last lines:\n{_tail(log)}", code=1)
    except KeyboardInterrupt:
        say(f"\nEnding {name} and its kernels. What you saved is saved.")
        return 0
    finally:
        _end(server, token)
        for file in (log, door):
            file.unlink(missing_ok=True)


def free_port(first: int) -> int:
    """Return the first free port from ``first`` upwards."""
    if not 0 < first < 65536:
        raise Stop(f"{first} is no port: give --port a number from 1024 to 65535.")
    for port in range(first, min(first + 200, 65536)):
        with socket.socket() as probe:
            if not WINDOWS:  # a server that just ended leaves its port in a waiting state: that is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise Stop(f"None of the ports from {first} to {first + 199} is free or allowed: give --port another start.")


def _start(command: list[str], port: int, token: str, output) -> subprocess.Popen:
    environment = places.jupyter_environment()
    environment["JUPYTER_TOKEN"] = token  # not on the command line, where every user of the machine could read it
    environment.setdefault("OMP_NUM_THREADS", "1")  # as when the stored outputs were made
    command = [*command, "--no-browser", f"--ServerApp.ip={HOST}", f"--ServerApp.port={port}"]
    # Another program may take the port between our look and the server's: then the server goes on to the next.
    command.append("--ServerApp.port_retries=50")
    if not WINDOWS and os.geteuid() == 0:
        command.append("--allow-root")
    # Its own group: Ctrl-C reaches kit.py alone, which ends the server in order (else the server asks "y/n?").
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    # It ends when its input ends (see ppml_helpers/jupyter.py), which the system sees to if we are killed.
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": output, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=places.ROOT, env=environment, **streams, **group)


def port_of(token: str, runtime: Path = places.STATE / "jupyter" / "runtime") -> int | None:
    """Return the port of the server with this token, or None while it has not written where it listens.

    Every server writes a ``jpserver-PID.json``. The token finds ours, not the process id: in a Windows environment
    ``python.exe`` is a launcher, and the server is its child.
    """
    for file in runtime.glob("jpserver-*.json"):
        try:
            told = json.loads(file.read_text("utf-8"))
            if told["token"] == token:
                return int(told["port"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half written, just removed, or not a server's
    return None


def _wait_until_it_answers(server: subprocess.Popen, name: str, page: str, token: str, log: Path) -> int:
    progress = Progress(f"Starting {name}", every=20)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            progress.end()
            raise Stop(f"{name} did not start; its last lines:\n{_tail(log)}\nTry 'python3 kit.py doctor'.", code=1)
        progress.show("waiting for it to answer")
        port = port_of(token)
        try:
            if port is not None:
                _ask(port, page, token)
                progress.end()
                return port
        except urllib.error.HTTPError as error:
            progress.end()
            told = f"{name} started, and its page /{page} answers with error {error.code}"
            raise Stop(f"{told}; its last lines:\n{_tail(log)}\nTry 'python3 kit.py doctor'.", code=1) from None
        except OSError:
            pass  # it has said where, and does not listen yet
        time.sleep(0.1)
    progress.end()
    raise Stop(f"{name} did not answer in {PATIENCE:.0f} s; its last lines:\n{_tail(log)}", code=1)


def _ask(port: int, path: str, token: str, method: str = "GET") -> None:
    request = urllib.request.Request(f"http://{HOST}:{port}/{path}", method=method)
    request.add_header("Authorization", f"token {token}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(request, timeout=10).close()


def _open(url: str, door: Path) -> None:
    """Open the browser on a page of this user that leads on: every user can read what a program is started with."""
    try:
        for left in places.ROOT.glob(_DOOR.format("*")):  # by one that was killed
            token = re.search(r"token=(\w+)", left.read_text("utf-8", "replace"))
            if token is None or port_of(token[1]) is None:
                left.unlink(missing_ok=True)
        door.touch(0o600)
        link = f'<meta http-equiv="refresh" content="0; url={url}"><a href="{url}">To the course</a>\n'
        door.write_text(link, "utf-8")
        opened = webbrowser.open(door.as_uri())
    except (OSError, webbrowser.Error):
        opened = False
    if not opened:
        say("No browser could be opened: open the address above yourself.")


def _end(server: subprocess.Popen, token: str) -> None:
    """End the server so that it ends its kernels: by its own command on Windows, by SIGTERM elsewhere."""
    port = port_of(token) if WINDOWS and server.poll() is None else None
    if port is not None:
        try:
            _ask(port, "api/shutdown", token, "POST")
            server.wait(15)
        except (OSError, subprocess.TimeoutExpired):
            pass  # it does not answer any more: end_process ends it
    end_process(server)


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").splitlines()[-12:]
    return "\n".join("    " + line for line in lines)
