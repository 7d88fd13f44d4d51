"""What is said in a kernel without TF Encrypted, and how messages are counted; 'kit.py test --all' runs the library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from answers import cells

from front_door import places, tfe
from front_door.environment import python_of
from ppml_helpers import course
from ppml_helpers.secure_computation import tf_encrypted_today
from ppml_helpers.secure_computation.tf_encrypted_today import Traffic, count

NOTEBOOK = places.NOTEBOOKS / "09b_tf_encrypted.ipynb"
FOR_310 = ("cohort", "exercises", "secure_computation/tf_encrypted_today.py", "figures.py", "checks.py", "words.py")
FOR_310 += ("secure_computation/tf_encrypted_exercises.py", "secure_computation/exercises.py", "errors.py", "files.py")


def test_in_another_kernel_the_first_code_cell_is_one_sentence_with_the_command() -> None:
    first = next(cell for cell in course.read(NOTEBOOK).cells if cell.cell_type == "code")
    done = subprocess.run([sys.executable, "-c", first.source], cwd=places.ROOT, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "a kernel of its own, and this one has no tensorflow: type 'python3 kit.py tfe' in a terminal" in last


def test_only_this_chapter_declares_another_kernel_and_its_first_cell_names_the_command() -> None:
    assert [path for path in course.chapters() if tfe.needs_it(path)] == [NOTEBOOK]
    assert course.TFE_KERNEL["name"] == tfe.KERNEL
    assert tfe.MAKE in cells(NOTEBOOK.stem)["title"].source
    assert course.normalise(course.read(NOTEBOOK)).metadata.kernelspec.name == tfe.KERNEL


def test_what_the_chapter_imports_is_written_for_its_python_too() -> None:
    paths = [str(places.ROOT / "ppml_helpers" / name) for name in FOR_310]
    command = ["-m", "ruff", "check", "--no-cache", "--isolated", "--target-version", "py310", "--select", "E9", *paths]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


JUDGED = """
from ppml_helpers.secure_computation.tf_encrypted_today import load_tf_encrypted
load_tf_encrypted()
from ppml_helpers.exercises import check
from ppml_helpers.secure_computation.tf_encrypted_exercises import OWN_CUTS, OWN_LINES
wrong = {"09b.1": lambda a, b, p, q: p, "09b.2": (OWN_CUTS, OWN_LINES), "09b.3": lambda x, y, m: None}
for name, answer in wrong.items():
    print(check(name, answer))
read = lambda x, y, m: y[0] ^ y[1] ^ m if x[1] and not y[1] else None
print(check("09b.3", read))
"""


@pytest.mark.skipif(bool(tfe.missing()), reason="'kit.py tfe' was not run here")
def test_library_and_judges_work_in_the_chapters_own_python_and_write_nothing_into_the_home(tmp_path: Path) -> None:
    python = str(python_of(tfe.recipe().folder))
    (tmp_path / "home").mkdir()
    variables = places.jupyter_environment() | {"PPML_PROGRESS": str(tmp_path), "HOME": str(tmp_path / "home")}
    command = [python, "-c", JUDGED]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["✘ Not yet"] * 3 + ["✔ Right"], done.stderr
    assert json.loads((tmp_path / "progress.json").read_text())["done"] == ["09b.3"]
    assert not any((tmp_path / "home").iterdir())


def test_the_measured_row_for_chapter_09_says_what_the_chapter_prints() -> None:
    rows = json.loads((places.BENCHMARKS / "results" / "tf-encrypted.json").read_text())["rows"]
    table = cells(NOTEBOOK.stem)["traffic"].outputs[0].data["text/plain"]
    for name, row in (("logit", rows["logits"]), ("risk", rows["risks"])):
        assert table.split(f"{name} ")[1].split()[:3] == [
            *(str(row["rounds"]), str(row["messages"]), f"{row['bytes'] / 1e6:.2f}")
        ]


def graph(*rows: tuple[str, str, str, list[str]]) -> list[Any]:
    """Operations like TensorFlow's: name, type, device, and the operations whose results they take."""
    made: dict[str, Any] = {}
    for name, kind, device, taken in rows:
        made[name] = SimpleNamespace(name=name, type=kind, device=device, inputs=[made[one].result for one in taken])
        width = SimpleNamespace(name="bool" if kind == "Bit" else "int64", size=1 if kind == "Bit" else 8)
        shape = SimpleNamespace(num_elements=lambda: 10)
        made[name].result = SimpleNamespace(name=f"{name}:0", op=made[name], dtype=width, shape=shape)
    return list(made.values())


def test_messages_rounds_and_bytes_are_those_of_a_graph_counted_by_hand() -> None:
    operations = graph(
        *(("key", "Const", "A", []), ("x", "Add", "A", []), ("plain", "Add", "", ["x"])),
        *(("y", "Add", "B", ["x", "key"]), ("again", "Add", "B", ["x"]), ("z", "Bit", "B", ["y"])),
        *(("home", "Add", "A", ["z", "x"]), ("to C", "Add", "C", ["x", "plain"])),
    )
    found = count(operations, {"A": "a", "B": "b", "C": "c"})
    # x goes to b and to c, once each; z comes back to a. The key, and what stands on no device, are no messages.
    assert found == Traffic(2, 3, 170, {"b": 80, "a": 10, "c": 80}, {64: 2, 1: 1})
    assert count([], {}) == Traffic(0, 0, 0, {}, {})


def test_without_secure_random_numbers_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = SimpleNamespace(
        list_physical_devices=lambda kind: [0], get_logical_device_configuration=lambda cpu: [0]
    )
    for name, module in {
        "tensorflow": SimpleNamespace(config=configured),
        "tf_encrypted": SimpleNamespace(),
        "tf_encrypted.operations": SimpleNamespace(),
        "tf_encrypted.operations.secure_random": SimpleNamespace(
            secure_random=SimpleNamespace(supports_seeded_randomness=lambda: False)
        ),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "KERAS_HOME"):
        monkeypatch.setenv(name, "as before")
    with pytest.raises(tf_encrypted_today.ComputationError, match="no secure random numbers"):
        tf_encrypted_today.load_tf_encrypted()
