"""What a reader sees of models that need an identity."""

import logging
from pathlib import Path

import pytest

from bot import settings as all_settings
from bot.core import texts
from bot.errors import EndReason
from bot.models.registry import VENDORS
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, connected, running
from tests.streams.clouds import AZURE, BEDROCK, BEDROCK_OPENAI, FOUNDRY, VERTEX, WORDS, CloudApi, identities
from tests.streams.server import VendorServer

CLOUDS = pytest.mark.parametrize("cloud", [BEDROCK, BEDROCK_OPENAI, VERTEX, FOUNDRY, AZURE], ids=str)


@CLOUDS
async def test_model_of_a_cloud_answers_in_slack(
    sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, cloud: CloudApi
) -> None:
    vendor.script(cloud.answer)
    env = {**connected(sandbox, vendor), **cloud.env(vendor.url), "DATABASE_URL": "sqlite://"}
    async with identities(tmp_path), running(all_settings.read(env)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        name = cloud.model.removeprefix(f"{cloud.vendor}/")
        # The footer has the model's name.
        assert await stage.answers("general", asked) == [f"{''.join(WORDS)}\n{name}"]


@CLOUDS
async def test_missing_permission_is_in_the_log_and_not_in_slack(
    sandbox: Sandbox, vendor: VendorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, cloud: CloudApi
) -> None:
    vendor.script(cloud.denied)
    env = {**connected(sandbox, vendor), **cloud.env(vendor.url), "DATABASE_URL": "sqlite://"}
    async with identities(tmp_path), running(all_settings.read(env)):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        assert await stage.answers("general", asked) == [
            texts.models.model_failure(EndReason.BAD_KEY, texts.models.OWN_NAMES.label(cloud.model))
        ]
    known = VENDORS[cloud.vendor].cloud
    assert known is not None
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert any(line.startswith(f"model {cloud.model} failed: bad_key needs {known.access}: 40") for line in lines)
    assert known.access not in str(sandbox.calls)
