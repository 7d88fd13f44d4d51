"""Where things are, and the environment that the course runs in."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

from front_door import surroundings
from front_door.environment import Recipe

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
BENCHMARKS = ROOT / "benchmarks"
STATE = ROOT / ".kit"
START = "notebooks/00_start_here.ipynb"
_CHAPTER = re.compile(r"[0-9]{2}[a-z]?_[a-z0-9_]+\.ipynb")
# A person's own Jupyter, plots, and a proxy for every address: none of them is needed, and each has stopped a chapter.
_ANOTHERS = re.compile(r"JUPYTER(LAB)?_|IPYTHON|MPL|MATPLOTLIB|ALL_PROXY|all_proxy")
CUDA = (
    "the usual build of torch for Linux brings several GB of CUDA libraries along; the head of requirements.lock says "
    "how to get the CPU build, with which 3 GB are enough"
)


def chapters(folder: Path | None = None) -> list[Path]:
    """Return the course's own notebooks in their order; what somebody keeps beside them has other names."""
    found = (NOTEBOOKS if folder is None else folder).glob("*.ipynb")
    return sorted(path for path in found if _CHAPTER.fullmatch(path.name))


def recipe_of(root: Path) -> Recipe:
    """Return what the environment of the course in ``root`` must hold."""
    return Recipe(
        name="the packages of the course",
        folder=root / ".venv",
        state=root / ".kit",
        requirements=root / "requirements.lock",
        project=root,
        disk_needed=3_000_000_000,  # with the CPU build of torch, the only one for macOS and Windows
        disk_roomy=10_000_000_000 if sys.platform == "linux" else 0,
        disk_warning=CUDA,
        optional=root / "requirements-optional.lock",
        warm_up=list_fonts,
    )


def list_fonts(python: Path) -> None:
    """Let matplotlib look for the fonts of this computer, so that no kernel does it in the middle of a lesson."""
    command = [str(python), "-c", "import matplotlib.font_manager"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # then the first picture takes longer
        subprocess.run(command, env=jupyter_environment(), capture_output=True, timeout=300, check=False)


COURSE = recipe_of(ROOT)


def jupyter_environment() -> dict[str, str]:
    """Return environment variables that keep Jupyter inside the kit: its look comes from ``jupyter_config/``.

    Settings, workspaces and runtime files go to the git-ignored ``.kit/``, nothing to the person's own ``~/.jupyter``;
    and nothing there (a kernel named python3, a start-up script) changes what the course prints. matplotlib keeps its
    list of fonts there too: one in the home, written by another program, may name fonts that are not there.
    """
    (STATE / "jupyter" / "ipython").mkdir(parents=True, exist_ok=True)
    values = {name: value for name, value in surroundings.own().items() if not _ANOTHERS.match(name)}
    values.update(jupyter_variables(ROOT))
    # Kernels and the server talk over the loopback: a proxy meant for the outside must not catch that.
    for name in ("NO_PROXY", "no_proxy"):
        values[name] = ",".join(filter(None, [values.get(name), "127.0.0.1", "localhost"]))
    return values


def jupyter_variables(root: Path) -> dict[str, str]:
    """Return the variables that keep Jupyter and matplotlib inside a copy of the kit, and memory small."""
    own = root / ".kit" / "jupyter"
    return {
        # Arrow's own pool takes a GiB of addresses at once, which counts in full where data are limited (ulimit -d).
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_CONFIG_PATH": str(root / "jupyter_config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
        "IPYTHONDIR": str(own / "ipython"),
        "MPLCONFIGDIR": str(root / ".kit" / "matplotlib"),
    }


def repeatable_environment(scratch: Path) -> dict[str, str]:
    """Return the environment in which a notebook prints the same on every run.

    ``OMP_NUM_THREADS`` is 1 on every machine because the number of threads decides how a long sum is split, and with
    that its last digits. The course's models are small: a second thread gains little, and costs much on a busy machine.
    Progress and results of the person at the keyboard are left alone: they point to ``scratch``.
    """
    values = jupyter_environment()
    values.update(
        PYTHONHASHSEED="0",
        OMP_NUM_THREADS="1",
        MPLBACKEND="agg",
        PPML_PROGRESS=str(scratch / "progress"),
        PPML_RESULTS=str(scratch / "results"),
    )
    return values
