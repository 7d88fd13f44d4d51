"""Chapter 03b: tables of people who do not exist, made with and without a promise to those who do."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attacks": ["copies", "draw_named", "members_by_distance", "name_by_register", "nearest"],
        "domain": ["ORDER", "KEPT", "Axis", "Domain", "public_domain"],
        "explorer": ["SyntheticExplorer"],
        "generator": ["Model", "measure"],
        "hospital": ["KNOWN", "POSTCODE", "fictional_hospital"],
        "ledger": ["Ledger", "epsilon_of", "rho_of"],
        "naive": ["sequential_trees"],
        "usefulness": ["explored", "group", "rarest", "train_and_test"],
    },
)
