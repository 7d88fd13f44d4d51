"""The real JupyterLab by its front door (`jupyter`): taken ports, other users, this machine's settings, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from machine import can_have_its_own, with_its_own

from front_door import environment, places

REPO = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS"),
    pytest.mark.skipif(not environment.is_ready(places.COURSE), reason="the kit is not set up: 'kit.py test' does it"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``kit.py lab`` on a port that is taken, for somebody whose home is ``tmp_path``."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "kit.py", "lab", "--no-browser", "--port", str(port)]
        surroundings = {**os.environ, "HOME": str(tmp_path)}
        process = subprocess.Popen(command, cwd=REPO, env=surroundings, text=True, stdout=subprocess.PIPE)
        try:
            yield process, port
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=60)


# The machine's own settings for Jupyter, in a mount of our own; to be root there takes no more than to mount.
MACHINE = """
mount -t tmpfs none /usr/local/etc
cd /usr/local/etc && mkdir jupyter && cd jupyter
printf "c.ServerApp.base_url = '/theirs/'\\nc.ServerApp.certfile = '/absent'\\n" > jupyter_config.py
cd "$KIT"
exec "$@"
"""
# A browser in the terminal comes back when it is closed: this one never is.
BROWSER = '#!/bin/sh\necho "$*" > "$0.started"\nwhile kill -0 $PPID; do sleep 0.2; done\n'


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("browser") / "browser"
    program.write_text(BROWSER)
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def with_browser(browser: Path) -> Iterator[subprocess.Popen[str]]:
    """``kit.py lab`` with a browser, where a machine has settings for all its servers (if we may mount)."""
    command = [sys.executable, "kit.py", "lab", "--port", "8950"]
    if can_have_its_own("mount"):
        command = with_its_own("mount", MACHINE, *command)
    surroundings = {**os.environ, "HOME": str(browser.parent), "BROWSER": str(browser), "KIT": str(REPO)}
    process = subprocess.Popen(command, cwd=REPO, env=surroundings, text=True, stdout=subprocess.PIPE)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(r"http://127\.0\.0\.1:\d+/\S+", line):
            return match[0]
    raise AssertionError("lab ended without an address")


def ask(url: str, token: str = "", data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=data, headers={"Authorization": f"token {token}"} if token else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


def test_a_taken_port_a_locked_door_and_a_clean_end_beside_another(
    server: tuple[subprocess.Popen[str], int], with_browser: subprocess.Popen[str], tmp_path: Path
) -> None:
    process, taken = server
    url = address(process)
    parts = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/lab/tree/notebooks/00_start_here\.ipynb\?token=(\w+)", url)
    assert parts, url
    base, token = parts.groups()
    assert int(base.rpartition(":")[2]) > taken
    assert ask(url)[0] == 200
    assert ask(f"{base}/api/contents")[0] == 403, "without the token the door is locked"
    assert ask(f"{base}/api/contents/.venv", token)[0] == 404, "hidden folders are not served"
    assert ask(f"{base}/api/kernels", token, b"{}")[0] == 201
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2, "a server and a kernel"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "Ending JupyterLab and its kernels" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert with_browser.poll() is None, "the other goes on"
    assert not {".jupyter", ".local", ".ipython"} & {path.name for path in tmp_path.iterdir()}


QUIET = {"cwd": "/", "capture_output": True, "text": True, "check": False}


def found_by_another_user(word: str, *places: Path | str) -> list[str]:
    """Return what a made-up user of this machine finds a word in; as root we can be one."""
    look = ["grep", "-rsFl", "--devices=skip", word, *map(str, places)]
    return subprocess.run(look, user=54321, group=54321, extra_groups=[], **QUIET).stdout.splitlines()


def test_no_other_user_learns_the_token_and_kill_9_leaves_no_server(
    with_browser: subprocess.Popen[str], browser: Path
) -> None:
    process, started = with_browser, browser.with_name("browser.started")
    url = address(process)
    base, token = url.partition("/lab/")[0], url.rpartition("=")[2]
    while not (started.exists() and started.read_text().endswith("\n")):
        assert process.poll() is None
    door = Path(urllib.request.url2pathname(started.read_text().strip().removeprefix("file://")))
    assert url in door.read_text()
    assert door.stat().st_mode & 0o077 == 0
    commands = [f"/proc/{number}/{file}" for number in psutil.pids() for file in ("cmdline", "environ")]
    assert subprocess.run(["grep", "-sFl", token, *commands], **QUIET).stdout, "ours to read: it is there"
    if os.geteuid() == 0:
        assert found_by_another_user("python3 kit.py lab", REPO / "README.md"), "the other user can look"
        assert found_by_another_user(token, *commands, REPO / ".kit", *REPO.glob("*.html")) == []
    assert ask(f"{base}/api/kernels", token, b"{}")[0] == 201
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert psutil.wait_procs(children, timeout=60)[1] == []
    process.communicate()
    door.unlink()
