"""Chapters 06 and 06b: attacks by likelihood ratio, an audit of epsilon; who is exposed, and inferred attributes."""

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
        "drawing": ["draw_bands", "draw_found", "draw_person", "draw_roc"],
        "explorer": ["AuditExplorer", "ExposureExplorer"],
        "lira": ["logit_confidence", "scores_of"],
        "shadow": ["Shadows", "fit_shadows", "train_shadows"],
        "study": ["prepare"],
    },
)
