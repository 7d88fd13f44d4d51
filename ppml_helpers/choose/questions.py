"""The questions of the review, in the order of an impact assessment, and the articles of the GDPR that they serve.

What stands here was compared with the text of every article.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PARTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "processing": ("The processing and its purposes", "35(7)(a)"),
        "necessity": ("Necessity and proportionality", "35(7)(b)"),
        "risks": ("Risks to the rights and freedoms of the people in the data", "35(7)(c)"),
        "measures": ("Measures against these risks", "35(7)(d)"),
        "decision": ("Advice, views and decision", "35(2), 35(9), 35(11)"),
    }
)
"""Part -> its heading, and the article that asks for it; in the order of Article 35(7)."""

LAW: Mapping[str, str] = MappingProxyType(
    {
        "recital 26": "anonymous is what identifies nobody by means reasonably likely to be used, such as singling out",
        "recital 27": "the Regulation does not cover the dead; member states may have rules of their own",
        "4(1)": "personal data: whatever relates to an identified or identifiable person",
        "4(5)": "pseudonymised: attributable to a person only with additional information, kept apart and secured",
        "4(7)": "controller: who decides why and how personal data are processed",
        "4(8)": "processor: who processes them on behalf of a controller",
        "5(1)(a)": "lawful, fair, and transparent to the person",
        "5(1)(b)": "purpose limitation: for stated purposes, and for no other that is incompatible with them",
        "5(1)(c)": "data minimisation: adequate, relevant, limited to what is necessary",
        "5(1)(e)": "storage limitation: identifiable no longer than necessary",
        "5(1)(f)": "integrity and confidentiality: appropriate security",
        "5(2)": "accountability: the controller must be able to show all this",
        "6(1)": "a legal basis: one of six must apply",
        "9(1)": "health data, among others, may not be processed ...",
        "9(2)": "... unless an exception applies, such as (h) care, (i) public health, (j) research",
        "12(1)": "people are told in clear and plain language",
        "13": "what people are told at the time when data are collected from them",
        "14": "what they are told when data come from elsewhere",
        "17(1)": "erasure without undue delay, on one of six grounds",
        "17(3)": "exceptions from erasure, such as legal duties and, under conditions, research",
        "22": "no decision by machine alone that affects a person seriously, but under safeguards",
        "25(1)": "protection by design; it names pseudonymisation and minimisation",
        "25(2)": "protection by default: only what each purpose needs, as to amount, extent, period and access",
        "26(1)": "who decide together why and how are joint controllers, and arrange who does what",
        "28(3)": "a processor works under a contract, or another binding act, on documented instructions",
        "30(1)": "a record of processing activities",
        "32(1)(a)": "security that fits the risk; it names pseudonymisation and encryption",
        "32(1)(b)": "... lasting confidentiality, integrity, availability and resilience",
        "32(1)(d)": "... and regular tests of whether the measures work",
        "33(1)": "a breach is reported to the authority within 72 hours, unless it is unlikely to be a risk to people",
        "34(1)": "people are told of a breach without undue delay if their risk is high",
        "34(3)(a)": "not if what was taken is unintelligible to whoever has no right to it, as by encryption",
        "35(1)": "an impact assessment before processing that is likely a high risk to people",
        "35(2)": "the advice of the data protection officer is sought",
        "35(3)(b)": "it is required for special categories on a large scale",
        "35(7)": "what it contains at least: the four parts of this review",
        "35(9)": "where appropriate, the views of the people concerned are sought",
        "35(11)": "it is looked at again at least when the risk changes",
        "36(1)": "the authority is consulted first if the risk would be high without measures to mitigate it",
        "37(1)": "when a data protection officer must be designated",
        "39(1)(c)": "the officer advises on the impact assessment, where asked, and monitors it",
        "44": "transfers to third countries only under the conditions of its chapter",
        "89(1)": "research: safeguards, minimisation above all; no identification where the purpose allows it",
    }
)
"""Article or recital of Regulation (EU) 2016/679 -> what it says, in our words and in one line."""


@dataclass(frozen=True)
class Question:
    """One question of the review.

    Parameters
    ----------
    name : str
        Under which the answer is kept.
    part : str
        One of `PARTS`.
    asks : str
    articles : tuple of str
        Of `LAW`.
    think_of : str
        What a good answer names; for a threat, the attackers whom the course has shown, each with its chapter.
    """

    name: str
    part: str
    asks: str
    articles: tuple[str, ...]
    think_of: str


def _questions(part: str, *rows: tuple[str, str, str, str]) -> tuple[Question, ...]:
    """Make the questions of one part from rows of name, question, articles and what to think of."""
    return tuple(Question(name, part, asks, tuple(law.split(", ")), more) for name, asks, law, more in rows)


_PROCESSING = _questions(
    "processing",
    (
        "purpose",
        "For what purpose are the data used, and what is decided with the result?",
        "5(1)(b), 35(7)",
        "Who acts on a prediction, and what happens to a patient then. A second purpose is a second review.",
    ),
    (
        "legal_basis",
        "Which legal basis allows it, and which exception for health data?",
        "6(1), 9(1), 9(2), 89(1)",
        "The point of Article 6(1) and of Article 9(2), and the law of your country that fills it.",
    ),
    (
        "data",
        "Whose data are these, which kinds, from where, and of how many people?",
        "4(1), 35(3)(b), recital 27",
        "Number of people and rows, years, sources, the most sensitive column, groups too small to hide in.",
    ),
    (
        "flow",
        "Which way do the data, the model and the results go, and who sees what on the way?",
        "35(7), 44",
        "Every copy: extract, training server, backup, log, notebook output, model file, answers of the model.",
    ),
    (
        "roles",
        "Who is controller, who is joint controller or processor, and who is the data protection officer?",
        "4(7), 4(8), 26(1), 28(3), 37(1)",
        "Who decides why and how; who only carries it out, under which contract; the officer by name.",
    ),
)

_NECESSITY = _questions(
    "necessity",
    (
        "minimisation",
        "Why is each column needed, and which were left out?",
        "5(1)(c), 25(1), 25(2)",
        "What each column adds to the model, measured (chapter 02); fewer patients; coarser values.",
    ),
    (
        "benefit",
        "What do the customers and the patients gain from this use of their data?",
        "5(1)(a), 35(7)",
        "Those in the data, and later ones; who else gains; what would be lost without it.",
    ),
    (
        "aims",
        "Does training this model fit the organisation's own aims, and would the patients expect it of it?",
        "5(1)(a), 5(1)(b)",
        "A hospital's task, its promise to patients, its statutes. Whether figures or rules would do instead.",
    ),
    (
        "ethics",
        "Which ethical concerns are there, and who would be treated worse?",
        "5(1)(a), 22",
        "Groups with fewer useful predictions, or whom noise hides; those who never agreed; care that is rationed.",
    ),
    (
        "another_company",
        "What changes when another company uses the model?",
        "5(1)(b), 26(1), 28(3), 44",
        "Its purpose, its patients, who attacks its copy, who erases, who answers for errors, in which country.",
    ),
    (
        "retention",
        "How long is everything kept and how is it deleted, backups and trained models included?",
        "5(1)(e), 17(1), 17(3)",
        "A date for each copy; keys that are destroyed (chapter 02b); a model of somebody who asks for erasure.",
    ),
    (
        "transparency",
        "What are the people in the data told, and how do they ask, object or get out?",
        "12(1), 13, 14, 17(1)",
        "In which words they learn of the model and of its limits; who answers them.",
    ),
    (
        "reproducibility",
        "Can the result be made again and explained: which versions, seeds, logs and records are kept?",
        "5(2), 30(1)",
        "Code, data version, environment, the ledger of epsilon, who ran what when.",
    ),
)

_RISKS = _questions(
    "risks",
    (
        "chain",
        "What can go wrong along the development chain?",
        "32(1)(b), 35(7)",
        "Collecting, extracting, cleaning, training, tuning, testing, packages and base models of others, deploying, "
        "updating, retiring.",
    ),
    (
        "applications",
        "What can go wrong when the model is applied, as meant and otherwise?",
        "22, 35(7)",
        "Errors that harm; other patients than those it was trained on; a use that nobody asked for; blind trust.",
    ),
    (
        "linking",
        "Linking: who could join these records with each other, or with another table?",
        "4(5), recital 26",
        "The register with names (01); two recipients of the same pseudonyms (02); two releases of one table (03).",
    ),
    (
        "identifying",
        "Identifying: who could give a record, a pseudonym or an update its name?",
        "4(1), recital 26",
        "Who guesses identifiers and hashes them (02); who finds the only one of a class (03); the curious server that "
        "reads a patient out of an update (07).",
    ),
    (
        "non_repudiation",
        "Non-repudiation: what could a person no longer deny?",
        "5(1)(c), 5(1)(f)",
        "A log of who was looked up (02b); a membership attack that is nearly certain (06); signed messages (07, 10); "
        "the record of a researcher's questions (10). A log protects the owner and exposes whom it names.",
    ),
    (
        "detecting",
        "Detecting: who could find out that somebody is in the data, without reading them?",
        "5(1)(f), recital 26",
        "The confidence attack (01), LiRA and shadow models (06), the nearest synthetic row (03b), two figures with "
        "and without one patient (04), size and time of encrypted requests (08).",
    ),
    (
        "data_disclosure",
        "Data disclosure: who gets more data, or more detail, than the purpose needs?",
        "5(1)(c), 5(1)(f), 25(2)",
        "Who guesses a value from the model (06b); who takes the key from exact answers (08); the provider of "
        "randomness, or parties that collude (09); the job that prints what it reads (10).",
    ),
    (
        "unawareness",
        "Unawareness and unintervenability: who does not know of it, or cannot act on it?",
        "12(1), 13, 14, 17(1)",
        "Patients who cannot be asked, relatives, staff whose work is measured; the erased patient who comes back from "
        "a backup (02b), or stays in a trained model (05).",
    ),
    (
        "non_compliance",
        "Non-compliance: where does practice depart from law, contract or the house's own rules?",
        "5(2), 32(1)(d), 35(1)",
        "A ledger of epsilon that nobody keeps (04, 05); an audit that was never repeated (06); code that ran unread "
        "(10); a review that is never opened again.",
    ),
)

_MEASURES = _questions(
    "measures",
    (
        "techniques",
        "Which techniques were chosen, against which of these risks, and what do they not protect?",
        "25(1), 32(1)(a)",
        "Name them as the scoreboard does: their measured figures then stand below.",
    ),
    (
        "promise",
        "Which promise is made: epsilon and delta, for which unit, over which time, and who keeps the ledger?",
        "5(2), 25(1)",
        "The statement that chapter 05 keeps stands below. Row, patient or family; what is outside the promise.",
    ),
    (
        "in_transit",
        "What is encrypted on the way, and who holds the keys?",
        "32(1)(a), 34(3)(a)",
        "TLS between whom (07b), certificates and their end, messages that are signed, what metadata still tell (08).",
    ),
    (
        "at_rest",
        "What is encrypted where it lies, and who holds the keys?",
        "32(1)(a), 34(3)(a)",
        "Columns and their groups (02b), backups, laptops, model files, temporary files of notebooks.",
    ),
    (
        "access",
        "Who may read, train, query and release, and how is it looked after?",
        "5(1)(f), 25(2), 32(1)(b)",
        "Roles by name; who stands in; a gate that reads code and checks results (10); how a right ends.",
    ),
    (
        "release",
        "What leaves the house, who decides it, and by which checklist?",
        "25(2), 35(7)",
        "The release checklist of chapter 03 stands below, if one was saved.",
    ),
    (
        "testing",
        "Who attacks it again, when, and with which attack?",
        "32(1)(d)",
        "The strongest attack that you can run (06), on each new model; an audit after each update of the library.",
    ),
    (
        "breach",
        "If something is found or lost: who notices, who is told, and how fast?",
        "33(1), 34(1), 34(3)(a)",
        "A model or a table that was sent cannot be called back. Who rings whom within 72 hours.",
    ),
    (
        "remaining",
        "Which risk remains after all this, for whom, and is it high?",
        "35(7), 36(1)",
        "The most exposed patients, not the average (06b). If it is high, the authority is asked first.",
    ),
)

_DECISION = _questions(
    "decision",
    (
        "advice",
        "What did the data protection officer advise, and what was done about it?",
        "35(2), 39(1)(c)",
        "Their words, the date, and where you did otherwise, why.",
    ),
    (
        "views",
        "What do patients, customers or their representatives think of it?",
        "35(9)",
        "Who was asked, how, and what was changed; or why nobody was asked.",
    ),
    (
        "decision",
        "What is decided, by whom, and when is it looked at again?",
        "5(2), 35(11)",
        "Go ahead, change first, or stop; the name; the date or the change that opens this review again.",
    ),
)

QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {one.name: one for one in (*_PROCESSING, *_NECESSITY, *_RISKS, *_MEASURES, *_DECISION)}
)
"""Name -> question, in the order of the report."""

THREATS = (
    "linking",
    "identifying",
    "non_repudiation",
    "detecting",
    "data_disclosure",
    "unawareness",
    "non_compliance",
)
"""The questions of the threat model, by the seven words of LINDDUN (DistriNet, KU Leuven)."""
