"""Which Pythons the kit runs on, and what is said to another.

``kit.py`` asks this file first, so that any Python, even 2.7, must be able to read it: no f-string, no type hint.
"""

import glob
import os
import subprocess

OLDEST = (3, 11)
NEWEST_MINOR = (3, 13)


def supported(version):
    """Say whether the kit runs on a Python of this version, given as a sequence of numbers."""
    return len(version) >= 3 and tuple(version[:3]) >= OLDEST and tuple(version[:2]) <= NEWEST_MINOR


def other_pythons():
    """Return the commands on PATH that start a supported Python, newest first."""
    found = []
    for name in ("python3.13", "python3.12", "python3.11"):
        code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
        try:
            # Ask it: a launcher of that name may have nothing behind it.
            answer = subprocess.Popen([name, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            version = answer.communicate()[0].decode("ascii").strip().split(".")
            if supported([int(part) for part in version]):
                found.append(name)
        except (OSError, ValueError):
            continue
    return found


def find(version):
    """Return the path of a Python of this version, such as "3.10", or "" where none is found.

    Asked are: the command of that name, Windows's launcher, and the folders of pyenv and uv, which need not be on PATH.
    """
    # A virtual environment that is active answers with the Python that it was made with: that one lasts.
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    code += "; print(getattr(sys, '_base_executable', '') or sys.executable)"
    commands = [("python" + version,), ("py", "-" + version)] + [(path,) for path in _kept(version)]
    for command in commands:
        asked = list(command)
        asked.extend(["-c", code])
        try:
            answer = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            lines = answer.communicate()[0].decode("utf-8").splitlines()
        except (OSError, ValueError):
            continue
        if lines[:1] == [version] and len(lines) > 1:
            return lines[1]
    return ""


def _kept(version):
    """Return the Pythons of this version that pyenv and uv keep, newest first."""
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    pyenv = [os.environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv"), os.path.join(home, ".pyenv", "pyenv-win")]
    uv = [os.path.join(data, "uv", "python"), os.path.join(os.environ.get("APPDATA") or home, "uv", "python")]
    uv.append(os.environ.get("UV_PYTHON_INSTALL_DIR") or uv[0])
    folders = [os.path.join(root, "versions", version + ".*") for root in pyenv]
    folders += [os.path.join(root, "cpython-" + version + ".*") for root in uv]
    ends = (os.path.join("bin", "python3"), "python.exe")
    return [path for folder in folders for end in ends for path in sorted(glob.glob(os.path.join(folder, end)))[::-1]]


def refusal(version, arguments=()):
    """Return the one sentence for a Python that the kit does not run on."""
    have = ".".join(str(part) for part in version[:3])
    sentence = "This kit needs Python 3.11 to 3.13, and this is Python " + have
    others = other_pythons()
    if others:
        return sentence + ": type '" + others[0] + " kit.py " + " ".join(arguments) + "' instead."
    return sentence + ": install one from your system's packages, python.org, pyenv or conda, and try again."
