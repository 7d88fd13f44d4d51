"""What goes wrong around a network: closed, killed, forked, without syft. Nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from desk import jobs_in, opened, wait_until

from ppml_helpers.errors import DatasiteError
from ppml_helpers.owner_in_control import Network, network, silence

KIT = Path(__file__).resolve().parents[2]

STORY = """
import sys
from ppml_helpers.owner_in_control import Network, silence

network = Network(folder=sys.argv[1])
with silence():
    north, rita = network.hospital("north"), network.researcher("rita")
    network.pair()
    rita.submit_bash_job(north.email, sys.argv[2], "job")
    north.sync()
    north.jobs["job"].approve()
    print(network.shared.parent, file=sys.stderr, flush=True)
    north.process_approved_jobs(stream_output=False)
    print(north.jobs["job"].status, file=sys.stderr, flush=True)
"""


def start(folder, script):
    """Start a program that opens a network and runs a job, in a home and a working directory of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment = os.environ | {"HOME": str(home), "PYTHONPATH": str(KIT), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", STORY, str(folder), script],
        cwd=home,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def networks(folder):
    return sorted(path for path in folder.glob("ppml-datasite-*") if path.is_dir())


def test_without_syft_everything_else_works():
    code = """
import sys
sys.modules["syft"] = sys.modules["syft_rds"] = None
import ppml_helpers.owner_in_control.attacks, ppml_helpers.owner_in_control.gate, ppml_helpers.owner_in_control.explorer
from ppml_helpers import owner_in_control as datasite
assert not [name for name, module in sys.modules.items() if name.startswith("syft") and module]
print(len(datasite.mock_patients(["age"], 3, 0)))
try:
    datasite.Network()
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "3"
    assert second.startswith("PySyft cannot be imported (")
    assert second.endswith("run `python3 kit.py doctor`, which says how to mend the set-up.")


def test_a_closed_network_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PRE_SYNC", "true")
    before = dict(os.environ)
    network = Network(folder=tmp_path)
    north, rita = network.hospital("north"), network.researcher("rita")
    assert os.environ["PRE_SYNC"] == "false"
    network.close()
    network.close()
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []
    for use in (
        lambda: network.hospital("south"),
        lambda: network.publish(north, "a", None, None),
        lambda: network.machine(rita),
        network.pair,
        network.seen_in_shared_folder,
    ):
        with pytest.raises(DatasiteError, match="This network is closed and its folders are gone: open a new one"):
            use()
    assert repr(network) == "Network(closed)"
    with pytest.raises(DatasiteError, match="The shared folder is gone: its network was closed"):
        north.sync()  # syft makes the folder of its lock before it looks
    network.close()
    assert list(tmp_path.iterdir()) == []


def test_variables_come_back_in_whatever_order_networks_close(tmp_path, monkeypatch):
    monkeypatch.delenv("PRE_SYNC", raising=False)
    before = dict(os.environ)
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        three = [Network(folder=tmp_path) for _ in range(3)]
        os.environ["PATH"] += os.pathsep + "/added/meanwhile"
        for number in order:
            assert os.environ["PRE_SYNC"] == "false"
            assert "ppml-datasite-" in os.environ["PATH"].split(os.pathsep)[0]
            three[number].close()
        assert os.environ["PATH"] == before["PATH"] + os.pathsep + "/added/meanwhile"
        os.environ["PATH"] = before["PATH"]
        assert dict(os.environ) == before


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "a-file").write_text("")
    before = dict(os.environ)
    with pytest.raises(DatasiteError, match="encryption = 'yes' must be True or False"):
        Network(encryption="yes")
    for folder in ("absent", "a-file"):
        with pytest.raises(DatasiteError, match=rf"No folder can be made in .*{folder} \(.*\): give one that exists"):
            Network(folder=tmp_path / folder)
    assert dict(os.environ) == before


def test_the_next_network_clears_up_behind_a_killed_program_and_its_job(tmp_path):
    program = start(tmp_path, "sleep 300 & sleep 300")
    root = Path(program.stderr.readline().strip())
    wait_until(lambda: len(jobs_in(root)) >= 2)
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stderr.close()
    assert root.exists()
    assert jobs_in(root)
    with Network(folder=tmp_path) as network:
        assert networks(tmp_path) == [network.shared.parent]
        assert jobs_in(root) == []


def test_closing_ends_the_job_that_runs(tmp_path):
    with opened(tmp_path) as desk, silence():
        desk.send("job", "sleep 300 & sleep 300")
        desk.yes_in_syft("job")
        runner = threading.Thread(target=desk.north.process_approved_jobs, kwargs={"stream_output": False})
        runner.start()
        wait_until(lambda: len(jobs_in(tmp_path)) >= 2)
        desk.network.close()
        runner.join(timeout=60)
    assert not runner.is_alive()
    assert jobs_in(tmp_path) == []
    desk.network.close()  # the runner's last words made a folder anew; so does the end of the program
    assert list(tmp_path.iterdir()) == []


def test_two_programs_at_once_do_not_disturb_each_other_and_leave_nothing(tmp_path):
    with Network(folder=tmp_path) as network:
        programs = [start(tmp_path, f"echo {number} > code/outputs/a") for number in range(2)]
        said = [program.communicate(timeout=300)[1].splitlines() for program in programs]
        assert [lines[1:] for lines in said] == [["done"], ["done"]]
        assert said[0][0] != said[1][0]
        assert networks(tmp_path) == [network.shared.parent]
        assert list((tmp_path / "home").rglob("*")) == []
        network.hospital("north").sync()


def test_what_is_at_work_or_no_network_is_left_alone_and_what_was_left_is_removed(tmp_path):
    precious, left, link = (tmp_path / name for name in ("precious", "ppml-datasite-left", "ppml-datasite-link"))
    for folder in (precious, left):
        folder.mkdir()
    link.symlink_to(precious)
    for folder in (left, link):
        Path(f"{folder}.lock").touch()
    with Network(folder=tmp_path) as first, Network(folder=tmp_path) as second:
        assert networks(tmp_path) == sorted([first.shared.parent, second.shared.parent, link])
        assert precious.is_dir()
        for path in (second.shared.parent, second.shared.parent / "bin" / "uv"):
            assert path.stat().st_mode & 0o777 == 0o700, "it is nobody else's"


def test_a_network_whose_lock_was_taken_first_gets_its_folder_all_the_same(tmp_path, monkeypatch):
    acquire = network.FileLock.acquire

    def late(lock, *arguments, **named):
        monkeypatch.undo()
        Path(lock.lock_file).touch()  # it is opened, and not locked yet
        network.clear_leftovers(tmp_path)
        return acquire(lock, *arguments, **named)

    monkeypatch.setattr(network.FileLock, "acquire", late)
    with Network(folder=tmp_path) as opened:
        network.clear_leftovers(tmp_path)
        assert opened.shared.is_dir()


def test_a_forked_child_does_not_close_its_parent_s_network(tmp_path):
    with Network(folder=tmp_path) as network:
        child = os.fork()
        if child == 0:
            network.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert network.shared.is_dir()
        network.hospital("north").sync()
