"""The forms of the marks that chat templates put into a text, and what each does by the words of its name. Pure.

A token's form alone shows that it is one: `<|name|>` with straight or full-width bars, on one side or both, and
`◁name▷`. Of tags and words in brackets, only those are marks whose names are about thinking, turns or calls.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

MAX_MARK_CHARS = 160
MAX_NAME_CHARS = 40
"""The longest name of a tag."""


class Kind(Enum):
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
    CALL = auto()
    RESULT = auto()
    OTHER = auto()
    """Stands for nothing that readers see: the end of a turn, the beginning of a text."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in the text."""

    kind: Kind
    text: str
    name: str
    closes: bool
    is_token: bool
    """Whether its form alone shows that it is one: `<|name|>`, `◁name▷`."""


_THOUGHTS = {"think", "thinking", "thought", "thoughts", "reason", "reasoning", "reflection", "scratchpad", "analysis"}
_AROUND_THOUGHTS = {"begin", "start", "end", "of", "on", "off", "inner", "chain", "process", "seed", "block", ""}
OWN_ROLES = {"assistant", "model", "ai", "bot", "chatbot", "gpt"}
_OTHER_ROLES = {"user", "human", "system", "developer", "observation", "ipython", "environment", "tool"}
_TOOLS = {"tool", "tools", "function", "functions", "toolcall", "toolcalls", "action", "plugin", "python", "invoke"}
_CALLS = {"call", "calls", "toolcall", "toolcalls"}
_RESULTS = {"response", "responses", "output", "outputs", "result", "results"}
_TURNS = {"turn", "text", "sentence", "utterance", "sequence", "document"}
_HEADERS = {"im", "start", "begin", "of", "turn", "header", "id", "role", "token"}

_TOKEN = re.compile(r"<(/?[|｜]?/?)(\w[\w▁./:+|｜-]*?)((?:[ =][^<>\n]*?)?)([|｜]?)>")
_MAYBE_TOKEN = re.compile(r"<(?:/?[|｜]?/?(?:\w[\w▁./:+|｜-]*(?:[ =][^<>\n]*)?)?)?")
_TAG = re.compile(r"</?(\w[\w▁./:+-]*)([ =]?)")
_SYSTEM = re.compile(r"<</?SYS>>")
_BRACKETED = re.compile(r"\[(/?)([A-Z][A-Z_ ]{2,30})\]")
_MAYBE_BRACKETED = re.compile(r"\[/?(?:[A-Z][A-Z_ ]{0,30})?")
_TRIANGLES = re.compile(r"◁(/?)(\w{1,30})▷")
_MAYBE_TRIANGLES = re.compile(r"◁/?\w{0,30}")


def words_of(name: str) -> set[str]:
    """Returns the words that a name consists of."""
    return set(re.split(r"[\W_]+", name.lower()))


def _kind(name: str, *, closes: bool, is_token: bool, has_attributes: bool) -> Kind | None:
    """Returns what a mark of this name does; None if a tag, or a word in brackets, is none."""
    words = words_of(name)
    is_call = bool(words & _TOOLS) and (is_token or bool(words & _CALLS) or (has_attributes and not words - _TOOLS))
    if words & _TOOLS and words & _RESULTS:
        return Kind.RESULT
    if is_call and (words - _TOOLS or has_attributes or words != {"tool"}):
        return Kind.CALL
    if words & _THOUGHTS and not words - _THOUGHTS - _AROUND_THOUGHTS:
        return Kind.THOUGHT
    if not words - _HEADERS and (words & {"start", "begin"} or (name == "turn" and is_token)) and not closes:
        return Kind.HEADER if is_token or "turn" in words else None
    if not is_token:
        is_turns = bool(words & _TURNS) and bool(words & {"start", "begin", "end"})
        return Kind.OTHER if is_turns or name in ("s", "bos", "eos", "pad", "unk") else None
    if words & {"channel", "constrain"}:
        return Kind.CHANNEL if "channel" in words else Kind.CONSTRAIN
    if words & {"message", "content"} or (words & {"header", "role"} and "end" in words):
        return Kind.MESSAGE
    return Kind.ROLE if words & (OWN_ROLES | _OTHER_ROLES) else Kind.OTHER


_BRACKETS = {
    "INST": Kind.ROLE,
    "SYSTEM_PROMPT": Kind.ROLE,
    "TOOL_CALLS": Kind.CALL,
    "TOOLCALL": Kind.CALL,
    "TOOL_RESULTS": Kind.RESULT,
    "AVAILABLE_TOOLS": Kind.RESULT,
    "BEGIN FINAL RESPONSE": Kind.THOUGHT,
    "END FINAL RESPONSE": Kind.OTHER,
}


def read_mark(text: str, at: int) -> Mark | str | None:
    """Returns the mark that begins at a place; None if none does; "" if that takes more text to know."""
    head = text[at : at + MAX_MARK_CHARS]
    match head[0]:
        case "[":
            return _bracketed(head)
        case "◁":
            if found := _TRIANGLES.match(head):
                kind = _kind(found[2], closes=bool(found[1]), is_token=True, has_attributes=False)
                return Mark(kind or Kind.OTHER, found[0], found[2].lower(), bool(found[1]), True)
            return "" if _MAYBE_TRIANGLES.fullmatch(head) else None
    if found := _SYSTEM.match(head):
        return Mark(Kind.ROLE, found[0], "system", False, True)
    if "<</SYS>>".startswith(head) or "<<SYS>>".startswith(head):
        return ""
    if (tag := _TAG.match(head)) and (len(tag[1]) > MAX_NAME_CHARS or (tag[2] and not words_of(tag[1]) & _TOOLS)):
        return None
    found = _TOKEN.match(head)
    if found is None:
        return "" if len(head) < MAX_MARK_CHARS and _MAYBE_TOKEN.fullmatch(head) else None
    slash, name, attributes, bar = found.groups()
    is_token = bool(set(slash + bar) & set("|｜"))
    closes = "/" in slash or (bool(bar) and not set(slash) & set("|｜")) or "end" in words_of(name)
    kind = _kind(name, closes=closes, is_token=is_token, has_attributes=bool(attributes))
    return Mark(kind, found[0], name.lower(), closes, is_token) if kind else None


def _bracketed(head: str) -> Mark | str | None:
    found = _BRACKETED.match(head)
    if found is None:
        return "" if _MAYBE_BRACKETED.fullmatch(head) else None
    name, closes = found[2], bool(found[1]) or found[2].startswith("BEGIN")
    kind = _BRACKETS.get(name)
    if kind is None and words_of(name) <= _THOUGHTS:
        kind = Kind.THOUGHT
    return Mark(kind, found[0], name.lower(), closes, False) if kind else None


def closing_of(mark: Mark) -> str:
    """Returns what closes a tag, or a word in brackets."""
    name = re.match(r"[\[<]([\w:.-]+)", mark.text)
    assert name is not None
    return f"{mark.text[0]}/{name[1]}{mark.text[-1]}"
