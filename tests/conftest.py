"""What every test may rely on, however the tests were started."""

from __future__ import annotations

import signal

# A shell starts background work with Ctrl-C ignored, and whoever is ignored passes that on to its children: the tests
# that press Ctrl-C would wait for ever. A handler of our own is not inherited, so that children begin with the default.
signal.signal(signal.SIGINT, signal.default_int_handler)
