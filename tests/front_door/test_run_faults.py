"""Ctrl-C, SIGTERM or kill -9 while notebooks run: what is done stays, the rest keeps its outputs, no kernel is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from samples import code, stored

from front_door import environment, places

REPO = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")
@pytest.mark.skipif(not environment.is_ready(places.COURSE), reason="the kit is not set up: 'kit.py test' does it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ctrl_c_keeps_what_is_done(number: signal.Signals, tmp_path: Path) -> None:
    done = stored(tmp_path / "a.ipynb", code("print('done')", name="a"))
    begun = tmp_path / "begun"
    wait = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\ntime.sleep(120)"
    running = stored(tmp_path / "b.ipynb", code(wait, name="b"))
    before = running.read_bytes()
    command = [sys.executable, "kit.py", "run", str(done), str(running)]
    process = subprocess.Popen(
        command, cwd=REPO, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("[1/2] a ... ")
        while not begun.exists():
            assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        # Ctrl-C reaches the whole group at once; a service manager's SIGTERM reaches kit.py alone.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in output
    if number != signal.SIGKILL:
        assert process.returncode == 130, output
        assert "Nothing already done is lost" in output
    assert "done" in done.read_text().split('"outputs"')[1]
    assert running.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ipynb", "b.ipynb", "begun"]
    assert len(children) >= 2, "the course and a kernel"
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a child of its parent's end")
@pytest.mark.skipif(not environment.is_ready(places.COURSE), reason="the kit is not set up: 'kit.py test' does it")
def test_what_a_killed_command_has_started_puts_its_things_in_order_and_ends(tmp_path: Path) -> None:
    """Every command with work of its own ('test', 'assess', 'scoreboard' ...) starts it by way of ``in_course``."""
    begun, orderly = tmp_path / "begun", tmp_path / "orderly"
    work = (
        "import pathlib, time\ntry:\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n    time.sleep(120)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(orderly)!r}).touch()\n"
    )
    started = (
        "import pathlib\nfrom front_door.course_process import in_course\n"
        f"in_course(['-c', {work!r}], pathlib.Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", started], cwd=REPO)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.02)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs([child], timeout=15)
    assert alive == []
    assert orderly.exists()
