"""Proposals to notify people, which the asker accepts with a button, and the message that notifies them. Pure.

Names in an answer never notify anyone. A model proposes to mention people or a user group, or to write to the channel,
and the asker decides on a card. Only people who are in the channel can be mentioned, and `find_people` returns only
them. Instead of a group, its members are mentioned, because mentioning the group would also notify people who can't
read the thread.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.core import texts
from bot.core.calls import NOTIFY, SEPARATOR, builtin_tool
from bot.core.conversation import escape
from bot.core.prompt import one_line
from bot.core.unseen import escape_unseen, visible
from bot.models.prompt import Permission, ToolRule
from slack_markdown.escaping import break_links

FIND_PEOPLE = f"{NOTIFY}{SEPARATOR}find_people"
MAX_PEOPLE = 20
"""Maximum number of people that one message can mention. Larger groups are never notified."""
MAX_CHARS = 1_000
MAX_FOUND = 20
_MENTIONS_ALL = re.compile(r"[@!]?(?:here|channel|everyone)")

FIND_TOOL = builtin_tool(
    FIND_PEOPLE,
    "Returns the people in this channel, and the user groups, whose names contain the given text. Names in your "
    f"answers notify nobody. The tool {NOTIFY} proposes to notify people.",
    {"name": {"type": "string", "description": "A part of a person's name, or a user group's handle"}},
    ("name",),
    is_dispensable=True,
)
NOTIFY_TOOL = builtin_tool(
    NOTIFY,
    "Proposes to mention people in this channel or a user group in this thread, or to post a message to the "
    "channel. Use it only if the asker wants somebody to be told, asked or to take over. The asker sees a card "
    "with the names and decides. Until then, nobody is notified.",
    {
        "ids": {
            "type": "array",
            "items": {"type": "string"},
            "description": f"IDs of people or user groups, which {FIND_PEOPLE} returned",
        },
        "text": {
            "type": "string",
            "description": f"Plain text for them, complete in itself, at most {MAX_CHARS} characters. For somebody "
            "who takes over the thread, a summary of it",
        },
        "also_to_channel": {"type": "boolean", "description": "Whether the whole channel should see the text"},
    },
    ("text",),
    rule=ToolRule(Permission.ASK),
    is_dispensable=True,
)

# Text for the model about a proposal that isn't possible.
_NOT_PROPOSED = "Nothing was proposed: "
NO_TEXT = f"{_NOT_PROPOSED}the text must have 1 to {MAX_CHARS} characters."
UNKNOWN_IDS = f"{_NOT_PROPOSED}give IDs that {FIND_PEOPLE} returned, or set also_to_channel."
MENTIONS_EVERYONE = f"{_NOT_PROPOSED}@here, @channel and @everyone are never mentioned."
TOO_MANY = f"{_NOT_PROPOSED}at most {MAX_PEOPLE} people can be notified, and these are {{count}}. Tell the asker."
GROUP_NOT_IN_CHANNEL = f"{_NOT_PROPOSED}nobody of the group {{handle}} is in this channel. Tell the asker."
NO_MATCHING_NAME = "No person in this channel and no user group has such a name."


@dataclass(frozen=True, slots=True)
class UserGroup:
    handle: str = field(repr=False)
    size: int
    members: tuple[str, ...]
    """IDs of the group's members who are in the channel."""


@dataclass(frozen=True, slots=True)
class Addressees:
    """The people in a channel, and the user groups, that a model can propose to notify, by ID."""

    names: Mapping[str, str] = field(repr=False)
    groups: Mapping[str, UserGroup] = field(default_factory=dict)

    def lines(self, name: str) -> str:
        """Returns the people and groups whose names contain `name`, each with its ID, for the model."""
        wanted = " ".join(name.casefold().removeprefix("@").split())
        shown = {id_: one_line(person) for id_, person in self.names.items()}
        shown |= {
            id_: f"@{group.handle} (user group, {group.size} people, {len(group.members)} of them in this channel)"
            for id_, group in self.groups.items()
        }
        found = sorted(f"{line}: {id_}" for id_, line in shown.items() if wanted in line.casefold())
        more = f"\n… and {len(found) - MAX_FOUND} more. Search for a longer name." if len(found) > MAX_FOUND else ""
        return "\n".join(found[:MAX_FOUND]) + more


class UnusableProposal(ValueError):
    """A proposal that can't be made. The message is text for the model."""


def proposal(known: Addressees | None, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a proposal's arguments as the card shows them. `known`: the people and groups in the channel, or None if
    the model hasn't looked for them. Raises UnusableProposal."""
    text, ids = arguments.get("text"), arguments.get("ids") or []
    shown = visible(text).strip() if isinstance(text, str) else ""
    if not 0 < len(shown) <= MAX_CHARS:
        raise UnusableProposal(NO_TEXT)
    in_channel = arguments.get("also_to_channel") is True
    is_list = isinstance(ids, list) and all(isinstance(id_, str) for id_ in ids)
    if not (is_list and (ids or in_channel)):
        raise UnusableProposal(UNKNOWN_IDS)
    people: dict[str, str] = {}
    for id_ in dict.fromkeys(ids):
        people |= _people_of(known or Addressees({}), id_)
    if len(people) > MAX_PEOPLE:
        raise UnusableProposal(TOO_MANY.format(count=len(people)))
    return {"people": people, "text": shown, "also_to_channel": in_channel}


def _people_of(known: Addressees, id_: str) -> Mapping[str, str]:
    """Returns the names of a person, or of a group's members in the channel, by ID. Raises UnusableProposal."""
    if _MENTIONS_ALL.fullmatch(id_):
        raise UnusableProposal(MENTIONS_EVERYONE)
    if group := known.groups.get(id_):
        if group.size > MAX_PEOPLE:
            raise UnusableProposal(TOO_MANY.format(count=group.size))
        if not group.members:
            raise UnusableProposal(GROUP_NOT_IN_CHANNEL.format(handle=group.handle))
        return {member: known.names[member] for member in group.members}
    if id_ not in known.names:
        raise UnusableProposal(UNKNOWN_IDS)
    return {id_: known.names[id_]}


def heading(people: Sequence[str], asker: str) -> str:
    """Returns the first line of the message that notifies people, in mrkdwn. Mentions only `people` (user IDs)."""
    person = escape(break_links(escape_unseen(asker)))
    return texts.notify.heading(" ".join(f"<@{id_}>" for id_ in people), person)
