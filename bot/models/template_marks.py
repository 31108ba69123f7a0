"""Removes chat-template markup from the beginning and end of an answer. Pure.

Servers without the right parser pass on the markup that a model writes as part of its chat template. The markup is
removed only if `is_expected` is set (vendors' own endpoints never leave any), and only in two places:

- The beginning: reasoning in tags or tokens, the name of the model's role, gpt-oss channels.
- The end: end-of-turn tokens after the last word.

Elsewhere, markup is text, because an answer can quote a file, a prompt or a log. A tool call that is written as text is
never removed. Markup is recognized by its form, not by the model's name: `<|name|>` with straight or full-width bars on
one or both sides, `◁name▷`, `[|name|]`, tags with names such as `think`, and the few tags that end a turn.

The result doesn't depend on how the text is split into deltas. At most MAX_MARK_CHARS characters are withheld until
more text arrives, and every character is examined a bounded number of times.
"""

import re
from enum import Enum, auto

from bot.models.events import Thinking, Unparsed
from bot.models.front_end_marks import FrontEndMarks
from bot.models.prompt import OUR_SECTIONS

MAX_MARK_CHARS = 160
MAX_TAIL_CHARS = 400
"""Maximum length of markup at the end, which is enough for four marks and the beginning of a fifth."""
MAX_CLOSING_CHARS = 80
MAX_MARKS = 40

_THINK_WORDS = {"think", "thinking", "thought", "thoughts", "monologue"}
_ANALYSIS_WORDS = {"reason", "reasoning", "reflection", "scratchpad", "analysis"}
"""Names that can also occur in an answer's own XML. If nothing follows such an element, its content is the answer."""
_CONNECTING_WORDS = {"begin", "start", "end", "of", "on", "off", "inner", "chain", "process", "seed", "block", ""}
_OWN_ROLES = {"assistant", "model", "ai", "bot", "chatbot", "gpt"}
_OTHER_ROLES = {"user", "human", "system", "developer", "observation", "ipython", "environment"}
_CALL_WORDS = {"tool", "tools", "function", "action", "plugin", "python", "invoke", "call", "calls", "dsml"}
_HEADER_WORDS = {"im", "start", "begin", "of", "turn", "header", "id", "role", "b"}
_OPENING_WORDS = {"begin", "start", "bos", "sop", "s", "b", "unused", "reserved", *_OWN_ROLES}
_CLOSING_WORDS = {"end", "close", "suffix", "eom"}
_ANSWER_CHANNELS = {"final", "answer", "response", "output", "text", "content"}
_READER_NAMES = {"", "user", "all", "assistant"}

_NAME = r"[\w▁./:+-]"
_SPECIAL = (
    r"s|(?:bos|eos|pad|unk|sop|eop|eod)(?:_?token)?|(?:unused|reserved|extra_id)_?\d{1,6}"
    r"|(?:begin|start|end)_of_(?:turn|text|sentence|utterance|sequence|document)"
)
_TOKEN_FORM = (
    rf"<(?:/?[|｜]{{1,2}}/?{_NAME}{{2,60}}[|｜]{{0,2}}|/?{_NAME}{{2,60}}[|｜]{{1,2}}|/?(?:{_SPECIAL}))>"
    r"|◁/?\w{1,30}▷|[\[\]][~|]!?/?\w{1,40}[~|]?[\[\]]|[\[\]]\w{1,40}[~|][\[\]]"
)
_TOKEN = re.compile(_TOKEN_FORM, re.IGNORECASE)
_TOKEN_BEGINS = rf"<(?:/?[|｜]{{0,2}}/?{_NAME}{{0,60}}[|｜]{{0,2}})?|◁/?\w{{0,30}}|[\[\]](?:[~|]!?/?)?\w{{0,40}}[~|]?"
_MAYBE_TOKEN = re.compile(_TOKEN_BEGINS)
_CUT = r"<[|｜]{1,2}[\w▁./:+-]{0,60}[|｜]?"
"""Matches a token that was cut off by an output limit or a server's stop string."""
_WRAPPERS = r"(?:answer|response|final|final_answer|solution|output)"
_TAIL = re.compile(rf"(?:(?:{_TOKEN_FORM}|</{_WRAPPERS}>)\s{{0,3}}){{0,4}}(?:{_TOKEN_BEGINS})?\Z", re.IGNORECASE)
_LEFT_OVER = re.compile(rf"(?:(?:{_TOKEN_FORM})\s{{0,3}}){{1,4}}(?:{_CUT})?|{_CUT}", re.IGNORECASE)
_MAY_BEGIN = re.compile(r"[<\[\]◁]")
_THOUGHT_TAG = re.compile(
    r"<(?P<slash>/?)\s{0,3}(?P<name>[A-Za-z][\w:|-]{0,40})"
    r"(?:\s{1,9}[\w-]{1,20}=(?:\"[^\"<>\n]{0,40}\"|'[^'<>\n]{0,40}'|[\w.-]{1,20})){0,2}\s{0,3}(?P<empty>/?)>"
)
_MAYBE_TAG = re.compile(r"</?\s{0,3}(?:(?P<name>[A-Za-z][\w:|-]{0,40})(?P<more>\s[^<>]{0,130}|/)?)?")
_BRACKETED = re.compile(r"\[(?P<slash>/?)(?P<name>[A-Z][A-Z_]{2,30})(?P<empty>)\]")
_MAYBE_BRACKETED = re.compile(r"\[/?[A-Z_]{0,30}")
_LABEL = re.compile(
    rf"[ \t]{{0,3}}(?:{'|'.join(sorted(_OWN_ROLES))})(?:[ \t]+to=(?P<to>[\w.:-]{{1,100}}))?(?=[\n<])", re.IGNORECASE
)
_MAYBE_LABEL = re.compile(r"[ \t]{0,3}[A-Za-z]{0,9}(?:[ \t]+(?:t(?:o(?:=[\w.:-]{0,100})?)?)?)?")
_CHANNEL = re.compile(
    r"[ \t]{0,3}(?P<name>\w{1,40})(?:[ \t]+to=(?P<to>[\w.:-]{1,100}))?[ \t]{0,3}(?:(?:json|code)[ \t]{0,3})?"
    r"(?:<\|constrain\|>\s{0,3}\w{0,20}\s{0,3})?(?:<\|message\|>|\n)"
)
_WRAPPED = re.compile(rf"<({_WRAPPERS})>")
_MAYBE_WRAPPED = re.compile(r"<[a-z_]{0,12}")
_MESSAGE_END = "<|end|>"
_PROMPT_MARK = re.compile(
    r"\[[0-9a-f]{6,16}(?:-[0-9a-f]{2,8} [^\]\n]+| is the code [^\]\n]+| at [^\]\n]+"
    r"| [a-z]{3,8})\][ \t]*(?P<end>\n|\Z)",
    re.IGNORECASE,
)
"""Matches a line in the form of the prompt's marks (core/prompt.py), with any code, because small models change it."""
_END_OF_SECTION = re.compile(r"\[[0-9a-f]{6,16} end\]", re.IGNORECASE)
_MAYBE_PROMPT_MARK = re.compile(r"\[(?:[0-9a-f]{0,16}|[0-9a-f]{6,16}[ -][^\]\n]*\]?[ \t]*)", re.IGNORECASE)
_QUOTED = re.compile(r"[ \t\"'“‘«(\[{*_|,/>]\Z|(?<!``)`\Z|(?:\A|\n)[ \t]*\n[ \t]*\Z|:[ \t]*\n?\Z")
"""Matches text before a token that the answer quotes, such as an opening mark, a blank line or a colon."""
_WRITTEN_CALL = re.compile(
    r"<[^<>\n]{0,40}(?:tool|function|invoke|python_tag|dsml|action)[^<>\n]{0,100}>|<function=|\[TOOL_?CALLS?\]"
    r"|<\|(?:start|channel)\|>[^<>\n]{0,60}\bto=(?!user|all)",
    re.IGNORECASE,
)

_FENCE_OR_MARK = re.compile(r"(?<![^.!?…\n])[ \t]{0,8}(?:(?P<fence>```)|(?P<mark>[<\[]))")
"""Matches the start of a code block or a possible call, at the beginning of a line or after a sentence."""
_THOUGHT_NAMES = rf"(?:[\w-]{{1,12}}[:|_])?(?:{'|'.join(sorted(_THINK_WORDS))})(?::\w{{1,12}})?"
_OPENS_THOUGHT = re.compile(rf"<{_THOUGHT_NAMES}>|\[THINK\]", re.IGNORECASE)
_BARE_END = re.compile(rf"(?<![`\"'(])(?:</{_THOUGHT_NAMES}>|\[/THINK\])[ \t]*(?=\n|\Z)", re.IGNORECASE)
"""Matches the end of reasoning whose opening tag was in the prompt, because the template put it there."""


class _Phase(Enum):
    BEGINNING = auto()
    THOUGHT = auto()
    PREAMBLE = auto()
    """A gpt-oss message for readers that precedes the answer itself."""
    TEXT = auto()


class TemplateMarks:
    def __init__(self, code: str = "") -> None:
        """`code`: the code in the prompt's marks. Models repeat these marks at the beginning of their answers."""
        self._front_end = FrontEndMarks()
        self.is_expected = False
        """Whether the server might leave template markup in the text. Set this before adding text."""
        self._prompt_mark = f"[{code}" if code else ""
        self._phase = _Phase.BEGINNING
        self._withheld = ""
        self._opening = self._tail = ""
        self._is_untouched = True
        """Whether nothing has been removed so far, so leading whitespace is part of the text."""
        self._removed_marks = 0
        self._needs_break = self._has_thought = self._quotes_marks = False
        """Whether the next word starts a paragraph; whether there was reasoning; whether the text contains a token."""
        self._closing_pattern: re.Pattern[str] | None = None
        """Matches the end of the reasoning, or None if any token ends it."""
        self._possible_answer: list[str] = []
        """Reasoning in a tag that could also be the answer's own XML, including the tags."""
        self._wrapper = ""

    def add(self, delta: str) -> str | Thinking:
        text = self._read(self._withheld + self._front_end.add(delta), ended=False)
        return text or (Thinking(len(delta)) if delta and self._phase is _Phase.THOUGHT else "")

    def end(self, *, is_complete: bool) -> str:
        """Returns the rest of the answer. `is_complete`: whether the model finished writing the answer."""
        text = self._read(self._withheld + self._front_end.end(), ended=True)
        if is_complete and not (text or self._opening):
            text = "".join(self._possible_answer)
            self._record_shown(text)
        return text

    def _read(self, text: str, *, ended: bool) -> str:
        shown = ""
        goes_on = True
        while goes_on and (text or ended):
            match self._phase:
                case _Phase.BEGINNING:
                    text, goes_on = self._read_beginning(text, ended)
                case _Phase.THOUGHT:
                    text, goes_on = self._read_thought(text, ended)
                case _Phase.PREAMBLE:
                    more, text, goes_on = self._read_preamble(text, ended)
                    shown += more
                case _Phase.TEXT:
                    more, text = self._read_text(text, ended)
                    shown, goes_on = shown + more, False
        self._withheld = "" if ended else text
        return shown

    def _read_beginning(self, text: str, ended: bool) -> tuple[str, bool]:
        head = text.lstrip()
        if not head and (ended or len(text) <= MAX_MARK_CHARS or not self._is_untouched):
            return text if self._is_untouched and not ended else "", False
        is_read = self._removed_marks < MAX_MARKS
        chars = self._leading_mark_chars(head[:MAX_MARK_CHARS], ended=ended) if is_read else None
        if chars == 0 and not ended:
            return text, False
        if chars:
            self._removed_marks += 1
            self._is_untouched = False
            return head[chars:], True
        self._phase = _Phase.TEXT
        if head and self._needs_break:
            self._needs_break = False
            newlines = len(self._tail) - len(self._tail.rstrip("\n"))
            return "\n" * max(0, 2 - newlines) + head, True
        return text if self._is_untouched else head, True

    def _leading_mark_chars(self, head: str, *, ended: bool) -> int | None:
        """Returns the length of a mark at the beginning, 0 if more text is needed, or None if there is no mark."""
        if not head:
            return None
        if (own := self._prompt_mark_chars(head, ended=ended)) is not None or not self.is_expected:
            return own
        needs_more = False
        for read in (self._thought_tag_chars, self._token_chars, self._wrapper_chars):
            if chars := read(head):
                return chars
            needs_more = needs_more or chars == 0
        return 0 if needs_more else None

    def _prompt_mark_chars(self, head: str, *, ended: bool) -> int | None:
        if not self._prompt_mark:
            return None
        if is_own := head.startswith(self._prompt_mark):
            end = head.partition("\n")[0].find("]")
            if end > 0:
                if head[len(self._prompt_mark) : end].strip() in OUR_SECTIONS:
                    self._begin_thought(_END_OF_SECTION)
                return end + 1
        elif (found := _PROMPT_MARK.match(head)) and (found["end"] or ended):
            return found.end()
        may_be = "\n" not in head if is_own else _MAYBE_PROMPT_MARK.fullmatch(head)
        if not may_be or len(head) >= MAX_MARK_CHARS:
            return None
        return len(head) if ended and (is_own or self._removed_marks) else 0

    def _thought_tag_chars(self, head: str) -> int | None:
        found = _THOUGHT_TAG.match(head) or _BRACKETED.match(head)
        if found is None:
            maybe = _MAYBE_TAG.fullmatch(head) or _MAYBE_BRACKETED.fullmatch(head)
            is_other = maybe and maybe.re is _MAYBE_TAG and maybe["more"] and not _is_thought_name(maybe["name"])
            return 0 if maybe and not is_other and len(head) < MAX_MARK_CHARS else None
        name, words = found["name"], _words_in(found["name"])
        is_strong = _is_thought_name(name)
        if not is_strong and not (words & _ANALYSIS_WORDS and words <= _ANALYSIS_WORDS | _CONNECTING_WORDS):
            return None
        if found["slash"]:
            return found.end() if self._has_thought and is_strong else None
        if not found["empty"]:
            self._begin_thought(_closing_pattern(found[0][0], name))
            self._possible_answer += [] if is_strong else [found[0]]
        return found.end()

    def _token_chars(self, head: str) -> int | None:
        found = _TOKEN.match(head)
        if found is None:
            return 0 if _MAYBE_TOKEN.fullmatch(head) else None
        words, at = _words_in(found[0]), found.end()
        if words & (_CALL_WORDS | _OTHER_ROLES):
            return None
        if "channel" in words and not _is_closing(found[0]):
            return self._channel_chars(head, at)
        if words & (_THINK_WORDS | _ANALYSIS_WORDS | {"inner"}) and not _is_closing(found[0]):
            self._begin_thought(None)
            return at
        if words <= _HEADER_WORDS and words & _OPENING_WORDS and not _is_closing(found[0]):
            return self._header_chars(head, at)
        if self._is_untouched and not words & _OPENING_WORDS:
            return None
        if at == len(head) < MAX_MARK_CHARS:
            return 0
        # In the middle of a sentence, the token is a word.
        return None if head[at : at + 1] in (" ", "\t") and not words & {"s", "bos"} else at

    def _header_chars(self, head: str, at: int) -> int | None:
        label = _LABEL.match(head, at)
        if label is None:
            return 0 if _MAYBE_LABEL.fullmatch(head, at) and len(head) < MAX_MARK_CHARS else None
        if label["to"] == "self":
            self._begin_thought(None)
        elif (label["to"] or "") not in _READER_NAMES:
            return None
        return label.end()

    def _channel_chars(self, head: str, at: int) -> int | None:
        channel = _CHANNEL.match(head, at)
        if channel is None:
            return 0 if len(head) < MAX_MARK_CHARS else None
        if (channel["to"] or "") not in _READER_NAMES:
            return None
        if channel["name"].lower() == "commentary":
            self._phase = _Phase.PREAMBLE
        elif channel["name"].lower() not in _ANSWER_CHANNELS:
            self._begin_thought(None)
        return channel.end()

    def _wrapper_chars(self, head: str) -> int | None:
        if not self._has_thought:
            return None
        if found := _WRAPPED.match(head):
            self._wrapper = f"</{found[1]}>"
            return found.end()
        return 0 if _MAYBE_WRAPPED.fullmatch(head) else None

    def _begin_thought(self, closing: re.Pattern[str] | None) -> None:
        self._phase = _Phase.THOUGHT
        self._closing_pattern = closing
        self._has_thought = True

    def _read_thought(self, text: str, ended: bool) -> tuple[str, bool]:
        found = self._closing_pattern.search(text) if self._closing_pattern else _first_token(text)
        at = found.end() if found else len(text) if ended else max(0, len(text) - MAX_CLOSING_CHARS)
        if self._possible_answer:
            self._possible_answer.append(text[:at])
        if found is None:
            return text[at:], False
        self._phase = _Phase.BEGINNING
        is_over = self._closing_pattern is not None or _is_closing(found[0]) or bool(_words_in(found[0]) & _THINK_WORDS)
        return text[found.end() if is_over else found.start() :], True

    def _read_preamble(self, text: str, ended: bool) -> tuple[str, str, bool]:
        message, end, rest = text.partition(_MESSAGE_END)
        kept = 0 if end or ended else next(n for n in range(7, -1, -1) if message.endswith(_MESSAGE_END[:n]))
        shown = message[: len(message) - kept]
        self._record_shown(shown)
        if end:
            self._phase = _Phase.BEGINNING
            self._is_untouched, self._needs_break = False, bool(self._opening)
        return shown, rest if end else message[len(shown) :], bool(end)

    def _read_text(self, text: str, ended: bool) -> tuple[str, str]:
        """Splits a text into the part that can be shown and the rest, which might consist of trailing marks."""
        if not (self.is_expected and _MAY_BEGIN.search(text)):
            self._record_shown(text)
            return text, ""
        found = _TAIL.search(text, max(0, len(text) - MAX_TAIL_CHARS))
        assert found is not None, "it may be empty"
        shown, held = text[: found.start()], found[0]
        self._quotes_marks = self._quotes_marks or _TOKEN.search(shown) is not None
        self._record_shown(shown)
        if not ended:
            return shown, held
        if self._is_leftover_markup(held):
            held = ""
        self._record_shown(held)
        return shown + held, ""

    def _is_leftover_markup(self, held: str) -> bool:
        inner = held.removeprefix(self._wrapper).lstrip() if self._wrapper else held
        is_wrapped = inner != held
        if inner and not _LEFT_OVER.fullmatch(inner):
            return False
        return is_wrapped or bool(inner and not self._quotes_marks and not (_QUOTED.search(self._tail)))

    def _record_shown(self, text: str) -> None:
        if text:
            if len(self._opening) < MAX_MARK_CHARS:
                self._opening = (self._opening + text).lstrip()[:MAX_MARK_CHARS]
            self._tail = text[-40:] if len(text) >= 40 else (self._tail + text)[-40:]


def unparsed_content(text: str) -> Unparsed:
    is_fenced = False
    for found in _FENCE_OR_MARK.finditer(text):
        if found["fence"]:
            is_fenced = not is_fenced
        elif not is_fenced and _WRITTEN_CALL.match(text, found.start("mark")):
            if text.rstrip()[-1:] in (">", "]", "}", ")"):
                return "call"
            break
    end = _BARE_END.search(text)
    return "thoughts" if end and not _OPENS_THOUGHT.search(text, 0, end.start()) else ""


def _words_in(name: str) -> set[str]:
    return {word for word in re.split(r"[\W_▁]+", name.lower()) if word}


def _is_thought_name(name: str) -> bool:
    """Returns whether a name stands for thinking, such as `think`, `mm:think` or `think:6124c78e`."""
    parts = [re.split(r"[\W_]+", part) for part in re.split(r"[:|]", name.lower())]
    return any(part[-1] in _THINK_WORDS or (len(part) > 1 and part[0] == "think") for part in parts)


def _is_closing(token: str) -> bool:
    """Returns whether a token has a slash, a bar on the right side only, or a word such as "end"."""
    is_right = token[0] == "<" and token[1] not in "|｜/" and token[-2] in "|｜"
    return "/" in token or is_right or bool(_words_in(token) & _CLOSING_WORDS)


def _closing_pattern(bracket: str, name: str) -> re.Pattern[str]:
    """Returns a case-insensitive pattern for a tag that ends reasoning, with this name or another name for it."""
    own = re.escape(name)
    if bracket == "[":
        return re.compile(rf"\[/{own}\]", re.IGNORECASE)
    others = "|".join(sorted(_THINK_WORDS))
    names = rf"(?:{own}|(?:[\w-]{{1,12}}[:|_])?(?:{others}))(?::\w{{1,12}})?"
    return re.compile(rf"</\s{{0,3}}{names}\s{{0,3}}>", re.IGNORECASE)


def _first_token(text: str) -> re.Match[str] | None:
    """Returns the first token in a text, skipping tokens that only end a label."""
    return next((found for found in _TOKEN.finditer(text) if not _words_in(found[0]) & {"message", "constrain"}), None)
