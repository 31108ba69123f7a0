"""Listeners for the caps in App Home: the button and menus that open a modal, and the modal."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.core import texts
from bot.core.limits.cap_fields import CapField
from bot.errors import TypistError
from bot.services.app_home import AppHome
from bot.services.cap_settings import CapSettings
from bot.slack.format.cap_modals import CAPS
from bot.slack.format.home import SET_CHANNEL_CAPS, SET_PERSON_CAPS, SET_WORKSPACE_CAPS
from handlers.payloads import caps_in, caps_press_of

WITHIN_S = 2.5
"""Slack waits three seconds for an acknowledgment, and a trigger is valid no longer."""

log = logging.getLogger(__name__)


def register(app: AsyncApp, caps: CapSettings, home: AppHome, team_id: str) -> None:
    """Registers the listeners. Once caps are saved, the admin's Home is built again."""

    async def on_press(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        await ack()
        user_id, trigger_id, owner = caps_press_of(body, team_id)
        try:
            async with asyncio.timeout(WITHIN_S):
                await caps.open(user_id, trigger_id, owner)
        except (TypistError, TimeoutError) as error:
            log.warning("caps not shown to user %s: %s", user_id, error or "it took too long")
        # The menus of a new Home have forgotten the choice, so the same one can be made again.
        home.opened(user_id)

    async def on_caps(ack: AsyncAck, body: Mapping[str, Any]) -> None:
        user_id, owner, entered = caps_in(body)
        try:
            async with asyncio.timeout(WITHIN_S):
                problems = await caps.save(user_id, owner, entered)
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
