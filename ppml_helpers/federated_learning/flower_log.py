"""What the logs of Flower 1.41 say about a run, in words for people. Pure functions of text."""

from __future__ import annotations

import re
from collections.abc import Mapping

SERVES, CONNECTED = "Uvicorn running", "SuperNode ID:"  #: said by a server that is ready, by a hospital that was let in
_REFUSALS = {  # the first sign that a log holds; the more particular come first
    "certificate has expired": "the server's certificate has run out, or this machine's clock is ahead. Set the clock "
    "if it is wrong, or make new certificates.",
    "certificate is not yet valid": "by this machine's clock the server's certificate is still to come. Set the clock, "
    "which is behind.",
    "CERTIFICATE_VERIFY_FAILED": "it does not trust the server, whose certificate is signed by another authority than "
    "the one it was told to trust. Give it the authority's certificate of this federation.",
    "Invalid SuperNode authentication": "the server does not take its signature, most likely because their clocks "
    "differ. Set the clock that is wrong, then start it again.",
    "[code: 2001]": "it came without a key, and this server knows hospitals by their keys. Give it the private key "
    "whose public key is registered.",
    "[code: 2004]": "the server does not know its key. Register its public key at the server, then start it again.",
    "address already in use": "the port that it needs for itself was taken by another program at that moment. Start it "
    "again.",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[/\\](?:[^\s'\"`:;,]+)")
_FRAME = " |+-─━│┃╭╮╰╯┌┐└┘"  # of the panels in which Flower's command line writes
_SEAMS = {r" *[-─━]+[+╮┐] *\n *[|│┃] *": ": ", r" *[|│┃] *\n *[|│┃] *": " "}  # after a panel's title, and in its text


def refusal(log: str) -> str | None:
    """Say why a hospital could not connect, if its log tells."""
    return next((words for sign, words in _REFUSALS.items() if sign in log), None)


def run_id(log: str) -> str | None:
    """Find the number under which a run was taken in."""
    found = re.search(r"Successfully started run (\d+)", log)
    return found and found[1]


def current_round(log: str) -> int:
    """Give the round that a run has begun; 0 before the first."""
    return max((int(number) for number in re.findall(r"\[ROUND (\d+)/\d+\]", log)), default=0)


def late(logs: Mapping[int, str]) -> list[int]:
    """Name the hospitals whose answer is missing: those behind the others or, if all are equal and one works, all.

    `logs` has what each hospital's log has gained since the run began.
    """
    sent = {number: log.count("Sending: ") for number, log in logs.items()}
    most = max(sent.values(), default=0)
    at_work = any(log.count("Receiving: ") > sent[number] for number, log in logs.items())
    return [number for number in logs if sent[number] < most] or (list(logs) if at_work else [])


def last_words(log: str) -> str:
    """Give the last line, or panel, of a log that reports an error, without frame, colours and places on the disk."""
    log = _COLOUR.sub("", log)
    for seam, mark in _SEAMS.items():
        log = re.sub(seam, mark, log)
    lines = [_PATH.sub("...", line).strip(_FRAME) for line in log.splitlines()]
    errors = [line for line in lines if re.search("error|exception|fail", line, re.IGNORECASE)]
    return errors[-1][:300] if errors else ""
