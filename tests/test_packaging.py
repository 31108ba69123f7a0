"""The files that deployments use: pinned requirements, the wheel, and the unit of systemd."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SANDBOX = tomllib.loads((ROOT / "sandbox/pyproject.toml").read_text())["project"]
INSTALLED_FROM = {
    "requirements.txt": [*PROJECT["dependencies"], *EXTRAS["postgresql"], *EXTRAS["files"], *EXTRAS["telemetry"]],
    "requirements-local.txt": EXTRAS["local"],
    "requirements-dev.txt": [*EXTRAS["dev"], *EXTRAS["bedrock"], *EXTRAS["vertex"], *EXTRAS["azure"]],
    "sandbox/requirements-dev.txt": [*SANDBOX["dependencies"], *SANDBOX["optional-dependencies"]["dev"]],
}
"""What each file pins, with all that it needs. The second and third leave out what the first has for all systems."""

_PIN = re.compile(r"([A-Za-z0-9_.-]+)==([A-Za-z0-9.+]+)( ; [^\n]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def pinned(file: str) -> dict[NormalizedName, str]:
    return {canonicalize_name(pin[1]): pin[2] for pin in _PIN.finditer((ROOT / file).read_text())}


@pytest.mark.parametrize("file", INSTALLED_FROM)
def test_requirements_are_exact_versions_with_hashes_and_name_no_index(file: str) -> None:
    rest = _PIN.sub("", (ROOT / file).read_text())
    assert all(line.startswith("#") for line in rest.splitlines()), rest


@pytest.mark.parametrize(
    ("file", "requirement"),
    [(file, Requirement(one)) for file, many in INSTALLED_FROM.items() for one in many],
    ids=str,
)
def test_each_dependency_is_pinned_in_its_range(file: str, requirement: Requirement) -> None:
    assert pinned(file)[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("file", ["requirements-local.txt", "requirements-dev.txt", "sandbox/requirements-dev.txt"])
def test_no_package_is_pinned_to_two_versions(file: str) -> None:
    first, second = pinned("requirements.txt"), pinned(file)
    assert all(first[name] == second[name] for name in first.keys() & second.keys())


@pytest.mark.parametrize("file", INSTALLED_FROM)
def test_tests_run_with_the_pinned_versions(file: str) -> None:
    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions()}
    others = {
        name: installed[name] for name, version in pinned(file).items() if installed.get(name, version) != version
    }
    assert others == {}


@pytest.mark.parametrize(
    ("file", "target", "requirements"),
    [
        ("Dockerfile", "RUN python3 -m venv", "requirements.txt"),
        ("Makefile", "$(VENV)/run:", "requirements.txt"),
        ("Makefile", "$(VENV)/run:", "requirements-local.txt"),
        ("Makefile", "$(VENV)/dev:", "requirements-dev.txt"),
        ("sandbox/Makefile", "$(VENV)/dev:", "requirements-dev.txt"),
    ],
)
def test_run_test_and_image_install_the_pinned_files(file: str, target: str, requirements: str) -> None:
    recipe = (ROOT / file).read_text().partition(target)[2].partition("\n\n")[0]
    assert f"--require-hashes -r {requirements}" in recipe


def test_image_is_pinned_by_digest_and_has_the_oldest_python_that_works() -> None:
    first, *others = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    base = re.fullmatch(r"python:([0-9.]+)-slim@sha256:[0-9a-f]{64}", first)
    assert base
    assert set(others) == {"base"}
    assert f'requires-python = ">={base[1]}"' in (ROOT / "pyproject.toml").read_text()


def test_systemd_stops_typist_before_the_processes_of_mcp_servers() -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(ROOT / "deploy" / "typist.service")
    assert unit["Service"]["KillMode"] == "mixed"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Returns the texts of the wheel's files by their paths."""
    folder = tmp_path_factory.mktemp("wheel")
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [file] = folder.iterdir()
    with ZipFile(file) as archive:
        return {name: archive.read(name).decode("utf-8", "ignore") for name in archive.namelist()}


def test_nothing_in_the_wheel_mentions_make_or_files_that_only_a_clone_has(wheel: Mapping[str, str]) -> None:
    targets = "|".join(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    only_in_clones = re.compile(rf"\bmake (?:{targets})\b|`make\b|\bgit clone\b|\b(?:Make|Docker|Proc)file\b")
    mentioned = [f"{name}: {found[0]}" for name, text in wheel.items() for found in only_in_clones.finditer(text)]
    packages = {name.partition("/")[0] for name in wheel}
    roots = [ROOT, ROOT / "sandbox", *(ROOT / package for package in packages)]
    inside = {name.removeprefix(f"{package}/") for name in wheel for package in ("", *packages)}
    path = re.compile(r"(?<![\w./:-])(?:[\w.-]+/)+\w[\w.-]*\w|(?<![\w./:-])\.?\w[\w.-]*\.[a-z]{2,7}\b")
    for name, text in wheel.items():
        named = set(path.findall(text)) - inside
        mentioned += [f"{name}: {path}" for path in named if any((root / path).is_file() for root in roots)]
    assert not mentioned, "\n".join(mentioned)
