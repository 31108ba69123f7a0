"""Sends interactive payloads to the app, through Socket Mode, when people use buttons and menus in messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slack_sandbox.blocks.choices import Choice, SuggestedOptions, action_json, find_element, state_values
from slack_sandbox.blocks.elements import EXTERNAL_SELECTS, MIN_QUERY_LENGTH, suggested_options, suggestion_problems
from slack_sandbox.responses import Responses
from slack_sandbox.socket_mode import SocketMode
from slack_sandbox.triggers import Triggers
from slack_sandbox.wire import payload_message_json, payload_user_json
from slack_sandbox.workspace import APP_ID, TEAM_ID, Channel, Json, Message, SlackError, Workspace

_NAMES = {"im": "directmessage", "group": "privategroup"}
"""The channel names that Slack uses in payloads, by channel type."""


@dataclass(frozen=True, slots=True)
class Press:
    """A person's action on an interactive element. `forged`: whether the request is forged, so the element might not
    exist."""

    user_id: str
    action_id: str
    choice: Choice = None
    block_id: str | None = None
    forged: bool = False


@dataclass(frozen=True, slots=True)
class MenuQuery:
    user_id: str
    action_id: str
    text: str
    block_id: str | None = None


@dataclass
class Interactivity:
    workspace: Workspace
    sockets: SocketMode
    enabled: bool
    triggers: Triggers
    responses: Responses
    suggested: SuggestedOptions
    _choices: dict[tuple[str, str, str], dict[tuple[str, str], Choice]] = field(default_factory=dict)

    async def press(self, channel: str, ts: str, press: Press) -> bool:
        """Sends a click or choice to the app, and returns whether the app acknowledged it. Raises SlackError."""
        message = self.workspace.message_or_deleted(channel, ts)
        if message.ephemeral_to not in (None, press.user_id):
            raise SlackError("message_not_found")
        block_id, element = self._element(message, press)
        choices = self._choices.setdefault((channel, ts, press.user_id), {})
        choices[block_id, press.action_id] = press.choice
        action = action_json(element, block_id, press.choice, self.workspace.next_ts())
        payload = {
            "type": "block_actions",
            **self.sender_fields(press.user_id),
            **self._message_fields(message, press.user_id),
            "container": _container(message),
            "state": {"values": state_values(self._blocks(message, press.user_id), choices)},
            "actions": [action],
        }
        return await self.send(payload) is not None

    async def suggest(self, channel: str, ts: str, query: MenuQuery) -> list[Json]:
        """Asks the app for the options of a message's external menu. Raises SlackError."""
        message = self.workspace.message_or_deleted(channel, ts)
        fields = self._message_fields(message, query.user_id) | {"container": _container(message)}
        del fields["response_url"]
        return await self.ask_for_options(_surface(message, query.user_id), message.blocks, query, fields)

    async def ask_for_options(self, surface: str, blocks: Sequence[Json], query: MenuQuery, fields: Json) -> list[Json]:
        """Sends block_suggestion and returns the app's options, if the query is long enough. Raises SlackError."""
        block, element = find_element(blocks, query.action_id, query.block_id)
        if element["type"] not in EXTERNAL_SELECTS:
            raise SlackError("action_not_found")
        if len(query.text) < element.get("min_query_length", MIN_QUERY_LENGTH):
            return []
        payload = {
            "type": "block_suggestion",
            **self.sender_fields(query.user_id),
            **fields,
            "action_id": query.action_id,
            "block_id": block["block_id"],
            "value": query.text,
        }
        # A block_suggestion can't open a modal.
        del payload["trigger_id"]
        answer = await self.send(payload)
        if answer is None:
            raise SlackError("app_not_responding")
        if suggestion_problems(answer):
            raise SlackError("invalid_response_options")
        options: list[Json] = suggested_options(answer)
        self.suggested.add(surface, block["block_id"], query.action_id, options)
        return options

    async def send(self, payload: Json) -> Json | None:
        """Sends a payload and returns the acknowledgment's payload, or None after the timeout. Raises SlackError."""
        if not self.enabled:
            raise SlackError("interactivity_not_enabled")
        return await self.sockets.ask("interactive", payload)

    def sender_fields(self, user_id: str, view_id: str | None = None) -> Json:
        """Returns the fields about the person, the team and the app, with a new trigger_id."""
        return {
            "user": payload_user_json(self.workspace.user(user_id)),
            "team": {"id": TEAM_ID, "domain": "sandbox"},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": APP_ID,
            "token": "sandbox",
            "trigger_id": self.triggers.issue(user_id, view_id),
        }

    def _element(self, message: Message, press: Press) -> tuple[str, Json]:
        try:
            block, element = find_element(self._blocks(message, press.user_id), press.action_id, press.block_id)
        except SlackError:
            if not press.forged:
                raise
            return press.block_id or "forged", {"type": "button", "action_id": press.action_id}
        return block["block_id"], element

    def _blocks(self, message: Message, user_id: str) -> list[Json]:
        return self.suggested.fill(_surface(message, user_id), message.blocks)

    def _message_fields(self, message: Message, user_id: str) -> Json:
        fields: Json = {
            "channel": payload_channel_json(self.workspace.channel(message.channel)),
            "response_url": self.responses.issue_url(message.channel, user_id, message),
        }
        if message.ephemeral_to is None:
            fields["message"] = payload_message_json(self.workspace, message)
        return fields


def payload_channel_json(channel: Channel) -> Json:
    return {"id": channel.id, "name": _NAMES.get(channel.type, channel.name)}


def _surface(message: Message, user_id: str) -> str:
    return f"{message.channel} {message.ts} {user_id}"


def _container(message: Message) -> Json:
    fields = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    return fields | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
