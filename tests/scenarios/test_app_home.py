"""App Home: published when a person opens it, with additional sections for admins."""

import pytest

from bot.core import texts
from bot.core.caps import parse_caps
from tests.scenarios.conftest import Stage
from tests.scenarios.surfaces import home, text_of

pytestmark = [
    pytest.mark.skips_waits,
    pytest.mark.bot(
        caps=parse_caps("user/day=200000tokens,workspace/month=500000tokens"),
        admins=frozenset({"U0GRACE"}),
        system_prompt="Be <kind>.",
    ),
]


async def home_with(stage: Stage, user: str, words: str) -> str:
    """Opens App Home until it shows these words: what it shows is recorded, or published, a moment later."""
    client = stage.sandbox.client(user)

    def opened_again() -> bool:
        client.open_tab("home")
        return client.home is not None and words in text_of(client)

    await stage.sandbox.wait_for(opened_again)
    return text_of(client)


async def test_person_sees_their_usage_and_the_settings_in_force(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    text = await home(stage, "alan")
    assert "Your quota of 200,000 tokens per day: " in text
    assert "*Model*: test\n" in text
    assert "*System prompt*: Be &lt;kind&gt;." in text
    assert "This workspace" not in text


async def test_admin_sees_usage_by_model_and_the_workspaces_settings(stage: Stage) -> None:
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    text = await home_with(stage, "grace", " test: ")
    assert "This workspace" in text
    assert "The workspace's quota of 500,000 tokens per month: 0% used" in text
    assert "Each person's quota of 200,000 tokens per day" in text
    assert "*Access*: members" in text
    assert "openai" not in text


async def test_admin_sees_which_channels_have_settings_of_their_own(stage: Stage) -> None:
    assert texts.NO_CHANNEL_SETTINGS in await home(stage, "grace")
    ada = stage.sandbox.client("ada")
    for channel, fields in (
        ("general", {"new_posts": ["new_posts"], "reaction": "question"}),
        (stage.sandbox.dm("ada"), {}),
    ):
        await ada.command(channel, "/typist mentions")
        assert await ada.submit({"system_prompt": "Rhyme.", **fields}) == {}
    line = "<#C0GENERAL>: I follow instructions of this channel's own. I answer every new post. React with :question: to"
    assert stage.sandbox.dm("ada") not in await home_with(stage, "grace", line)
    assert "Channels with their own settings" not in await home(stage, "alan")


async def test_app_home_is_published_only_when_opened(stage: Stage) -> None:
    await home(stage, "alan")
    stage.sandbox.client("alan").open_tab("messages")
    asked = await stage.mention(user="alan")
    await stage.answers("general", asked)
    assert [call.method for call in stage.sandbox.calls].count("views.publish") == 1


async def test_rejected_app_home_is_logged_and_published_at_the_next_opening(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.sandbox.faults.start("refuse", method="views.publish", error="not_enabled", times=1)
    await home_with(stage, "alan", "*Model*: test")
    assert "App Home of user U0ALAN not updated" in caplog.text
