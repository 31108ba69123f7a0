"""The files with which Typist is deployed: by their schemas, and beside what the code and each other say."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from configparser import ConfigParser
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from bot.cli.command_line import argument_parser
from bot.cli.run import END_WITHIN_S
from bot.services.operations import serving
from bot.settings import Settings, variables
from bot.standstill import BEAT_S, STANDSTILL_S
from deploy.dist import copy_image
from slack_sandbox.start import LISTEN_ON
from tests.services.probes import WELL
from tests.test_packaging import ROOT, pinned

pytestmark = pytest.mark.wide

KUBERNETES = ROOT / "deploy" / "kubernetes"
OLDEST, NEWEST = "1.30", "1.37"
MAX_EXPOSURE = 30
"""In tenths, as systemd-analyze counts."""


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


SERVICES = sorted((ROOT / "deploy").glob("*.service"))
TIMERS = sorted((ROOT / "deploy").glob("*.timer"))


def unit(section: str = "Service", file: Path = ROOT / "deploy" / "typist.service") -> Mapping[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(file)
    return parser[section]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def pod() -> Any:
    return read_yaml(KUBERNETES / "deployment.yaml")["spec"]["template"]["spec"]


def container_env() -> dict[str, str]:
    (container,) = pod()["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_images_are_pinned_by_digest_and_the_init_by_version() -> None:
    (base,) = re.findall(r"^FROM (\S+) AS base$", dockerfile(), re.MULTILINE)
    images = [base, *(service["image"] for service in read_yaml(ROOT / "compose.yaml")["services"].values())]
    images.remove("typist")
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)] == []
    (packages,) = re.findall(r"apt-get install -y --no-install-recommends (.+) \\", dockerfile())
    assert all("=" in package for package in packages.split())


class TestKubernetes:
    def test_manifests_follow_the_schemas(self) -> None:
        # Imports that would take a tenth of the collection of all tests, which each worker pays.
        import kubernetes_validate

        manifests = set(KUBERNETES.glob("*.yaml")) - {KUBERNETES / "kustomization.yaml"}
        assert manifests
        for path, version in product(manifests, (OLDEST, NEWEST)):
            kubernetes_validate.validate(read_yaml(path), version, strict=True)

    def test_kustomization_has_all_manifests(self) -> None:
        files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(read_yaml(KUBERNETES / "kustomization.yaml")["resources"]) == files

    async def test_probes_ask_what_typist_serves_on_an_address_that_a_node_reaches(self) -> None:
        (container,) = pod()["containers"]
        probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        env = container_env()
        host, _, set_port = env["BOT_HEALTH_PORT"].rpartition(":")
        assert {ports[probe["port"]] for probe in probes} == {set_port}
        async with serving(host, 0, WELL) as port, aiohttp.ClientSession() as session:
            for probe in probes:
                async with session.get(f"http://127.0.0.2:{port}{probe['path']}") as response:
                    assert response.status == 200

    def test_all_selectors_match_the_pods(self) -> None:
        deployment = read_yaml(KUBERNETES / "deployment.yaml")["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        budget = read_yaml(KUBERNETES / "disruption-budget.yaml")["spec"]
        assert [selector["matchLabels"] for selector in (deployment["selector"], budget["selector"])] == [labels] * 2
        assert read_yaml(KUBERNETES / "network-policy.yaml")["spec"]["podSelector"] == {}
        assert read_yaml(KUBERNETES / "check" / "pod.yaml")["metadata"]["labels"] != labels, (
            "no process, and not counted"
        )

    def test_pod_that_checks_has_the_rights_and_settings_of_the_others(self) -> None:
        import kubernetes_validate

        folder = KUBERNETES / "check"
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(read_yaml(folder / "pod.yaml"), version, strict=True)
        check, (checking,), (container,) = (
            (spec := read_yaml(folder / "pod.yaml")["spec"]),
            spec["containers"],
            pod()["containers"],
        )
        for name in ("securityContext", "volumes", "automountServiceAccountToken", "enableServiceLinks"):
            assert check[name] == pod()[name]
        for name in ("image", "envFrom", "resources", "securityContext", "volumeMounts"):
            assert checking[name] == container[name]
        assert checking["env"] == [entry for entry in container["env"] if entry["name"] != "BOT_HEALTH_PORT"]
        images = [read_yaml(path / "kustomization.yaml")["images"] for path in (KUBERNETES, folder)]
        assert images[0] == images[1]

    def test_user_is_that_of_the_image(self) -> None:
        context = pod()["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile()


def test_compose_file_follows_the_schema() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    ended = run(sys.executable, "-m", "check_jsonschema", *schema, "compose.yaml")
    assert ended.returncode == 0, ended.stdout


def test_deployments_set_only_settings_that_exist() -> None:
    compose = read_yaml(ROOT / "compose.yaml")["services"]["typist"]["environment"]
    of_image = re.findall(r"([A-Z_]+)=\S+", "".join(re.findall(r"^ENV (.*)$", dockerfile(), re.MULTILINE)))
    of_unit = unit()["Environment"].partition("=")[0]
    # The sandbox in the image has one setting of its own.
    named = {*compose, *container_env(), *of_image, of_unit} - {"PATH", LISTEN_ON}
    assert named <= set(variables())
    assert len(named) >= 2


def test_each_deployment_waits_until_typist_has_ended() -> None:
    compose = read_yaml(ROOT / "compose.yaml")["services"]["typist"]["stop_grace_period"]
    waits = [pod()["terminationGracePeriodSeconds"], int(compose.removesuffix("s")), int(unit()["TimeoutStopSec"])]
    assert min(waits) > Settings().drain_s + END_WITHIN_S


def test_systemd_waits_longer_for_a_sign_of_life_than_typist_takes_to_end_itself() -> None:
    assert int(unit()["WatchdogSec"]) > STANDSTILL_S + BEAT_S
    compose = read_yaml(ROOT / "compose.yaml")["services"]["typist"]
    assert (unit()["Restart"], compose["restart"]) == ("always", "unless-stopped")
    assert unit("Unit")["StartLimitIntervalSec"] == "0", "systemd never gives up"
    # SIGTERM doesn't reach a process that stands still.
    assert int(unit()["TimeoutStopSec"]) > STANDSTILL_S


def test_all_deployments_run_the_same_command() -> None:
    image = re.search(r"^CMD (\[.*\])$", dockerfile(), re.MULTILINE)
    assert image is not None
    _, *arguments = json.loads(image[1])
    platform = (ROOT / "Procfile").read_text().removeprefix("worker: python ").split()
    assert platform == unit()["ExecStart"].split()[1:] == arguments == ["-m", "bot", "run"]


class TestNightlyUnits:
    def test_each_timer_starts_a_service_once_a_day(self) -> None:
        assert {timer.with_suffix(".service") for timer in TIMERS} == set(SERVICES) - {ROOT / "deploy/typist.service"}
        for timer in TIMERS:
            assert re.fullmatch(r"\*-\*-\* \d\d:\d\d", unit("Timer", timer)["OnCalendar"])
            assert unit("Timer", timer)["Persistent"] == "true"
            assert unit("Install", timer)["WantedBy"] == "timers.target"

    @pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
    def test_service_has_the_user_settings_and_restrictions_of_typist(self, timer: Path) -> None:
        nightly, own = dict(unit(file=timer.with_suffix(".service"))), dict(unit())
        only_of_a_process_that_stays = ("Restart", "RestartSec", "RestartPreventExitStatus", "WatchdogSec", "KillMode")
        for name in (*only_of_a_process_that_stays, "TimeoutStopSec", "ExecStart"):
            del own[name]
        assert (nightly.pop("Type"), nightly.pop("ExecStart").split()[:3]) == (
            "oneshot",
            unit()["ExecStart"].split()[:3],
        )
        assert nightly == own

    def test_backup_is_written_where_the_unit_may_write(self, tmp_path: Path) -> None:
        nightly, folder = unit(file=ROOT / "deploy/typist-backup.service"), f"/var/lib/{unit()['StateDirectory']}"
        command = nightly["ExecStart"].replace("/opt/typist/.venv/bin/python", sys.executable)
        name, _, url = nightly["Environment"].replace(folder, str(tmp_path)).partition("=")
        env = {**os.environ, name: url, "PYTHONPATH": str(ROOT)}
        assert subprocess.run([*command.split()[:3], "migrate"], cwd=tmp_path, env=env, check=False).returncode == 0
        subprocess.run(command.replace(folder, str(tmp_path)).split(), cwd=tmp_path, env=env, check=True)
        assert (tmp_path / "typist.backup").stat().st_size

    @pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
    def test_command_is_one_of_typist(self, timer: Path) -> None:
        arguments = unit(file=timer.with_suffix(".service"))["ExecStart"].split()[3:]
        assert argument_parser().parse_args(arguments).command == arguments[0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze isn't installed (Debian: systemd)")
class TestUnit:
    @pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
    def test_exposure_is_below_3(self, service: Path) -> None:
        command = ("systemd-analyze", "security", "--offline=yes", f"--threshold={MAX_EXPOSURE - 1}", "--no-pager")
        ended = run(*command, str(service))
        assert ended.returncode == 0, ended.stdout
        assert re.search(rf"Overall exposure level for {service.name}: [0-2]\.\d", ended.stdout)

    def test_document_reader_may_give_up_files(self) -> None:
        text = (ROOT / "deploy/typist.service").read_text()
        allowed = " ".join(re.findall(r"^SystemCallFilter=([^~].*)$", text, re.MULTILINE)).split()
        assert {"landlock_create_ruleset", "landlock_restrict_self"} <= set(allowed)

    def test_systemd_understands_all_of_it(self, tmp_path: Path) -> None:
        for file in (*SERVICES, *TIMERS):
            # The interpreter is on the machine that it is for.
            text = file.read_text().replace("/opt/typist/.venv/bin/python", "/bin/true")
            (tmp_path / file.name).write_text(text)
        ended = run("systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir())))
        assert "typist" not in ended.stderr
        assert ended.returncode == 0, ended.stderr


class TestSbom:
    """python -m deploy.sbom, as the image's build runs it."""

    async def test_sbom_follows_the_schema_and_has_each_installed_package_of_the_lock(self) -> None:
        # As slow to import as kubernetes_validate.
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        ended = run(sys.executable, "-m", "deploy.sbom", "requirements.txt")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(ended.stdout) is None
        components = json.loads(ended.stdout)["components"]
        assert all(component["hashes"] and component["licenses"] for component in components)
        purls = {f"pkg:pypi/{name}@{version}" for name, version in pinned("requirements.txt").items()}
        listed = {component["purl"] for component in components}
        assert listed <= purls
        assert {"pkg:pypi/pywin32", "pkg:pypi/httpx2-jsfetch"} >= {purl.partition("@")[0] for purl in purls - listed}

    async def test_hashes_are_those_of_the_lock(self, tmp_path: Path) -> None:
        version = pinned("requirements.txt")[canonicalize_name("aiohttp")]
        digests = ["a" * 64, "b" * 64]
        lock = tmp_path / "lock.txt"
        lock.write_text(
            f"aiohttp=={version}" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in digests) + "\n"
        )
        ended = run(sys.executable, "-m", "deploy.sbom", str(lock))
        (component,) = json.loads(ended.stdout)["components"]
        assert [entry["content"] for entry in component["hashes"]] == digests

    async def test_another_version_than_the_locks_is_refused(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock.txt"
        lock.write_text(f"aiohttp==0.0.1 \\\n    --hash=sha256:{'a' * 64}\n")
        ended = run(sys.executable, "-m", "deploy.sbom", str(lock))
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "is installed, and the lock has 0.0.1" in ended.stderr


def test_image_gets_each_package_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = set(wheel["packages"])
    copied = set(re.findall(r"^COPY ((?:sandbox/)?(\w+)) \2$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    allowed = set(re.findall(r"^!([\w/]+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert ({path for path, _ in copied}, allowed) == (needed, needed)


def archive(file: Path, container: str) -> Path:
    """Writes an image's archive as buildah does, with three layers, of which two are the same."""
    config = {
        "config": {"Cmd": ["python"], "Hostname": container},
        "container": container,
        "container_config": {"Hostname": container},
        "history": [{"created_by": "RUN true", "comment": f"FROM {container}"}],
        "rootfs": {"diff_ids": ["sha256:a", "sha256:b", "sha256:a"]},
    }
    manifest = [{"Config": f"{container}.json", "RepoTags": [container], "Layers": ["a.tar", "b.tar", "c.tar"]}]
    contents = {
        "a.tar": b"first",
        "b.tar": b"second",
        f"{container}.json": json.dumps(config).encode(),
        f"{container}/VERSION": b"1.0",
        "manifest.json": json.dumps(manifest).encode(),
    }
    with tarfile.open(file, "w") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        same = tarfile.TarInfo("c.tar")
        same.type, same.linkname = tarfile.SYMTYPE, "a.tar"
        tar.addfile(same)
    return file


class TestImage:
    def test_archive_of_an_image_is_the_same_whichever_containers_built_it(self, tmp_path: Path) -> None:
        copies = [tmp_path / "first.tar", tmp_path / "second.tar"]
        for copy in copies:
            copy_image(archive(tmp_path / "built.tar", f"container-of-{copy.stem}"), copy, "typist:1")
        assert copies[0].read_bytes() == copies[1].read_bytes()
        with tarfile.open(copies[0]) as tar:
            contents = {entry.name: (tar.extractfile(entry) or io.BytesIO()).read() for entry in tar}
        [image] = json.loads(contents.pop("manifest.json"))
        config = json.loads(contents.pop(image["Config"]))
        assert (image["RepoTags"], image["Layers"]) == (["typist:1"], ["a.tar", "b.tar", "a.tar"])
        assert (config["config"], config["history"]) == ({"Cmd": ["python"]}, [{"created_by": "RUN true"}])
        assert contents == {"a.tar": b"first", "b.tar": b"second"}

    @pytest.mark.long
    @pytest.mark.timeout(900)
    @pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("buildah") and shutil.which("mmdebstrap")),
        reason="needs root, buildah and mmdebstrap",
    )
    def test_base_that_stands_in_has_the_same_python_and_the_same_bytes_each_time(self) -> None:
        names = ("localhost/typist-test-base-1", "localhost/typist-test-base-2")
        try:
            built = [run(".ci/base", name) for name in names]
            assert [one.returncode for one in built] == [0, 0], built
            assert len({run("buildah", "inspect", "--format", "{{.FromImageID}}", name).stdout for name in names}) == 1
            container = run("buildah", "from", "--pull-never", names[0]).stdout.strip()
            shell = "python3 -m venv /tmp/venv && /tmp/venv/bin/python --version"
            version = run("buildah", "run", "--isolation", "chroot", container, "sh", "-c", shell).stdout
            run("buildah", "rm", container)
        finally:
            run("buildah", "rmi", "--force", *names)
        (expected,) = re.findall(r"^FROM python:([0-9.]+)-slim@\S+ AS base$", dockerfile(), re.MULTILINE)
        assert version.startswith(f"Python {expected}.")
