"""The hub's configuration: what `front_door.hub` has decided, in the words of JupyterHub."""

import json
import os
import sys
from pathlib import Path

settings = json.loads(Path(os.environ["KIT_HUB_SETTINGS"]).read_text("utf-8"))
sys.path.insert(0, settings["root"])

from jupyterhub.utils import random_port  # noqa: E402

from front_door.workshop_hub.slips import SlipsAuthenticator  # noqa: E402
from front_door.workshop_hub.spawner import CellSpawner  # noqa: E402

c = get_config()  # noqa: F821
secrets, lecturer, learners = Path(settings["secrets"]), settings["lecturer"], list(settings["learners"])

c.JupyterHub.bind_url = settings["bind_url"]
c.JupyterHub.public_url = settings["public_url"]
c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = settings["certificate"], settings["key"]
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings['proxy_port']}"
c.ConfigurableHTTPProxy.command = settings["proxy"]
c.ConfigurableHTTPProxy.pid_file = str(secrets / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{secrets / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(secrets / "cookie")
c.JupyterHub.cleanup_servers = c.JupyterHub.cleanup_proxy = True

c.JupyterHub.authenticator_class = SlipsAuthenticator
c.SlipsAuthenticator.passwords = str(secrets / "passwords.json")
c.Authenticator.allowed_users = set(learners)

c.JupyterHub.spawner_class = CellSpawner
c.CellSpawner.settings = settings
c.Spawner.default_url = f"/lab/tree/{settings['start']}"
c.Spawner.args = [] if settings["isolated"] or os.geteuid() else ["--allow-root"]
c.Spawner.http_timeout = 300
c.Spawner.start_timeout = 3600  # it holds the wait for a turn, when a whole room comes at once
c.JupyterHub.concurrent_spawn_limit = 0  # the spawner gives turns, and sends nobody away
c.JupyterHub.active_server_limit = 0
c.JupyterHub.last_activity_interval = settings["reported"]
c.JupyterHub.activity_resolution = min(30, settings["reported"])

# The lecturer sees who is there, and starts and ends servers. Nobody's files: this is a course about privacy.
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=progress"]},
    {
        "name": "lecturer",
        "users": [lecturer],
        "scopes": ["self", "admin-ui", "list:users", "read:users", "servers"],
    },
    {
        "name": "culler",
        "services": ["culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    },
]
c.JupyterHub.services = [
    {
        "name": "culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={settings['idle']}"],
    },
    {
        "name": "progress",
        "url": f"http://127.0.0.1:{random_port()}",
        "command": [sys.executable, "-I", str(Path(settings["root"], "front_door", "workshop_hub", "progress.py"))],
        "environment": {"KIT_HUB_SETTINGS": os.environ["KIT_HUB_SETTINGS"]},
        "oauth_no_confirm": True,
    },
]
ask = "May the lecturer see how far you are? Nothing is shown unless you say so:"
c.JupyterHub.template_vars = {"announcement": f'{ask} <a href="/services/progress/consent">choose</a>.'}
