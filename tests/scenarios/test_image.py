"""The image, as its Dockerfile builds it: run in a read-only root, as its user, with the sandbox as Slack."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from files_to_markdown.benchmarks.document_corpus import corpus, pieces
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import output, wait_for_line
from tests.containers import Container, has_image, mounted
from tests.processes import own_port
from tests.scenarios.conftest import Stage, connected
from tests.streams.server import VendorServer

IMAGE = "localhost/typist-test"
DOCUMENTS = ("0-libreoffice.docx", "0-libreoffice.pdf", "0-libreoffice.xlsx")

pytestmark = [
    pytest.mark.skipif(not has_image(IMAGE), reason="needs root, buildah, and the image that .ci/image builds"),
]


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with mounted(IMAGE, tmp_path / "data") as container:
        yield container


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
