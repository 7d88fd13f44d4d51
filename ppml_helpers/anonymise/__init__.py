"""Chapter 03: hierarchies, k-anonymity and its kin, risk and utility, and the attacks on a release."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "disclosure_attack": ["Skew", "background_knowledge", "homogeneity", "skew"],
        "explorer": ["AnonymityExplorer"],
        "hierarchy": ["Hierarchy"],
        "lattice": ["Lattice", "Solution"],
        "models": ["classes", "k_anonymity", "l_diversity", "t_closeness"],
        "multidimensional": ["mondrian"],
        "released": ["Released", "release"],
        "reidentification": ["Risk", "risk"],
        "support2": ["support2_hierarchies"],
        "utility": ["discernibility", "model_auc", "ncp"],
    },
)
