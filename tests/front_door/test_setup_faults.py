"""What can happen to a set-up, done to a whole kit in small: the real front door, a tiny package, no network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from wheels import tiny_wheel

from front_door import environment, places
from front_door.terminal import Stop

REPO = Path(__file__).resolve().parents[2]
PATIENCE = 300.0  # seconds, on a busy machine
posix = pytest.mark.skipif(os.name == "nt", reason="signals and links as on Linux and macOS")

# A build backend of its own, so that the small kit needs no setuptools and no network.
BACKEND = """
import os, time, zipfile
from pathlib import Path

def _wheel(folder, name, lines):
    path, info = Path(folder) / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    lines[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
    lines[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    lines[f"{info}/RECORD"] = ""
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in lines.items():
            wheel.writestr(file, text)
    return path.name

def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder, "small_kit", {"small_kit.pth": str(Path.cwd()) + "\\n"})

def build_wheel(folder, config_settings=None, metadata_directory=None):
    here = Path(__file__).parent
    (here / "begun").touch()
    while not (here / "go").exists():   # an install that takes its time, until the test says go
        time.sleep(0.05)
    return _wheel(folder, "slow", {"slow.py": "answer = 42\\n"})
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def small_kit(folder: Path) -> Path:
    """Write a kit with the real front door whose lock names one tiny local package; return where it is."""
    root = folder / "a kit"  # the blank is meant
    links = folder / "links"
    links.mkdir()
    tiny_wheel(links)
    shutil.copytree(REPO / "front_door", root / "front_door", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "kit.py", root)
    (root / "requirements.lock").write_text(f"--no-index\n--find-links {links}\ntiny==1.0\n")
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(BUILD_SYSTEM + '[project]\nname = "small-kit"\nversion = "1.0"\n')
    (root / "ppml_helpers").mkdir()
    (root / "ppml_helpers" / "__init__.py").touch()
    (root / "ppml_helpers" / "course.py").write_text("import tiny\nprint('the course ran with tiny', tiny.version)\n")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "00_start_here.ipynb").write_text("{}")
    return root


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """The small kit, in which nothing has been done yet."""
    return small_kit(tmp_path)


def lend(folder: Path, target: Path, *without: str) -> None:
    """Copy a folder; what comes with Python, into which nobody writes, is linked, which is much faster."""
    shared = {"pip", "setuptools", "pkg_resources"}

    def one(source: str, copy: str) -> None:
        os.link(source, copy) if shared & set(Path(source).parts) else shutil.copy2(source, copy)

    shutil.copytree(folder, target, symlinks=True, copy_function=one, ignore=shutil.ignore_patterns(*without))


@dataclass(frozen=True)
class SetUp:
    """A small kit that was set up from nothing, once for all tests: making an environment takes longest."""

    folder: Path  # where it was set up: a kit knows its folder
    kept: Path  # a copy, from which it is put back there
    said: str


@pytest.fixture(scope="session")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> SetUp:
    folder, kept = tmp_path_factory.mktemp("ready"), tmp_path_factory.mktemp("kept") / "copy"
    answer = run(small_kit(folder))
    assert answer.returncode == 0, answer.stdout
    lend(folder, kept)
    return SetUp(folder, kept, answer.stdout)


@pytest.fixture
def ready(set_up: SetUp) -> Path:
    """The small kit, set up."""
    shutil.rmtree(set_up.folder)
    lend(set_up.kept, set_up.folder)
    return set_up.folder / "a kit"


@pytest.fixture
def begun(kit: Path, set_up: SetUp) -> Path:
    """The small kit with an environment in which nothing is installed yet."""
    lend(set_up.kept / "a kit" / ".venv", kit / ".venv", "tiny*", "small_kit*", environment.STAMP)
    return kit


def run(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "kit.py", *(arguments or ("run",))]
    return subprocess.run(
        command, cwd=kit, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False
    )


def site(kit: Path) -> Path:
    found = environment.site_packages(kit / ".venv")
    assert found is not None
    return found


def repaired(kit: Path) -> str:
    """Run again, demand that the course ran and that the call after it finds nothing to do; return the output."""
    answer = run(kit)
    assert answer.returncode == 0, answer.stdout
    assert "the course ran with tiny 1.0" in answer.stdout
    assert run(kit).stdout == "the course ran with tiny 1.0\n"
    return answer.stdout


def test_from_nothing_it_sets_up_shows_progress_and_leaves_a_stamp(set_up: SetUp, ready: Path) -> None:
    assert "Making .venv" in set_up.said
    assert "1 packages are in place" in set_up.said
    stamp = json.loads((ready / ".venv" / environment.STAMP).read_text())
    assert stamp["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "tiny" in stamp["entries"]
    assert run(ready).stdout == "the course ran with tiny 1.0\n", "a later call must not install again"


@pytest.mark.parametrize("stamp", [None, "{half", "[]"])
def test_a_stamp_that_is_not_whole_says_nothing(ready: Path, stamp: str | None) -> None:
    file = ready / ".venv" / environment.STAMP
    file.unlink() if stamp is None else file.write_text(stamp)
    assert "not finished" in environment.whats_wrong(places.recipe_of(ready))


@pytest.mark.parametrize("lost", ["tiny", "tiny-1.0.dist-info", "small_kit.pth"])
def test_what_is_lost_from_an_environment_is_seen(ready: Path, lost: str) -> None:
    assert environment.is_ready(places.recipe_of(ready))
    (site(ready) / lost).rename(ready / lost)
    assert environment.whats_wrong(places.recipe_of(ready)) == f"{lost} is missing from it"


def test_what_was_lost_is_installed_again(ready: Path) -> None:
    shutil.rmtree(site(ready) / "tiny")
    (site(ready) / "small_kit.pth").unlink()
    (ready / ".venv" / environment.STAMP).write_text("{half")
    repaired(ready)


def test_a_package_that_was_half_copied_is_installed_again(ready: Path) -> None:
    """What kill -9 in the middle of pip leaves behind: pip alone would take it for installed."""
    (ready / ".venv" / environment.STAMP).unlink()
    (site(ready) / "tiny/table.txt").write_text("")
    (site(ready) / "~iny").mkdir()
    assert "incomplete in .venv: tiny" in repaired(ready)
    assert (site(ready) / "tiny/table.txt").stat().st_size == 400
    assert not (site(ready) / "~iny").exists()
    (site(ready) / "tiny-1.0.dist-info/RECORD").write_text("")
    assert environment.discard_damaged(ready / ".venv") == ["tiny"]


@posix
def test_an_environment_whose_interpreter_is_gone_is_made_afresh(ready: Path) -> None:
    for link in (ready / ".venv" / "bin").glob("python*"):
        link.unlink()
    (ready / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    assert "not usable" in repaired(ready)


@posix
def test_only_an_environment_with_pip_and_walls_of_its_own_is_completed(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun / ".venv"
    monkeypatch.setenv("PIP_PYTHON", "/nowhere/python")  # a person's setting spoils no environment
    assert environment._reusable(folder)
    (site(begun) / "pip").rename(begun / "pip")
    assert not environment._reusable(folder)
    (begun / "pip").rename(site(begun) / "pip")
    (folder / "pyvenv.cfg").unlink()  # then its Python is the base, with the base's packages
    assert not environment._reusable(folder)


@posix
def test_a_moved_kit_finds_itself_again_and_its_commands_start(ready: Path) -> None:
    moved = ready.with_name("moved né")
    ready.rename(moved)
    repaired(moved)
    assert str(moved) in (site(moved) / "small_kit.pth").read_text()
    said = subprocess.run([str(moved / ".venv/bin/tiny")], capture_output=True, text=True, check=True).stdout
    assert said == "tiny 1.0 runs\n"
    assert environment.discard_damaged(moved / ".venv") == [], "a command that was written anew is not damaged"


def test_a_changed_lock_is_installed(ready: Path) -> None:
    tiny_wheel(ready.parent / "links", "1.1")
    lock = ready / "requirements.lock"
    lock.write_text(lock.read_text().replace("tiny==1.0", "tiny==1.1"))
    answer = run(ready)
    assert answer.returncode == 0
    assert "the course ran with tiny 1.1" in answer.stdout


def test_a_package_that_is_nowhere_shows_what_pip_said_and_the_mend(begun: Path) -> None:
    with (begun / "requirements.lock").open("a") as lock:
        lock.write("absent-package==9.9\n")
    answer = run(begun)
    assert answer.returncode == 1
    assert "absent-package==9.9" in answer.stdout
    assert "run the same command again" in answer.stdout
    assert "Traceback" not in answer.stdout


def test_a_lock_that_is_gone_is_one_sentence(kit: Path) -> None:
    (kit / "requirements.lock").unlink()
    answer = run(kit)
    assert answer.returncode == 2
    assert "requirements.lock cannot be read" in answer.stdout
    assert len(answer.stdout.splitlines()) == 1


def test_a_lock_file_left_by_a_dead_process_is_no_obstacle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "setup.lock").write_text("999999")
    with environment.exclusive(tmp_path / "setup.lock"):
        assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------------------------- optional packages


def test_what_a_computer_cannot_have_is_said_once_and_stops_nothing(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = begun.parent / "links"
    tiny_wheel(links, name="elsewhere", tag="py3-none-some_other_system")
    tiny_wheel(links, name="extra", more="Requires-Dist: nowhere==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    remarks = {name: f"{name} has stored outputs" for name in ("elsewhere", "nowhere", "extra")}
    lines = [f"{name}==1.0  # {remark}\n" for name, remark in remarks.items()]
    (begun / "requirements-optional.lock").write_text("".join(["# a comment\n\n", *lines]))
    said = repaired(begun).splitlines()  # and a second call tries nothing again
    for name in ("elsewhere", "nowhere"):
        sentence = f"{name}==1.0 is left out, since there is no build of it for this computer: {remarks[name]}."
        assert said.count(sentence) == 1
    assert "ERROR" not in "".join(said)
    assert "extra" not in "".join(said)
    assert sorted(path.name for path in site(begun).glob("e*")) == ["extra", "extra-1.0.dist-info"]
    doctor = run(begun, "doctor").stdout
    assert f"optional packages: without elsewhere==1.0 {remarks['elsewhere']}; without nowhere==1.0" in doctor
    assert remarks["extra"] not in doctor


# --------------------------------------------------------------------------------------- interrupted in the middle


@pytest.fixture
def slow(begun: Path) -> Path:
    """The small kit with a second package whose install stops until the file ``go`` is there."""
    folder = begun.parent / "slow"
    folder.mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(BUILD_SYSTEM + '[project]\nname = "slow"\nversion = "1.0"\n')
    with (begun / "requirements.lock").open("a") as lock:
        lock.write(f"slow @ {folder.as_uri()}\n")
    return begun


def start(kit: Path) -> subprocess.Popen[str]:
    """Start a set-up in a group of its own, as a terminal does."""
    command = [sys.executable, "kit.py", "run"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=kit, text=True, start_new_session=True, **streams)


def wait_for(there: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not there.exists():
        assert time.monotonic() < deadline, f"{there} did not appear in time"
        time.sleep(0.05)


def start_building(kit: Path) -> subprocess.Popen[str]:
    """Start the set-up of the slow kit and return when its second package is being built."""
    process = start(kit)
    wait_for(kit.parent / "slow" / "begun")
    return process


@posix
@pytest.mark.parametrize("whole_group", [True, False], ids=["Ctrl-C at the terminal", "signal to kit.py alone"])
def test_ctrl_c_says_that_nothing_is_lost_and_the_next_call_goes_on(slow: Path, whole_group: bool) -> None:
    process = start_building(slow)
    os.killpg(process.pid, signal.SIGINT) if whole_group else process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Nothing already done is lost" in output
    assert "Traceback" not in output
    assert not (slow / ".venv" / environment.STAMP).exists()
    (slow.parent / "slow" / "go").touch()
    repaired(slow)


@posix
def test_ctrl_c_while_the_environment_is_made(kit: Path) -> None:
    process = start(kit)
    wait_for(kit / ".venv")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output.replace("KeyboardInterrupt", "")
    repaired(kit)


@posix
@pytest.mark.parametrize("killed", [False, True], ids=["both go on", "kill -9, after which pip goes on alone"])
def test_a_second_set_up_waits_for_the_first_and_for_its_orphaned_pip(slow: Path, killed: bool) -> None:
    first = start_building(slow)
    if killed:
        first.kill()
        first.wait()
    second = start(slow)
    assert second.stdout is not None
    assert "Another set-up of this kit is running: waiting" in second.stdout.readline()
    (slow.parent / "slow" / "go").touch()
    for process in (second,) if killed else (first, second):
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        assert "the course ran with tiny 1.0" in output
    assert killed or "in place" not in output, "the second had nothing left to install"
    assert run(slow).stdout == "the course ran with tiny 1.0\n"


# ------------------------------------------------------------------------- what a person has set up for other programs


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another's folder of packages: a tiny of its own, and start-up files that stop a Python which reads them."""
    folder = tmp_path / "elsewhere"
    user = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for place in (folder, user):
        (place / "tiny").mkdir(parents=True)
        (place / "tiny" / "__init__.py").write_text("version = 'from elsewhere'\n")
    for file in (folder / "front_door.py", folder / "start.py"):
        file.write_text("raise SystemExit('another program')\n")
    return folder


def use_pip_settings(where: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **sections: dict[str, str]) -> None:
    """Set pip's options as a person may have: as variables, or in a file."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    text = ""
    for section, options in sections.items():
        text += f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for name, value in options.items() if where == "variables" else ():
            monkeypatch.setenv("PIP_" + name.replace("-", "_").upper(), value)
    if where == "pip.conf":
        (folder / where).write_text(text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(folder / where))


@pytest.mark.parametrize("where", ["variables", "pip.conf"])
def test_no_option_of_a_persons_pip_sends_packages_elsewhere(
    begun: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = sorted(elsewhere.rglob("*"))
    general = {"python": "/nowhere/python", "quiet": "3", "require-virtualenv": "1"}
    install = {name: str(elsewhere) for name in ("target", "prefix", "root")}
    install |= dict.fromkeys(("user", "dry-run", "no-deps", "ignore-installed"), "1")
    install |= {"requirement": "absent.txt", "no-binary": ":all:", "platform": "some_other_system"}
    use_pip_settings(where, begun.parent, monkeypatch, **{"global": general}, install=install)
    assert "not usable" not in repaired(begun), "the environment was good"
    assert (site(begun) / "tiny").is_dir()
    assert sorted(elsewhere.rglob("*")) == before


@pytest.mark.parametrize("where", ["variables", "pip.conf"])
def test_a_persons_index_and_constraints_go_on_working(
    begun: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Where packages come from is a person's to say: here from a folder, held to a constraint."""
    links, wanted = begun.parent / "links", begun.parent / "wanted.txt"
    for version in ("1.0", "2.0"):
        tiny_wheel(links, version, name="extra")
    (begun / "requirements.lock").write_text("tiny==1.0\nextra\n")
    wanted.write_text("extra==1.0\n")
    folded = "\n    " if where == "pip.conf" else ""  # as people write a list
    options = {"no-index": "1", "find-links": folded + links.as_uri(), "constraint": wanted.as_uri()}
    use_pip_settings(where, begun.parent, monkeypatch, **{"global": options})
    repaired(begun)
    assert environment.absent(begun / ".venv", ["extra==1.0"]) == []


def test_no_variable_of_a_persons_python_brings_other_packages_in(
    begun: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = dict.fromkeys(("PYTHONPATH", "PYTHONUSERBASE", "VIRTUAL_ENV", "CONDA_PREFIX"), str(elsewhere))
    values |= {"PYTHONSTARTUP": str(elsewhere / "start.py"), "PYTHONHOME": sys.base_prefix, "PYTHONSAFEPATH": "1"}
    values |= {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1", "SETUPTOOLS_USE_DISTUTILS": "stdlib"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    repaired(begun)  # which also calls the kit once more, when it is set up
    for name in values:
        monkeypatch.delenv(name)
    assert run(begun).stdout == "the course ran with tiny 1.0\n"
    assert (site(begun) / "tiny").is_dir()


def test_a_pip_that_says_done_and_did_not_do_it_is_not_believed(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_run", lambda command, *more: (0, []))
    with pytest.raises(Stop, match=r"(?s)does not hold tiny==1\.0.*pip config list"):
        environment.ensure(places.recipe_of(begun))
    assert not (begun / ".venv" / environment.STAMP).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a mount of its own, as on Linux")
@pytest.mark.parametrize("state", ["begun", "ready"])
def test_a_kit_that_cannot_be_written_to_is_one_sentence(state: str, request: pytest.FixtureRequest) -> None:
    kit = request.getfixturevalue(state)
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77; cd "$1"; exec "$2" kit.py run'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", str(kit), sys.executable]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except OSError:
        pytest.skip("there is no unshare")
    if answer.returncode in (1, 77):
        pytest.skip("only root may mount")
    assert answer.returncode == 2
    assert "cannot write to" in answer.stdout
    assert len(answer.stdout.splitlines()) == 1
    assert answer.stderr == ""


# ------------------------------------------------------------------------------------------------- other surroundings


VERSIONS = Path.home() / ".pyenv" / "versions"
OLD = [path for old in ("2.7", "3.10") for path in sorted(VERSIONS.glob(f"{old}.*/bin/python"))]


@pytest.mark.skipif(not OLD, reason="no older Python on this machine (test_kit.py simulates one)")
@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_an_older_python_gets_one_sentence(python: Path, kit: Path) -> None:
    answer = subprocess.run([str(python), "kit.py", "lab"], cwd=kit, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("This kit needs Python 3.11 to 3.13, and this is Python " + python.parts[-3])
    assert len(answer.stderr.splitlines()) == 1
    assert not (kit / ".venv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["laab"], ["'laab'", "lab, explore, test,"]),
        (["run", "77"], ["'77'", "00_start_here"]),
        (["lab", "--port", "many"], ["--port", "'many'"]),
        (["lab", "--fast"], ["'--fast'", "--help"]),
        (["learner"], ["OUT"]),
        (["bench"], ["no benchmarks"]),
        (["test"], ["learner edition"]),
    ],
)
def test_a_wrong_word_is_one_sentence_that_lists_what_there_is(
    kit: Path, arguments: list[str], words: list[str]
) -> None:
    answer = run(kit, *arguments)
    assert answer.returncode == 2
    assert len(answer.stdout.splitlines()) == 1
    assert all(word in answer.stdout for word in words)
    assert not (kit / ".venv").exists()
