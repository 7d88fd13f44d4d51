"""Chapter 07: hospitals that train one model together, in this process or as real processes over a network.

Importing this package switches off what Flower would send to its makers (use statistics, a check for updates) and the
download of packages at the start of a run. It must therefore be imported before Flower.
"""

import os

import lazy_loader

#: Read by Flower, and by Ray where somebody uses it, when they are imported or when a process of theirs starts.
QUIET_ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

os.environ.update(QUIET_ENVIRONMENT)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deployment": ["Deployment"],
        "explorer": ["FederationExplorer"],
        "hospitals": ["Hospital", "pooled", "simulated"],
        "results": ["FederatedRun", "RunStopped"],
    },
)
