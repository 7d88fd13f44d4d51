"""A server started through `jupyter` (the real JupyterLab: tests/front_door/test_lab_faults.py)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SERVER = """
import sys, time
from jupyter_core.paths import jupyter_config_path, jupyter_path
print(sys.argv[1:], "/etc/jupyter" in jupyter_config_path(), "/usr/share/jupyter" in jupyter_path(), flush=True)
time.sleep(600)
"""


def test_a_server_has_its_options_no_settings_of_the_machine_and_ends_with_its_input(tmp_path: Path) -> None:
    (tmp_path / "napping.py").write_text(SERVER)
    command = [sys.executable, "-m", "ppml_helpers.jupyter", "napping", "--one"]
    variables = {**os.environ, "PYTHONPATH": f"{REPO}{os.pathsep}{tmp_path}"}
    process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "['--one'] False False\n"
    process.stdin.close()
    assert process.wait(60) != 0
    process.stdout.close()
