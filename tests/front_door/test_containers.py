"""The recipes for containers agree with the kit: Python, lock, user, and what was measured. None is run here."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from front_door import places, pythons

REPO = Path(__file__).resolve().parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (REPO / "Dockerfile").read_text("utf-8"))
STEPS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
VERSION = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["version"]
SECRET = re.compile(r"token|password|secret|api_?key", re.IGNORECASE)


def arguments(step: str) -> list[str]:
    return [words for name, words in STEPS if name == step]


def stages() -> dict[str, str]:
    """What each stage is built from, by its name."""
    found = [words.split() for words in arguments("FROM")]
    assert all(words[1:2] == ["AS"] for words in found)
    return {words[2]: words[0] for words in found}


def test_every_stage_comes_from_one_pinned_python_that_the_outputs_were_made_with():
    outside = {origin for origin in stages().values() if origin not in stages()}
    assert len(outside) == 1
    version = re.fullmatch(r"python:(\d+)\.(\d+)\.(\d+)-slim-bookworm", outside.pop())
    assert version is not None, "not a pinned version of the official image"
    assert pythons.supported(tuple(map(int, version.groups())))
    assert (
        f"python={version[1]}.{version[2]}"
        in yaml.safe_load((REPO / "environment.yml").read_text("utf-8"))["dependencies"]
    )


def test_nothing_is_latest_and_nothing_runs_as_root():
    assert "latest" not in DOCKERFILE
    assert arguments("USER") == ["1000"], "said once, in the stage that all others come from"
    assert "--uid 1000" in DOCKERFILE
    first = next(number for number, (name, _) in enumerate(STEPS) if name == "USER")
    assert sum(name == "FROM" for name, _ in STEPS[:first]) == 1


def test_what_is_copied_is_there_and_what_the_set_up_reads_comes_before_it():
    copied: list[str] = []
    for words in arguments("COPY"):
        *sources, target = [word for word in words.split() if not word.startswith("--")]
        if "--from=" not in words:
            copied += sources
            assert all((REPO / source).exists() for source in sources), words
            assert target.rstrip("/").rsplit("/")[-1] in (".", *sources)
    read = (places.COURSE.requirements, places.COURSE.optional, places.ROOT / "pyproject.toml")
    assert {path.name for path in read if isinstance(path, Path)} <= set(copied)
    assert "environment.ensure(places.COURSE)" in DOCKERFILE  # the kit's own way, and with it the kit's lock


def test_what_is_added_for_the_hub_is_pinned_and_not_in_the_lock():
    added = re.findall(r'"([\w-]+)==[\d.]+"', next(words for words in arguments("RUN") if "--no-deps" in words))
    lock = {line.split("==")[0].lower() for line in (REPO / "requirements.lock").read_text("utf-8").splitlines()}
    assert added[0] == "jupyterhub"
    assert lock.isdisjoint(added)


def test_the_learners_image_takes_only_packages_and_the_edition_from_the_course():
    assert stages()["learner"] == "base"
    after = DOCKERFILE[DOCKERFILE.index(" AS learner") :]
    assert re.findall(r"--from=(\w+) (\S+)", after) == [("course", "/srv/course/.venv"), ("edition", "/srv/edition")]
    assert [words for words in re.findall(r"^COPY (.*)$", after, re.MULTILINE) if "--from=" not in words] == []


def test_no_secret_is_in_the_recipe_and_none_is_sent_to_the_builder():
    assert not any(SECRET.search(words) for name in ("ENV", "ARG") for words in arguments(name))
    left_out = set((REPO / ".dockerignore").read_text("utf-8").splitlines())
    assert {".git", "**/.env", "**/*.pem", "**/*.key"} <= left_out
    for line in (REPO / ".gitignore").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name = line.strip("/")
            assert left_out & {name, f"**/{name}", f"**/{name.rsplit('/')[-1]}"}, f".dockerignore lets {line} in"


def test_the_development_container_is_the_same_base():
    container = json.loads((REPO / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
    build = container["build"]
    assert (REPO / ".devcontainer" / build["dockerfile"]).resolve() == REPO / "Dockerfile"
    assert (REPO / ".devcontainer" / build["context"]).resolve() == REPO
    assert build["target"] in stages()
    assert f" {container['remoteUser']} " in f" {DOCKERFILE} "
    assert "environment.ensure(places.COURSE)" in container["postCreateCommand"][-1]


# ------------------------------------------------------------------------------------------------------ Kubernetes


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((REPO / "workshop" / "kubernetes" / "values.yaml").read_text("utf-8"))


def test_the_cluster_runs_this_image_as_its_user(values: dict[str, Any]):
    learner = values["singleuser"]
    assert (learner["image"]["tag"], learner["uid"], learner["cmd"]) == (VERSION, 1000, "jupyterhub-singleuser")
    assert learner["allowPrivilegeEscalation"] is False
    assert learner["defaultUrl"] == f"/lab/tree/{places.START}"
    assert f"PPML_PROGRESS={learner['storage']['homeMountPath']}/" in DOCKERFILE  # else it is lost with the container
    assert not SECRET.search(yaml.safe_dump(values).replace("secret.yaml", ""))


def test_a_learner_reaches_the_hub_and_names_and_nothing_else(values: dict[str, Any]):
    policy = values["singleuser"]["networkPolicy"]
    opened = {rule for rule, allowed in policy["egressAllowRules"].items() if allowed}
    assert (policy["enabled"], policy["ingress"], policy["egress"]) == (True, [], [])
    assert opened == {"dnsPortsKubeSystemNamespace"}
    # What is not named here is open by default.
    assert {"cloudMetadataServer", "dnsPortsPrivateIPs", "nonPrivateIPs", "privateIPs"} <= set(
        policy["egressAllowRules"]
    )


def test_a_learner_gets_the_memory_that_was_measured(values: dict[str, Any]):
    measured = json.loads((REPO / "benchmarks" / "results" / "hub.json").read_text("utf-8"))
    guarantee, limit = (
        float(values["singleuser"]["memory"][kind].removesuffix("G")) for kind in ("guarantee", "limit")
    )
    assert measured["memory"]["learner_mb"] * 2**20 <= guarantee * 2**30 <= limit * 2**30
    assert values["hub"]["activeServerLimit"] >= 30
    assert values["cull"]["enabled"]
