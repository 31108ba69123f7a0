"""The forms of the marks that chat templates put into a text, and what each does by the words of its name. Pure.

A token's form alone shows that it is one: `<|name|>` with straight or full-width bars, on one side or both, `[|name|]`,
`◁name▷` and `]<]name[>[`. Of tags and words in brackets, only those are marks whose names are about thinking, turns or
calls. A name may have another one before or behind it: `<mm:think>`, `<think:6124c78e>`, `<ifm|think>`.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

MAX_MARK_CHARS = 160
MAX_NAME_CHARS = 40
"""The longest name of a tag."""


class MarkKind(Enum):
    """What a mark does."""

    THOUGHT = auto()
    CHANNEL = auto()
    MESSAGE = auto()
    """Ends the label of a header or channel."""
    CONSTRAIN = auto()
    """Says in which form a channel's text is."""
    HEADER = auto()
    """Begins the name of a role."""
    ROLE = auto()
    """Names the role whose message follows."""
    PART = auto()
    """Opens or closes what is named behind it, up to another token."""
    CALL = auto()
    RESULT = auto()
    OTHER = auto()
    """Stands for nothing that readers see: the end of a turn, the beginning of a text."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in the text."""

    kind: MarkKind
    text: str
    name: str
    closes: bool
    is_token: bool
    """Whether its form alone shows that it is one: `<|name|>`, `◁name▷`."""


_NO_ANSWER = {"think", "thinking", "thought", "thoughts", "monologue"}
"""Their tags are no part of an answer even behind its first word, and whatever stands before the word."""
_THOUGHTS = {*_NO_ANSWER, "reason", "reasoning", "reflection", "scratchpad", "analysis"}
_AROUND_THOUGHTS = {"begin", "start", "end", "of", "on", "off", "inner", "chain", "process", "seed", "block", ""}
_ENDS = {"end", "close", "suffix"}
OWN_ROLES = {"assistant", "model", "ai", "bot", "chatbot", "gpt"}
_OTHER_ROLES = {"user", "human", "system", "developer", "observation", "ipython", "environment", "tool"}
_CALLS = {"call", "calls", "toolcall", "toolcalls", "functioncall", "functioncalls"}
_USES = {"use", "uses"}
_TOOLS = {"tool", "tools", "function", "functions", "action", "plugin", "python", "invoke", *_CALLS - {"call", "calls"}}
_RESULTS = {"response", "responses", "output", "outputs", "result", "results"}
_TURNS = {"turn", "text", "sentence", "utterance", "sequence", "document"}
_HEADERS = {"im", "start", "begin", "of", "turn", "header", "id", "role", "token"}

_TOKEN = re.compile(r"<(/?[|｜]{0,2}/?)(\w[\w▁./:+|｜-]*?)((?:[ =][^<>\n]*?)?)([|｜]?)>")
_MAYBE_TOKEN = re.compile(r"<(?:/?[|｜]{0,2}/?(?:\w[\w▁./:+|｜-]*(?:[ =][^<>\n]*)?)?)?")
_TAG = re.compile(r"</?(\w[\w▁./:+-]*)([ =]?)")
_THOUGHT_TAG = re.compile(
    r"<(/?)\s{0,3}([A-Za-z][\w:|-]{0,40})"
    r"(?:\s{1,9}[\w-]{1,20}=(?:\"[^\"<>\n]{0,40}\"|'[^'<>\n]{0,40}'|[\w.-]{1,20})){0,2}\s{0,3}(/?)>"
)
"""Also with attributes, blanks, or nothing in it."""
_MAYBE_THOUGHT_TAG = re.compile(r"</?\s{0,3}(?:([A-Za-z][\w:|-]{0,40})(?:\s[^<>]{0,130}|/)?)?")
_HALF_TAG = re.compile(r"<function=[\w.-]{1,64}(?=\s?[({])")
_SPECIAL = re.compile(r"(?:bos|eos|pad|unk|sop|eop|eod)(?:_?token)?|(?:unused|reserved|extra_id)_?\d+|s", re.IGNORECASE)
"""The names of tags that stand for nothing."""
_SYSTEM = re.compile(r"<</?SYS>>")
_BRACKETED = re.compile(r"\[(/?)([A-Z][A-Z_ ]{2,30})\]")
_MAYBE_BRACKETED = re.compile(r"\[/?(?:[A-Z][A-Z_ ]{0,30})?")
_FRAMED = re.compile(r"◁(/?)(\w{1,30})▷|\[\|(/?)(\w{2,40})\|\]|\]<\](/?)(\w{1,30})\[>\[")
_MAYBE_FRAMED = re.compile(r"◁/?\w{0,30}|\[\|/?\w{0,40}\|?|\](?:<(?:\](?:\w{1,30}(?:\[>?)?)?)?)?")


def words_of(name: str) -> set[str]:
    """Returns the words that a name consists of."""
    return set(re.split(r"[\W_]+", name.lower()))


def is_thought(name: str) -> bool:
    """Returns whether a tag of this name holds reasoning, wherever it stands."""
    parts = [re.split(r"[\W_]+", part) for part in re.split(r"[:|]", name.lower())]
    return any(part[-1] in _NO_ANSWER or (len(part) > 1 and part[0] == "think") for part in parts)


def _kind(name: str, *, closes: bool, is_token: bool, has_attributes: bool) -> MarkKind | None:
    """Returns what a mark of this name does; None if a tag, or a word in brackets, is none."""
    words = words_of(name)
    is_use = bool(words & (_CALLS | _USES)) or words == {"tools"} or (has_attributes and not words - _TOOLS)
    is_call = bool(words & _TOOLS) and (is_token or is_use)
    if words & _TOOLS and words & _RESULTS:
        return MarkKind.RESULT
    if is_call and (words - _TOOLS or has_attributes or words != {"tool"}):
        return MarkKind.CALL
    if is_thought(name) or (words & _THOUGHTS and (is_token or not words - _THOUGHTS - _AROUND_THOUGHTS)):
        return MarkKind.THOUGHT
    if is_token and words in ({"inner", "prefix"}, {"inner", "suffix"}):
        return MarkKind.THOUGHT
    if not words - _HEADERS and (words & {"start", "begin"} or (name == "turn" and is_token)) and not closes:
        return MarkKind.HEADER if is_token or "turn" in words else None
    if not is_token:
        is_turns = bool(words & _TURNS) and bool(words & {"start", "begin", "end"})
        return MarkKind.OTHER if is_turns or _SPECIAL.fullmatch(name) else None
    return _KIND_OF_TOKEN.get(name.lower()) or _kind_of_token(words, closes=closes)


_KIND_OF_TOKEN = {"open": MarkKind.PART, "close": MarkKind.PART, "sep": MarkKind.MESSAGE}


def _kind_of_token(words: set[str], *, closes: bool) -> MarkKind:
    """Returns what a token does that is about neither thinking nor calls."""
    if words & {"channel", "constrain"}:
        return MarkKind.CHANNEL if "channel" in words else MarkKind.CONSTRAIN
    if words & {"message", "content"} and not closes and not words & OWN_ROLES:
        return MarkKind.MESSAGE
    if words & {"header", "role"} and "end" in words:
        return MarkKind.MESSAGE
    return MarkKind.ROLE if words & (OWN_ROLES | _OTHER_ROLES) else MarkKind.OTHER


_BRACKETS = {
    "INST": MarkKind.ROLE,
    "SYSTEM_PROMPT": MarkKind.ROLE,
    "TOOL_CALLS": MarkKind.CALL,
    "TOOLCALL": MarkKind.CALL,
    "TOOL_RESULTS": MarkKind.RESULT,
    "AVAILABLE_TOOLS": MarkKind.RESULT,
    "BEGIN FINAL RESPONSE": MarkKind.THOUGHT,
    "END FINAL RESPONSE": MarkKind.OTHER,
}


def read_mark(text: str, at: int) -> Mark | str | None:
    """Returns the mark that begins at a place; None if none does; "" if that takes more text to know."""
    head = text[at : at + MAX_MARK_CHARS]
    if found := _FRAMED.match(head):
        slash, name = found[1] or found[3] or found[5], found[2] or found[4] or found[6]
        is_end = bool(slash) or name.startswith("end")
        kind = MarkKind.OTHER if head[0] == "]" else _kind(name, closes=is_end, is_token=True, has_attributes=False)
        return Mark(kind or MarkKind.OTHER, found[0], name.lower(), is_end, True)
    if _MAYBE_FRAMED.fullmatch(head):
        return ""
    return _bracketed(head) if head[0] == "[" else _angled(head) if head[0] == "<" else None


def _angled(head: str) -> Mark | str | None:
    if found := _SYSTEM.match(head):
        return Mark(MarkKind.ROLE, found[0], "system", False, True)
    if "<</SYS>>".startswith(head) or "<<SYS>>".startswith(head):
        return ""
    if (thought := _thought_tag(head)) is not None:
        return thought
    if half := _HALF_TAG.match(head):
        return Mark(MarkKind.CALL, half[0], "function", False, False)
    if (tag := _TAG.match(head)) and (len(tag[1]) > MAX_NAME_CHARS or (tag[2] and not words_of(tag[1]) & _TOOLS)):
        return None
    found = _TOKEN.match(head)
    if found is None:
        return "" if len(head) < MAX_MARK_CHARS and _MAYBE_TOKEN.fullmatch(head) else None
    slash, name, attributes, bar = found.groups()
    is_token = bool(set(slash + bar) & set("|｜"))
    if is_token and len(name) == 1:
        return None
    said = name + attributes.partition("=")[0] if is_token else name
    closes = "/" in slash or (bool(bar) and not set(slash) & set("|｜")) or bool(words_of(name) & _ENDS)
    kind = _kind(said, closes=closes, is_token=is_token, has_attributes=bool(attributes))
    return Mark(kind, found[0], name.lower(), closes, is_token) if kind else None


def _thought_tag(head: str) -> Mark | str | None:
    """Returns the tag of reasoning that begins a text, as `read_mark` does. One without content is of no kind."""
    if found := _THOUGHT_TAG.match(head):
        slash, name, empty = found.groups()
        kind = MarkKind.OTHER if empty and not slash else MarkKind.THOUGHT
        return Mark(kind, found[0], name.lower(), bool(slash), False) if is_thought(name) else None
    maybe = _MAYBE_THOUGHT_TAG.fullmatch(head) if len(head) < MAX_MARK_CHARS else None
    if maybe is None:
        return None
    name = (maybe[1] or "").lower()
    return "" if is_thought(name) or any(word.startswith(name) for word in _NO_ANSWER) else None


def _bracketed(head: str) -> Mark | str | None:
    found = _BRACKETED.match(head)
    if found is None:
        return "" if _MAYBE_BRACKETED.fullmatch(head) else None
    name, closes = found[2], bool(found[1]) or found[2].startswith("BEGIN")
    kind = _BRACKETS.get(name)
    if kind is None and words_of(name) <= _THOUGHTS:
        kind = MarkKind.THOUGHT
    return Mark(kind, found[0], name.lower(), closes, False) if kind else None


def closing_of(mark: Mark) -> str:
    """Returns what closes a tag, or a word in brackets."""
    name = re.match(r"[\[<]([\w:.|-]+)", mark.text)
    assert name is not None
    return f"{mark.text[0]}/{name[1]}{'>' if mark.text[0] == '<' else ']'}"


def closing_pattern(mark: Mark) -> re.Pattern[str]:
    """Returns what closes reasoning: its own tag in any case, or that of another name of reasoning."""
    own = re.escape(closing_of(mark)[2:-1])
    if mark.text[0] == "[":
        return re.compile(rf"\[/{own}\]", re.IGNORECASE)
    others = "|".join(sorted(_NO_ANSWER))
    name = rf"(?:{own}|(?:[\w-]{{1,12}}[:|_])?(?:{others}))(?::\w{{1,12}})?"
    return re.compile(rf"</\s{{0,3}}{name}\s{{0,3}}>", re.IGNORECASE)


MAX_CLOSING_CHARS = MAX_NAME_CHARS + 40
"""The longest text that such a pattern matches."""
