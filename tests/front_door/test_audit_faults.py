"""``kit.py audit``: what was not looked up is never called clean, and what is accepted is thought over again."""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from front_door import audit, environment
from front_door.terminal import Stop

TODAY = datetime.date(2027, 1, 1)
HOLE = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": ["CVE-2027-1"]}
CLEAN = [{"name": "fine", "version": "1.0", "vulns": []}, {"name": "holed", "version": "2.0", "vulns": []}]
HOLED = [CLEAN[0], {**CLEAN[1], "vulns": [HOLE]}]
UNKNOWN = [{"name": name, "skip_reason": "not found"} for name in ("fine", "holed")]
KNOWN = '[[known]]\npackage = "holed"\nids = ["{id}"]\nreason = "nobody calls it"\nuntil = {until}\n'


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements.lock").write_text("Fine==1.0\nholed==2.0 ; sys_platform == 'absent'\n")
    (tmp_path / "known.toml").write_text("")
    monkeypatch.setattr(audit, "ensure", lambda recipe: tmp_path / "python")
    return tmp_path


@pytest.mark.parametrize(
    ("answers", "known", "code", "line"),
    [
        ([HOLED] * 2, "", 1, "  MEND  requirements.lock: holed 2.0: PYSEC-1, CVE-2027-1, mended in 2.1"),
        ([HOLED] * 2, KNOWN.format(id="CVE-2027-1", until="2027-01-01"), 0, "(until 2027-01-01: nobody calls it)"),
        ([HOLED] * 2, KNOWN.format(id="all", until="2027-02-01"), 0, "  known requirements.lock: holed 2.0"),
        ([HOLED] * 2, KNOWN.format(id="CVE-2027-1", until="2026-12-31"), 1, "until 2026-12-31, which is over: nobody"),
        ([HOLED] * 2, KNOWN.format(id="CVE-2027-2", until="2027-02-01"), 1, "  MEND "),
        ([CLEAN] * 2, "", 0, "requirements.lock: 2 of 2 versions were looked up, 0 findings."),
        ([UNKNOWN, HOLED, HOLED], "", 1, "  MEND "),
        ([CLEAN, [CLEAN[0], UNKNOWN[1]]], "", 0, "NOT looked up, since osv knows nothing of them: holed."),
        ([CLEAN, []], "", 0, "requirements.lock: 0 of 2 versions were looked up, 0 findings."),
        ([UNKNOWN, UNKNOWN], "", 0, "SKIPPED: no list of vulnerabilities answers (osv, pypi): nothing was audited"),
        ([[], []], "", 0, "SKIPPED: "),
        (["Traceback: no network", "{"], "", 0, "SKIPPED: "),
    ],
)
def test_a_finding_is_mended_or_accepted_for_a_time_and_silence_is_no_praise(
    locks: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: list,
    known: str,
    code: int,
    line: str,
) -> None:
    def run(command: list[str], **rest: object) -> object:
        told = waiting.pop(0)
        text = told if isinstance(told, str) else json.dumps({"dependencies": told})
        asked.append(Path(command[command.index("--requirement") + 1]).read_text())
        return audit.subprocess.CompletedProcess(command, 1, text, "")

    waiting, asked = list(answers), []
    monkeypatch.setattr(audit.subprocess, "run", run)
    (locks / "known.toml").write_text(known)
    assert audit.audit(TODAY, locks, locks / "known.toml") == code
    assert line in capsys.readouterr().out
    assert set(asked) == {"Fine==1.0\nholed==2.0\n"}, "what only another system gets is looked up too"


@pytest.mark.parametrize("key", ["package", "ids", "reason", "until"])
def test_an_acceptance_says_why_and_until_when(locks: Path, key: str) -> None:
    lines = KNOWN.format(id="all", until="2027-02-01").splitlines()
    (locks / "known.toml").write_text("\n".join(line for line in lines if not line.startswith(key)))
    with pytest.raises(Stop, match=f"needs '{key}', see its first lines"):
        audit.audit(TODAY, locks, locks / "known.toml")


def test_what_we_live_with_ourselves_is_pinned_and_ends_within_a_year() -> None:
    pinned = {name for lock in audit.places.ROOT.glob("requirements*.lock") for name in audit.licences.pins(lock)}
    entries = audit.read_known(audit.KNOWN)
    assert {entry["package"] for entry in entries} <= pinned
    assert all(len(entry["reason"]) > 40 for entry in entries)


class StandIn(BaseHTTPRequestHandler):
    """The public list's way of answering: {} for a version that nothing is known of."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = asked["package"]
        fixed = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "2.1"}]}]}
        hole = {"id": "PYSEC-1", "aliases": ["CVE-2027-1"], "summary": "x", "affected": [fixed]}
        text = json.dumps({"vulns": [hole]} if package["name"] == "holed" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.mark.skipif(not environment.is_ready(audit.recipe()), reason="'kit.py audit' or 'kit.py test --all' sets it up")
def test_pip_audit_itself_is_understood(
    locks: Path, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "ensure", lambda recipe: environment.python_of(recipe.folder))
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", service)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert audit.audit(TODAY, locks, locks / "known.toml") == 1
    told = capsys.readouterr().out
    assert "requirements.lock: 2 of 2 versions were looked up, 1 findings." in told
    assert "  MEND  requirements.lock: holed 2.0: PYSEC-1, CVE-2027-1, mended in 2.1" in told
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:9/nobody")
    monkeypatch.setattr(audit, "SERVICES", ("osv",))
    assert audit.audit(TODAY, locks, locks / "known.toml") == 0
    assert "SKIPPED: " in capsys.readouterr().out
