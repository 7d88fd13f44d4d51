"""Protecting a table of records: hierarchies, k-anonymity and its kin, risk and utility."""

from ppml_helpers.anonymity.hierarchy import Hierarchy
from ppml_helpers.anonymity.lattice import Lattice, Solution
from ppml_helpers.anonymity.models import classes, k_anonymity, l_diversity, t_closeness
from ppml_helpers.anonymity.mondrian import mondrian
from ppml_helpers.anonymity.released import Released, release
from ppml_helpers.anonymity.risk import Risk, risk
from ppml_helpers.anonymity.support2 import support2_hierarchies
from ppml_helpers.anonymity.utility import average_class_size, discernibility, model_auc, ncp

__all__ = [
    "Hierarchy",
    "Lattice",
    "Released",
    "Risk",
    "Solution",
    "average_class_size",
    "classes",
    "discernibility",
    "k_anonymity",
    "l_diversity",
    "model_auc",
    "mondrian",
    "ncp",
    "release",
    "risk",
    "support2_hierarchies",
    "t_closeness",
]
