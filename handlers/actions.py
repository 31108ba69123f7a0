"""Listeners for what people press, type and submit: buttons, the slash command, the message shortcut, and modals.

Slack doesn't send these payloads again, so each failure is reported to the person.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.caps import CapField
from bot.core.channel_settings import SettingsField
from bot.core.surfaces import CommandResponse
from bot.errors import TypistError
from bot.services.commands import AppHome, SlashCommands
from bot.services.engagement import STAY_QUIET, QuietThreads
from bot.services.memory import Remembering
from bot.services.quota import CapSettings
from bot.services.reply_actions import ReplyActions
from bot.services.schedules import Schedules
from bot.services.shortcut import ChoicePresses, MessageShortcut
from bot.slack.home import SET_CHANNEL_CAPS, SET_PERSON_CAPS, SET_WORKSPACE_CAPS, command_message
from bot.slack.modals import ARGUMENTS, ASK_ABOUT, CAPS, MEMORY, OPEN_MEMORY, QUESTION, SETTINGS
from bot.slack.schedule_views import CHANGE_SCHEDULE, ScheduleAction, ScheduleField
from handlers.payloads import (
    approval_of,
    caps_in,
    caps_press_of,
    command_of,
    invocation_of_command,
    invocation_of_shortcut,
    memories_in,
    memory_press_of,
    message_of_shortcut,
    press_of,
    question_in,
    quiet_press_of,
    reason_press_of,
    schedule_in,
    schedule_press_of,
    settings_in,
    stop_of,
)

COMMAND = re.compile(".*")
"""Slack sends the app its own commands only, and the manifest may name the command in another way."""
WITHIN_S = 2.5
"""Slack waits three seconds for an acknowledgment, and a trigger is valid no longer."""

log = logging.getLogger(__name__)

T = TypeVar("T")


def register_buttons(
    app: AsyncApp, actions: ReplyActions, choices: ChoicePresses, quiet_threads: QuietThreads, team_id: str
) -> None:
    """Registers the listeners for the buttons of replies, and for Slack's own Stop.

    Call it before `register_messages`: Bolt calls the first listener that matches.
    """

    async def on_press(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(press_of(body, team_id))

    async def on_choice(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(press_of(body, team_id), choices.press)

    async def on_reason(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(reason_press_of(body, team_id))

    async def on_quiet(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await quiet_threads.pressed(quiet_press_of(body, team_id))

    async def on_stop(body: dict[str, Any]) -> None:
        await actions.stop_session(*stop_of(body, team_id))

    async def on_approval(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await actions.pressed(approval_of(body, team_id))

    app.view(ARGUMENTS)(on_approval)
    for action in ReplyAction:
        app.action(action.value)(on_press)
    app.action(re.compile(f"^{ReplyAction.CHOOSE}-[0-9]$"))(on_choice)
    app.action(re.compile(f"^{ReplyAction.FEEDBACK_REASON}-[a-z_]+$"))(on_reason)
    app.action(STAY_QUIET)(on_quiet)
    app.event("agent_session_stopped")(on_stop)


def register_commands(app: AsyncApp, commands: SlashCommands, questions: MessageShortcut) -> None:
    """Registers the listeners for the slash command, the message shortcut, and the modals that both open."""

    async def on_command(ack: AsyncAck, command: Mapping[str, Any]) -> None:
        try:
            response = await _in_time(commands.command(invocation_of_command(command), command_of(command)))
        except (TypistError, TimeoutError) as error:
            response = CommandResponse(_sentence(error))
        await (ack(**command_message(response)) if response else ack())

    async def on_shortcut(ack: AsyncAck, shortcut: Mapping[str, Any]) -> None:
        invocation = invocation_of_shortcut(shortcut)
        try:
            await _in_time(questions.open(invocation, message_of_shortcut(shortcut, commands.workspace.me.team_id)))
        except (TypistError, TimeoutError) as error:
            response = CommandResponse(_sentence(error))
            await commands.workspace.surfaces.respond_to_command(invocation.response_url, response)
        await ack()

    async def on_settings(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        try:
            problems = await _in_time(commands.save(settings_in(body)))
        except (TypistError, TimeoutError) as error:
            problems = {SettingsField.MODEL: _sentence(error)}
        await (ack(response_action="errors", errors=problems) if problems else ack())

    async def on_question(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        try:
            problem = await _in_time(questions.ask(*question_in(body)))
        except (TypistError, TimeoutError) as error:
            # A question that is on record nevertheless is asked once, however often the modal is submitted.
            problem = _sentence(error)
        await (ack(response_action="errors", errors={QUESTION: problem}) if problem else ack())

    app.command(COMMAND)(on_command)
    app.shortcut(ASK_ABOUT)(on_shortcut)
    app.view(SETTINGS)(on_settings)
    app.view(ASK_ABOUT)(on_question)


def register_memory(app: AsyncApp, remembering: Remembering) -> None:
    """Registers the listeners for the modal with a place's memories."""

    async def on_memory(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        try:
            await _in_time(remembering.open_on_settings(*memory_press_of(body)))
        except (TypistError, TimeoutError) as error:
            log.warning("memories not shown: %s", error or "it took too long")

    async def on_memories(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        submitted = memories_in(body)
        try:
            problem = await _in_time(remembering.save(submitted))
        except (TypistError, TimeoutError) as error:
            problem = _sentence(error)
        first = f"{MEMORY}-{submitted.listed[0]}"
        await (ack(response_action="errors", errors={first: problem}) if problem else ack())

    app.action(OPEN_MEMORY)(on_memory)
    app.view(MEMORY)(on_memories)


def register_caps(app: AsyncApp, caps: CapSettings, home: AppHome, team_id: str) -> None:
    """Registers the listeners for caps in App Home. Once caps are saved, the admin's Home is built again."""

    async def on_press(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        user_id, trigger_id, owner = caps_press_of(body, team_id)
        try:
            await _in_time(caps.open(user_id, trigger_id, owner))
        except (TypistError, TimeoutError) as error:
            log.warning("caps not shown to user %s: %s", user_id, error or "it took too long")
        # The menus of a new Home have forgotten the choice, so the same one can be made again.
        home.opened(user_id)

    async def on_caps(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        user_id, owner, entered = caps_in(body)
        try:
            problems = await _in_time(caps.save(user_id, owner, entered))
        except (TypistError, TimeoutError) as error:
            log.warning("caps not saved by user %s: %s", user_id, error or "it took too long")
            problems = {CapField.DOLLARS_A_MONTH: texts.COMMAND_FAILED}
        if problems:
            await ack(response_action="errors", errors=problems)
        else:
            await ack()
            home.changed(user_id)

    for action_id in (SET_WORKSPACE_CAPS, SET_PERSON_CAPS, SET_CHANNEL_CAPS):
        app.action(action_id)(on_press)
    app.view(CAPS)(on_caps)


def register_schedules(app: AsyncApp, schedules: Schedules, home: AppHome, team_id: str) -> None:
    """Registers the listeners for buttons about schedules, and for the modal that changes one."""

    async def on_press(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        press = schedule_press_of(body, team_id)
        await schedules.pressed(press)
        if press.place and not press.place.channel_id:
            home.changed(press.user_id)

    async def on_change(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        submitted = schedule_in(body)
        try:
            problems = await _in_time(schedules.change(submitted))
        except (TypistError, TimeoutError) as error:
            problems = {ScheduleField.WORDS: _sentence(error)}
        if problems:
            await ack(response_action="errors", errors=problems)
            return
        await ack()
        if submitted.place:
            saved = texts.SCHEDULE_PRESSED[ScheduleAction.CHANGE]
            await schedules.show_again(submitted.user_id, submitted.place, saved)

    for action in ScheduleAction:
        app.action(action.value)(on_press)
    app.view(CHANGE_SCHEDULE)(on_change)


async def _in_time(result: Awaitable[T]) -> T:
    async with asyncio.timeout(WITHIN_S):
        return await result


def _sentence(error: Exception) -> str:
    log.warning("command or modal failed: %s", error or "it took too long")
    return texts.SLACK_SLOW if isinstance(error, TimeoutError) else texts.COMMAND_FAILED
