"""The real JupyterLab by its front door: a taken port, a clean end, nothing left in the home."""

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


def test_a_taken_port_a_locked_door_and_a_clean_end(server: tuple[subprocess.Popen[str], int], tmp_path: Path) -> None:
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
    assert not {".jupyter", ".local", ".ipython"} & {path.name for path in tmp_path.iterdir()}
