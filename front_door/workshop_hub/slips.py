"""Who may come in: the passwords of the slips."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyterhub.auth import Authenticator
from tornado.web import HTTPError
from traitlets import Unicode

from front_door.hub_people import Attempts, Passwords


class SlipsAuthenticator(Authenticator):
    """Lets in whoever types the password of a slip, and makes guessing slow."""

    passwords = Unicode(help="the file of salted hashes").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._attempts = Attempts()
        self._one_at_a_time = ThreadPoolExecutor(1)  # a hash takes memory and time by design
        self._kept = Passwords.read(self.passwords)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """Return the name if the password is right; after too many wrong ones refuse without looking."""
        name = data.get("username", "")
        known = name if name in self._kept.names() else ""
        if not self._attempts.may_try(known):
            raise HTTPError(429, f"Too many wrong passwords: wait {Attempts.WINDOW:.0f} seconds and try again.")
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._one_at_a_time, self._kept.fits, name, data.get("password", ""))
        if not right:
            self._attempts.failed(known)
            self.log.warning("A wrong password for %s.", known or "a name that is not there")
            return None
        return name
