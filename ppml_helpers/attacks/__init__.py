"""The attacks that the course runs before and after each protection."""

from __future__ import annotations

from ppml_helpers.attacks.dictionary import HASHERS, Cracked, dictionary_attack
from ppml_helpers.attacks.disclosure import BestGuess, Skew, background_knowledge, best_guess, homogeneity, skew
from ppml_helpers.attacks.linkage import Linkage, LinkageScore, link
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
    "BestGuess",
    "Cracked",
    "Interval",
    "Linkage",
    "LinkageScore",
    "OperatingPoint",
    "Skew",
    "background_knowledge",
    "best_guess",
    "dictionary_attack",
    "exact_interval",
    "homogeneity",
    "link",
    "membership_attack",
    "operating_point",
    "scores",
    "skew",
    "true_class_confidence",
]
