"""Text that the sandbox's user provides for the page: questions to try, the answering models, and the app's users."""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import BinaryIO, Literal

from slack_sandbox.files import UploadedFile
from slack_sandbox.sample_workspace import Room
from slack_sandbox.workspace import TEAM_ID, Json, Message, User

UseKey = Callable[[str], Awaitable["Guide | str"]]
"""Called with a pasted model API key; "" removes it. Returns the new guide, or the reason the key isn't used."""
UseExport = Callable[[str, BinaryIO], Awaitable[str]]
"""Called with the name and bytes of a dropped Slack export. Returns "", or the reason it can't be opened."""
PassTime = Callable[[], Awaitable[str]]
"""Advances the app's time to its next scheduled action. Returns sentences about what happened."""
BadgeOf = Callable[[Message, Message | None], "Badge | None"]
"""Called with a message of the app and the question that it answers; returns the badge."""
_MENTION = re.compile(r"^<@\w+>\s*")


@dataclass(frozen=True, slots=True)
class Badge:
    """A label next to the app's name that shows who wrote the message instead of the app."""

    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A message in a card's thread. The page sends it once nothing in the thread has changed for a while."""

    person: int
    """The author: 0 is the person who clicked the card, 1 and 2 are other people in the channel."""
    words: str
    to: int | Literal["app"] | None = None
    """The person to address by name, or the app for a mention."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel of an export, or one of its threads."""

    channel: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A question that the page offers as a card. If a card has several questions, different people ask them at the same
    time."""

    title: str
    detail: str
    note: str
    """Explains the answer. The page shows it next to the answer; for several answers, it shows meters."""
    questions: tuple[str, ...]
    file: UploadedFile | None = None
    place: Room | Spot | Literal["here", "direct message"] = "here"
    """The place to ask: the open channel, the person's direct message with the app, or a separate channel."""
    replies: tuple[Reply, ...] = ()
    further: tuple[str, ...] = ()
    """More messages that the script can answer."""
    waits: bool = False
    """Whether its answer waits for the person's click. A new message in the conversation would replace the click."""

    @property
    def people(self) -> int:
        return max(len(self.questions), *(reply.person + 1 for reply in self.replies), 1)


@dataclass(frozen=True)
class Guide:
    cards: tuple[Card, ...] = ()
    cards_note: str = ""
    answers_note: str = ""
    setup_note: str = ""
    mention_note: str = ""
    """Explains why a message without a mention gets no answer."""
    people_notes: Mapping[str, str] = field(default_factory=dict)
    """Explains what people with each role can do with the app."""
    use_key: UseKey | None = None
    """If None, the page doesn't offer to use a key."""
    has_key: bool = False
    use_export: UseExport | None = None
    """If None, the page doesn't offer to open an export."""
    pass_time: PassTime | None = None
    """If None, the app doesn't have scheduled actions."""
    offers_time: Callable[[Message], bool] = lambda message: False
    """Returns whether a button that advances time is shown below a message of the app."""
    badge_of: BadgeOf = lambda message, question: None

    @property
    def rooms(self) -> tuple[Room, ...]:
        return tuple(dict.fromkeys(card.place for card in self.cards if isinstance(card.place, Room)))

    @cached_property
    def _cards_by_words(self) -> Mapping[str, Card]:
        return {words: card for card in self.cards for words in (*card.questions, *card.further)}

    def card_of(self, text: str) -> Card | None:
        return self._cards_by_words.get(without_mention(text))

    def state(self) -> Json:
        cards = [
            {
                "title": card.title,
                "detail": card.detail,
                "note": card.note,
                "questions": card.questions,
                "file": _file_json(card.file) if card.file else None,
                "place": _place_id(card),
                "thread": card.place.thread_ts if isinstance(card.place, Spot) else None,
                "replies": [asdict(reply) for reply in card.replies],
                "people": card.people,
                "waits": card.waits,
            }
            for card in self.cards
        ]
        return {
            "cards": cards,
            "cards_note": self.cards_note,
            "answers_note": self.answers_note,
            "setup_note": self.setup_note,
            "mention_note": self.mention_note,
            "takes_key": self.use_key is not None,
            "has_key": self.has_key,
            "takes_export": self.use_export is not None,
        }

    def person_json(self, user: User) -> Json:
        """Returns a person as the page shows them, with their rights."""
        role = role_of(user)
        return {
            "id": user.id,
            "name": user.name,
            "real_name": user.real_name,
            "color": user.color,
            "is_bot": user.bot_id is not None,
            "role": role,
            "about": " ".join(filter(None, (RIGHTS[role], self.people_notes.get(role)))),
            "can_write": not user.deleted,
            "reads_public": user.is_member and user.bot_id is None,
        }


def without_mention(text: str) -> str:
    return _MENTION.sub("", text)


RIGHTS: Mapping[str, str] = {
    "owner": "Owns the workspace: manages its members, channels and apps.",
    "admin": "Manages the workspace's members and channels.",
    "member": "Can join every public channel.",
    "guest": "Sees only channels that a member added them to.",
    "single-channel guest": "Sees one channel and its members.",
    "external": "Belongs to another organization. Sees only channels shared through Slack Connect.",
    "deactivated": "Can't sign in or write. Apps still see the account.",
    "app": "Another app in this workspace. Its messages show how this app treats other bots.",
}


def role_of(user: User) -> str:
    if user.deleted:
        return "deactivated"
    if user.bot_id is not None:
        return "app"
    if user.team_id != TEAM_ID:
        return "external"
    if user.is_owner or user.is_admin:
        return "owner" if user.is_owner else "admin"
    if user.is_ultra_restricted:
        return "single-channel guest"
    return "guest" if user.is_restricted else "member"


def _place_id(card: Card) -> str:
    """Returns the ID of the channel where a card is asked, or the page's name for a place."""
    if isinstance(card.place, Room | Spot):
        return card.place.id if isinstance(card.place, Room) else card.place.channel
    return card.place


def _file_json(file: UploadedFile) -> Json:
    return {"name": file.name, "base64": b64encode(file.content).decode(), "transcript": file.transcript}
