"""Chapter 03: hierarchies, k-anonymity and its kin, risk and utility, attacks on a release, and its checklist."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checklist": ["Checklist"],
        "choosing": ["singling_out", "useful_columns"],
        "disclosure_attack": ["Skew", "background_knowledge", "homogeneity", "listed", "skew"],
        "explorer": ["AnonymityExplorer"],
        "hierarchy": ["Hierarchy"],
        "lattice": ["Lattice", "Solution"],
        "models": ["classes", "k_anonymity", "l_diversity", "t_closeness"],
        "multidimensional": ["mondrian"],
        "numeric": ["microaggregate", "rounded", "suppress_cells", "top_coded"],
        "population": ["Uniqueness", "uniqueness"],
        "released": ["Released", "release"],
        "reidentification": ["Risk", "risk"],
        "support2": ["support2_hierarchies"],
        "utility": ["Quality", "discernibility", "model_auc", "model_quality", "ncp", "quality"],
    },
)
