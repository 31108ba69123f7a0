"""Listeners for /typist and the message shortcut, and for the modals that they open."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core import texts
from bot.errors import TypistError
from bot.services.message_shortcut import MessageShortcut
from bot.services.slash_commands import SlashCommands
from bot.slack.format import command_answers, modals
from handlers.payloads import message_of_shortcut, visit_of_command, visit_of_shortcut

COMMAND = "/typist"
WITHIN_S = 2.5
"""Slack waits three seconds, and a trigger lives no longer."""
ASKED_WITHIN_S = 2.0
"""So that a modal that is closed meanwhile is closed in time, also on a bad day."""

log = logging.getLogger(__name__)

T = TypeVar("T")


def register(app: AsyncApp, desk: SlashCommands, asks: MessageShortcut) -> None:
    """All that fails is told to who did it, and nothing comes again."""

    async def on_command(ack: AsyncAck, command: Mapping[str, Any]) -> None:
        try:
            answer = await _soon(desk.command(visit_of_command(command), command.get("text") or ""))
        except (TypistError, TimeoutError) as error:
            answer = command_answers.said(_sentence(error))
        await ack(**answer) if answer else await ack()

    async def on_shortcut(ack: AsyncAck, shortcut: Mapping[str, Any]) -> None:
        visit = visit_of_shortcut(shortcut)
        try:
            await _soon(desk.about(visit, message_of_shortcut(shortcut, desk.me.team_id)))
        except (TypistError, TimeoutError) as error:
            await _told(desk, visit.response_url, _sentence(error))
        await ack()

    async def on_settings(ack: AsyncAck, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        await _submitted(ack, modals.MODEL, desk.save(body["user"]["id"], view))

    async def on_question(ack: AsyncAck, body: Mapping[str, Any], view: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(ASKED_WITHIN_S):
                sentence = await asks.ask(body["user"]["id"], view)
        except TimeoutError:
            # It goes on; should it fail, the person is told beside the modal.
            sentence = ""
        wrong = {modals.QUESTION: sentence}
        await (ack(response_action="errors", errors=wrong) if sentence else ack())

    app.command(COMMAND)(on_command)
    app.shortcut(modals.ASK_ABOUT)(on_shortcut)
    app.view(modals.SETTINGS)(on_settings)
    app.view(modals.ASK_ABOUT)(on_question)


async def _submitted(ack: AsyncAck, field: str, done: Awaitable[dict[str, str]]) -> None:
    """Closes the modal, or says in it what is wrong; `field` is where a failure is told."""
    try:
        wrong = await _soon(done)
    except (TypistError, TimeoutError) as error:
        wrong = {field: _sentence(error)}
    await ack(response_action="errors", errors=wrong) if wrong else await ack()


async def _soon(done: Awaitable[T]) -> T:
    async with asyncio.timeout(WITHIN_S):
        return await done


async def _told(desk: SlashCommands, response_url: str, sentence: str) -> None:
    try:
        await desk.surfaces.respond(response_url, command_answers.said(sentence))
    except TypistError as error:
        log.warning("somebody is not told why nothing happened: %s", error)


def _sentence(error: Exception) -> str:
    log.warning("a command or a modal came to nothing: %s", error or "it took too long")
    return texts.SLACK_SLOW if isinstance(error, TimeoutError) else texts.COMMAND_FAILED
