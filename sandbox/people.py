"""The people of the workspace: what they type becomes what Slack keeps."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sandbox.composer import compose, pasted_table
from sandbox.files import File, Files, Upload
from sandbox.stored import stored
from sandbox.workspace import SLACK, TEAM_ID, Channel, Json, Message, SlackError, User, Workspace


@dataclass(frozen=True, slots=True)
class Content:
    """What a message holds, as an app sends it."""

    text: str = ""
    blocks: Sequence[Json] = ()
    attachments: Sequence[Json] = ()


class People:
    """Writes as people do. Every method raises SlackError where Slack would not let them."""

    def __init__(self, workspace: Workspace, files: Files) -> None:
        self.workspace = workspace
        self.files = files

    def arrive(self, name: str, *, guest: bool = False, team_id: str = TEAM_ID) -> User:
        """Somebody new, in #general and #random and with a DM to the bot; of another team, by Slack Connect."""
        person = User(f"U0{name.upper()}", name, name.title(), "#64748b", team_id=team_id, is_restricted=guest)
        self.workspace.users[person.id] = person
        for channel in ("general", "random"):
            self.workspace.join(channel, person.id)
        direct = Channel(f"D{person.id[1:]}", f"dm-{name}", "im", [person.id, self.workspace.bot.id], person.id)
        self.workspace.channels[direct.id] = direct
        return person

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None, *, broadcast: bool = False) -> str:
        """The new message's ts. `@name` becomes a mention; & < > are escaped, `<@U…>` is kept."""
        draft = self._draft(user, channel, text, thread_ts)
        if broadcast and thread_ts is not None:
            draft = replace(draft, subtype="thread_broadcast")
        return self.workspace.post(draft).ts

    def share(
        self, user: str, channel: str, text: str, files: Sequence[Upload | File], thread_ts: str | None = None
    ) -> str:
        """A message with files, whose subtype is file_share; the new message's ts."""
        draft = self._draft(user, channel, text, thread_ts)
        kept = [self.files.add(draft.user_id, f) if isinstance(f, Upload) else f for f in files]
        return self.files.share(draft, kept).ts

    def say_as_bot(self, name: str, channel: str, text: str, thread_ts: str | None = None, *, old: bool = False) -> str:
        """A message of another bot; `old`: of an old-style integration (subtype bot_message, no user)."""
        bot = User(f"U0BOT{name.upper()}", name, name.title(), "#64748b", bot_id=f"B0{name.upper()}")
        self.workspace.users.setdefault(bot.id, bot)
        self.workspace.join(channel, bot.id)
        draft = self._draft(bot.id, channel, text, thread_ts)
        return self.workspace.post(replace(draft, subtype="bot_message", username=name) if old else draft).ts

    def say_through(self, app_id: str, user: str, channel: str, text: str) -> str:
        """A message that an app writes as a person; the new message's ts."""
        return self.workspace.post(
            replace(self._draft(user, channel, text, None), app_id=app_id, client_msg_id=None)
        ).ts

    def edit(self, channel: str, ts: str, text: str) -> None:
        message = self._own(channel, ts, "cant_update_message")
        kept, blocks = self.typed(text)
        edited = replace(message, text=kept, blocks=blocks, edited_ts=self.workspace.next_ts())
        self.workspace.change(edited)

    def delete(self, channel: str, ts: str) -> None:
        self.workspace.delete(self._own(channel, ts, "cant_delete_message"))

    def post(self, user: str, channel: str, content: Content, thread_ts: str | None = None) -> str:
        """A message with text, blocks and attachments as they are given; the new message's ts."""
        draft = replace(self._draft(user, channel, "", thread_ts), text=content.text, blocks=stored(content.blocks))
        return self.workspace.post(replace(draft, attachments=tuple(content.attachments))).ts

    def paste(self, user: str, channel: str, text: str, rows: Sequence[Sequence[str | float]]) -> str:
        """A message with a table that was copied from elsewhere, its first row a heading; the new message's ts."""
        draft = self._draft(user, channel, text, None)
        table = {"id": 1, "fallback": "[no preview available]", "blocks": [pasted_table(rows)]}
        return self.workspace.post(replace(draft, attachments=(table,))).ts

    def notice(self, user: str, text: str) -> str:
        """What Slack itself writes into a person's DM with the app; the new message's ts."""
        place = self.workspace.dm(user)
        return self.workspace.post(Message(place.id, self.workspace.next_ts(), SLACK, text)).ts

    def deactivate(self, user: str) -> None:
        """Ends a person's account; what they wrote stays."""
        person = self.workspace.user(user)
        self.workspace.users[person.id] = replace(person, deleted=True)

    def forward(self, user: str, message: Message, channel: str, comment: str = "") -> str:
        """Shares a message in another place; the new message's ts."""
        draft = self._draft(user, channel, comment, None)
        return self.workspace.post(replace(draft, attachments=(self._shared(message),))).ts

    def _shared(self, message: Message) -> Json:
        author = self.workspace.user(message.user_id)
        kept = {"team": TEAM_ID, "channel": message.channel, "ts": message.ts, "message": {"blocks": [*message.blocks]}}
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
            "message_blocks": [kept],
            "text": message.text,
            "fallback": f"{author.real_name}: {message.text}",
            "from_url": f"https://sandbox.slack.com/archives/{message.channel}/p{message.ts.replace('.', '')}",
            "mrkdwn_in": ["text"],
            **({"files": [*message.files]} if message.files else {}),
        }

    def typed(self, text: str) -> tuple[str, tuple[Json, ...]]:
        """What is typed, as Slack's text and its rich_text block."""
        return compose(text, self._user_id)

    def _user_id(self, name: str) -> str | None:
        return next((user.id for user in self.workspace.users.values() if user.name == name), None)

    def _draft(self, user: str, channel: str, text: str, thread_ts: str | None) -> Message:
        author, place = self.workspace.user(user), self.workspace.channel(channel)
        if place.archived:
            raise SlackError("is_archived")
        if author.id not in place.members:
            raise SlackError("not_in_channel")
        if thread_ts is not None:
            thread_ts = self.workspace.message(place.id, thread_ts).root_ts
        kept, blocks = self.typed(text)
        return Message(
            place.id,
            self.workspace.next_ts(),
            author.id,
            kept,
            blocks if text else (),
            thread_ts=thread_ts,
            client_msg_id=None if author.bot_id else str(uuid.uuid4()),
        )

    def _own(self, channel: str, ts: str, error: str) -> Message:
        message = self.workspace.message(self.workspace.channel(channel).id, ts)
        if message.user_id == self.workspace.bot.id:
            raise SlackError(error)
        return message
