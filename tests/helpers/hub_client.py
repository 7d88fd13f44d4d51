"""A learner at a hub, without a browser: logs in, starts the server, reads and writes files, runs code in a kernel."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import requests
import websocket


class Learner:
    """One person's session."""

    def __init__(self, address: str, name: str, password: str) -> None:
        self.address, self.name, self.password = address.rstrip("/"), name, password
        self.web = requests.Session()
        self.web.trust_env = False

    def log_in(self) -> requests.Response:
        self.web.get(f"{self.address}/hub/login", timeout=60)
        form = {"username": self.name, "password": self.password, "_xsrf": self._xsrf("/hub/")}
        return self.web.post(f"{self.address}/hub/login", data=form, timeout=120, allow_redirects=False)

    def start(self) -> None:
        """Start the server, wait for it, and get its cookie."""
        self.web.get(f"{self.address}/hub/spawn", timeout=120)
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            answer = self.web.get(f"{self.address}/user/{self.name}/lab", timeout=120)
            if answer.status_code == 200 and f"/user/{self.name}/lab" in answer.url:
                return
            time.sleep(1)
        raise AssertionError(f"{self.name}'s server did not start: {answer.status_code} {answer.url}")

    def ask(self, method: str, path: str, **content: Any) -> requests.Response:
        """Send a request of this person's browser to any path."""
        own = "/user/" + path.split("/")[2] + "/" if path.startswith("/user/") else "/hub/"
        headers = {"X-XSRFToken": self._xsrf(own)}
        url = f"{self.address}{path}"
        return self.web.request(method, url, headers=headers, timeout=120, allow_redirects=False, **content)

    def mine(self, method: str, path: str, **content: Any) -> requests.Response:
        return self.ask(method, f"/user/{self.name}/{path}", **content)

    def kernel(self) -> Kernel:
        made = self.mine("POST", "api/kernels", json={"name": "python3"})
        assert made.status_code == 201, made.text
        return Kernel(self, made.json()["id"])

    def cookies(self, path: str) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self.web.cookies if path.startswith(cookie.path)}

    def _xsrf(self, path: str) -> str:
        return self.cookies(path).get("_xsrf", "")


class Kernel:
    """A kernel of a learner's server."""

    def __init__(self, owner: Learner, number: str) -> None:
        self.owner, self.path = owner, f"/user/{owner.name}/api/kernels/{number}/channels"

    def run(self, code: str) -> str:
        """Run code and return what it prints, or the error. A line that is silent between two calls would be closed."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.owner.cookies(self.path).items())
        address = self.owner.address.replace("http", "ws", 1) + self.path
        line = websocket.create_connection(address, cookie=cookies, timeout=300, origin=self.owner.address)
        try:
            return self._run(line, code)
        finally:
            line.close()

    def _run(self, line: websocket.WebSocket, code: str) -> str:
        number, told = uuid.uuid4().hex, ""
        header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": number, "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        line.send(json.dumps(message))
        while True:
            answer = json.loads(line.recv())
            if answer["parent_header"].get("msg_id") != number:
                if answer["msg_type"] == "status" and answer["content"]["execution_state"] in ("restarting", "dead"):
                    return "the kernel died"
                continue
            if answer["msg_type"] == "stream":
                told += answer["content"]["text"]
            if answer["msg_type"] == "error":
                told += f"{answer['content']['ename']}: {answer['content']['evalue']}"
            if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
                return told.strip()
