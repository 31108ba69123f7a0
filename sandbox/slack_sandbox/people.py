"""People's messages: posting, editing, deleting, forwarding, sharing files."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slack_sandbox.blocks.stored import to_stored_blocks
from slack_sandbox.files import File, Files, Mail, UploadedFile
from slack_sandbox.sample_workspace import Room, add_room
from slack_sandbox.text.composer import compose, pasted_table
from slack_sandbox.wire import permalink
from slack_sandbox.workspace import SLACK, SLACKBOT, TEAM_ID, UTC, Channel, Json, Message, SlackError, User, Workspace


@dataclass(frozen=True, slots=True)
class Content:
    text: str = ""
    blocks: Sequence[Json] = ()
    attachments: Sequence[Json] = ()


class People:
    """Acts on behalf of people and other bots. All methods raise SlackError if Slack would reject the action."""

    def __init__(self, workspace: Workspace, files: Files) -> None:
        self.workspace = workspace
        self.files = files

    def add_person(self, name: str, *, guest: bool = False, team_id: str = TEAM_ID) -> User:
        """Adds a person to #general and #random, with a direct message to the bot."""
        person = User(f"U0{name.upper()}", name, name.title(), "#64748b", team_id=team_id, is_restricted=guest)
        self.workspace.users[person.id] = person
        for channel in ("general", "random"):
            self.workspace.join(channel, person.id)
        direct = Channel(f"D{person.id[1:]}", f"dm-{name}", "im", [person.id, self.workspace.bot.id], person.id)
        self.workspace.channels[direct.id] = direct
        return person

    def move_to_zone(self, zone: str) -> None:
        """Moves everybody who is in UTC, the default, to this IANA time zone."""
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise SlackError("invalid_arguments") from None
        users = self.workspace.users
        users |= {
            user.id: replace(user, tz=zone)
            for user in users.values()
            if user.bot_id is None and user.tz == UTC and user.id not in (SLACK, SLACKBOT)
        }

    def add_room(self, room: Room) -> None:
        add_room(self.workspace, room)
        now_s = time.time()
        for number, post in enumerate(room.posts):
            # Posts from the same minute need different timestamps.
            ts = f"{now_s - 60 * post.minutes_ago + number:.6f}"
            self.workspace.post(replace(self._draft(post.person, room.id, post.words, None), ts=ts))

    def join(self, user: str, channel: str) -> None:
        """Joins a public channel, which only members of the workspace can do uninvited."""
        person, place = self.workspace.user(user), self.workspace.channel(channel)
        if place.archived:
            raise SlackError("is_archived")
        if place.type != "channel" or not person.is_member:
            raise SlackError("channel_not_found")
        self.workspace.join(place.id, person.id)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None, *, broadcast: bool = False) -> str:
        """Posts a message and returns its ts. `@name` and `<@U…>` are mentions; other `&`, `<` and `>` are escaped."""
        draft = self._draft(user, channel, text, thread_ts)
        if broadcast and thread_ts is not None:
            draft = replace(draft, subtype="thread_broadcast")
        return self.workspace.post(draft).ts

    def share(
        self,
        user: str,
        channel: str,
        text: str,
        files: Sequence[UploadedFile | Mail | File],
        thread_ts: str | None = None,
    ) -> str:
        draft = self._draft(user, channel, text, thread_ts)
        return self.files.share(draft, [self._stored(draft.user_id, file) for file in files]).ts

    def add_tab(self, user: str, channel: str, canvas: UploadedFile) -> str:
        file = self.files.add(self.workspace.user(user).id, canvas)
        self.files.add_tab(file, self.workspace.channel(channel))
        return file.id

    def _stored(self, user_id: str, file: UploadedFile | Mail | File) -> File:
        match file:
            case UploadedFile():
                return self.files.add(user_id, file)
            case Mail():
                return self.files.add_mail(user_id, file)
        return file

    def receive_mail(self, channel: str, mail: Mail) -> str:
        """Posts an email to the channel's address as Slackbot does, and returns the message's ts."""
        draft = self._by_slackbot(channel, "", "B0EMAIL")
        return self.files.share(draft, [self.files.add_mail(SLACKBOT, mail)], subtype=None).ts

    def say_as_slackbot(self, channel: str, text: str, bot_id: str) -> str:
        return self.workspace.post(replace(self._by_slackbot(channel, text, bot_id), subtype="bot_message")).ts

    def _by_slackbot(self, channel: str, text: str, bot_id: str) -> Message:
        place = self.workspace.channel(channel).id
        return Message(place, self.workspace.next_ts(), SLACKBOT, self.typed(text)[0], slackbot_for=bot_id)

    def say_as_bot(
        self, name: str, channel: str, text: str, thread_ts: str | None = None, *, is_legacy: bool = False
    ) -> str:
        """Posts as another bot and returns the message's ts. With `is_legacy`, the bot is a legacy integration, so the
        message has the subtype bot_message and no user."""
        draft = self._draft(self._ensure_bot(name, channel).id, channel, text, thread_ts)
        return self.workspace.post(replace(draft, subtype="bot_message", username=name) if is_legacy else draft).ts

    def _ensure_bot(self, name: str, channel: str) -> User:
        bot = User(f"U0BOT{name.upper()}", name, name.title(), "#64748b", bot_id=f"B0{name.upper()}")
        self.workspace.users.setdefault(bot.id, bot)
        self.workspace.join(channel, bot.id)
        return bot

    def stream_as_bot(self, name: str, channel: str, thread_ts: str) -> str:
        bot = self._ensure_bot(name, channel)
        draft = self._draft(bot.id, channel, "", thread_ts)
        return self.workspace.post(replace(draft, blocks=(), streaming_state="in_progress")).ts

    def end_stream_as_bot(self, channel: str, ts: str, text: str) -> None:
        mrkdwn, blocks = self.typed(text)
        message = self.workspace.message(channel, ts)
        self.workspace.change(replace(message, text=mrkdwn, blocks=blocks, streaming_state="completed"))

    def say_through_app(self, app_id: str, user: str, channel: str, text: str) -> str:
        return self.workspace.post(
            replace(self._draft(user, channel, text, None), app_id=app_id, client_msg_id=None)
        ).ts

    def edit(self, channel: str, ts: str, text: str) -> None:
        """Edits a message. The bot's messages can't be edited."""
        message = self._own_message(channel, ts, "cant_update_message")
        mrkdwn, blocks = self.typed(text)
        edited = replace(message, text=mrkdwn, blocks=blocks, edited_ts=self.workspace.next_ts())
        self.workspace.change(edited)

    def delete(self, channel: str, ts: str) -> None:
        """Deletes a message. The bot's messages can't be deleted."""
        self.workspace.delete(self._own_message(channel, ts, "cant_delete_message"))

    def post(self, user: str, channel: str, content: Content, thread_ts: str | None = None) -> str:
        draft = replace(
            self._draft(user, channel, "", thread_ts), text=content.text, blocks=to_stored_blocks(content.blocks)
        )
        return self.workspace.post(replace(draft, attachments=tuple(content.attachments))).ts

    def paste(self, user: str, channel: str, text: str, rows: Sequence[Sequence[str]]) -> str:
        """Posts a message with a pasted table and returns its ts. The first row is the header."""
        draft = self._draft(user, channel, text, None)
        table = {"id": 1, "fallback": "[no preview available]", "blocks": [pasted_table(rows)]}
        return self.workspace.post(replace(draft, attachments=(table,))).ts

    def react(self, user: str, channel: str, ts: str, name: str, *, add: bool) -> None:
        person, place = self.workspace.user(user), self.workspace.channel(channel)
        if person.id not in place.members:
            raise SlackError("not_in_channel")
        self.workspace.react(self.workspace.message(place.id, ts), name, person.id, add=add)

    def say_as_slack(self, user: str, text: str) -> str:
        dm = self.workspace.dm(user)
        return self.workspace.post(Message(dm.id, self.workspace.next_ts(), SLACK, text)).ts

    def deactivate(self, user: str) -> None:
        person = self.workspace.user(user)
        self.workspace.users[person.id] = replace(person, deleted=True)

    def forward(self, user: str, message: Message, channel: str, comment: str = "") -> str:
        draft = self._draft(user, channel, comment, None)
        return self.workspace.post(replace(draft, attachments=(self._forwarded(message),))).ts

    def _forwarded(self, message: Message) -> Json:
        author = self.workspace.user(message.user_id)
        original = {
            "team": TEAM_ID,
            "channel": message.channel,
            "ts": message.ts,
            "message": {"blocks": [*message.blocks]},
        }
        return {
            "id": 1,
            "ts": message.ts,
            "author_id": author.id,
            "author_name": author.real_name,
            "author_subname": author.real_name,
            "channel_id": message.channel,
            "channel_team": TEAM_ID,
            "is_msg_unfurl": True,
            "is_share": True,
            "message_blocks": [original],
            "text": message.text,
            "fallback": f"{author.real_name}: {message.text}",
            "from_url": permalink(message),
            "mrkdwn_in": ["text"],
            **({"files": [*message.files]} if message.files else {}),
        }

    def typed(self, text: str) -> tuple[str, tuple[Json, ...]]:
        return compose(text, self._user_id)

    def _user_id(self, name: str) -> str | None:
        return next((user.id for user in self.workspace.users.values() if user.name == name.lower()), None)

    def _draft(self, user: str, channel: str, text: str, thread_ts: str | None) -> Message:
        author, target = self.workspace.user(user), self.workspace.channel(channel)
        if target.archived:
            raise SlackError("is_archived")
        if author.id not in target.members:
            raise SlackError("not_in_channel")
        if thread_ts is not None:
            thread_ts = self.workspace.message(target.id, thread_ts).root_ts
        mrkdwn, blocks = self.typed(text)
        return Message(
            target.id,
            self.workspace.next_ts(),
            author.id,
            mrkdwn,
            blocks if text else (),
            thread_ts=thread_ts,
            client_msg_id=None if author.bot_id else str(uuid.uuid4()),
        )

    def _own_message(self, channel: str, ts: str, error: str) -> Message:
        message = self.workspace.message(self.workspace.channel(channel).id, ts)
        if message.user_id == self.workspace.bot.id:
            raise SlackError(error)
        return message
