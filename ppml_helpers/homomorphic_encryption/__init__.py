"""Chapter 08: a server computes on patients that it cannot read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "explorer": ["EncryptionExplorer"],
        "key_recovery_attack": ["Told", "recover_key"],
        "models": ["Linear", "Sigmoid"],
        "parameters": ["LINEAR", "Parameters", "SIGMOID"],
        "scoring": ["Client", "Server"],
    },
)
