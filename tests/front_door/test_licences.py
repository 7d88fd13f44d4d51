"""No package of the lock binds the kit's MIT code to the GPL or AGPL, and the list of them is a CycloneDX document."""

from __future__ import annotations

import pytest

from front_door import licences

# Strong copyleft in the lock needs its reason here.
ALLOWED: dict[str, str] = {}
# These state nothing in their metadata; their authors state it elsewhere, or not at all.
SILENT = {"axe-playwright-python", "sqlcipher3", "syft-job", "syft-notebook-ui"}


def test_no_package_of_the_lock_is_strong_copyleft_without_a_reason():
    judged = {name: licences.judge(licences.stated(name)) for name in licences.pins()}
    assert {name for name, verdict in judged.items() if verdict == "NOT COMPATIBLE"} == set(ALLOWED)
    assert {name for name, verdict in judged.items() if verdict == "unknown"} <= SILENT
    assert list(judged.values()).count("fine") > 0.9 * len(judged)


@pytest.mark.parametrize(
    ("licence", "verdict"),
    [
        ("AGPL-3.0-only", "NOT COMPATIBLE"),
        ("GPLv3", "NOT COMPATIBLE"),
        ("GNU General Public License v3 (GPLv3)", "NOT COMPATIBLE"),
        ("GNU Affero General Public License v3", "NOT COMPATIBLE"),
        ("MIT AND GPL-2.0-or-later", "NOT COMPATIBLE"),
        ("MIT OR GPL-2.0", "fine"),
        ("LGPL-3.0", "fine"),
        ("GNU Lesser General Public License v3 (LGPLv3)", "fine"),
        ("MIT", "fine"),
        ("UNKNOWN", "unknown"),
        ("", "unknown"),
        (None, "not installed here"),
    ],
)
def test_a_licence_is_judged_by_what_it_binds_to(licence: str | None, verdict: str):
    assert licences.judge(licence) == verdict


def test_the_list_names_every_pin_with_what_tools_look_it_up_by():
    pins = licences.pins()
    document = licences.sbom(pins)
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.5", 1)
    assert {(part["name"], part["version"]) for part in document["components"]} == set(pins.items())
    assert licences.sbom({"Zope_Event": "1.0+cpu"})["components"][0]["purl"] == "pkg:pypi/zope-event@1.0%2Bcpu"
