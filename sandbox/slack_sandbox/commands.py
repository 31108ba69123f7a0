"""Slash commands and shortcuts that the app's manifest declares."""

import re
from dataclasses import dataclass

from slack_sandbox.control import escape
from slack_sandbox.interactivity import Interactivity, payload_channel_json
from slack_sandbox.manifest import Command, Manifest, Shortcut
from slack_sandbox.wire import payload_message_json
from slack_sandbox.workspace import Json, SlackError

_HANDLE = re.compile(r"(?<!\w)(?P<sign>[@#])(?P<name>[a-z0-9][a-z0-9._-]*)")

_NOT_IN_MESSAGE_ACTIONS = ("api_app_id", "enterprise", "is_enterprise_install")


@dataclass
class Commands:
    interactivity: Interactivity
    config: Manifest

    async def run(self, user_id: str, channel: str, typed: str) -> None:
        """Runs `/command text` as typed in a channel. Raises SlackError: unknown_command, app_not_responding."""
        name, _, text = typed.partition(" ")
        command = next((known for known in self.config.commands if known.command == name), None)
        if command is None:
            raise SlackError("unknown_command")
        payload = self._command(user_id, channel, command, text.strip())
        answer = await self.interactivity.sockets.ask("slash_commands", payload)
        if answer is None:
            raise SlackError("app_not_responding")
        if answer.get("text") or answer.get("blocks"):
            self.interactivity.responses.show(channel, user_id, answer)

    async def use_message_shortcut(self, user_id: str, callback_id: str, channel: str, ts: str) -> bool:
        self._shortcut(callback_id, "message")
        message = self.interactivity.workspace.message(channel, ts)
        workspace = self.interactivity.workspace
        payload = self._shortcut_payload("message_action", user_id, callback_id)
        user = {key: payload["user"][key] for key in ("id", "name")}
        message_payload = {
            **{key: value for key, value in payload.items() if key not in _NOT_IN_MESSAGE_ACTIONS},
            "user": user,
            "message_ts": ts,
            "message": payload_message_json(workspace, message),
            "channel": payload_channel_json(workspace.channel(channel)),
            # A shortcut's message can be anybody's, so it isn't an original that the app could replace.
            "response_url": self.interactivity.responses.issue_url(channel, user_id),
        }
        return await self.interactivity.send(message_payload) is not None

    async def use_global_shortcut(self, user_id: str, callback_id: str) -> bool:
        self._shortcut(callback_id, "global")
        return await self.interactivity.send(self._shortcut_payload("shortcut", user_id, callback_id)) is not None

    def _shortcut(self, callback_id: str, kind: str) -> Shortcut:
        for shortcut in self.config.shortcuts:
            if (shortcut.callback_id, shortcut.type) == (callback_id, kind):
                return shortcut
        raise SlackError("unknown_shortcut")

    def _shortcut_payload(self, kind: str, user_id: str, callback_id: str) -> Json:
        sender = self.interactivity.sender_fields(user_id)
        action_ts = self.interactivity.workspace.next_ts()
        return {"type": kind, "callback_id": callback_id, "action_ts": action_ts, **sender}

    def _command(self, user_id: str, channel: str, command: Command, text: str) -> Json:
        workspace, sender = self.interactivity.workspace, self.interactivity.sender_fields(user_id)
        channel_fields = payload_channel_json(workspace.channel(channel))
        return {
            "token": sender["token"],
            "team_id": sender["team"]["id"],
            "team_domain": sender["team"]["domain"],
            "channel_id": channel_fields["id"],
            "channel_name": channel_fields["name"],
            "user_id": user_id,
            "user_name": sender["user"]["name"],
            "command": command.command,
            "text": self._with_escaped_mentions(text) if command.should_escape else text,
            "api_app_id": sender["api_app_id"],
            "is_enterprise_install": "false",
            "response_url": self.interactivity.responses.issue_url(channel, user_id),
            "trigger_id": sender["trigger_id"],
        }

    def _with_escaped_mentions(self, text: str) -> str:
        workspace = self.interactivity.workspace
        ids = {user.name: user.id for user in workspace.users.values()}
        ids |= {channel.name: channel.id for channel in workspace.channels.values()}

        def token(match: re.Match[str]) -> str:
            found_id = ids.get(match["name"])
            return f"<{match['sign']}{found_id}|{match['name']}>" if found_id else match[0]

        return _HANDLE.sub(token, escape(text))
