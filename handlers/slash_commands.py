"""Listeners for the slash command and the message shortcut, and for the modals that they open."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core import texts
from bot.core.inbound.channel_settings import SettingsField
from bot.core.slash_command import CommandResponse
from bot.errors import PayloadError, TypistError
from bot.services.message_shortcut import MessageShortcut
from bot.services.slash_commands import SlashCommands
from bot.slack.format.command_responses import command_message
from bot.slack.format.modals import ASK_ABOUT, QUESTION, SETTINGS
from handlers.payloads import (
    command_of,
    invocation_of_command,
    invocation_of_shortcut,
    message_of_shortcut,
    question_in,
    settings_in,
)

COMMAND = re.compile(".*")
"""Slack sends the app its own commands only, and the manifest may name the command in another way."""
WITHIN_S = 2.5
"""Slack waits three seconds for an acknowledgment, and a trigger is valid no longer."""
ASKED_WITHIN_S = 2.0
"""A modal that was submitted is closed after this time, so that even a slow acknowledgment comes in time."""

log = logging.getLogger(__name__)

T = TypeVar("T")


def register(app: AsyncApp, commands: SlashCommands, questions: MessageShortcut) -> None:
    """Registers listeners that report every failure to the person, because Slack doesn't send these payloads again."""

    async def on_command(ack: AsyncAck, command: Mapping[str, Any]) -> None:
        try:
            response = await _in_time(commands.command(invocation_of_command(command), command_of(command)))
        except (TypistError, TimeoutError) as error:
            response = CommandResponse(_sentence(error))
        await (ack(**command_message(response)) if response else ack())

    async def on_shortcut(ack: AsyncAck, shortcut: Mapping[str, Any]) -> None:
        invocation = invocation_of_shortcut(shortcut)
        try:
            await _in_time(questions.open(invocation, message_of_shortcut(shortcut, commands.me.team_id)))
        except (TypistError, TimeoutError) as error:
            await commands.tell(invocation.response_url, CommandResponse(_sentence(error)))
        await ack()

    async def on_settings(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        try:
            problems = await _in_time(commands.save(*settings_in(body)))
        except (TypistError, TimeoutError) as error:
            problems = {SettingsField.MODEL: _sentence(error)}
        await (ack(response_action="errors", errors=problems) if problems else ack())

    async def on_question(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(ASKED_WITHIN_S):
                problem = await questions.ask(*question_in(body))
        except PayloadError as error:
            problem = _sentence(error)
        except TimeoutError:
            # The question is processed in the background, which tells the person if it fails.
            problem = ""
        await (ack(response_action="errors", errors={QUESTION: problem}) if problem else ack())

    app.command(COMMAND)(on_command)
    app.shortcut(ASK_ABOUT)(on_shortcut)
    app.view(SETTINGS)(on_settings)
    app.view(ASK_ABOUT)(on_question)


async def _in_time(result: Awaitable[T]) -> T:
    async with asyncio.timeout(WITHIN_S):
        return await result


def _sentence(error: Exception) -> str:
    log.warning("command or modal failed: %s", error or "it took too long")
    return texts.SLACK_SLOW if isinstance(error, TimeoutError) else texts.COMMAND_FAILED
