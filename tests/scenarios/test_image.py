"""The image, as its Dockerfile builds it: run in a read-only root, as its user, with the sandbox as Slack."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from files_to_markdown.benchmarks.document_corpus import corpus, pieces
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import output, started, wait_for_line
from tests.processes import own_port
from tests.scenarios.conftest import Stage, connected
from tests.streams.server import VendorServer

IMAGE = "localhost/typist-test"
DOCUMENTS = ("0-libreoffice.docx", "0-libreoffice.pdf", "0-libreoffice.xlsx")
RUN = """
set -e
mount --bind "$ROOT" "$ROOT"
for folder in dev proc; do mount --rbind "/$folder" "$ROOT/$folder"; done
mount --bind "$DATA" "$ROOT/data"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec="$CHROOT_USER" "$ROOT" env --ignore-environment --chdir="$FOLDER" "$@"
"""


def buildah(*arguments: str) -> str:
    return subprocess.run(("buildah", *arguments), check=True, capture_output=True, text=True).stdout.strip()


def is_built() -> bool:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        return False
    return subprocess.run(("buildah", "inspect", IMAGE), check=False, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.skipif(not is_built(), reason="needs root, buildah, and the image that .ci/image builds"),
]


@dataclass(frozen=True)
class Container:
    """The image's files, mounted here, and its configuration."""

    root: Path
    data: Path
    config: Mapping[str, Any]

    @asynccontextmanager
    async def running(
        self, *command: str, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Runs a command in the image's environment, as its user by default. The root is read-only but for /data."""
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in (env or {}).items())]
        async with started(
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh", *variables, *command),
            env={
                "PATH": os.environ["PATH"],
                "ROOT": str(self.root),
                "DATA": str(self.data),
                "CHROOT_USER": user or self.config["User"],
                "FOLDER": self.config["WorkingDir"],
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        ) as process:
            yield process

    async def output(self, *command: str, env: Mapping[str, str] | None = None) -> tuple[int | None, str, str]:
        async with self.running(*command, env=env) as process:
            out, err = await output(process)
        return process.returncode, out, err


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    user = int(config["User"].partition(":")[0])
    tmp_path.joinpath("data").mkdir()
    os.chown(tmp_path / "data", user, user)
    name = buildah("from", "--pull-never", IMAGE)
    try:
        yield Container(Path(buildah("mount", name)), tmp_path / "data", config)
    finally:
        buildah("rm", name)


async def test_image_answers_as_a_number_in_a_read_only_root(
    container: Container, sandbox: Sandbox, vendor: VendorServer
) -> None:
    stage = Stage(sandbox, vendor)
    # Here, the init isn't the first process.
    env = {**connected(sandbox, vendor), "BOT_HEALTH_PORT": str(own_port()), "TINI_SUBREAPER": "1"}
    command = (*container.config["Entrypoint"], *container.config["Cmd"])
    async with container.running(*command, env=env) as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        assert await stage.answers("general", await stage.mention()) == ["The whole answer."]
        assert (container.data / "typist.db").stat().st_uid == 10001
        code, out, _ = await container.output(*container.config["Healthcheck"]["Test"][1:], env=env)
        assert (code, json.loads(out)["ok"]) == (0, True)
        process.send_signal(signal.SIGTERM)
        _, err = await output(process)
        assert process.returncode == 0, err


@pytest.mark.parametrize(
    "place",
    [
        "HOME=/nonexistent",
        *(pytest.param(place, marks=pytest.mark.long) for place in ("HOME=/", "TMPDIR=/nonexistent")),
    ],
)
@pytest.mark.long
async def test_image_reads_documents_as_a_user_that_it_does_not_know(
    container: Container, sandbox: Sandbox, vendor: VendorServer, place: str
) -> None:
    """Some platforms pick the user's number: it has no line in /etc/passwd, and no home."""
    os.chown(container.data, 12_345, 12_345)
    variable, _, folder = place.partition("=")
    env = {**connected(sandbox, vendor), "BOT_HEALTH_PORT": str(own_port()), variable: folder}
    documents = [UploadedFile(name, corpus()[name]) for name in DOCUMENTS]
    async with container.running(*container.config["Cmd"], env=env, user="12345:12345") as process:
        await wait_for_line(process.stdout, "is connected to Slack")
        ts = await sandbox.share("ada", "general", "<@BOT> what do they say?", documents)
        await Stage(sandbox, vendor).answers("general", ts)
        process.send_signal(signal.SIGTERM)
        _, err = await output(process)
        assert process.returncode == 0, err
    read = vendor.requests[-1].body["messages"][-1]["content"]
    assert [name for name in DOCUMENTS if pieces(name)[0] not in read] == []


async def test_init_hides_its_environment(container: Container) -> None:
    reads = "import os; print(open(f'/proc/{os.getppid()}/environ').read())"
    env = {"SLACK_BOT_TOKEN": "xoxb-secret-of-the-test", "TINI_SUBREAPER": "1"}
    code, out, err = await container.output(*container.config["Entrypoint"], "python", "-c", reads, env=env)
    assert (code, out) == (1, "")
    assert "PermissionError" in err


async def test_nothing_but_data_can_be_written(container: Container) -> None:
    for path, succeeds in (("/app/bot/x", False), ("/venv/x", False), ("/tmp/x", False), ("/data/x", True)):
        code, _, err = await container.output("touch", path)
        assert (code == 0) == succeeds, (path, err)


async def test_sbom_lists_exactly_what_is_installed(container: Container) -> None:
    listing = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    _, out, err = await container.output("python", "-c", listing)
    assert err == ""
    components = json.loads((container.root / "app/sbom.cdx.json").read_text())["components"]
    listed = {f"{component['name']}=={component['version']}" for component in components}
    installed = (entry.partition("==") for entry in out.split())
    assert {f"{canonicalize_name(name)}=={version}" for name, _, version in installed} == listed


async def test_image_has_the_code_and_nothing_else_of_the_repository(container: Container) -> None:
    files = {path.name for path in (container.root / "app").iterdir()}
    assert files == {
        ".env.example",
        "bot",
        "demo",
        "handlers",
        "files_to_markdown",
        "slack_markdown",
        "slack_pacing",
        "slack_probe",
        "slack_sandbox",
        "deploy",
        "requirements.txt",
        "sbom.cdx.json",
    }
    assert not list((container.root / "app").glob("*/tests"))
