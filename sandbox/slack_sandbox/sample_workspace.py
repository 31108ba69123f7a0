"""The sample workspace: its people, bots and channels.

The people are an owner, an admin, a member, two guests, a member of another organization and a deactivated account.
"""

import re
from dataclasses import dataclass

from slack_sandbox.manifest import Manifest
from slack_sandbox.workspace import PARTNERS_ID, SLACK, SLACKBOT, Channel, User, Workspace

_MEMBERS = (
    User("U0ADA", "ada", "Ada", "#8a4fd3", is_admin=True, is_owner=True),
    User("U0GRACE", "grace", "Grace", "#c2410c", is_admin=True),
    User("U0ALAN", "alan", "Alan", "#0f766e"),
)
_GUESTS = (
    User("U0EDITH", "edith", "Edith", "#a16207", is_restricted=True),
    User("U0MARY", "mary", "Mary", "#be185d", is_restricted=True, is_ultra_restricted=True),
)
_EXTERNAL_USER = User("U0EMMY", "emmy", "Emmy", "#4d7c0f", team_id=PARTNERS_ID)
_DEACTIVATED_USER = User("U0KATHERINE", "katherine", "Katherine", "#0369a1", deleted=True)
_OTHER_BOT = User("U0BOTDEPLOYS", "deploys", "Deploys", "#64748b", bot_id="B0DEPLOYS")

SYSTEM = (
    User(SLACKBOT, "slackbot", "Slackbot", "#757575"),
    User(SLACK, "slack", "Slack", "#757575"),
)
"""Slack's own accounts. users.info doesn't describe them as bots."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message posted before the sandbox started."""

    person: str
    minutes_ago: int
    words: str


@dataclass(frozen=True, slots=True)
class Room:
    """An additional channel for the members and the app, with earlier posts."""

    name: str
    posts: tuple[Post, ...]

    @property
    def id(self) -> str:
        return f"C0{self.name.upper()}"


def bot_user(config: Manifest) -> User:
    """Returns the app's bot user with the manifest's names. A name that is already in use gets a number."""
    name = re.sub(r"[^a-z0-9._-]", "", config.bot_name.lower()) or "bot"
    taken = {user.name for user in (*_MEMBERS, *_GUESTS, _EXTERNAL_USER, _OTHER_BOT, *SYSTEM)}
    free = next(candidate for candidate in (name, f"{name}2") if candidate not in taken)
    return User("U0BOT", free, config.app_name, "#4a154b", bot_id="B0BOT")


def populate(workspace: Workspace) -> None:
    """Adds the sample users and channels. The bot is a member of every channel.

    Both guests are in #random. The multi-channel guest is in #partners too. The deactivated user isn't in any channel.
    """
    bot_id, members = workspace.bot.id, [person.id for person in _MEMBERS]
    edith, mary = (guest.id for guest in _GUESTS)
    everyone = [*members, bot_id]
    channels = [
        Channel("C0GENERAL", "general", "channel", [*everyone, _OTHER_BOT.id], creator="U0ADA"),
        Channel("C0RANDOM", "random", "channel", [*everyone, edith, mary], creator="U0GRACE"),
        Channel("C0PROJECTX", "project-x", "group", list(everyone), creator="U0ALAN"),
        Channel(
            "C0PARTNERS",
            "partners",
            "channel",
            [*everyone, edith, _EXTERNAL_USER.id],
            creator="U0ADA",
            shared_with=PARTNERS_ID,
        ),
        Channel("C0MPDM", f"mpdm-ada--grace--{workspace.bot.name}-1", "mpim", [*members[:2], bot_id], creator="U0ADA"),
    ]
    people = [*_MEMBERS, *_GUESTS, _EXTERNAL_USER]
    for person in people:
        channels.append(Channel(f"D{person.id[1:]}", f"dm-{person.name}", "im", [person.id, bot_id], person.id))
    workspace.users.update({user.id: user for user in (*people, _DEACTIVATED_USER, _OTHER_BOT, *SYSTEM)})
    workspace.channels.update({channel.id: channel for channel in channels})


def add_room(workspace: Workspace, room: Room) -> None:
    members = [*(person.id for person in _MEMBERS), workspace.bot.id]
    creator = workspace.user(room.posts[0].person).id
    workspace.channels[room.id] = Channel(room.id, room.name, "channel", members, creator=creator)
