"""The welcome, once for each channel and person, and the suggested prompts in it and in App Home."""

import pytest

from bot.core import texts
from bot.services.welcome import WELCOME_PAUSE_S
from bot.slack.notices import SUGGESTION
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Channel, Message
from tests.scenarios.conftest import Stage, buttons, manifest, running, settings_of, shown
from tests.scenarios.surfaces import ephemerals, home
from tests.streams.server import VendorServer

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

FIRST = f"{SUGGESTION}-0"
DRAFT = next(iter(texts.welcome.PANE_SUGGESTIONS.values()))


def new_channel(sandbox: Sandbox, name: str = "new") -> None:
    """Adds a channel of Ada and Alan, without the bot."""
    channel = Channel(f"C0{name.upper()}", name, "channel", ["U0ADA", "U0ALAN"], creator="U0ADA")
    sandbox.workspace.channels[channel.id] = channel


def invite(sandbox: Sandbox, name: str = "new") -> None:
    sandbox.workspace.join(name, sandbox.bot_user_id, "U0ADA")


async def welcomed(stage: Stage, channel: str) -> Message:
    """Waits for the only message in a channel, and returns it."""
    [message] = await stage.sandbox.wait_for(lambda: stage.bots(channel))
    return message


def open_direct_message(stage: Stage) -> str:
    stage.sandbox.client("ada").open_tab("messages")
    return stage.sandbox.dm("ada")


async def test_channel_that_the_bot_joins_is_welcomed_once(stage: Stage) -> None:
    new_channel(stage.sandbox)
    invite(stage.sandbox)
    welcome = await welcomed(stage, "new")
    assert "Mention <@U0BOT> with your question" in welcome.text
    assert texts.welcome.SEEN_IN_CHANNEL[True] in shown(welcome)
    assert buttons(welcome) == [f"{SUGGESTION}-{number}" for number in range(3)]
    stage.sandbox.workspace.leave("new", stage.sandbox.bot_user_id)
    invite(stage.sandbox)
    stage.sandbox.workspace.join("new", "U0GRACE")
    await stage.delivered()
    await stage.answers("random", await stage.mention(channel="random"))
    assert len(stage.bots("new")) == 1


@pytest.mark.long
async def test_bot_that_joins_many_channels_paces_its_welcomes(stage: Stage) -> None:
    names = [f"new{number}" for number in range(200)]
    for name in names:
        new_channel(stage.sandbox, name)
        invite(stage.sandbox, name)
    asked = await stage.mention()
    await stage.answers("general", asked)
    assert sum(bool(stage.bots(name)) for name in names) < 100, "the answer did not wait for all welcomes"
    await stage.sandbox.wait_for(lambda: all(stage.bots(name) for name in names), 600)
    at = [call.at_monotonic_s for call in stage.sandbox.calls if call.method == "chat.postMessage"]
    assert max(sum(start <= other < start + 60 for other in at) for start in at) <= 60 / WELCOME_PAUSE_S + 5
    assert all(len(stage.bots(name)) == 1 for name in names)


async def test_person_is_welcomed_in_their_first_direct_message_once(stage: Stage) -> None:
    dm = open_direct_message(stage)
    welcome = await welcomed(stage, dm)
    assert welcome.text.startswith(texts.welcome.WELCOME_IN_DIRECT_MESSAGE)
    assert texts.welcome.SEEN_IN_DIRECT_MESSAGE in shown(welcome)
    open_direct_message(stage)
    await stage.delivered()
    await stage.answers("random", await stage.mention(channel="random"))
    assert len(stage.bots(dm)) == 1


async def test_welcome_never_stands_below_a_question(stage: Stage) -> None:
    """The person writes while Slack makes the welcome wait."""
    stage.sandbox.faults.start("rate_limit", method="chat.postMessage", times=1, retry_after_s=1)
    dm = open_direct_message(stage)
    calls = stage.sandbox.calls
    await stage.sandbox.wait_for(lambda: any(call.method == "chat.postMessage" for call in calls))
    await stage.sandbox.say("ada", dm, "why?")
    await stage.sandbox.wait_for(lambda: any(call.method == "chat.delete" for call in calls))
    await stage.sandbox.wait_for(lambda: [shown(message) for message in stage.bots(dm)] == ["The whole answer."])


async def test_suggested_prompt_of_a_channel_is_asked_in_the_thread_of_the_welcome(stage: Stage) -> None:
    new_channel(stage.sandbox)
    invite(stage.sandbox)
    welcome = await welcomed(stage, "new")
    alan = stage.sandbox.client("alan")
    await alan.press("new", welcome.ts, FIRST)
    assert (await stage.answers("new", welcome.ts, count=3))[-1] == "The whole answer."
    _, question, _ = stage.bots("new", welcome.ts)
    assert shown(question).startswith("<@U0ALAN> asks:\n")
    assert DRAFT in str(question.blocks)
    assert stage.prompts() == [[{"role": "user", "content": DRAFT}]]
    await alan.press("new", welcome.ts, FIRST)
    await stage.sandbox.wait_for(lambda: ("U0ALAN", texts.welcome.SUGGESTION_ASKED) in ephemerals(stage))
    # Whoever asked goes on without a mention.
    await stage.sandbox.say("alan", "new", "and in French?", welcome.ts)
    await stage.answers("new", welcome.ts, count=4)


@pytest.mark.parametrize("app", ["manifest.json", "manifest.agent.json"])
async def test_suggested_prompt_in_app_home_is_asked_in_the_direct_message(vendor: VendorServer, app: str) -> None:
    async with Sandbox(manifest=manifest(app)) as sandbox, running(settings_of(sandbox, vendor)):
        stage = Stage(sandbox, vendor)
        ada, dm = sandbox.client("ada"), sandbox.dm("ada")
        assert texts.home.TRY_ONE in await home(stage, "ada")
        assert ada.home is not None
        await ada.press_in_view(ada.home, FIRST)
        await sandbox.wait_for(lambda: ada.modal is not None)
        assert texts.welcome.ASKED_FROM_HOME in str(ada.modal)
        assert texts.quotas.QUOTAS_TITLE not in str(ada.modal)
        [question] = await sandbox.wait_for(lambda: [m for m in stage.bots(dm) if "asks:" in shown(m)])
        thread = question.ts if app == "manifest.agent.json" else None
        answers = await sandbox.wait_for(lambda: [m for m in stage.bots(dm, thread) if shown(m) == "The whole answer."])
        assert len(answers) == 1
        assert ephemerals(stage) == []
