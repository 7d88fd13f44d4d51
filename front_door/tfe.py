"""``kit.py tfe``: the environment of chapter 09b, whose library runs on Python 3.10 alone, and its kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

from front_door import places
from front_door.environment import Recipe, base_python, ensure, is_ready, python_of, site_packages, whats_wrong
from front_door.terminal import Stop, say

KERNEL = "tf-encrypted"
MAKE = "python3 kit.py tfe"
SPACE = 1.7  # GB


def recipe(root: Path = places.ROOT) -> Recipe:
    """Return what the environment of chapter 09b must hold."""

    def point_to_the_kit(python: Path) -> None:
        """Let it import ppml_helpers, which asks for a newer Python than pip would install it for."""
        if (site := site_packages(folder)) is not None:
            # Relative, so that it is right when the kit is moved.
            (site / "kit.pth").write_text(os.path.relpath(root, site) + "\n", "utf-8")

    folder = root / ".venvs" / "tfe"
    return Recipe(
        name="TF Encrypted",
        folder=folder,
        state=root / ".kit",
        requirements=root / "requirements-tfe.lock",
        disk_needed=int(1.3 * SPACE * 1e9),  # while they are unpacked, the downloads lie there too
        warm_up=point_to_the_kit,
        version="3.10",
        every_pin=True,
    )


def tfe() -> int:
    """Make or repair the environment, offer its kernel to JupyterLab, and return the exit code."""
    wanted = recipe()
    if not is_ready(wanted):
        if not wanted.folder.exists():
            base_python(wanted)  # without a Python 3.10 nothing is begun
        say(f"TF Encrypted takes {SPACE} GB of disk, in .venvs/tfe; to be rid of it, remove that folder.")
    ensure(places.COURSE)
    ensure(wanted)
    offer_kernel()
    say("Chapter 09b is ready: 'python3 kit.py lab' opens the course; its kernel is called TF Encrypted.")
    return 0


def offer_kernel(root: Path = places.ROOT) -> None:
    """Write the kernel's description into the environment of the course; nothing goes to a person's own Jupyter."""
    folder = _kernelspec(root)
    # Jupyter fills in where the description lies, so that this too is right when the kit is moved.
    python = os.path.relpath(python_of(recipe(root).folder), folder)
    argv = [f"{{resource_dir}}/{Path(python).as_posix()}", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"argv": argv, "display_name": "TF Encrypted", "language": "python", "metadata": {"debugger": True}}
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", "utf-8")


def missing(root: Path = places.ROOT) -> str:
    """Return in plain words why chapter 09b cannot run, or an empty string when it can."""
    if wrong := whats_wrong(recipe(root)):
        return f"the environment of TF Encrypted is not ready: {wrong}"
    return "" if (_kernelspec(root) / "kernel.json").is_file() else "the kernel of TF Encrypted is not in .venv"


def needs_it(notebook: Path) -> bool:
    """Say whether a notebook declares the kernel of TF Encrypted."""
    try:
        return json.loads(notebook.read_text("utf-8"))["metadata"]["kernelspec"]["name"] == KERNEL
    except (OSError, ValueError, KeyError, TypeError):
        return False  # whatever is wrong with it, another says so


def demand(notebooks: list[Path]) -> None:
    """Stop where one of the notebooks cannot run yet."""
    for path in filter(needs_it, notebooks):
        if wrong := missing():
            raise Stop(f"{path.stem} cannot run, since {wrong}: type '{MAKE}' first.")


def _kernelspec(root: Path) -> Path:
    return root / ".venv" / "share" / "jupyter" / "kernels" / KERNEL
