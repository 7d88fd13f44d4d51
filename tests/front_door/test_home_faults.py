"""What another program left in a person's home does not change what the course shows."""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib import font_manager
from samples import code, stored

from front_door import environment, places
from ppml_helpers import course

REPO = Path(__file__).resolve().parents[2]

DRAW = "import io\nimport matplotlib.pyplot as plt\nprint(plt.rcParams['font.size'])\n"
DRAW += "plt.figure().text(0, 0, 'x').figure.savefig(io.BytesIO())"


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A home with a list of fonts that are not there, and with settings of its own."""
    home = tmp_path / "home"
    fonts = copy.copy(font_manager.fontManager)
    fonts.ttflist = [dataclasses.replace(fonts.ttflist[0], fname=str(home / "absent.ttf"), name="Absent")]
    for folder in (".cache", ".config", ""):
        own = home / folder / ("matplotlib" if folder else ".matplotlib")  # the second on macOS
        own.mkdir(parents=True)
        font_manager.json_dump(fonts, own / f"fontlist-v{font_manager.FontManager.__version__}.json")
        (own / "matplotlibrc").write_text("font.size: 31\n")
    ours = ("MPLCONFIGDIR", "MATPLOTLIBRC", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    values = {name: value for name, value in os.environ.items() if name not in ours}
    return {**values, "HOME": str(home), "MPLBACKEND": "agg"}


def output_of(command: list[str], surroundings: dict[str, str]) -> str:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, cwd=REPO, env=surroundings, text=True, check=False, **streams).stdout


@pytest.mark.skipif(os.name == "nt", reason="the home of Linux and macOS")
@pytest.mark.skipif(not environment.is_ready(places.COURSE), reason="the kit is not set up: 'kit.py test' does it")
def test_a_spoilt_list_of_fonts_and_a_matplotlibrc_do_not_reach_a_kernel(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    outside = output_of([sys.executable, "-c", DRAW], surroundings)
    assert "findfont" in outside, "or the home would harm nobody"
    assert "31.0" in outside.splitlines()
    notebook = stored(tmp_path / "draw.ipynb", code(DRAW, name="draw"))
    said = output_of([sys.executable, "kit.py", "run", str(notebook)], surroundings)
    assert "written" in said, said
    [output] = course.read(notebook).cells[0].outputs
    assert (output.name, output.text) == ("stdout", "10.0\n")


def test_a_user_without_a_name_and_without_a_home_does_all_the_same(tmp_path: Path) -> None:
    """As in a container that was started for any number of a user."""
    nobody = ["unshare", "--user", "--map-user=54321"]
    if not shutil.which("unshare") or subprocess.run([*nobody, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: no user id of its own for a process here (Linux, unshare)")
    if not environment.is_ready(places.COURSE):
        pytest.skip("the kit is not set up: 'kit.py test' does it")
    values = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME", "USERNAME")}
    who = output_of([*nobody, sys.executable, "-c", "import pwd, os; pwd.getpwuid(os.getuid())"], values)
    assert "uid not found" in who
    notebook = stored(tmp_path / "draw.ipynb", code(DRAW, name="draw"))
    kit = [*nobody, sys.executable, "kit.py"]
    assert "written" in output_of([*kit, "run", str(notebook)], values)
    said = output_of([*kit, "doctor", "--bundle", str(tmp_path / "bundle.zip")], values)
    assert "Look through it before you send it" in said, said
