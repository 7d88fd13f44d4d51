"""Chapter 06: attacks by likelihood ratio with shadow models, inferred attributes, and an audit of epsilon."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attribute": ["AttributeResult", "Guesses", "attribute_inference"],
        "audit": [
            "AuditResult",
            "Canaries",
            "audit_training",
            "best_possible",
            "epsilon_lower_bound",
            "rare_code_canaries",
        ],
        "colleagues": ["COLLEAGUES"],
        "explorer": ["AuditExplorer"],
        "lira": ["logit_confidence", "scores_of"],
        "shadow": ["Shadows", "fit_shadows", "train_shadows"],
        "study": ["prepare"],
    },
)
