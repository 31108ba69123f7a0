"""The names of models that people read: those that an admin gives them in BOT_MODELS, or else the models' own."""

from bot import settings as all_settings
from bot.core import texts
from bot.errors import EndReason
from slack_sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, connected, running, shown
from tests.scenarios.surfaces import home, last_notice
from tests.scenarios.test_failures import openai_error
from tests.streams.server import VendorServer

NAMED = "openai/test as R&D <Llama>, openai/other"
NAME, IN_MRKDWN = "R&D <Llama>", "R&amp;D &lt;Llama&gt;"


async def test_people_read_the_name_that_an_admin_gives_a_model(sandbox: Sandbox, vendor: VendorServer) -> None:
    named = {"BOT_MODELS": NAMED, "BOT_ADMINS": "U0ADA", "DATABASE_URL": "sqlite://"}
    async with running(all_settings.read({**connected(sandbox, vendor), **named})):
        stage = Stage(sandbox, vendor)
        asked = await stage.mention()
        assert await stage.answers("general", asked) == [f"The whole answer.\n{NAME}"]
        assert vendor.requests[0].body["model"] == "test"

        vendor.script(*[openai_error(401, "invalid_api_key")] * 2)
        refused = await stage.mention()
        sentence = texts.access.with_admins(texts.models.model_failure(EndReason.BAD_KEY, "other"), ["Ada"])
        assert await stage.answers("general", refused) == [sentence]

        ada = sandbox.client("ada")
        await ada.command("general", "/typist")
        assert f"Settings here: I ask {IN_MRKDWN} first. I follow my default instructions." in last_notice(stage)
        text = await home(stage, "ada")
        assert f"*Model*: {IN_MRKDWN}\n" in text
        assert f"*Models*: {IN_MRKDWN}, then other" in text
        assert "openai" not in text
        assert "openai" not in "".join(map(shown, stage.sandbox.messages("general")))
