"""A workshop's hub under a room of learners: real clients without a browser, over HTTP and WebSocket, all at once.

Each logs in with the password of a slip, opens chapter 05 through the contents interface, starts its kernel, runs its
cells up to the explorer, moves epsilon as a browser's widget does (a message of the comm), and waits for the picture
of that epsilon. One that fails fails the run.

    python3 kit.py bench hub            # 15 learners; as root, with the isolation of a real workshop
    python3 kit.py bench hub --quick    # 3 learners
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import requests
import websocket
from _frame import RESULTS, machine, versions

ROOT = Path(__file__).resolve().parents[1]
CHAPTER = "notebooks/05_private_training.ipynb"
LAST_CELL = "explorer"
# Exponents of epsilon, in tenths, at which the explorer's curve has no point: nothing is there yet when we ask.
MOVES = (-18, -13, -8, -4, 2)
PATIENCE = 900.0  # seconds for one step of one learner; on a busy machine many of them wait for two cores
STEPS = ("log in", "start the server", "open the chapter", "first cell", "cells to the explorer", "knob to picture")


class Client:
    """One learner at a browser that is not there.

    Parameters
    ----------
    hub
        Address of the hub, with a slash at the end.
    name, password
        From the slip.
    """

    def __init__(self, hub: str, name: str, password: str) -> None:
        self.name, self._password = name, password
        self._hub, self._user = hub, f"{hub}user/{name}/"
        self._http = requests.Session()
        self._http.trust_env = False
        self._socket: Any = None
        self._messages: queue.SimpleQueue[str | bytes] = queue.SimpleQueue()
        self._session = uuid.uuid4().hex
        self._knob = ""
        self.seconds: dict[str, list[float]] = {step: [] for step in STEPS}

    def work(self, together: Callable[[], object]) -> None:
        """Do what a learner does; ``together`` waits until all have come to the explorer."""
        self._timed("log in", self._log_in)
        self._timed("start the server", self._start)
        cells = self._timed("open the chapter", self._open)
        self._timed("first cell", lambda: self._first(cells[0]))
        self._timed("cells to the explorer", lambda: [self._run(cell) for cell in cells[1:]])
        together()
        for exponent in MOVES:
            self._timed("knob to picture", lambda exponent=exponent: self._move(10 ** (exponent / 10)))

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def _timed(self, step: str, do: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = do()
        self.seconds[step].append(time.perf_counter() - begun)
        return result

    def _token(self, path: str) -> str:
        """Return the cookie against forged requests for a path: hub and server have one each, of one name."""
        found = [cookie for cookie in self._http.cookies if cookie.name == "_xsrf" and path.startswith(cookie.path)]
        return str(max(found, key=lambda cookie: len(cookie.path)).value) if found else ""

    def _log_in(self) -> None:
        self._http.get(f"{self._hub}hub/login", timeout=PATIENCE).raise_for_status()
        form = {"username": self.name, "password": self._password, "_xsrf": self._token("/hub/login")}
        answer = self._http.post(f"{self._hub}hub/login?next=%2Fhub%2Fhome", data=form, timeout=PATIENCE)
        answer.raise_for_status()
        assert answer.url.endswith("/hub/home"), f"{self.name} came to {answer.url}"

    def _start(self) -> None:
        """Ask for the server, again where too many are starting, and look every second until JupyterLab comes."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = self._http.get(f"{self._hub}hub/spawn", timeout=PATIENCE)
            if answer.status_code != 429:
                break
            time.sleep(1)
        while time.monotonic() < until:
            answer = self._http.get(f"{self._user}lab/tree/{CHAPTER}", timeout=PATIENCE)
            if answer.ok and answer.url.startswith(self._user) and "jupyter-config-data" in answer.text:
                return
            time.sleep(1)
        raise TimeoutError(f"{self.name}'s server did not start: {answer.status_code} {answer.url}")

    def _open(self) -> list[str]:
        answer = self._http.get(f"{self._user}api/contents/{CHAPTER}?content=1", timeout=PATIENCE)
        answer.raise_for_status()
        cells = answer.json()["content"]["cells"]
        last = next(number for number, cell in enumerate(cells) if cell["id"] == LAST_CELL)
        return ["".join(cell["source"]) for cell in cells[: last + 1] if cell["cell_type"] == "code"]

    def _first(self, cell: str) -> None:
        path = f"{self._user}api/sessions"
        body = {"path": CHAPTER, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
        header = {"X-XSRFToken": self._token(f"/user/{self.name}/")}
        answer = self._http.post(path, json=body, headers=header, timeout=PATIENCE)
        answer.raise_for_status()
        kernel = answer.json()["kernel"]["id"]
        address = self._user.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels?session_id={self._session}"
        prepared = self._http.prepare_request(requests.Request("GET", f"{self._user}api/kernels/{kernel}"))
        cookie = prepared.headers.get("Cookie", "")
        self._socket = websocket.create_connection(address, cookie=cookie, timeout=None, origin=self._hub[:-1])
        threading.Thread(target=self._listen, daemon=True).start()
        self._run(cell)

    def _listen(self) -> None:
        """Take in what comes, also while this learner waits for the others: a line that does not answer is ended."""
        with contextlib.suppress(websocket.WebSocketException, OSError):
            while received := self._socket.recv():
                self._messages.put(received)
        self._messages.put("")

    def _run(self, code: str) -> None:
        """Execute a cell; an error in it is one of the run."""
        sent = self._send("execute_request", {"code": code, "silent": False, "store_history": True})
        answered = idle = False
        while not (answered and idle):
            message = self._receive()
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "comm_open":
                self._look_for_the_knob(content)
            if message["parent_header"].get("msg_id") == sent:
                idle = idle or (kind == "status" and content["execution_state"] == "idle")
                if kind == "execute_reply":
                    assert content["status"] == "ok", f"{self.name}: {content.get('ename')}: {content.get('evalue')}"
                    answered = True

    def _look_for_the_knob(self, opened: dict[str, Any]) -> None:
        state = opened["data"].get("state", {})
        if (state.get("_model_name"), state.get("description")) == ("FloatLogSliderModel", "epsilon"):
            self._knob = opened["comm_id"]

    def _move(self, epsilon: float) -> None:
        """Set the slider, and wait for a picture whose sentence names this epsilon."""
        data = {"method": "update", "state": {"value": epsilon}, "buffer_paths": []}
        self._send("comm_msg", {"comm_id": self._knob, "data": data})
        wanted = re.compile(rf"At epsilon {re.escape(f'{epsilon:.2g}')}[ ,]")
        while True:
            message = self._receive()
            state = message["content"].get("data", {}).get("state", {})
            value = state.get("value") if message["header"]["msg_type"] == "comm_msg" else None
            if isinstance(value, str) and "data:image/png" in value and wanted.search(value):
                return

    def _send(self, kind: str, content: dict[str, Any]) -> str:
        number = uuid.uuid4().hex
        header = {"msg_id": number, "msg_type": kind, "session": self._session, "username": self.name, "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return number

    def _receive(self) -> dict[str, Any]:
        received = self._messages.get(timeout=PATIENCE)
        if not received:
            raise ConnectionError("the line to the kernel was ended")
        if isinstance(received, str):
            return json.loads(received)
        return json.loads(received[int.from_bytes(received[4:8], "big") : _end(received)])  # with buffers behind it


def _end(received: bytes) -> int | None:
    """Return where the JSON of a binary message ends: where its first buffer begins."""
    return int.from_bytes(received[8:12], "big") if int.from_bytes(received[:4], "big") > 1 else None


# -------------------------------------------------------------------------------------------------------- the hub


@contextlib.contextmanager
def running_hub(learners: int, state: Path) -> Iterator[tuple[str, float, subprocess.Popen]]:
    """Start a hub and yield its address, the seconds that took, and its process; end it and remove its users."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--learners", str(learners), "--state", str(state), "--port", str(port), "--chapters", "05"]
    options += [] if _isolated() else ["--no-isolation"]
    command = [sys.executable, str(ROOT / "kit.py"), "hub"]
    begun = time.perf_counter()
    child = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    try:
        for line in child.stdout or ():
            said.append(line)
            if line.startswith("The hub is ready: "):
                break
        else:
            raise RuntimeError("".join(["The hub did not start:\n", *said]))
        threading.Thread(target=lambda: list(child.stdout or ()), daemon=True).start()
        yield f"http://127.0.0.1:{port}/", time.perf_counter() - begun, child
    finally:
        child.terminate()
        child.wait(PATIENCE)
        subprocess.run([*command, "--remove", "--state", str(state)], capture_output=True, check=False)


def _isolated() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def slips(state: Path) -> list[tuple[str, str]]:
    """Return names and passwords of the learners."""
    lines = (state / "secrets" / "slips.txt").read_text("utf-8").splitlines()
    found = [tuple(line.split("\t")) for line in lines]
    return [(name, password) for name, password in found if name.startswith("learner")]


def memory(hub: int) -> dict[str, list[float]]:
    """Return the megabytes (Pss: what is shared counts in parts) of each process of a hub, by what it does."""
    kinds = {
        "configurable-http-proxy": "proxy",
        "ipykernel_launcher": "kernel",
        "launcher.py": "cell",
        "singleuser.py": "server",
        "jupyterhub_config.py": "hub",
    }
    found: dict[str, list[float]] = {}
    for process in psutil.Process(hub).children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline())
            kind = next((kind for word, kind in kinds.items() if word in words), "others")
            told = Path(f"/proc/{process.pid}/smaps_rollup").read_text("ascii")
            size = re.search(r"^Pss:\s+(\d+) kB", told, re.MULTILINE)
            found.setdefault(kind, []).append(int(size[1]) / 1024 if size else 0.0)
    return found


# ---------------------------------------------------------------------------------------------------- the measuring


def measure(learners: int) -> dict[str, Any]:
    """Let a room work on a hub and return what it took."""
    with tempfile.TemporaryDirectory(prefix="kit-hub-") as folder:
        state = Path(folder)
        state.chmod(0o711)
        with running_hub(learners, state) as (address, seconds, child):
            print(f"  the hub is ready after {seconds:.1f} s", flush=True)
            clients = [Client(address, *slip) for slip in slips(state)]
            together = threading.Barrier(len(clients))
            begun = time.perf_counter()
            failures = _all_at_once(clients, together)
            wall = time.perf_counter() - begun
            used = memory(child.pid)
            for client in clients:
                client.close()
    steps = {step: [took for client in clients for took in client.seconds[step]] for step in STEPS}
    return {"hub_start": seconds, "wall": wall, "failures": failures, "steps": steps, "memory": used}


def _all_at_once(clients: list[Client], together: threading.Barrier) -> list[str]:
    """Let every client work in a thread of its own, and return what went wrong."""

    def work(client: Client) -> str:
        try:
            client.work(lambda: together.wait(PATIENCE))
        except Exception as error:  # whatever it is, it is a learner who cannot go on
            together.abort()
            return f"{client.name}: {type(error).__name__}: {error}"
        print(f"  {client.name} has the pictures of {len(MOVES)} moves", flush=True)
        return ""

    with ThreadPoolExecutor(len(clients)) as pool:
        return [told for told in pool.map(work, clients) if told]


def summary(values: list[float]) -> dict[str, float]:
    """Return median, 90th percentile and maximum."""
    ordered = sorted(values)
    tenth = statistics.quantiles(ordered, n=10, method="inclusive")[-1] if len(ordered) > 1 else ordered[0]
    return {"median": statistics.median(ordered), "p90": tenth, "max": ordered[-1]}


def told(found: dict[str, Any], learners: int, load: float) -> dict[str, Any]:
    """Return the table and the sentences for people; those about 30 learners state the rule by which they are got."""
    rows = []
    for step, values in found["steps"].items():
        if values:
            one = summary(values)
            rows.append([step, str(len(values)), *(f"{one[key]:.1f} s" for key in one)])
    sizes = {kind: statistics.median(values) for kind, values in found["memory"].items()}
    a_learner = sum(sizes.get(kind, 0.0) for kind in ("cell", "server", "kernel"))
    shared = sum(sum(found["memory"].get(kind, [])) for kind in ("hub", "proxy", "others"))
    knob = summary(found["steps"]["knob to picture"])["median"] if found["steps"]["knob to picture"] else 0.0
    how = "each in a cell of their own" if _isolated() else "without isolation"
    notes = [
        f"{learners} learners at once, {how}; the hub was ready after {found['hub_start']:.1f} s, everybody had all "
        f"pictures {found['wall']:.0f} s later, and {len(found['failures'])} failed. All moved their knob in the same "
        f"moments, which is the worst case, while {load:.0f} other processes wanted the {os.cpu_count()} cores.",
        f"Memory (Pss) a learner: {a_learner:.0f} MB (server {sizes.get('server', 0):.0f}, kernel with the explorer "
        f"{sizes.get('kernel', 0):.0f}, what holds the cell {sizes.get('cell', 0):.0f}); hub, proxy and services "
        f"{shared:.0f} MB (hub {sizes.get('hub', 0):.0f}, proxy {sizes.get('proxy', 0):.0f}).",
        f"30 learners on this machine, by extrapolation (memory: hub and proxy once, a learner 30 times; times: the "
        f"processor is shared, so each grows as the learners do): {(shared + 30 * a_learner) / 1024:.1f} GB, and "
        f"{knob * 30 / learners:.1f} s from knob to picture at the median if all 30 move in the same moment.",
    ]
    table = {"head": ["step", "times", "median", "p90", "max"], "rows": rows}
    memory_of = {"learner_mb": round(a_learner, 1), "shared_mb": round(shared, 1)}
    return {"table": table, "notes": notes, "memory": memory_of}


def main() -> int:
    """Measure, print, and keep."""
    about = "A workshop's hub under learners who all do the same at once, over HTTP and WebSocket."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="3 learners in place of 15")
    quick = parser.parse_args().quick
    learners = 3 if quick else 15
    begun, load = time.strftime("%Y-%m-%dT%H:%M:%S%z"), os.getloadavg()[0]
    print(about + (" (quick)" if quick else ""), flush=True)
    found = measure(learners)
    summed = told(found, learners, load)
    content = {
        "benchmark": "hub", "about": about, "quick": quick, "complete": not found["failures"], "begun": begun,
        "load_before": load, "load_now": os.getloadavg()[0], "machine": machine(), "versions": versions(),
        "learners": learners, "isolated": _isolated(), "comparisons": [], **summed, "measured": found,
    }  # fmt: skip
    path = RESULTS / ("hub.quick.json" if quick else "hub.json")
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    for row in (summed["table"]["head"], *summed["table"]["rows"]):
        print("  ".join(cell.ljust(24 if not place else 9) for place, cell in enumerate(row)))
    print("\n".join([*summed["notes"], *found["failures"], f"Written: {path.relative_to(ROOT)}"]))
    return 1 if found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
