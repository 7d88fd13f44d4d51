"""Chapter 10: PySyft between hospitals and a researcher, over an ordinary shared folder, and the owner's release gate.

Importing this package needs no syft; a `Network` does, and says so where there is none.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "access": ["access_matrix"],
        "defences": ["CANNOT_STOP", "Defences"],
        "explorer": ["ReleaseGateExplorer"],
        "gate": ["ReleaseGate"],
        "mock_data": ["mock_patients"],
        "network": ["Network"],
        "outputs": ["OutputRule"],
        "syft_client": ["silence"],
    },
)
