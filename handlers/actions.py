"""Registers listeners for user input: buttons, the slash command, the message shortcut, and modals.

Slack doesn't resend these payloads, so every failure is reported to the person.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.clock import Background, Turns
from bot.core import texts
from bot.core.actions import DOWN, MORE, UP, ReplyAction
from bot.core.channel_settings import SettingsPlace
from bot.core.surfaces import CommandResponse
from bot.errors import TypistError
from bot.services.commands import AppHome, SlashCommands
from bot.services.engagement import STAY_QUIET, QuietThreads
from bot.services.quota import CapSettings
from bot.services.reply_actions import ReplyActions
from bot.services.schedules import SchedulePress, Schedules
from bot.services.shortcut import MessageShortcut
from bot.slack.notices import command_message
from bot.slack.views.arguments import ARGUMENTS, EDIT_ARGUMENTS
from bot.slack.views.caps import CAPS, SET_CHANNEL_CAPS, SET_PERSON_CAPS, SET_WORKSPACE_CAPS, SubmittedCaps
from bot.slack.views.modal import Modal
from bot.slack.views.question import ASK_ABOUT, ASK_MODAL
from bot.slack.views.schedules import CHANGE_SCHEDULE, ScheduleAction, SubmittedSchedule
from bot.slack.views.settings import SETTINGS
from bot.slack.views.sign_in import SIGN_IN_MODAL
from handlers.payloads import (
    approval_of,
    caps_press_of,
    command_of,
    follow_up_press_of,
    invocation_of_command,
    invocation_of_shortcut,
    message_of_shortcut,
    press_of,
    quiet_press_of,
    schedule_press_of,
    settings_press_of,
    stop_of,
    submission_in,
)
from handlers.presses import WITHIN_S, press_listener

COMMAND = re.compile(".*")
"""Matches every name, because the manifest can use another command name and Slack sends only the app's own commands."""
SAVED_WITHIN_S = 300.0
"""Time limit for work after saving a modal, such as polling a server until a person has confirmed a code."""

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")


def register_buttons(
    app: AsyncApp, turns: Turns, actions: ReplyActions, quiet_threads: QuietThreads, team_id: str
) -> None:

    async def on_stop(body: dict[str, Any]) -> None:
        await actions.stops.stop_session(*stop_of(body, team_id))

    async def pressed(body: dict[str, Any]) -> None:
        await actions.on_press(press_of(body, team_id))

    on_press = press_listener(turns, pressed)
    on_follow_up = press_listener(turns, lambda body: actions.on_press(follow_up_press_of(body, team_id)))
    on_quiet = press_listener(turns, lambda body: quiet_threads.on_press(quiet_press_of(body, team_id)))
    app.view(ARGUMENTS)(press_listener(turns, lambda body: actions.on_press(approval_of(body, team_id))))
    register_modal(app, turns, EDIT_ARGUMENTS, actions.decisions.approve_edited)
    register_modal(app, turns, SIGN_IN_MODAL, actions.sign_in.check_url, actions.sign_in.sign_in)
    # Stop doesn't wait for other presses, which might be waiting for a server.
    app.action(ReplyAction.STOP)(press_listener(Turns(), pressed))
    for action in set(ReplyAction) - {ReplyAction.STOP}:
        app.action(action.value)(on_press)
    app.action(re.compile(f"^({ReplyAction.CHOOSE}-[0-9]|{ReplyAction.FEEDBACK}-({UP}|{DOWN})|{MORE})$"))(on_press)
    app.action(re.compile(f"^({ReplyAction.FEEDBACK_REASON}|{ReplyAction.DELETE})-[a-z_]+$"))(on_follow_up)
    app.action(STAY_QUIET)(on_quiet)
    app.event("agent_session_stopped")(on_stop)


def register_commands(app: AsyncApp, turns: Turns, commands: SlashCommands, questions: MessageShortcut) -> None:

    async def on_command(ack: AsyncAck, command: Mapping[str, Any]) -> None:
        invocation = invocation_of_command(command)
        try:
            response = await _run_in_turn(
                turns, invocation.user_id, lambda: commands.respond(invocation, command_of(command))
            )
        except (TypistError, TimeoutError) as error:
            response = CommandResponse(_error_sentence(error))
        await (ack(**command_message(response)) if response else ack())

    async def on_shortcut(shortcut: Mapping[str, Any]) -> None:
        invocation = invocation_of_shortcut(shortcut)
        try:
            async with asyncio.timeout(WITHIN_S):
                await questions.open(invocation, message_of_shortcut(shortcut, commands.workspace.me.team_id))
        except (TypistError, TimeoutError) as error:
            response = CommandResponse(_error_sentence(error))
            await commands.workspace.surfaces.respond_to_command(invocation.response_url, response)

    app.command(COMMAND)(on_command)
    app.shortcut(ASK_ABOUT)(press_listener(turns, on_shortcut))
    register_modal(app, turns, SETTINGS, commands.save_channel_settings)
    # If a question was recorded although an error was shown, it is asked once, however often the modal is submitted.
    register_modal(app, turns, ASK_MODAL, questions.ask)


def register_settings_button(
    app: AsyncApp, turns: Turns, action_id: str, open_modal: Callable[[str, str, SettingsPlace], Awaitable[None]]
) -> None:
    """Registers a button in channel settings. `open_modal`: called with the person's ID, the trigger for a modal, and
    the place."""

    async def on_press(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        user_id, trigger_id, place = settings_press_of(body)
        try:
            await _run_in_turn(turns, user_id, lambda: open_modal(user_id, trigger_id, place))
        except (TypistError, TimeoutError) as error:
            log.warning("modal of %s not opened: %s", action_id, error or "it took too long")

    app.action(action_id)(on_press)


def register_caps(app: AsyncApp, turns: Turns, caps: CapSettings, home: AppHome, team_id: str) -> None:

    async def on_press(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        user_id, trigger_id, owner = caps_press_of(body, team_id)
        try:
            await _run_in_turn(turns, user_id, lambda: caps.open(user_id, trigger_id, owner))
        except (TypistError, TimeoutError) as error:
            log.warning("caps not shown to user %s: %s", user_id, error or "it took too long")
        # The menus of a rebuilt Home have no selection, so the same choice can be made again.
        home.on_home_opened(user_id)

    async def show_in_home(user_id: str, _: SubmittedCaps) -> None:
        home.on_changed(user_id)

    for action_id in (SET_WORKSPACE_CAPS, SET_PERSON_CAPS, SET_CHANNEL_CAPS):
        app.action(action_id)(on_press)
    register_modal(app, turns, CAPS, caps.save, show_in_home)


def register_schedules(app: AsyncApp, turns: Turns, schedules: Schedules, home: AppHome, team_id: str) -> None:

    async def pressed(press: SchedulePress) -> None:
        await schedules.on_press(press)
        if press.place and not press.place.channel_id:
            home.on_changed(press.user_id)

    async def show_in_list(user_id: str, submitted: SubmittedSchedule) -> None:
        if submitted.place:
            saved = texts.schedules.SCHEDULE_PRESSED[ScheduleAction.CHANGE]
            await schedules.refresh_list(user_id, submitted.place, saved)

    on_press = press_listener(turns, lambda body: pressed(schedule_press_of(body, team_id)))
    for action in ScheduleAction:
        app.action(action.value)(on_press)
    register_modal(app, turns, CHANGE_SCHEDULE, schedules.change, show_in_list)


def register_modal(
    app: AsyncApp,
    turns: Turns,
    modal: Modal[..., S],
    save: Callable[[str, S], Awaitable[str | Mapping[str, str]]],
    after_save: Callable[[str, S], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Registers the listener for a modal's submission. `save` is called with the person's ID and the submission. It
    returns a sentence about the whole submission, "" if it is saved, or a sentence for each invalid field. `after_save`
    runs afterwards in the background, because Bolt acknowledges only after a listener returns."""
    background = Background()

    async def on_submission(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        user_id, submitted = submission_in(body, modal)
        try:
            problems = await _run_in_turn(turns, user_id, lambda: save(user_id, submitted))
        except (TypistError, TimeoutError) as error:
            problems = _error_sentence(error)
        if isinstance(problems, str) and problems:
            problems = {modal.first_field(submitted): problems}
        if problems:
            await ack(response_action="errors", errors=dict(problems))
            return
        await ack()
        if after_save:
            failure = f"user {user_id} doesn't see what follows modal {modal.callback_id}"
            background.start(after_save(user_id, submitted), failure, SAVED_WITHIN_S)

    app.view(modal.callback_id)(on_submission)


async def _run_in_turn(turns: Turns, user_id: str, work: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(WITHIN_S), turns.lock_of(user_id):
        return await work()


def _error_sentence(error: Exception) -> str:
    log.warning("command or modal failed: %s", error or "it took too long")
    return texts.commands.SLACK_SLOW if isinstance(error, TimeoutError) else texts.commands.COMMAND_FAILED
