"""A sandbox: run somebody else's code in a scratch copy, within limits, away from files and network."""
