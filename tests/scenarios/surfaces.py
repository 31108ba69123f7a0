"""What people see of the bot beside its answers."""

from typing import Any

from bot.core import texts
from slack_sandbox.client import Client
from tests.scenarios.conftest import Stage, manifest, shown


def with_assistant_view() -> Any:
    """Returns a manifest from before Slack had agents."""
    app = manifest("manifest.agent.json")
    described = app["features"].pop("agent_view")["agent_description"]
    app["features"]["assistant_view"] = {"assistant_description": described}
    events = app["settings"]["event_subscriptions"]["bot_events"]
    events[:] = [event for event in events if event != "app_context_changed" and not event.startswith("agent_")]
    events += ["assistant_thread_started", "assistant_thread_context_changed"]
    return app


async def home(stage: Stage, user: str) -> str:
    client = stage.sandbox.client(user)
    client.open_tab("home")
    await stage.sandbox.wait_for(lambda: client.home)
    return text_of(client)


async def home_with(stage: Stage, user: str, words: str) -> str:
    """Opens App Home until it shows these words: what it shows is recorded, or published, a moment later."""
    client = stage.sandbox.client(user)

    def opened_again() -> bool:
        client.open_tab("home")
        return client.home is not None and words in text_of(client)

    await stage.sandbox.wait_for(opened_again)
    return text_of(client)


def text_of(client: Client) -> str:
    assert client.home
    written = [block for block in client.home.blocks if block["type"] != "actions"]
    parts = [block.get("text") or (block.get("elements") or [None])[0] for block in written]
    return "\n".join(part["text"] for part in parts if part)


async def queued_placeholders(stage: Stage, count: int, channel: str, thread: str | None) -> list[str]:
    def matching() -> list[str]:
        placeholders = [message.ts for message in stage.bots(channel, thread) if texts.answers.QUEUED in shown(message)]
        return placeholders if len(placeholders) == count else []

    return await stage.sandbox.wait_for(matching)


def ephemerals(stage: Stage) -> list[tuple[str, str]]:
    """Returns the ephemeral messages as pairs of recipient and text."""
    return [(message.ephemeral_to or "", message.text) for message in stage.sandbox.workspace.ephemerals]


def last_notice(stage: Stage) -> str:
    """Returns the text of the newest ephemeral message."""
    message = stage.sandbox.workspace.ephemerals[-1]
    return "\n".join(
        element["text"] if isinstance(element, dict) else str(element)
        for block in message.sent_blocks
        for element in [block.get("text"), *block.get("elements", ())]
        if element
    )
