"""A learner's server: the course's own environment, behind whose packages stand those that know the hub.

Kernels are started by the course's Python as ever, and see nothing of this.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    sys.path.append(os.environ["KIT_HUB_PACKAGES"])

    from jupyterhub.singleuser import main

    main()
