"""The progress page as a service of the hub, which says who asks; `front_door.hub_progress` says what is shown.

The hub starts it, as the user who runs the hub; it listens on the loopback, where no learner's cell is.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SETTINGS = json.loads(Path(os.environ["KIT_HUB_SETTINGS"]).read_text("utf-8"))
sys.path.insert(0, SETTINGS["root"])

from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated  # noqa: E402
from tornado.web import Application, HTTPError, RequestHandler, authenticated  # noqa: E402

from front_door import hub_progress, places  # noqa: E402

HOMES = {name: Path(one["home"]) for name, one in SETTINGS["learners"].items() if name != SETTINGS["lecturer"]}


class Page(HubOAuthenticated, RequestHandler):
    """The lecturer's page; a learner is led to their choice."""

    def initialize(self, consents: hub_progress.Consents, known: list[str]) -> None:
        """Take what all requests share."""
        self.consents, self.known = consents, known

    def set_default_headers(self) -> None:
        """Let nothing be kept by a browser, framed by another page or loaded from elsewhere."""
        self.set_header("Cache-Control", "no-store")
        self.set_header(
            "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        self.set_header("X-Content-Type-Options", "nosniff")

    def learner(self) -> str:
        """Return the name of the learner who asks; the lecturer has nothing to choose."""
        name = self.current_user["name"]
        if name not in HOMES:
            raise HTTPError(403)
        return name

    @authenticated
    def get(self) -> None:
        """Show the page to the lecturer alone."""
        if self.current_user["name"] != SETTINGS["lecturer"]:
            self.redirect(f"{self.request.path}consent")
            return
        self.finish(hub_progress.lecturers_page(hub_progress.rows(self.consents, HOMES, self.known), self.known))


class Consent(Page):
    """A learner's own choice."""

    @authenticated
    def get(self) -> None:
        """Ask."""
        name = self.learner()
        choice, pseudonym = self.consents.all().get(name, "no"), self.consents.pseudonym(name)
        self.finish(hub_progress.consent_page(name, choice, pseudonym, self.xsrf_form_html()))

    @authenticated
    def post(self) -> None:
        """Keep what was chosen: for the one whom the hub names, whatever the form says."""
        name = self.learner()
        try:
            self.consents.choose(name, self.get_body_argument("choice", ""))
        except ValueError:
            raise HTTPError(400) from None
        self.redirect(self.request.path)


async def main() -> None:
    """Serve until the hub ends us."""
    chapters = SETTINGS["chapters"].split(",") if SETTINGS.get("chapters") else []
    paths = places.chapters(Path(SETTINGS["root"]) / "notebooks")
    paths = [path for path in paths if not chapters or path.stem.partition("_")[0] in ("00", *chapters)]
    shared: dict[str, Any] = {
        "consents": hub_progress.Consents(Path(SETTINGS["secrets"]) / "progress"),
        "known": hub_progress.exercises(paths),
    }
    prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
    pages = [
        (prefix, Page, shared),
        (f"{prefix}consent", Consent, shared),
        (f"{prefix}oauth_callback", HubOAuthCallbackHandler),
    ]
    server = Application(pages, cookie_secret=os.urandom(32), xsrf_cookies=True)
    where = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    server.listen(where.port, where.hostname)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
