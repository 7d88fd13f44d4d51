"""The front door: what it accepts, what it says, and that it stays out of the way."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from front_door import benches, checks, commands, lab, places, pythons
from front_door.terminal import Stop

REPO = Path(__file__).resolve().parents[2]
SOURCES = [REPO / "kit.py", *sorted((REPO / "front_door").glob("*.py"))]


# ------------------------------------------------------------------------------------------------------ Python


def test_the_pythons_that_are_supported() -> None:
    assert all(map(pythons.supported, [(3, 11, 0), (3, 11, 99), (3, 12, 0), (3, 13, 0), (3, 13, 12)]))
    others = [(2, 7, 18), (3, 8, 18), (3, 10, 14), (3, 14, 0), (4, 0, 0), (), (3, 12)]
    assert not any(map(pythons.supported, others))


def test_the_refusal_is_one_sentence_that_names_another_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "other_pythons", lambda: ["python3.12", "python3.11"])
    sentence = pythons.refusal((3, 9, 1), ["lab", "--no-browser"])
    assert "this is Python 3.9.1" in sentence
    assert "python3.12 kit.py lab --no-browser" in sentence
    monkeypatch.setattr(pythons, "other_pythons", list)
    assert "install one" in pythons.refusal((3, 9, 1))


def test_only_a_python_that_really_starts_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pythons.other_pythons() == []
    if os.name != "nt":
        answers = {"python3.13": "exit 127", "python3.12": "echo 3.12.4", "python3.11": "echo 3.10.2"}
        for name, answer in answers.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n")
            (tmp_path / name).chmod(0o755)
        assert pythons.other_pythons() == ["python3.12"], "the 3.11 is a 3.10.2, and the 3.13 has nothing behind it"


@pytest.mark.parametrize("name", ["kit.py", "front_door/__init__.py", "front_door/pythons.py"])
def test_what_comes_first_can_be_read_by_an_old_python(name: str) -> None:
    tree = ast.parse((REPO / name).read_text("utf-8"), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_front_door_needs_the_standard_library_only(path: Path) -> None:
    own = {"kit", "front_door"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.split(".")[0] in sys.stdlib_module_names | own


# ---------------------------------------------------------------------------------------------------- commands


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "kit.py", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_help_is_friendly_and_complete(arguments: tuple[str, ...]) -> None:
    answer = ask(*arguments)
    assert answer.returncode == 0
    assert "kit.py lab" in answer.stdout
    assert all(f"\n    {name} " in answer.stdout for name in ("lab", "test", "doctor", "run", "learner", "bench"))


def test_a_letter_that_the_pipe_lacks_comes_out_as_its_number() -> None:
    command = [sys.executable, "kit.py", "Łódź"]
    variables = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    answer = subprocess.run(command, cwd=REPO, env=variables, capture_output=True, timeout=60, check=False)
    assert answer.returncode == 2, answer.stderr
    assert rb"'\u0141\xf3d\u017a'" in answer.stdout.replace("ó".encode("cp1252"), rb"\xf3")


@pytest.mark.parametrize("name", ["05", "05_x", "05_x.ipynb", "notebooks/05_x.ipynb"])
def test_a_notebook_is_found_by_number_name_or_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stem in ("00_start_here", "05_x"):
        (tmp_path / f"{stem}.ipynb").write_text("{}")
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert commands.find_notebooks([name])[0].name == "05_x.ipynb"
    assert [path.stem for path in commands.find_notebooks([])] == ["00_start_here", "05_x"]
    with pytest.raises(Stop, match="no notebook '99': the notebooks are 00_start_here, 05_x"):
        commands.find_notebooks(["99"])


# --------------------------------------------------------------------------------------------------------- lab


@pytest.mark.parametrize("port", [0, -1, 65536, 10**9])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(Stop, match=f"{port} is no port"):
        lab.free_port(port)


def test_jupyter_and_matplotlib_stay_inside_the_kit_and_out_of_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.setenv("MPLCONFIGDIR", "/their/own")
    values = places.jupyter_environment()
    written = {"JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"}
    for name in written | {"JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"}:
        assert Path(values[name]).is_relative_to(places.STATE)
    assert values["NO_PROXY"] == "example.org,127.0.0.1,localhost"


def test_listing_the_fonts_stops_nothing(tmp_path: Path) -> None:
    places.list_fonts(tmp_path / "no python")
    places.list_fonts(Path(sys.executable))
    assert list((places.STATE / "matplotlib").glob("fontlist-*.json"))


def test_the_first_view_asks_nothing_and_calls_nobody() -> None:
    """What no browser test sees: the server's own calls."""
    folder = REPO / "jupyter_config"
    server = json.loads((folder / "jupyter_server_config.json").read_text())["LabApp"]
    assert (server["news_url"], server["check_for_updates_class"]) == (None, "jupyterlab.NeverCheckForUpdate")
    disabled = json.loads((folder / "labconfig" / "page_config.json").read_text())["disabledExtensions"]
    assert disabled["@jupyterlab/extensionmanager-extension:plugin"] is True
    settings = json.loads((folder / "labconfig" / "default_setting_overrides.json").read_text())
    assert settings["@jupyterlab/apputils-extension:notification"] == {"checkForUpdates": False, "fetchNews": "false"}


def test_our_server_is_found_by_its_token_among_others_and_half_written_files(tmp_path: Path) -> None:
    assert lab.port_of("ours", tmp_path / "absent") is None
    for number, text in enumerate(('{"token": "ours", "po', "", "[]", '{"port": 1}', '{"token": "ours"}', "\udcff")):
        (tmp_path / f"jpserver-{number}.json").write_text(text, "utf-8", errors="surrogateescape")
    (tmp_path / "jpserver-77.json").write_text(json.dumps({"token": "another", "port": 8888, "pid": 77}))
    (tmp_path / "jpserver-78-open.html").write_text("ours")
    assert lab.port_of("ours", tmp_path) is None
    (tmp_path / "jpserver-79.json").write_text(json.dumps({"token": "ours", "port": 8890, "pid": 79}))
    assert lab.port_of("ours", tmp_path) == 8890


@pytest.fixture
def handlers() -> Iterator[None]:
    """Give the signals their handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(os.name == "nt", reason="signals as on Linux and macOS")
@pytest.mark.usefixtures("handlers")
def test_a_closed_terminal_ends_us_unless_nohup_said_otherwise() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    commands._end_in_order_on_signals()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    commands._end_in_order_on_signals()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


# ------------------------------------------------------------------------------------------------------- tests


def test_the_summary_counts_what_pytest_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>')
    counts = checks._counts(report)
    assert counts == {"failed": 2, "errors": 1, "skipped": 3, "passed": 3}
    bad = checks.Result("unit", 1, 2.0, counts)
    skipped = checks.Result("browser", 0, 0.0, {}, "the browser tests are skipped: no Chromium")
    checks._sum_up([bad, skipped], 2.0)
    told = capsys.readouterr().out
    assert re.search(r"FAIL +unit +3 passed, 2 failed, 1 errors, 3 skipped in 2.0 s", told)
    assert re.search(r"skip +browser +the browser tests are skipped", told)
    assert told.splitlines()[-1] == "===== 3 passed, 2 failed, 1 errors, 3 skipped in 2.00s ====="
    assert checks._counts(tmp_path / "absent.xml") == {}


def test_the_stages_hold_every_chapter_to_its_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stem in ("00_a", "05_b", "07_c"):
        (tmp_path / f"{stem}.ipynb").touch()
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(checks, "provide_chromium", lambda: "none here")
    names = [stage.name for stage in checks._stages(None)]
    assert names == ["unit", "faults", "notebooks: hygiene", "notebooks: chapters", "browser"]
    chapters = list(checks._stages("notebooks"))[1]
    assert "--nbval" in chapters.arguments
    assert not [word for word in chapters.arguments if "lax" in word]
    for stage, stems in ((chapters, ["07_c", "00_a", "05_b"]), (list(checks._quick())[-1], ["00_a", "05_b"])):
        assert [Path(word).stem for word in stage.arguments if word.endswith(".ipynb")] == stems
    assert [stage.name for stage in checks._stages("unit")] == ["unit"]


def test_a_path_among_pytests_arguments_is_told_from_a_word() -> None:
    assert checks._paths_among(["-k", "notebooks", "-x"]) == []
    path = "tests/front_door/test_kit.py::test_x"
    assert checks._paths_among([path, "-x", "absent/file.py"]) == [path]
    assert "--nbval" in checks._with_nbval(["notebooks/00_start_here.ipynb"])
    assert checks._with_nbval(["tests/core"]) == ()


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave this machine without a browser, and with the programs of a folder only."""
    monkeypatch.setattr(checks, "USUAL_BROWSERS", ())
    monkeypatch.setattr(checks, "_root_prefix", list)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KIT_CHROMIUM", raising=False)


@pytest.mark.usefixtures("no_browser")
def test_without_chromium_and_apt_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "KIT_CHROMIUM" in checks.provide_chromium()
    mine = tmp_path / "my-browser"
    mine.touch()
    monkeypatch.setenv("KIT_CHROMIUM", str(mine))
    assert checks.find_chromium() == str(mine)
    assert checks.provide_chromium() == ""


@pytest.mark.skipif(os.name == "nt", reason="apt belongs to Debian and its relatives")
@pytest.mark.usefixtures("no_browser")
def test_chromium_is_installed_where_apt_can(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" = update ] || : > {tmp_path}/chromium\n'
        f"/bin/chmod +x {tmp_path}/chromium 2>/dev/null || :\n"
    )
    apt.chmod(0o755)
    assert checks.provide_chromium() == ""
    assert (tmp_path / "calls").read_text() == "update\ninstall -y --no-install-recommends chromium\n"
    assert checks.provide_chromium() == ""
    assert len((tmp_path / "calls").read_text().splitlines()) == 2, "what is there is not installed again"
    (tmp_path / "chromium").unlink()
    apt.write_text("#!/bin/sh\necho 'E: Unable to fetch'\nexit 100\n")
    assert checks.provide_chromium() == "Chromium could not be installed (E: Unable to fetch)"


def test_notebooks_run_in_the_same_surroundings_everywhere(tmp_path: Path) -> None:
    values = places.repeatable_environment(tmp_path)
    fixed = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    assert fixed.items() <= values.items()
    assert Path(values["PPML_PROGRESS"]).parent == Path(values["PPML_RESULTS"]).parent == tmp_path


# -------------------------------------------------------------------------------------------------- benchmarks


def test_pins_of_a_peer_are_read_without_running_the_script(tmp_path: Path) -> None:
    script = tmp_path / "some_peer.py"
    script.write_text("PEER_REQUIREMENTS = ['a==1', 'b==2']\nfrom _frame import Benchmark\nraise SystemExit('ran')\n")
    (tmp_path / "_frame.py").touch()
    (tmp_path / "a_tool.py").write_text("print('no comparison')\n")
    assert benches.peer_requirements(script) == ("a==1", "b==2")
    assert benches.benchmarks(tmp_path) == {"some-peer": script}
    script.write_text("x = 1\n")
    assert benches.peer_requirements(script) == ()


@pytest.mark.parametrize("value", ["['a']", "make()", "3", "[1]"])
def test_a_peer_without_exact_pins_is_refused(value: str, tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    script.write_text(f"PEER_REQUIREMENTS = {value}\n")
    with pytest.raises(Stop, match=r"plain list of pins like 'opacus==1\.6\.0'"):
        benches.peer_requirements(script)


def test_the_scoreboard_is_made_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(commands, "in_course", lambda arguments, scratch: asked.append(arguments) or 0)
    monkeypatch.setenv("PPML_RESULTS", str(tmp_path))
    assert commands.main(["scoreboard"]) == 0
    assert commands.main(["scoreboard", "--fresh", "--folder", str(tmp_path / "other")]) == 0
    begin = ["-m", "ppml_helpers.choose.making"]
    assert asked == [[*begin, str(tmp_path / "scoreboard")], [*begin, str(tmp_path / "other"), "--fresh"]]


def test_an_unknown_benchmark_is_named_with_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "benchmarks", lambda: {"epsilon-sweep": tmp_path})
    with pytest.raises(Stop, match="no benchmark 'nope': the benchmarks are epsilon-sweep"):
        benches.bench(["nope"])
