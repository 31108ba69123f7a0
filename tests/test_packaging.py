"""The files that deployments use: pinned requirements, and the unit of systemd."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = (ROOT / "requirements.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEPLOYED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["mcp"]]


_PIN = re.compile(r"([A-Za-z0-9_.-]+)==([A-Za-z0-9.+]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def pinned() -> dict[str, str]:
    """Returns the pinned versions by package."""
    return {canonicalize_name(name): version for name, version, _ in _PIN.findall(PINS)}


def test_requirements_are_exact_versions_with_hashes_and_name_no_index() -> None:
    heading, _, pins = PINS.partition("\n")
    assert heading.startswith("# ")
    assert _PIN.sub("", pins) == ""


def test_image_has_the_python_that_developers_have() -> None:
    tag = re.match(r"FROM python:([0-9.]+)-slim\b", (ROOT / "Dockerfile").read_text())
    assert tag
    assert tag[1] == (ROOT / ".python-version").read_text().strip()


@pytest.mark.parametrize("requirement", [Requirement(one) for one in DEPLOYED], ids=str)
def test_requirements_have_each_dependency_of_a_deployment(requirement: Requirement) -> None:
    assert pinned()[canonicalize_name(requirement.name)] in requirement.specifier


def test_systemd_stops_typist_before_the_processes_of_mcp_servers() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "deploy" / "typist.service")
    assert unit["Service"]["KillMode"] == "mixed"
