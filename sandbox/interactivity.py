"""What people do with an app's buttons, menus and the like, as interactive payloads over Socket Mode."""

from dataclasses import dataclass, field

from sandbox.choices import Choice, action_json, find_element, state_values
from sandbox.responses import Responses
from sandbox.socket_mode import SocketMode
from sandbox.triggers import Triggers
from sandbox.wire import payload_message_json, payload_user_json
from sandbox.workspace import APP_ID, TEAM_ID, Channel, Json, Message, SlackError, Workspace

_NAMES = {"im": "directmessage", "group": "privategroup"}
"""What Slack calls these in payloads."""


@dataclass(frozen=True, slots=True)
class Press:
    """One use of an element. `forged`: it need not be there, as what a client makes up need not."""

    user_id: str
    action_id: str
    chosen: Choice = None
    block_id: str | None = None
    forged: bool = False


@dataclass
class Interactivity:
    """Tells the app, and the person where the app does not answer."""

    workspace: Workspace
    sockets: SocketMode
    enabled: bool
    """As the manifest has it."""
    triggers: Triggers
    responses: Responses
    _chosen: dict[tuple[str, str, str], dict[tuple[str, str], Choice]] = field(default_factory=dict)
    """By channel, ts and user: what they chose in a message's menus."""

    async def press(self, channel: str, ts: str, press: Press) -> bool:
        """Whether the app acknowledged. Raises SlackError where there is no such message or element."""
        message = self.workspace.message_even_if_deleted(channel, ts)
        if message.ephemeral_to not in (None, press.user_id):
            raise SlackError("message_not_found")
        block_id, element = self._element(message, press)
        chosen = self._chosen.setdefault((channel, ts, press.user_id), {})
        chosen[block_id, press.action_id] = press.chosen
        action = action_json(element, block_id, press.chosen, self.workspace.next_ts())
        payload = {
            "type": "block_actions",
            **self.sender(press.user_id),
            **self._about(message, press.user_id),
            "container": _container(message),
            "state": {"values": state_values(message.blocks, chosen)},
            "actions": [action],
        }
        return await self.send(payload) is not None

    async def send(self, payload: Json) -> Json | None:
        """What the app acknowledged it with, None where it did not in time. Raises SlackError."""
        if not self.enabled:
            raise SlackError("interactivity_not_enabled")
        return await self.sockets.ask("interactive", payload)

    def sender(self, user_id: str, view_id: str | None = None) -> Json:
        """Who did something, with a trigger_id for it; `view_id`: the modal it was done in."""
        return {
            "user": payload_user_json(self.workspace.user(user_id)),
            "team": {"id": TEAM_ID, "domain": "sandbox"},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": APP_ID,
            "token": "sandbox",
            "trigger_id": self.triggers.give(user_id, view_id),
        }

    def _element(self, message: Message, press: Press) -> tuple[str, Json]:
        try:
            block, element = find_element(message.blocks, press.action_id, press.block_id)
        except SlackError:
            if not press.forged:
                raise
            return press.block_id or "forged", {"type": "button", "action_id": press.action_id}
        return block["block_id"], element

    def _about(self, message: Message, user_id: str) -> Json:
        said: Json = {
            "channel": payload_channel_json(self.workspace.channel(message.channel)),
            "response_url": self.responses.give(message.channel, user_id, message),
        }
        if message.ephemeral_to is None:
            said["message"] = payload_message_json(self.workspace, message)
        return said


def payload_channel_json(channel: Channel) -> Json:
    """A channel as interactive payloads show it."""
    return {"id": channel.id, "name": _NAMES.get(channel.type, channel.name)}


def _container(message: Message) -> Json:
    said = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    return said | ({"thread_ts": message.thread_ts} if message.thread_ts else {})
