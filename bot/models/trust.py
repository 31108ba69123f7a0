"""Whose words a prompt holds, which decides whether a call that may change something needs a person. Pure.

A text can ask for a call as well as a person can, and a model can't tell the two apart for certain. So each part of a
prompt says where its words come from: each turn, each tool's definition, and the instructions (core/conversation.py).
A call that an admin allows is made unasked only if the whole prompt holds nothing but the askers' own words, an
admin's, and ours. The askers are the people whose questions the answer is for.

What a model writes carries what it had read. Each recorded step and answer says so (`origins` in the tables steps and
turns), for the steps, questions and attempts that come after it. A part that says nothing may hold anybody's words.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from bot.models.stream import Citation, Completion, Opaque, Searching, StreamEvent, Usage


class Origin(StrEnum):
    """Where words in a prompt come from."""

    ASKERS = "askers"
    """The people whose questions are answered."""
    OTHERS = "others"
    """Other people, apps and bots: messages, names, quoted and forwarded text, link previews, channel instructions.

    Also a choice that an asker pressed: a model wrote its words."""
    FILE = "file"
    """A file's content or name, also of a file that an asker shared."""
    TOOL = "tool"
    """A tool's result, an error of its server, or a definition that no admin has read."""
    WEB = "web"
    """What the model's vendor found on the web."""
    UNKNOWN = "unknown"
    """Anybody's: no record says what the model had read when it wrote them."""


Origins = frozenset[Origin]

OURS: Origins = frozenset()
"""Typist's own words, and those of the people who configure it."""
ASKERS: Origins = frozenset({Origin.ASKERS})
OTHERS: Origins = frozenset({Origin.OTHERS})
FILE: Origins = frozenset({Origin.FILE})
TOOL: Origins = frozenset({Origin.TOOL})
WEB: Origins = frozenset({Origin.WEB})
UNKNOWN: Origins = frozenset({Origin.UNKNOWN})

_MODELS_OWN = {"message", "reasoning", "function_call", "text", "thinking", "redacted_thinking", "tool_use", ""}
"""The types of vendors' items that hold only what the model wrote. All others come from the vendor's own tools."""


def folded(parts: Iterable[Origins]) -> Origins:
    """Returns where the words of all parts together come from."""
    return frozenset[Origin]().union(*parts)


def read_more_than_askers(origins: Origins) -> bool:
    """Whether a prompt holds words of anybody but its askers, an admin and us."""
    return not origins <= ASKERS


def of_answer(recorded: Origins, its_asker: str, asker: str) -> Origins:
    """Returns where an earlier answer's words come from, when `asker` asks now."""
    return recorded if its_asker == asker else recorded | OTHERS


def of_event(event: StreamEvent) -> Origins:
    """Returns where words come from that the model has read by an event of its stream."""
    match event:
        case Searching() | Citation():
            return WEB
        case Opaque(item=item):
            return OURS if str(item.get("type") or "") in _MODELS_OWN else WEB
        case Completion(usage=Usage(web_searches=searches)) if searches:
            return WEB
    return OURS


def of_record(values: Sequence[str] | None) -> Origins:
    """Returns recorded origins; UNKNOWN if there is no record, or one of a newer version."""
    known = set(Origin)
    return UNKNOWN if values is None else frozenset(Origin(v) if v in known else Origin.UNKNOWN for v in values)
