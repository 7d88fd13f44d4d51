"""Which Pythons the kit runs on, and what is said to another.

``kit.py`` asks this file first, so that any Python, even 2.7, must be able to read it: no f-string, no type hint.
"""

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


def refusal(version, arguments=()):
    """Return the one sentence for a Python that the kit does not run on."""
    have = ".".join(str(part) for part in version[:3])
    sentence = "This kit needs Python 3.11 to 3.13, and this is Python " + have
    others = other_pythons()
    if others:
        return sentence + ": type '" + others[0] + " kit.py " + " ".join(arguments) + "' instead."
    return sentence + ": install one from your system's packages, python.org, pyenv or conda, and try again."
