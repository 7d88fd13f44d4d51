"""A Jupyter server of this kit: ``python -m ppml_helpers.jupyter MODULE OPTIONS``, as `kit.py lab` starts it.

It reads no settings that this machine has for all its servers: an address or a certificate of theirs would keep the
page from its reader. And it ends with whoever started it, also when that one is killed and can end nothing any more.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading

from jupyter_core import paths


def main() -> None:
    """Become the server that is named first."""
    for folders in (paths.SYSTEM_CONFIG_PATH, paths.SYSTEM_JUPYTER_PATH):
        folders.clear()
    threading.Thread(target=_end_with_the_other_end, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_other_end() -> None:
    """End in order, kernels first, when our input ends: the system closes it for one that was killed."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
