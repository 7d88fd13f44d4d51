"""Chapter 09: hospitals compute on what none of them shows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "crypten_today": ["load_crypten"],
        "explorer": ["SharesExplorer"],
        "parties": ["Party", "run_parties"],
        "provider_attack": ["Eavesdropper", "draw_read"],
        "shares": ["Board", "Shared"],
        "costs": ["seconds_on_line"],
        "vertical": ["plain_twin", "secret", "two_hospitals"],
    },
)
