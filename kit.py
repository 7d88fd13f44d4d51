"""The front door of the kit: one command for each thing that people do with it.

    python3 kit.py lab      open the course in JupyterLab
    python3 kit.py --help   everything else

This file runs on any Python, however old, so that it can say which Python is needed. The commands
themselves live in ``front_door/`` and use the standard library only.
"""

import os
import sys

if __name__ == "__main__":
    # Our folder comes first, also where PYTHONSAFEPATH left it out, and what PYTHONPATH adds does not come at all.
    theirs = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [os.path.dirname(os.path.abspath(__file__))] + [path for path in sys.path if path not in theirs]

    from front_door import pythons

    if not pythons.supported(sys.version_info):
        sys.stderr.write(pythons.refusal(sys.version_info, sys.argv[1:]) + "\n")
        sys.exit(2)

    from front_door.commands import main

    sys.exit(main(sys.argv[1:]))
