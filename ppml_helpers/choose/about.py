"""What is true of a technique whatever table it is used on: who sees what, who must be trusted, what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

TRUSTED_WITH = ("records", "updates", "a model", "the rules")
"""With what somebody may have to be trusted, the most first. "The rules": to do what was agreed, and nothing else."""

_NOTHING = "nothing"
_OPEN_MODEL = "researcher: a model, which promises nothing to those in it"


@dataclass(frozen=True)
class About:
    """The words of one technique.

    Parameters
    ----------
    family, leaves, rows_or_columns
        As in a Row.
    hospital, server, researcher, public : str
        What they see. A patient sees what the public sees, and is told the promise.
    trusted : tuple of str
        "who: with what", the latter beginning with one of `TRUSTED_WITH` and a comma.
    not_protected : str
    chapters : tuple of str
        Where it is taught.
    rooms : tuple of str
        Whose code measures it.
    packages : tuple of str
        Which it needs beyond those that every chapter needs, by the name under which they are imported.
    """

    family: str
    leaves: str
    hospital: str
    researcher: str
    trusted: tuple[str, ...]
    not_protected: str
    chapters: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    rows_or_columns: str = "one table"
    server: str = "there is none"
    public: str = "the model, if it is published"
    packages: tuple[str, ...] = ()

    @property
    def sees(self) -> dict[str, str]:
        """Who sees what, for a Row."""
        own = {"hospital": self.hospital, "server": self.server, "researcher": self.researcher, "public": self.public}
        return {"patient": "the promise, in words; otherwise what the public sees", **own}


OWN = ("records, all of them", "records, of its own patients")
"""What a hospital has anyway: nobody has to decide whether to trust it with these."""

_TABLE, _SHARE = (f"hospital: {what}" for what in OWN)

ABOUT: Mapping[str, About] = MappingProxyType(
    {
        "no protection: overfitted forest": About(
            "none",
            "a model",
            "all records",
            "the model",
            (_TABLE, "researcher: a model, which gives away who is in it"),
            "Whoever may ask the model finds members.",
            ("01",),
        ),
        "no protection: logistic regression": About(
            "none",
            "a model",
            "all records",
            "the model",
            (_TABLE, _OPEN_MODEL),
            "Nothing is promised: that this attack finds little says nothing of the next one.",
            ("01",),
        ),
        "pseudonymised": About(
            "pseudonyms",
            "records",
            "all records, and the key",
            "every record, under a pseudonym",
            (_TABLE, "researcher: records, and not to link them to a register"),
            "Whoever knows age, sex and postcode finds the row: it is personal data still.",
            ("02",),
            ("pseudonymise",),
            public=_NOTHING,
        ),
        "minimised": About(
            "none",
            "a model",
            "all records",
            "the model, of a few columns",
            (_TABLE, _OPEN_MODEL),
            "The columns that are left, and the model of them, have no promise.",
            ("02", "03"),
            ("anonymise",),
        ),
        "minimised + anonymised": About(
            "anonymisation",
            "records",
            "all records",
            "boxes of at least 11 patients, either outcome in each",
            (_TABLE, "researcher: the rules, above all not to join it with another release"),
            "A second release of the same patients, and what a box tells of everybody in it.",
            ("03",),
            ("anonymise",),
            public="the boxes, if they are published",
        ),
        "synthetic table, epsilon 1": About(
            "synthetic tables",
            "records",
            "all records, and the noise",
            "rows of people who do not exist",
            (_TABLE,),
            "Rare groups, which the noise drowns; and what was not measured is not in it.",
            ("03b",),
            ("synthetic_tables", "attack_and_audit"),
            public="the rows, if they are published",
        ),
        "private statistics, epsilon 1": About(
            "statistics",
            "statistics",
            "all records, the noise and the ledger",
            "the noisy answers",
            (_TABLE,),
            "What is asked next: every answer spends from the same budget.",
            ("04",),
            ("private_statistics",),
            public="the noisy answers, if they are published",
        ),
        "private training, epsilon 1": About(
            "training",
            "a model",
            "all records, and the noise",
            "the model",
            (_TABLE,),
            "Test figures beside the model, tuning, and what the model says rightly about people like you.",
            ("05",),
            ("private_training",),
        ),
        "private training, epsilon 0.1": About(
            "training",
            "a model",
            "all records, and the noise",
            "the model",
            (_TABLE,),
            "The use: at this epsilon the noise is seen in every risk.",
            ("05",),
            ("private_training",),
        ),
        "federated": About(
            "federation",
            "a model",
            "its own records, and each round's model",
            "the model",
            (_SHARE, "server: updates, from which it can compute records", _OPEN_MODEL),
            "Updates are computed from records, and give them back to a server that tries.",
            ("07",),
            ("federated_learning",),
            "rows",
            "every hospital's update in every round",
            packages=("flwr",),
        ),
        "federated + masks": About(
            "federation",
            "a model",
            "its own records, and each round's model",
            "the model",
            (_SHARE, "hospital: the rules, above all not to side with the server", _OPEN_MODEL),
            "The sum is not hidden: the model that all get promises nothing to a patient.",
            ("07",),
            ("federated_learning",),
            "rows",
            "masked updates, and their sum",
            packages=("flwr",),
        ),
        "federated + noise": About(
            "federation",
            "a model",
            "its own records, its own noise, and each round's model",
            "the model",
            (_SHARE,),
            "What a hospital tells beside its updates, such as how many patients it has.",
            ("07",),
            ("federated_learning",),
            "rows",
            "every hospital's noisy update",
            packages=("flwr",),
        ),
        "federated + masks + noise": About(
            "federation",
            "a model",
            "its own records, its share of the noise, and each round's model",
            "the model",
            (_SHARE, "hospital: the rules, above all to add its share of the noise and not to side with the server"),
            "Hospitals that side with the server take their shares of the noise off.",
            ("07",),
            ("federated_learning",),
            "rows",
            "masked updates, and their noisy sum",
            packages=("flwr",),
        ),
        "encrypted scoring": About(
            "encryption",
            "predictions",
            "its own records, the secret key and the scores",
            "nothing but what the hospital tells",
            (_SHARE, "server: the rules, for nothing shows whether it computed what was agreed"),
            "The model's weights, which a hospital can ask for score by score.",
            ("08",),
            ("homomorphic_encryption",),
            server="ciphertexts, the names of the columns, how many patients",
            public=_NOTHING,
            packages=("tenseal",),
        ),
        "encrypted training": About(
            "encryption",
            "a model",
            "its own records, the secret key and the model",
            "the model, if the hospital gives it",
            (_TABLE, "server: the rules, for nothing shows whether it computed what was agreed", _OPEN_MODEL),
            "The finished model, once it is opened: encryption ends there.",
            ("08",),
            ("homomorphic_encryption",),
            server="ciphertexts, the names of the columns, how many patients",
            packages=("tenseal",),
        ),
        "secret shares, triples by a hospital": About(
            "secure computation",
            "a model",
            "its own columns, shares of the rest, and the model; the first can read all",
            "the model",
            ("hospital: records, of all, for the one that makes the triples can take the masks off", _OPEN_MODEL),
            "Everything from the hospital that makes the triples; the model; and nobody checks the inputs.",
            ("09",),
            ("secure_computation",),
            "columns",
            packages=("crypten",),
        ),
        "secret shares, triples by a third party": About(
            "secure computation",
            "a model",
            "its own columns, shares of the rest, and the model",
            "the model",
            (_SHARE, "server: the rules, above all to side with no hospital", _OPEN_MODEL),
            "The model, once it is opened; and a hospital that lies changes it unseen.",
            ("09",),
            ("secure_computation",),
            "columns",
            "random triples that it makes itself",
            packages=("crypten",),
        ),
        "code to the data": About(
            "code to the data",
            "a model",
            "all records, the code, and what it is asked to release",
            "made-up rows, and what is released",
            (_TABLE, "researcher: the rules, for approved code can hide a patient in an answer that looks right"),
            "What the owner approves without understanding it.",
            ("10",),
            ("owner_in_control",),
            server="code, made-up rows, and what is released",
            packages=("syft",),
        ),
    }
)
"""Technique -> its words, in the order of the chapters."""
