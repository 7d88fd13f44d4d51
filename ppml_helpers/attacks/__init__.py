"""The attacks that the course runs before and after each protection.

Shadow models are in `ppml_helpers.attacks.shadow`, which is imported by that name: it needs PyTorch, which takes a
moment to load.
"""

from __future__ import annotations

from ppml_helpers.attacks import lira
from ppml_helpers.attacks.attribute import AttributeResult, Guesses, attribute_inference, candidate_scores
from ppml_helpers.attacks.dictionary import HASHERS, Cracked, dictionary_attack
from ppml_helpers.attacks.disclosure import BestGuess, Skew, background_knowledge, best_guess, homogeneity, skew
from ppml_helpers.attacks.linkage import Linkage, LinkageScore, link
from ppml_helpers.attacks.lira import attack_model, logit_confidence, scores_of
from ppml_helpers.attacks.membership import (
    AttackResult,
    Interval,
    OperatingPoint,
    exact_interval,
    membership_attack,
    operating_point,
    scores,
    true_class_confidence,
)

__all__ = [
    "HASHERS",
    "AttackResult",
    "AttributeResult",
    "BestGuess",
    "Cracked",
    "Guesses",
    "Interval",
    "Linkage",
    "LinkageScore",
    "OperatingPoint",
    "Skew",
    "attack_model",
    "attribute_inference",
    "background_knowledge",
    "best_guess",
    "candidate_scores",
    "dictionary_attack",
    "exact_interval",
    "homogeneity",
    "link",
    "lira",
    "logit_confidence",
    "membership_attack",
    "operating_point",
    "scores",
    "scores_of",
    "skew",
    "true_class_confidence",
]
