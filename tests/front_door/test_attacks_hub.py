"""A workshop's hub, attacked: a learner tries to reach another in every way that we know. As root on Linux alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from hub_client import Kernel, Learner

from front_door import places
from front_door.environment import is_ready
from front_door.hub import Plan, recipe

linux = sys.platform == "linux"
if linux:
    from front_door import hub_system

WHY_NOT = (hub_system.why_not_isolated() if linux else "only on Linux") or (
    "" if is_ready(recipe()) else "'python3 kit.py hub' has not been called yet"
)
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"the hub is not attacked: {WHY_NOT}")

SECRET = "what learner one wrote"
LIMIT = "700M"
MINUTES = 60


class Hub:
    """A hub of three learners with a folder of its own, started and ended like a lecturer does it."""

    def __init__(self, state: Path) -> None:
        self.state, self.port = state, _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def command(self, *more: str) -> list[str]:
        kit = [sys.executable, str(places.ROOT / "kit.py"), "hub", "--state", str(self.state), "--memory", LIMIT]
        return [*kit, "--learners", "3", "--port", str(self.port), "--chapters", "00,07b,10", *more]

    def start(self, *more: str) -> None:
        self.process = subprocess.Popen(
            self.command(*more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        told = []
        for line in self.process.stdout or ():
            told.append(line)
            if line.startswith("The hub is ready"):
                return
        raise AssertionError("".join(told))

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=5 * MINUTES)

    def learner(self, number: int) -> Learner:
        slips = dict(line.split("\t") for line in (self.state / "secrets/slips.txt").read_text().splitlines())
        name = f"learner-{number:02}"
        return Learner(self.address, name, slips[name])

    def user(self, number: int) -> int:
        return hub_system.users_of(self.state / "learners")[Plan(state=self.state).user(f"learner-{number:02}")]

    def running(self) -> list[str]:
        """Return the command lines of everything that belongs to this hub: of its learners, or below its folder."""
        users, found = set(hub_system.users_of(self.state / "learners").values()), []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                where = os.readlink(path / "cwd")
                if state != "Z" and (path.stat().st_uid in users or where.startswith(str(self.state))):
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    served = Hub(tmp_path_factory.mktemp("hub"))
    try:
        served.start()
        yield served
    finally:
        if served.process is not None and served.process.poll() is None:
            served.stop()
        subprocess.run(served.command("--remove"), capture_output=True, check=False)


@pytest.fixture(scope="module")
def victim(hub: Hub) -> Learner:
    """Learner 1, who is logged in and has written a file."""
    one = hub.learner(1)
    assert one.log_in().status_code == 302
    one.start()
    made = one.mine("PUT", "api/contents/mine.txt", json={"type": "file", "format": "text", "content": SECRET})
    assert made.status_code == 201, made.text
    return one


@pytest.fixture(scope="module")
def victims_kernel(victim: Learner) -> Kernel:
    """A kernel of learner 1 with the deployment of chapter 07b and one more door, open to any address."""
    kernel = victim.kernel()
    told = kernel.run(
        "import socket, threading\n"
        "from ppml_helpers import cohort\n"
        "from ppml_helpers.federated_learning import Deployment, simulated\n"
        "network = Deployment(simulated(cohort.load_patients(), n=2, seed=0)).start()\n"
        "door = socket.create_server(('', 0))\n"
        "threading.Thread(target=lambda: [door.accept()[0].sendall(b'in') for _ in range(9)], daemon=True).start()\n"
        "print('port', door.getsockname()[1])"
    )
    assert told.startswith("port"), told
    kernel.door = int(told.split()[1])
    return kernel


@pytest.fixture(scope="module")
def attacker(hub: Hub, victim: Learner) -> Learner:
    """Learner 2."""
    two = hub.learner(2)
    assert two.log_in().status_code == 302
    two.start()
    return two


@pytest.fixture(scope="module")
def attackers_kernel(attacker: Learner) -> Kernel:
    return attacker.kernel()


# ------------------------------------------------------------------------------------------- through the hub's pages


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "api/contents/mine.txt"),
        ("GET", "files/mine.txt"),
        ("PUT", "api/contents/mine.txt"),
        ("DELETE", "api/contents/mine.txt"),
        ("GET", "api/kernels"),
        ("POST", "api/kernels"),
        ("GET", "api/terminals"),
        ("POST", "api/shutdown"),
    ],
)
def test_no_page_of_anothers_server_opens(attacker: Learner, victim: Learner, method: str, path: str) -> None:
    content = {"type": "file", "format": "text", "content": "changed"}
    answer = attacker.ask(method, f"/user/{victim.name}/{path}", json=content)
    if answer.status_code == 302:  # the way over the hub, as a browser goes it
        answer = attacker.web.get(f"{attacker.address}/user/{victim.name}/{path}", timeout=120)
    assert answer.status_code in (403, 404), answer.text[:300]
    assert SECRET not in answer.text
    assert victim.mine("GET", "api/contents/mine.txt").json()["content"] == SECRET


def test_the_token_in_ones_own_kernel_opens_nothing_of_anothers(
    attackers_kernel: Kernel, victim: Learner, attacker: Learner
) -> None:
    token = attackers_kernel.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")
    head = {"Authorization": f"token {token}"}

    def status(path: str, method: str = "GET") -> int:
        return requests.request(method, f"{victim.address}{path}", headers=head, timeout=60).status_code

    assert status(f"/user/{attacker.name}/api/contents/") == 200  # a token it is
    assert status(f"/user/{victim.name}/api/contents/mine.txt") in (403, 404)
    for name in (victim.name, "lecturer"):
        assert status(f"/hub/api/users/{name}") in (403, 404)
        assert status(f"/hub/api/users/{name}/tokens", "POST") in (403, 404)
        assert status(f"/hub/api/users/{name}/server", "DELETE") in (403, 404)
    assert status("/hub/api/shutdown", "POST") == 403


def test_the_lecturer_sees_who_is_there_and_nobodys_files(hub: Hub, victim: Learner) -> None:
    slips = dict(line.split("\t") for line in (hub.state / "secrets/slips.txt").read_text().splitlines())
    lecturer = Learner(hub.address, "lecturer", slips["lecturer"])
    assert lecturer.log_in().status_code == 302
    lecturer.web.get(f"{hub.address}/hub/home", timeout=60)
    assert victim.name in {person["name"] for person in lecturer.ask("GET", "/hub/api/users").json()}
    answer = lecturer.web.get(f"{hub.address}/user/{victim.name}/files/mine.txt", timeout=120)
    assert answer.status_code == 403
    assert SECRET not in answer.text


def test_guessing_is_stopped_also_before_the_right_password(hub: Hub) -> None:
    right = hub.learner(3)
    wrong = Learner(hub.address, right.name, "aaaa-bbbb-cccc")
    assert [wrong.log_in().status_code for _ in range(11)] == [403] * 10 + [429]
    assert right.log_in().status_code == 429
    assert hub.learner(1).log_in().status_code == 302  # it is nobody else's fault


# ------------------------------------------------------------------------------------------------ the progress page

PROGRESS, CHOICE = "/services/progress/", "/services/progress/consent"


def _logged_in(hub: Hub, name: str) -> Learner:
    slips = dict(line.split("\t") for line in (hub.state / "secrets/slips.txt").read_text().splitlines())
    person = Learner(hub.address, name, slips[name])
    assert person.log_in().status_code == 302
    return person


def _see(person: Learner, path: str) -> requests.Response:
    """Open a page of the service as a browser does, by way of the hub that says who asks."""
    return person.web.get(f"{person.address}{path}", timeout=120)


def _choose(person: Learner, choice: str, **more: str) -> int:
    token = re.search(r'name="_xsrf"[^>]* value="([^"]+)"', _see(person, CHOICE).text)
    assert token is not None
    form = {"choice": choice, "_xsrf": token[1], **more}
    return person.web.post(f"{person.address}{CHOICE}", data=form, timeout=120).status_code


def test_the_progress_page_shows_who_agreed_to_the_lecturer_alone(hub: Hub) -> None:
    one, two, lecturer = (_logged_in(hub, name) for name in ("learner-01", "learner-02", "lecturer"))
    assert _see(lecturer, PROGRESS).url == f"{hub.address}{PROGRESS}"
    assert "learner-0" not in _see(lecturer, PROGRESS).text
    # What a form says about names is not heard: the hub says who asks.
    assert _choose(one, "name", name="learner-02", learner="learner-02") == 200
    shown = _see(lecturer, PROGRESS).text
    assert ("learner-01" in shown, "learner-02" in shown) == (True, False)
    led = _see(two, PROGRESS)
    assert (led.url, "learner-01" in led.text) == (f"{hub.address}{CHOICE}", False)
    assert "/hub/login" in _see(hub.learner(2), PROGRESS).url  # who has not logged in
    assert _choose(one, "no") == 200
    assert "learner-01" not in _see(lecturer, PROGRESS).text


def test_nobody_chooses_for_another(hub: Hub) -> None:
    one, lecturer = _logged_in(hub, "learner-01"), _logged_in(hub, "lecturer")
    _see(one, CHOICE)
    for forged in ({"choice": "name"}, {"choice": "name", "_xsrf": "guessed"}):  # from another's page
        assert one.web.post(f"{hub.address}{CHOICE}", data=forged, timeout=120).status_code == 403
    assert _see(lecturer, CHOICE).status_code == 403  # who has nothing to choose
    assert "learner-0" not in _see(lecturer, PROGRESS).text


# ------------------------------------------------------------------------------------- through a kernel of one's own


def _files_to_steal(hub: Hub) -> list[str]:
    one, secrets = hub.state / "learners" / "learner-01", hub.state / "secrets"
    wanted = [one, one / "course" / "mine.txt", one / "server.log"]
    wanted += [secrets / name for name in ("slips.txt", "slips.html", "passwords.json", "hub.sqlite", "cookie")]
    wanted += [secrets / "settings.json", secrets / "hub.log", places.ROOT / "notebooks" / "05_private_training.ipynb"]
    assert all(path.exists() for path in wanted)
    return list(map(str, wanted))


STEAL = """
import os
for path in {paths}:
    for use in (lambda: os.listdir(path), lambda: open(path).read(), lambda: open(path, "a").close()):
        try:
            use()
            print("open:", path)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            pass
print("tried")
"""


def test_no_file_of_anothers_or_of_the_hub_is_seen(hub: Hub, victim: Learner, attackers_kernel: Kernel) -> None:
    assert attackers_kernel.run(STEAL.format(paths=_files_to_steal(hub))) == "tried"


def test_no_file_opens_even_outside_the_cell(hub: Hub, victim: Learner) -> None:
    """Should a learner get out of the namespaces, the user alone still bars the way."""
    paths = [path for path in _files_to_steal(hub) if path.startswith(str(hub.state))]
    told = _as_user(hub.user(2), STEAL.format(paths=paths))
    assert told == "tried"


def _as_user(user: int, code: str) -> str:
    command = ["/usr/bin/env", "-i", shutil.which("setpriv") or "setpriv", f"--reuid={user}", f"--regid={user}"]
    system = next(path for path in ("/usr/bin/python3", "/bin/python3") if Path(path).exists())
    done = subprocess.run([*command, "--clear-groups", system, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _processes_of(user: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if hub_system._owner(int(path.name)) == user]


SPY = """
import os
for pid in {pids}:
    uses = [lambda: open(f"/proc/{{pid}}/environ").read(), lambda: os.listdir(f"/proc/{{pid}}/fd"),
            lambda: os.listdir(f"/proc/{{pid}}/root/"), lambda: os.kill(pid, 9)]
    for use in uses:
        try:
            use()
            print("open:", pid)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            pass
print("tried")
"""


def test_no_process_of_anothers_is_seen_or_ended(hub: Hub, victims_kernel: Kernel, attackers_kernel: Kernel) -> None:
    pids = _processes_of(hub.user(1))
    assert len(pids) > 3  # the first one, a server, a kernel, a deployment
    mine = {int(pid) for pid in attackers_kernel.run("import os; print(*os.listdir('/proc'))").split() if pid.isdigit()}
    assert attackers_kernel.run(SPY.format(pids=sorted(set(pids) - mine))) == "tried"
    assert _as_user(hub.user(2), SPY.format(pids=pids)) == "tried"
    assert victims_kernel.run("print('alive')") == "alive"
    assert set(pids) <= set(_processes_of(hub.user(1)))


def _listening(pid: int) -> list[int]:
    """Return the ports on which somebody listens in the network of a process."""
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()]
    rows = [line.split() for line in lines]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"]


KNOCK = """
import socket
for port in {ports}:
    for host in {hosts}:
        try:
            line = socket.create_connection((host, port), timeout=5)
            print(host, port, line.recv(2) if port == {door} else "")
        except OSError:
            pass
print("tried")
"""


def test_no_port_of_anothers_is_reached(hub: Hub, victims_kernel: Kernel, attackers_kernel: Kernel) -> None:
    ports = set(_listening(_processes_of(hub.user(1))[0])) - set(_listening(_processes_of(hub.user(2))[0]))
    assert len(ports) > 8  # a server, a kernel's five, three of the deployment, and the door
    knock = KNOCK.format(ports=sorted(ports), hosts=["127.0.0.1", "::1", *_addresses()], door=victims_kernel.door)
    assert f"127.0.0.1 {victims_kernel.door} b'in'" in victims_kernel.run(knock)  # whose they are, reaches them
    assert attackers_kernel.run(knock) == "tried"
    assert "b'in'" not in _as_user(hub.user(2), knock)
    # Outside the cell there is one: where the hub hands its connections over, and the server asks who is there.
    server = victims_kernel.run("import os; print(os.environ['JUPYTERHUB_SERVICE_URL'])")
    answer = requests.get(f"{server}api/contents/mine.txt", timeout=60, allow_redirects=False)
    assert answer.status_code in (302, 403)
    assert SECRET not in answer.text


def _addresses() -> list[str]:
    told = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout
    return [address for address in told.split() if re.fullmatch(r"[0-9.]+", address)]


def test_a_cell_reaches_nothing_but_the_hub(hub: Hub, attackers_kernel: Kernel) -> None:
    here = [port for port in _listening(os.getpid()) if port != hub.port]
    told = attackers_kernel.run(KNOCK.format(ports=[*here, hub.port], hosts=["127.0.0.1", *_addresses()], door=0))
    own = set(_listening(_processes_of(hub.user(2))[0]))
    assert {int(line.split()[1]) for line in told.splitlines()[:-1]} <= own


def test_nothing_that_a_learner_writes_is_seen_by_another(victims_kernel: Kernel, attackers_kernel: Kernel) -> None:
    write = (
        "import os\n"
        "for folder in ('/tmp', '/var/tmp', '/dev/shm', '/run/lock'):\n"
        "    try:\n        open(f'{folder}/note', 'w').write('mine'); print(folder)\n"
        "    except OSError:\n        pass"
    )
    folders = victims_kernel.run(write).split()
    assert {"/tmp", "/var/tmp", "/dev/shm"} <= set(folders)
    assert attackers_kernel.run(f"import os; print([os.path.exists(f'{{f}}/note') for f in {folders}])") == str(
        [False] * len(folders)
    )


def test_no_program_gives_root_back(attackers_kernel: Kernel) -> None:
    told = attackers_kernel.run("import subprocess; print(subprocess.run(['su', '-c', 'id'], input=b'').returncode)")
    assert told.split()[-1] != "0"
    status = attackers_kernel.run("print(open('/proc/self/status').read())")
    assert "NoNewPrivs:\t1" in status
    assert re.search(r"CapEff:\s+0+\n", status)
    told = attackers_kernel.run("import os; os.listdir('/proc/1/fd')")
    assert told.startswith("PermissionError")  # nor to the first process of the cell, which was root


# -------------------------------------------------------------------------------------------------------- by greed


def test_who_fills_the_memory_loses_a_kernel_and_nobody_else_anything(
    attacker: Learner, victims_kernel: Kernel
) -> None:
    told = attacker.kernel().run("kept = []\nwhile True:\n    kept.append(bytearray(b'x') * 50_000_000)")
    assert told.startswith(("the kernel died", "MemoryError"))
    assert victims_kernel.run("print(1 + 1)") == "2"
    assert attacker.mine("GET", "api/contents/").status_code == 200


BOMB = """
import threading
enough, born = threading.Event(), 0
try:
    while True:
        threading.Thread(target=enough.wait, daemon=True).start()
        born += 1
except RuntimeError:
    print(born <= 1024)
finally:
    enough.set()
"""


def test_processes_and_threads_are_counted(attacker: Learner, victims_kernel: Kernel) -> None:
    assert attacker.kernel().run(BOMB) == "True"
    assert victims_kernel.run("print(1 + 1)") == "2"


# ------------------------------------------------------------------------------------------------- end and beginning


def test_the_end_ends_everything_and_a_new_beginning_finds_everything(hub: Hub, victims_kernel: Kernel) -> None:
    assert len(hub.running()) > 5
    hub.stop()
    assert hub.running() == []
    slips = (hub.state / "secrets/slips.txt").read_text()
    hub.start()
    assert (hub.state / "secrets/slips.txt").read_text() == slips
    again = hub.learner(1)
    assert again.log_in().status_code == 302
    again.start()
    assert again.mine("GET", "api/contents/mine.txt").json()["content"] == SECRET


@pytest.mark.parametrize("how", ["kit.py is killed", "jupyterhub is killed", "an impatient lecturer"])
def test_nothing_outlives_a_hub_however_it_ends(hub: Hub, how: str) -> None:
    one = hub.learner(1)
    assert one.log_in().status_code == 302
    one.start()
    assert hub.process is not None
    child = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text().split()[0]
    if how == "an impatient lecturer":  # who presses Ctrl-C again, at whatever moment of the end
        hub.process.terminate()
        time.sleep(1)
        hub.process.terminate()
    else:
        os.kill(hub.process.pid if how == "kit.py is killed" else int(child), signal.SIGKILL)
    hub.process.wait(5 * MINUTES)
    deadline = time.monotonic() + 5 * MINUTES
    while hub.running() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert hub.running() == []
    hub.start()


def test_a_server_that_nobody_uses_ends_and_another_does_not(hub: Hub) -> None:
    hub.stop()
    hub.start("--idle", "60")
    try:
        idle, busy = hub.learner(1), hub.learner(2)
        for person in (idle, busy):
            assert person.log_in().status_code == 302
            person.start()
        kernel = busy.kernel()
        assert kernel.run("kept = 1") == ""
        deadline = time.monotonic() + 5 * MINUTES
        while _has_a_server(hub, 1) and time.monotonic() < deadline:
            assert kernel.run("kept += 1") == ""
            time.sleep(1)
        assert not _has_a_server(hub, 1)
        assert int(kernel.run("print(kept)")) > 20, "the kernel that was used, and not one begun afresh"
        idle.start()
        assert idle.mine("GET", "api/contents/mine.txt").json()["content"] == SECRET
    finally:
        hub.stop()
        hub.start()


def _has_a_server(hub: Hub, number: int) -> bool:
    user = hub.user(number)
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid == user:
                return True
    return False


def test_secrets_are_their_owners(hub: Hub) -> None:
    assert [path.name for path in (hub.state / "secrets").iterdir() if path.stat().st_mode & 0o077] == []
    assert (hub.state / "secrets").stat().st_mode & 0o777 == 0o700
    assert {home.stat().st_mode & 0o777 for home in (hub.state / "learners").iterdir()} == {0o700}


def test_remove_leaves_no_user_and_no_password(hub: Hub, victim: Learner) -> None:
    hub.stop()
    done = subprocess.run(hub.command("--remove"), capture_output=True, text=True, check=True)
    assert "4 system users" in done.stdout
    assert hub_system.users_of(hub.state / "learners") == {}
    assert not (hub.state / "secrets").exists()
    mine = hub.state / "learners" / "learner-01" / "course" / "mine.txt"
    assert mine.read_text() == SECRET
    assert mine.stat().st_uid == 0
