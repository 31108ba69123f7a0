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


def pinned() -> dict[str, str]:
    """Returns the pinned versions by package."""
    pins = [line.split("==") for line in PINS.splitlines() if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def test_requirements_are_exact_versions_and_name_no_index() -> None:
    lines = [line for line in PINS.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+]+", line)] == []


@pytest.mark.parametrize("requirement", [Requirement(one) for one in DEPLOYED], ids=str)
def test_requirements_have_each_dependency_of_a_deployment(requirement: Requirement) -> None:
    assert pinned()[canonicalize_name(requirement.name)] in requirement.specifier


def test_systemd_stops_typist_before_the_processes_of_mcp_servers() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "deploy" / "typist.service")
    assert unit["Service"]["KillMode"] == "mixed"
