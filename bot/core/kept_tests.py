"""Kept tests: good answers whose questions are asked again later, with checks for the new answers. Pure.

The checks are proposed from the answer, without a model, and a person chooses some. They are about facts rather than
wording, because a model words each answer differently.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.calls import READ_CHANNEL, SLACK, CallState, RecordedCall, tool_owner
from bot.core.closings import has_question_mark

MAX_TESTS = 200
"""Maximum number of kept tests in a workspace."""
MAX_CHECKS, MAX_PROPOSED = 5, 10
"""Slack's limit for checkboxes is ten."""
_MAX_TOOLS, _MAX_LINKS, _MAX_WORD_CHARS = 2, 2, 60
_PRESELECTED_WORDS = 2
_LENGTH_FACTOR = 1.5
"""A new answer can have up to this many times as many words as the kept answer."""
_SERVERS_NOT_IN_REPLAYS = (SLACK, READ_CHANNEL)
_URL = re.compile(r"https?://[^\s<>()\[\]`\"|]+")
_URL_END = ".,;:!?*_'"
_LIST_NUMBER = re.compile(r"^[ \t]*\d{1,9}[.)][ \t]", re.MULTILINE)
_NUMBER = re.compile(r"(?<![\w.,/:-])\d+(?:[.,:]\d+)*%?(?![\w/-])")
_CODE, _BOLD = re.compile(r"`([^`\n]+)`"), re.compile(r"\*\*([^*\n]+)\*\*")
_MARKUP = re.compile(r"[*_`~]")
_BETWEEN_THOUSANDS = re.compile(r"(?<=\d)[,'’\u00a0\u202f](?=\d{3}(?!\d))")
_WHOLE_WORD = r"(?<!\w)(?<!\d[.,:/-]){}(?!\w|[.,:/-]\d)"
"""Matches a word, or a number that isn't part of a longer number or of a date."""
_DOES_NOT_KNOW = re.compile(
    r"\b(?:do(?:n['’]t| not) (?:know|have)|(?:am|['’]m) not (?:sure|able to)|can(?:not|['’]t) (?:find|tell|see)|"
    r"(?:could|did)(?:n['’]t| not) find|found (?:no|nothing)|unable to|no (?:information|results?|mention))\b",
    re.I,
)


class CheckKind(StrEnum):
    TOOL = "tool"
    UNKNOWN = "unknown"
    """The answer says that it doesn't know."""
    ASKS = "asks"
    """The answer asks back."""
    LINK = "link"
    WORD = "word"
    """A word or a number."""
    MAX_WORDS = "max_words"


@dataclass(frozen=True, slots=True)
class Check:
    kind: CheckKind
    value: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Identifies the check in a form, whose values are short."""
        return hashlib.sha256(f"{self.kind} {self.value}".encode()).hexdigest()[:16]

    def passes(self, text: str, tools: Collection[str]) -> bool:
        """Returns whether an answer passes. `tools`: the full names of the tools that were called for it."""
        match self.kind:
            case CheckKind.TOOL:
                return self.value in tools
            case CheckKind.UNKNOWN:
                return bool(_DOES_NOT_KNOW.search(text))
            case CheckKind.ASKS:
                return has_question_mark(text.rstrip()[-2:])
            case CheckKind.LINK:
                return self.value in _links(text)
            case CheckKind.WORD:
                return bool(re.search(_WHOLE_WORD.format(re.escape(_normalized(self.value))), _normalized(text)))
            case CheckKind.MAX_WORDS:
                return len(text.split()) <= int(self.value)


@dataclass(frozen=True, slots=True)
class KeptTest:
    job_id: int
    channel_id: str
    checks: tuple[Check, ...]


def proposed_checks(text: str, calls: Sequence[RecordedCall]) -> tuple[tuple[Check, ...], int]:
    """Returns checks that an answer passes, and the number of checks to preselect, which come first."""
    tools = dict.fromkeys(call.tool for call in calls if _is_made_in_replays(call))
    unknown = Check(CheckKind.UNKNOWN)
    states = [check for check in (unknown, Check(CheckKind.ASKS)) if check.passes(text, ())]
    links = [Check(CheckKind.LINK, url) for url in _links(text)][:_MAX_LINKS]
    words = [one for word in _facts(text)[:MAX_PROPOSED] if (one := Check(CheckKind.WORD, word)).passes(text, ())]
    most = Check(CheckKind.MAX_WORDS, str(10 * (int(_LENGTH_FACTOR * len(text.split())) // 10 + 1)))
    called = [Check(CheckKind.TOOL, tool) for tool in tools][:_MAX_TOOLS]
    # An answer has what its tools returned in any wording. Numbers in an answer that doesn't know are rarely facts.
    returned = "\n".join(call.result for call in calls)
    found = [word for word in words if word.passes(returned, ())] or words
    facts = [] if unknown in states else found[:_PRESELECTED_WORDS]
    first = [*called[:1], *states, *links[:1], *facts, most][:MAX_CHECKS]
    return tuple(dict.fromkeys([*first, *called, *links, *words, most]))[:MAX_PROPOSED], len(first)


def _is_made_in_replays(call: RecordedCall) -> bool:
    """Returns whether a replay can make a call, which must only read, use nobody's account and need no approval."""
    is_free = call.read_only and call.decision is None and not call.uses_own_account
    return is_free and call.state is CallState.DONE and tool_owner(call.tool) not in _SERVERS_NOT_IN_REPLAYS


def _links(text: str) -> Sequence[str]:
    return list(dict.fromkeys(url.rstrip(_URL_END) for url in _URL.findall(text)))


def _facts(text: str) -> Sequence[str]:
    """Returns an answer's numbers, code and bold words, which every good answer contains, however it is worded."""
    text = _LIST_NUMBER.sub("", _URL.sub(" ", text))
    found = [found.strip() for form in (_NUMBER, _CODE, _BOLD) for found in form.findall(text)]
    facts: dict[str, str] = {}
    for word in found:
        if 0 < len(word) <= _MAX_WORD_CHARS:
            facts.setdefault(_normalized(word), word)
    return list(facts.values())


def _normalized(text: str) -> str:
    """Returns text in lowercase, without markup, and with numbers and spaces in a uniform format."""
    text = _MARKUP.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return " ".join(_BETWEEN_THOUSANDS.sub("", text).split())
