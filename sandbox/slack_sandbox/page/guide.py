"""Texts on the page that the sandbox is given: questions to try, the models that answer, and whom the app answers."""

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
"""Takes the key of a model that a person pasted; "" removes it. Returns the guide from now on, or why it isn't used."""
UseExport = Callable[[str, BinaryIO], Awaitable[str]]
"""Takes the name and the bytes of a Slack export that a person dropped. Returns "" if it is opened, or why it isn't."""
PassTime = Callable[[], Awaitable[str]]
"""Lets time pass for the app, up to what it does next by itself. Returns what has happened, as sentences."""
BadgeOf = Callable[[Message, Message | None], "Badge | None"]
"""Takes a message of the app and the question that it belongs to, and returns its badge."""
_MENTION = re.compile(r"^<@\w+>\s*")


@dataclass(frozen=True, slots=True)
class Badge:
    """A word beside the name of the app that says who has written a message in its place."""

    label: str
    title: str
    """Explains it in a sentence."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A message in a card's thread. The page sends it once nothing in the thread has changed for a while."""

    person: int
    """Who writes it: 0 is the person who pressed the card, 1 and 2 are others of the channel."""
    words: str
    to: int | Literal["app"] | None = None
    """The person whose name stands before the words, or the app for a mention of it."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel of an export, or one of its threads."""

    channel: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A question that the page offers as a card. With several questions, as many people ask at the same time."""

    title: str
    detail: str
    note: str
    """Explains what the answer shows. The page shows it beside the answer; of several answers, it shows meters."""
    questions: tuple[str, ...]
    file: UploadedFile | None = None
    """A file that is shared with the first question."""
    place: Room | Spot | Literal["here", "direct message"] = "here"
    """Where it is asked: in the open channel, in the person's direct message with the app, or in its own channel."""
    replies: tuple[Reply, ...] = ()
    """What people write in the first question's thread, in this order."""
    further: tuple[str, ...] = ()
    """The other messages that a script answers."""
    waits: bool = False
    """Whether its answer waits for a press of the person, which a further message in the conversation would replace."""

    @property
    def people(self) -> int:
        """How many people take part."""
        return max(len(self.questions), *(reply.person + 1 for reply in self.replies), 1)


@dataclass(frozen=True)
class Guide:
    """The page's texts about the app."""

    cards: tuple[Card, ...] = ()
    cards_note: str = ""
    """Says who answers the cards."""
    answers_note: str = ""
    """Says who answers all other questions."""
    setup_note: str = ""
    """Says how to get better answers."""
    people_notes: Mapping[str, str] = field(default_factory=dict)
    """What the app does for people of a role, by role."""
    use_key: UseKey | None = None
    """None: the page takes no key."""
    has_key: bool = False
    """Whether a key is in use."""
    use_export: UseExport | None = None
    """None: the page takes no export."""
    pass_time: PassTime | None = None
    """None: the app does nothing at set times."""
    offers_time: Callable[[Message], bool] = lambda message: False
    """Returns whether a button that lets time pass stands below a message of the app."""
    badge_of: BadgeOf = lambda message, question: None

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The channels that the cards bring along."""
        return tuple(dict.fromkeys(card.place for card in self.cards if isinstance(card.place, Room)))

    @cached_property
    def _cards_by_words(self) -> Mapping[str, Card]:
        return {words: card for card in self.cards for words in (*card.questions, *card.further)}

    def card_of(self, text: str) -> Card | None:
        """Returns the card that a person's message belongs to, if a script answers it."""
        return self._cards_by_words.get(without_mention(text))

    def state(self) -> Json:
        """Returns the guide as the page reads it."""
        cards = [
            {
                "title": card.title,
                "detail": card.detail,
                "note": card.note,
                "questions": card.questions,
                "file": _file_json(card.file) if card.file else None,
                "place": _place(card),
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
            "takes_key": self.use_key is not None,
            "has_key": self.has_key,
            "takes_export": self.use_export is not None,
        }

    def person_json(self, user: User) -> Json:
        """Returns a person as the page shows them, with what they may do."""
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
        }


def without_mention(text: str) -> str:
    """Returns a message's text without the mention that it begins with."""
    return _MENTION.sub("", text)


RIGHTS: Mapping[str, str] = {
    "owner": "Owns the workspace: manages its members, channels and apps.",
    "admin": "Manages the workspace's members and channels.",
    "member": "May join every public channel.",
    "guest": "Sees only channels that a member added them to.",
    "single-channel guest": "Sees one channel and its members.",
    "external": "Belongs to another organization. Sees only channels shared by Slack Connect.",
    "deactivated": "Can't sign in or write. Apps still see the account.",
    "app": "Another app in this workspace. Its messages show how this app treats other bots.",
}
"""What Slack lets each role do."""


def role_of(user: User) -> str:
    """Returns a user's role, one of RIGHTS."""
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


def _place(card: Card) -> str:
    """Returns the id of the channel where a card is asked, or one of the page's words for a place."""
    if isinstance(card.place, Room | Spot):
        return card.place.id if isinstance(card.place, Room) else card.place.channel
    return card.place


def _file_json(file: UploadedFile) -> Json:
    return {"name": file.name, "base64": b64encode(file.content).decode(), "transcript": file.transcript}
