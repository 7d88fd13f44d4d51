"""The lock, its source, environment.yml and the installed environment say the same."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from front_door import places, pythons

REPO = places.ROOT


def requirements(name: str) -> dict[str, Requirement]:
    lines = (line.split("#")[0].strip() for line in (REPO / name).read_text("utf-8").splitlines())
    parsed = [Requirement(line) for line in lines if line]
    assert len({canonicalize_name(one.name) for one in parsed}) == len(parsed), "a package is named twice"
    return {canonicalize_name(one.name): one for one in parsed}


LOCK = requirements("requirements.lock")


def test_every_line_of_the_lock_is_an_exact_pin() -> None:
    assert [str(pin) for pin in LOCK.values() if not re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(pin.specifier))] == []


def test_the_lock_holds_everything_that_is_asked_for_by_name() -> None:
    wanted = requirements("requirements.in")
    assert set(wanted) <= set(LOCK)
    assert all(LOCK[name].specifier == one.specifier for name, one in wanted.items() if one.specifier)


def test_an_optional_package_is_an_exact_pin_that_says_what_is_done_without_it() -> None:
    pins = places.COURSE.optional_pins()
    assert {"openmined-psi", "crypten", "onnx", "ml-dtypes", "voila"} == set(requirements("requirements-optional.lock"))
    assert not set(requirements("requirements-optional.lock")) & set(LOCK)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) and remark for pin, remark in pins.items())


def test_the_list_of_chapter_09b_is_exact_and_holds_what_was_built_for_each_other() -> None:
    pins = requirements("requirements-tfe.lock")
    assert all(re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(pin.specifier)) for pin in pins.values())
    wanted = {"tf-encrypted": "0.9.1", "tensorflow-cpu": "2.9.1", "protobuf": "3.19.6"}
    assert {name: str(pins[name].specifier) for name in wanted} == {name: f"=={one}" for name, one in wanted.items()}
    assert {"ipykernel", "pandas", "scikit-learn", "matplotlib", "filelock", "lazy-loader"} <= set(pins)


@pytest.mark.parametrize("path", sorted(REPO.glob("requirements-*.lock")), ids=lambda path: path.name)
def test_every_other_list_holds_exact_pins_too(path: Path) -> None:
    pins = requirements(path.name).values()
    assert [str(pin) for pin in pins if not re.fullmatch(r"==[0-9][0-9A-Za-z.]*", str(pin.specifier))] == []


def test_torch_is_pinned_as_agreed_and_cuda_is_left_to_pip() -> None:
    assert str(LOCK["torch"]) == "torch==2.13.0"
    assert not [name for name in LOCK if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_the_editable_install_needs_nothing_beyond_the_lock() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    for line in project["build-system"]["requires"]:
        need = Requirement(line)
        version = str(LOCK[canonicalize_name(need.name)].specifier).removeprefix("==")
        assert need.specifier.contains(version)


def test_nothing_names_an_index() -> None:
    text = "".join(path.read_text("utf-8") for path in (*REPO.glob("requirements*"), REPO / "environment.yml"))
    assert "://" not in text
    text += "".join(path.read_text("utf-8") for path in (REPO / "front_door").glob("*.py"))
    assert not re.search(r"(?m)--(extra-)?index-url|^\s*-[if]\b|--find-links|--trusted-host|https?://(?!\{HOST)", text)


def test_conda_takes_the_same_pins() -> None:
    recipe = yaml.safe_load((REPO / "environment.yml").read_text("utf-8"))
    *from_conda, from_pip = recipe["dependencies"]
    assert from_conda == ["python=3.11", "pip"], "whatever conda itself installs is not held to the lock"
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}


def test_the_marker_of_the_newest_python_agrees_with_the_front_door() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]
    low, high = re.findall(r"\d+(?:\.\d+)+", project["requires-python"])
    assert tuple(map(int, low.split("."))) == pythons.OLDEST
    assert tuple(map(int, high.split("."))) == (pythons.NEWEST_MINOR[0], pythons.NEWEST_MINOR[1] + 1)


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="these tests run outside a virtual environment")
def test_this_environment_holds_exactly_the_pins() -> None:
    asked = [pin for pin in LOCK.values() if pin.marker is None or pin.marker.evaluate()]
    # A local build such as 2.13.0+cpu satisfies 2.13.0.
    wrong = [str(pin) for pin in asked if not pin.specifier.contains(importlib.metadata.version(pin.name))]
    assert wrong == []
