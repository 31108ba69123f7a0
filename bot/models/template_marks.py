"""Takes the marks of chat templates out of a model's text: reasoning, channels, stop tokens, headers and written calls.

Servers without the right parser pass on what a model writes between the marks of its template. A mark is found by its
form: `<|name|>` with straight or full-width bars, on one side or both; `◁name▷`; a tag, or a word in brackets, whose
name is about thinking, turns or calls. Nothing depends on a model's name. What a mark does follows from the words of
its name (`_kind`); a token of an unknown name is taken out.

In code a mark is text, and so is one within a sentence: behind a space or a quotation mark, with more of the sentence
behind it. Tokens with which the text ends within code that nothing closes are none of it. Behind the answer's first
word, reasoning between tags counts where a paragraph or sentence begins, if its tag is closed.

A template may open the reasoning itself, so that only the closing mark is in the text. Then all text before it is taken
back (`TakenBack`), and `starts_within_thought` is set: with it, the next answer's text is withheld until the closing
mark. If none comes and the answer is whole, all of that text is the answer, and the next one is shown at once again.

A call that a model writes is withheld, with all that follows: models invent the results, too. `written_calls.py` reads
it at the end.

However the text is cut into deltas, the result is the same: a decision that needs more text waits for it, and each such
wait has a limit. Each character is looked at a limited number of times.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self

from bot.models.events import TakenBack, Thinking
from bot.models.mark_forms import (
    MAX_CLOSING_CHARS,
    MAX_MARK_CHARS,
    OWN_ROLES,
    Mark,
    MarkKind,
    closing_of,
    closing_pattern,
    is_thought,
    read_mark,
    words_of,
)
from bot.models.prompt import ToolDefinition
from bot.models.written_calls import MAX_CALL_CHARS, WrittenCall, begins_call, looks_like_call, read_calls

CODE_AHEAD_CHARS = 1_000
"""How far the end of inline code is looked for. What goes on for longer is taken for code."""
MAX_AGAIN_CHARS = 10_000
"""So much of a text that was withheld is looked at once more, at its end."""
MAX_PLACES = 3
"""At so many marks in reasoning a call is read."""
MAX_RUN = 100
"""Longer runs of backticks are taken apart."""
STEPS_AT_ONCE = 500
"""After so many looks at a text, the process does what else is due. Each takes 2 to 30 µs."""

_ANSWER_CHANNELS = {"final", "answer", "response", "output", "text", "content", "commentary"}

_EVENT = re.compile(r"[\n`~]|<(?=[\w/|｜]|<(?:[/S]|\Z)|\Z)|[\[◁](?=[\w/|]|\Z)|\](?=<|\Z)")
"""What is looked at: a line's end, code, and what may begin a mark."""
_RUN = re.compile(rf"`{{1,{MAX_RUN}}}|~{{1,{MAX_RUN}}}")
_TICKS = re.compile(r"`+")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
_CONTAINER = re.compile(r"(?:[ \t]{0,20}(?:>|[-+*]|\d{1,9}[.)]))*[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-+*>]|\d)")
_NOT_BLANK = re.compile(r"\S")
_TOKENS_FORM = r"</?[|｜]{1,2}[\w▁./:+-]{2,60}[|｜]{1,2}>"
_LAST_TOKENS = re.compile(rf"(?:{_TOKENS_FORM}\s{{0,3}}){{1,4}}\Z")
_MAYBE_LAST_TOKENS = re.compile(
    rf"(?:{_TOKENS_FORM}\s{{0,3}}){{0,4}}(?:<(?:/?[|｜]{{1,2}}[\w▁./:+-]{{0,60}}[|｜]{{0,2}}|/)?)?\Z"
)
_CUT_TOKEN = re.compile(r"(?:</?[|｜]|\[\||\]<\]\w|◁)[^\s<>]{0,60}\Z")
_CUT_MARKS = (
    "<thinking>",
    "</thinking>",
    "<tool_calls>",
    "</tool_calls>",
    "<function=",
    "<function_call>",
    "[TOOL_CALLS]",
)
"""Those that a limit of the output cuts most often; cut ones of other names are shown."""
_LABEL = re.compile(
    r"[ \t]*(?:(?P<alone>to=[\w.:-]{0,100})|(?P<label>[\w-]{0,40})(?P<to>(?:[ \t]+to=[\w.:-]{1,100})?))"
    r"(?:[ \t]+(?:json|code))?[ \t]*"
)
_PART = re.compile(r"([\w-]{0,40})((?: [^<>\n]{0,120})?)")
_MAYBE_LABEL = re.compile(r"(?:to?=?|js?o?|co?d?)?")
_OF_OTHERS = re.compile(r"\s*(?:#{1,4} *)?(?:user|human|instruction|system)\s{0,3}:", re.IGNORECASE)
_MAYBE_OF_OTHERS = re.compile(r"\s*(?:#{0,4} *)?[A-Za-z]{0,11}\s{0,3}")
_WRAPPED = re.compile(r"<(answer|response|final|final_answer|solution|output)>")
_OPENING = " \t\"'“‘«([{*_|:=,/"
_SENTENCE_ENDS = ".!?…。！？"
_LABELS = ("assistant", "analysis", "commentary", "final")
_TO_FIRST = re.compile(r"to=[\w.:-]{1,100}(?:[ \t]+(?:json|code))?[ \t]*<[|｜]")
_MAYBE_TO_FIRST = re.compile(r"t(?:o(?:=(?:[\w.:-]{1,100}(?:[ \t]+[a-z]{0,4}[ \t]*)?<?)?)?)?")
_UNMARKED_FINAL = re.compile("assistantfinal")
"""How gpt-oss's channels end their analysis where the server drops the tokens and keeps the labels."""
_UNMARKED_CALL = re.compile(r"commentary[ \t]{1,3}to=([\w.:-]{1,100})[ \t]{0,3}(?:json|code)?[ \t]{0,3}(?=\{)")
_LINE_OF_MARK = re.compile(r"^[ \t]{0,9}(?=[<\[◁])", re.MULTILINE)
_WHOLE = re.compile(
    r"(?:`{3,}[\w-]{0,20}[ \t]{0,9}\n\s{0,9})?\[?\s{0,9}\{\s{0,9}"
    r'"(?P<key>\w{1,20})"\s{0,9}:\s{0,9}(?:"(?P<value>[^"\n]{0,100})"|[{\[])'
)
_MAYBE_WHOLE = re.compile(
    r"(?:`{0,3}|`{3,}[\w-]{0,20}[ \t]{0,9}(?:\n\s{0,9})?)\[?\s{0,9}(?:\{\s{0,9}"
    r'(?:"(?:\w{0,20}|(?P<key>\w{1,20})"\s{0,9}(?::\s{0,9}(?:"[^"\n]{0,100})?)?))?)?'
)
_NAMES_CALL = {"name", "tool", "tool_name", "function"}
_BEGINS_CALL = {*_NAMES_CALL, "type", "id", "arguments", "parameters", "args", "tool_calls"}


class Mode(Enum):
    """What the text is at the moment."""

    ANSWER = auto()
    LABEL = auto()
    """The name of a role, a channel or a part."""
    AFTER_END = auto()
    """Behind the end of a turn: a next turn may be invented."""
    THOUGHT = auto()
    CALL = auto()
    """A written call, or the whole text, which may be one: withheld until the end."""
    CUT = auto()
    """Somebody else's turn, which the model has invented."""


class TemplateMarks:
    """Takes the marks out of one answer's text."""

    def __init__(self, tools: Mapping[str, ToolDefinition], code: str = "") -> None:
        """`tools`: those that are offered, by name. `code`: that of the prompt's own marks, which models repeat."""
        self.starts_within_thought = False
        """Whether the text begins with reasoning that no mark opens: by earlier answers, and at the end by this one."""
        self.calls: list[WrittenCall] = []
        """The calls that the model has written, once the text has ended."""
        self.has_unusable_call = False
        """Whether it has written a call that can't be made."""
        self.is_behind = False
        """Whether text of the last delta is left to read."""
        self._tools = tools
        self._own = f"[{code}" if code else ""
        self._mode = Mode.ANSWER
        self._text = ""
        """The end of the text so far. What is before `_at` was looked at."""
        self._at = 0
        self._out: list[str] = []
        self._withheld: list[str] | None = None
        """Text that is the answer only if no closing mark comes."""
        self._takes_back = False
        """A closing mark has come: the next word takes back what is before it."""
        self._has_taken_back = self._closed_by_role = False
        self._begun = False
        """Whether the answer has a word."""
        self._is_bare = True
        """Whether nothing was taken out before the first word. Then blanks before it are text."""
        self._breaks = False
        """Whether the next word begins a paragraph."""
        self._blanks = ""
        """What stands before the first word, so far."""
        self._after_end = False
        """Whether a turn has ended, and no word has come since."""
        self._last, self._last_ink = "", ""
        """The last character of the answer, and the last that is no blank."""
        self._line = ""
        """The beginning of the line."""
        self._after_blank_line = True
        self._fence, self._ticks = "", 0
        """What opened a block of code, and how many backticks may have opened inline code; negative: they have."""
        self._opened = Counter[str]()
        """The tags that are text and not closed, by name."""
        self._thought = _Thought(None)
        """The last one."""
        self._had_thought = False
        self._wrapper = ""
        self._labeled = HEADER
        """The mark whose label is read."""
        self._call = _Written(None)
        self._is_last_look = self._is_cut = False
        """Whether withheld text is read once more; whether the model was cut off, perhaps within a mark."""

    def withhold(self) -> None:
        """Withholds the text until a mark closes the reasoning that it begins with. Called before any text."""
        self.starts_within_thought = True
        self._withheld = []

    def reasoning_is_separate(self) -> None:
        """Notes that the server sends the reasoning in its own field, so that text is the answer."""
        self.starts_within_thought = False
        self._release()

    def add(self, delta: str) -> str | Thinking | TakenBack:
        """Returns the text of the answer that can be shown now, or a sign of thinking.

        Of a long delta it reads only a part, so that it doesn't hold the event loop: `go_on` returns more of it as long
        as `is_behind`.
        """
        if self._mode is Mode.CALL and not self.is_behind:
            self._add_to_call(delta)
        else:
            self._text = self._text[self._at :] + delta
            self._at = 0
        self._read(ended=False)
        return self._result(len(delta))

    def go_on(self) -> str | Thinking | TakenBack:
        """Returns what the next part of the last delta says, as `add` does."""
        self._read(ended=False)
        return self._result(0)

    def end(self, *, is_complete: bool, has_calls: bool) -> str | TakenBack:
        """Returns what is left of the answer. `is_complete`: the model ended by itself.

        `has_calls`: the answer has calls beside its text.
        """
        self._is_cut = not is_complete
        self._read(ended=True)
        if self._mode is Mode.THOUGHT and is_complete:
            self._end_unclosed()
        if self._mode is Mode.CALL:
            self._end_call(is_complete=is_complete)
        if is_complete and self._thought.is_weak and not (self._begun or has_calls or self.calls):
            # A name such as "analysis" may be an element of the XML that was asked for.
            self._read_again(self._thought.text)
        if self._takes_back and (has_calls or self.calls):
            self._take_back()
        if self._withheld is not None and is_complete:
            self.starts_within_thought = self.starts_within_thought and (self._had_thought or self._takes_back)
            self._release()
        result = self._result(0)
        return "" if isinstance(result, Thinking) else result

    def _result(self, chars: int) -> str | Thinking | TakenBack:
        text, self._out = "".join(self._out), []
        if self._has_taken_back:
            self._has_taken_back = False
            return TakenBack(text)
        is_hidden = self._mode in (Mode.THOUGHT, Mode.CALL) or self._withheld is not None
        return text or (Thinking(chars) if is_hidden and chars else "")

    def _release(self) -> None:
        """Shows what was withheld."""
        if self._withheld is not None:
            self._out[:0] = self._withheld
            self._withheld = None

    def _take_back(self) -> None:
        """Drops the text so far, which was no answer."""
        self._takes_back = False
        if not self._closed_by_role:
            self.starts_within_thought = True
        if self._withheld is None:
            self._has_taken_back = True
        self._withheld = None
        self._out = []
        self._line, self._last, self._last_ink, self._fence, self._ticks = "", "", "", "", 0

    def _emit(self, text: str) -> None:
        """Adds text to the answer."""
        if self._takes_back or not self._begun:
            if not text.strip():
                self._blanks += text
                return
            text = self._blanks + text if self._is_bare and not self._takes_back else text.lstrip()
            self._blanks = ""
            if self._takes_back:
                self._take_back()
        elif self._breaks:
            if not text.strip():
                return
            ends = len(self._tail) - len(self._tail.rstrip("\n"))
            text = "\n" * max(0, 2 - ends) + text.lstrip()
        self._breaks = False
        self._begun = True
        self._after_end = self._after_end and not text.strip()
        (self._out if self._withheld is None else self._withheld).append(text)
        self._note(text)

    @property
    def _tail(self) -> str:
        return self._line[-2:] if self._line else "\n\n" if self._after_blank_line else "\n"

    def _note(self, text: str) -> None:
        """Keeps what later marks are judged by."""
        self._last = text[-1]
        ink = text.rstrip()
        self._last_ink = ink[-1] if ink else self._last_ink
        *ended, rest = text.split("\n") if "\n" in text else (text,)
        for line in ended:
            whole = self._line + line[:MAX_MARK_CHARS]
            self._after_blank_line = not whole.strip()
            if self._after_blank_line:
                self._ticks = 0
            self._line = ""
        if len(self._line) < MAX_MARK_CHARS:
            self._line += rest[:MAX_MARK_CHARS]

    def _read(self, *, ended: bool) -> None:
        """Reads as far as the text allows, at its end all of it."""
        self.is_behind = False
        steps = 0
        while self._at < len(self._text) or (ended and self._mode is Mode.LABEL):
            steps += 1
            if steps > STEPS_AT_ONCE and not ended:
                self.is_behind = True
                return
            match self._mode:
                case Mode.ANSWER:
                    goes_on = self._read_answer(ended)
                case Mode.LABEL:
                    goes_on = self._read_label(ended)
                case Mode.AFTER_END:
                    goes_on = self._read_after_end(ended)
                case Mode.THOUGHT:
                    goes_on = self._read_thought(ended)
                case Mode.CALL:
                    rest, self._at = self._text[self._at :], len(self._text)
                    self._add_to_call(rest)
                    goes_on = self._mode is not Mode.CALL
                case Mode.CUT:
                    self._at = len(self._text)
                    goes_on = False
            if not goes_on:
                return

    def _read_answer(self, ended: bool) -> bool:
        if (not self._begun or self._takes_back) and (decided := self._read_beginning(ended)) is not None:
            return decided
        found = _EVENT.search(self._text, self._at)
        end = found.start() if found else len(self._text)
        if end > self._at:
            text, self._at = self._text[self._at : end], end
            was_begun = self._begun
            self._emit(text)
            if not was_begun or found is None:
                return found is not None
        assert found is not None
        if found[0] == "\n":
            self._pass(1)
            return True
        return self._read_run(ended) if found[0] in "`~" else self._read_mark(ended)

    def _pass(self, chars: int) -> None:
        """Takes characters for text."""
        self._emit(self._text[self._at : self._at + chars])
        self._at += chars

    def _read_beginning(self, ended: bool) -> bool | None:
        """Reads what only an answer's first words may be; returns None if they are nothing of that."""
        found = _NOT_BLANK.search(self._text, self._at)
        start = found.start() if found else len(self._text)
        if start > self._at:
            self._pass(start - self._at)
            return True
        head = self._text[self._at : self._at + 300]
        if self._had_thought and (wrapped := _WRAPPED.match(head)):
            self._at += wrapped.end()
            self._wrapper = f"</{wrapped[1]}>"
            return True
        if self._had_thought and not ended and re.fullmatch(r"<[a-z_]{0,12}", head):
            return False
        if _TO_FIRST.match(head):
            self._mode, self._labeled = Mode.LABEL, HEADER
            return True
        if not ended and _MAYBE_TO_FIRST.fullmatch(head):
            return False
        for label in _LABELS:
            if head.startswith(label):
                decided = self._read_bare_label(label, head[len(label) :], ended)
                if decided is not None:
                    return decided
                break
            if label.startswith(head) and not ended:
                return False
        return self._read_whole_call(head, ended) if self._tools and not self._is_last_look else None

    def _read_whole_call(self, head: str, ended: bool) -> bool | None:
        """Reads the beginning of a text that may be nothing but a call, without a mark; None if it isn't."""
        if (begins := begins_call(head, self._tools)) is not None:
            if begins:
                self._begin_call(None)
            elif ended:
                return None
            return begins
        if head[0] not in "{[`":
            return None
        if found := _WHOLE.match(head):
            names_other = found["key"] in _NAMES_CALL and found["value"] and found["value"] not in self._tools
            if names_other or found["key"] not in _BEGINS_CALL:
                return None
            self._begin_call(None)
            return True
        maybe = None if ended else _MAYBE_WHOLE.fullmatch(head)
        return False if maybe and maybe["key"] in (None, *_BEGINS_CALL) else None

    def _read_bare_label(self, label: str, rest: str, ended: bool) -> bool | None:
        """Reads a role or channel whose own mark is missing, because the server or the template took it."""
        if rest in ("", "<") and not ended:
            return False
        is_marked = rest.startswith(("<|", "<｜"))
        if label == "assistant":
            if any(other.startswith(rest) for other in _LABELS) and not ended:
                return False
            if rest[:1] == "\n" or is_marked or rest.startswith(_LABELS[1:]):
                self._at += len(label) + (len("final") if rest.startswith("final") and not is_marked else 0)
                self._is_bare = False
                return True
            return None
        if is_marked:
            self._open_channel(label)
            self._at += len(label)
            return True
        if label == "analysis" and (rest[:1].isupper() or rest[:1] in "\"'“"):
            self._at += len(label)
            self._begin_thought(_Thought(_UNMARKED_FINAL))
            return True
        return None

    def _read_run(self, ended: bool) -> bool:
        """Reads backticks or tildes, which open and close code."""
        found = _RUN.match(self._text, self._at)
        assert found is not None
        run = found[0]
        if found.end() == len(self._text) and len(run) < MAX_RUN and not ended:
            return False
        begins_line = not _CONTAINER.sub("", self._line, count=1)
        rest = self._text[found.end() : found.end() + MAX_MARK_CHARS]
        if self._fence:
            if begins_line and run[0] == self._fence[0] and len(run) >= len(self._fence):
                behind = rest.lstrip(" \t")
                if not behind and len(rest) < MAX_MARK_CHARS and not ended:
                    return False
                if behind[:1] in ("", "\n", "<", "[", "◁"):
                    self._fence = ""
        elif begins_line and len(run) >= 3:
            ends = re.search(r"[`\n]", rest)
            if run[0] == "`" and ends is None and len(rest) < MAX_MARK_CHARS and not ended:
                return False
            if run[0] == "~" or ends is None or ends[0] == "\n":
                self._fence = run
            else:
                self._ticks = len(run)
        elif run[0] == "`" and self._last != "\\":
            self._ticks = len(run) if not self._ticks else 0 if abs(self._ticks) == len(run) else self._ticks
        self._pass(len(run))
        return True

    def _read_mark(self, ended: bool) -> bool:
        """Reads what may be a mark."""
        if self._is_in_code:
            return self._read_last_tokens(ended)
        if (read := self._own_mark(ended)) is not None or (read := self._end_of_wrapper(ended)) is not None:
            return read
        mark = read_mark(self._text, self._at)
        if mark == "" and not ended:
            return False
        if not isinstance(mark, Mark):
            if mark == "" and self._ends_within_mark(self._text[self._at :]):
                self._skip_rest()
            else:
                self._pass(1)
            return True
        code = self._code_from(len(mark.text), ended) if self._ticks else 0
        is_text = None if code is None else bool(code) or self._is_text(mark, ended)
        if is_text:
            if mark.kind is MarkKind.THOUGHT and not code:
                self._opened[mark.name] += -1 if mark.closes else 1
            self._pass(code or len(mark.text))
        elif is_text is not None:
            self._meet(mark)
        return is_text is not None

    def _read_last_tokens(self, ended: bool) -> bool:
        """Reads what is code, unless the whole text ends with it and it has the form of tokens."""
        if ended and _LAST_TOKENS.match(self._text, self._at):
            self._skip_rest()
        elif not ended and _MAYBE_LAST_TOKENS.match(self._text, self._at):
            return False
        else:
            self._pass(1)
        return True

    def _ends_within_mark(self, rest: str) -> bool:
        """Returns whether the text ends in the middle of a mark: of a token, or of a tag if the model was cut off."""
        if _CUT_TOKEN.match(rest):
            return len(rest) > 2 or self._last not in " \t"
        return self._is_cut and len(rest) > 2 and any(mark.startswith(rest) for mark in _CUT_MARKS)

    def _skip_rest(self) -> None:
        self._at = len(self._text)

    @property
    def _is_in_code(self) -> bool:
        """Whether the text is in a block of code, or in inline code that goes on for long."""
        is_indented = self._line.startswith(("    ", "\t")) and not _ITEM.match(self._line)
        return bool(self._fence) or self._ticks < 0 or is_indented

    def _end_of_wrapper(self, ended: bool) -> bool | None:
        """Reads the tag that ends an answer between tags; returns None if there is none."""
        if self._wrapper and self._text.startswith(self._wrapper, self._at):
            self._at += len(self._wrapper)
            self._wrapper = ""
            return True
        return False if self._wrapper and not ended and self._wrapper.startswith(self._text[self._at :]) else None

    def _own_mark(self, ended: bool) -> bool | None:
        """Reads a mark of the prompt at the beginning of a line; returns None if there is none."""
        head = self._text[self._at : self._at + MAX_MARK_CHARS]
        if not self._own or self._line.strip() or not (head.startswith(self._own) or self._own.startswith(head)):
            return None
        end = head.find("]")
        if end < 0 and "\n" not in head and len(head) < MAX_MARK_CHARS and not ended:
            return False
        if end < 0 or not head.startswith(self._own):
            return None
        behind = self._text[self._at + end + 1 : self._at + end + 10]
        if not behind.strip(" \t") and len(behind) < 9 and not ended:
            return False
        self._at += end + 1 + len(behind) - len(behind.lstrip(" \t").removeprefix("\n"))
        self._is_bare = False
        return True

    def _code_from(self, chars: int, ended: bool) -> int | None:
        """Returns how much is inline code from a mark of so many characters on; None if it takes more text to know.

        0: the backticks before it have opened none.
        """
        start = self._at + chars
        ahead = self._text[start : start + CODE_AHEAD_CHARS]
        paragraph_end = _PARAGRAPH_END.search(ahead)
        is_known = ended or paragraph_end is not None or len(ahead) == CODE_AHEAD_CHARS
        for run in _TICKS.finditer(ahead[: paragraph_end.start()] if paragraph_end else ahead):
            if run.end() - run.start() == self._ticks and (run.end() < len(ahead) or is_known):
                return chars + run.start()
        if not is_known:
            return None
        goes_on = paragraph_end is None and len(ahead) == CODE_AHEAD_CHARS
        self._ticks = -self._ticks if goes_on else 0
        return chars if goes_on else 0

    def _is_text(self, mark: Mark, ended: bool) -> bool | None:
        """Returns whether a mark is part of what the answer says; None if that takes more text to know."""
        if mark.kind is MarkKind.THOUGHT and not mark.is_token and (is_text := self._is_text_thought(mark)) is not None:
            return is_text
        if mark.name == "s" and self._begun:
            # Also what strikes text through.
            return not mark.closes or self._opened["s"] > 0 or self._has_more_on_line(len(mark.text), ended)
        is_within_line = self._begun and not self._after_end and bool(self._line.strip())
        if mark.kind is MarkKind.OTHER and is_within_line and mark.is_token and self._last in _OPENING:
            behind = self._text[self._at + len(mark.text) : self._at + len(mark.text) + 1]
            # Nobody writes of a token and leaves no space behind it.
            if behind.isalnum() or not (behind or ended):
                return False if behind else None
        if mark.kind is MarkKind.CALL or not is_within_line or self._last not in _OPENING:
            return False
        if mark.kind is MarkKind.THOUGHT and mark.closes and self._last in " \t" and self._last_ink in _SENTENCE_ENDS:
            return False
        return self._has_more_on_line(len(mark.text), ended)

    def _is_text_thought(self, mark: Mark) -> bool | None:
        """Returns whether a tag of reasoning is part of what the answer says; None if its place must tell."""
        if mark.closes:
            return True if self._opened[mark.name] > 0 else None
        if self._is_last_look:
            return True
        if not self._begun or self._takes_back:
            return None
        is_at_beginning = not self._line.strip() or self._last in _SENTENCE_ENDS
        # Behind another tag, it is one of the elements of a document.
        return not (is_thought(mark.name) and is_at_beginning and self._last_ink != ">")

    def _has_more_on_line(self, chars: int, ended: bool) -> bool | None:
        """Returns whether words follow on the line behind a mark of so many characters; None if that isn't known."""
        behind = self._text[self._at + chars : self._at + chars + MAX_MARK_CHARS]
        words = behind.lstrip(" \t")
        if not words and len(behind) < MAX_MARK_CHARS and not ended:
            return None
        return bool(words) and words[0] not in "\n<[◁"

    def _meet(self, mark: Mark) -> None:
        """Does what a mark says."""
        if mark.kind is not MarkKind.CALL:
            self._at += len(mark.text)
            self._is_bare = self._is_bare and self._begun
        match mark.kind:
            case MarkKind.THOUGHT | MarkKind.CHANNEL if mark.closes:
                self._close_thought(by_role=False)
            case MarkKind.THOUGHT:
                self._begin_thought(_Thought.of(mark))
            case MarkKind.CHANNEL | MarkKind.HEADER | MarkKind.PART:
                self._mode, self._labeled = Mode.LABEL, mark
            case MarkKind.ROLE if mark.closes:
                self._close_thought(by_role=True)
            case MarkKind.ROLE if words_of(mark.name) & OWN_ROLES:
                self._breaks = self._begun
                self._mode, self._labeled = Mode.LABEL, mark
            case MarkKind.ROLE | MarkKind.RESULT if self._begun:
                self._mode = Mode.CUT
            case MarkKind.CALL:
                self._meet_call(mark)
            case MarkKind.OTHER if self._begun:
                self._mode = Mode.AFTER_END
                self._after_end = True

    def _meet_call(self, mark: Mark) -> None:
        if mark.closes:
            self._at += len(mark.text)
        else:
            self._begin_call(mark)

    def _close_thought(self, *, by_role: bool) -> None:
        """Ends reasoning, or a question repeated, that no mark has opened."""
        if self._begun:
            self._takes_back = True
            self._closed_by_role = by_role
            self._had_thought = not by_role

    def _begin_thought(self, thought: "_Thought") -> None:
        self._mode = Mode.THOUGHT
        self._thought = thought
        self._is_bare = False
        self._had_thought = True
        if not self._begun:
            self._out = []
            self._withheld = [] if self._withheld is not None else None

    def _read_thought(self, ended: bool) -> bool:
        """Reads reasoning up to its end. While it lasts, only a possible beginning of the closing mark is kept."""
        if self._thought.closer is not None:
            closing = self._thought.closer.search(self._text, self._at)
            if closing is None:
                kept = len(self._text) if ended else max(self._at, len(self._text) - MAX_CLOSING_CHARS)
                self._thought.pieces.append(self._text[self._at : kept])
                self._at = kept
                return False
            self._thought.pieces.append(self._text[self._at : closing.end()])
            self._at = closing.end()
            self._end_thought()
            return True
        found = re.compile(r"[<◁]|\[(?=\||\Z)").search(self._text, self._at)
        self._at = found.start() if found else len(self._text)
        if found is None:
            return False
        mark = read_mark(self._text, self._at)
        if mark == "" and not ended:
            return False
        if not (isinstance(mark, Mark) and mark.is_token) or mark.kind in (MarkKind.MESSAGE, MarkKind.CONSTRAIN):
            self._at += len(mark.text) if isinstance(mark, Mark) else 1
            return True
        self._mode = Mode.ANSWER
        if mark.kind in (MarkKind.THOUGHT, MarkKind.OTHER) or (mark.kind is MarkKind.CHANNEL and mark.closes):
            self._at += len(mark.text)
            self._end_thought()
        return True

    def _end_thought(self) -> None:
        self._mode = Mode.ANSWER
        self._breaks = self._begun
        if self._withheld == []:
            self._withheld = None

    def _end_unclosed(self) -> None:
        """Ends reasoning whose end never came: models call tools in it, or it is the answer after all."""
        thought, is_unmarked = self._thought.text, self._thought.closer is _UNMARKED_FINAL
        if self._thought.closer is None or self._find_call(thought[-MAX_AGAIN_CHARS:], is_unmarked=is_unmarked):
            return
        if self._begun or is_unmarked:
            self._mode = Mode.ANSWER
            self._read_again(thought)

    def _find_call(self, thought: str, *, is_unmarked: bool) -> bool:
        """Looks for a call of an offered tool at the end of reasoning."""
        begins: list[tuple[int, Mark]] = []
        if is_unmarked and (found := _UNMARKED_CALL.search(thought)):
            begins = [(found.start(), Mark(MarkKind.CALL, "", found[1], False, True))]
        elif not is_unmarked:
            marks = [(line.end(), read_mark(thought, line.end())) for line in _LINE_OF_MARK.finditer(thought)]
            begins = [(at, mark) for at, mark in marks if isinstance(mark, Mark) and mark.kind is MarkKind.CALL]
        for at, mark in begins[-MAX_PLACES:]:
            written = thought[at:]
            if not mark.closes and any(call.name in self._tools for call in read_calls(written, self._tools)):
                self._begin_call(mark)
                self._call.add(written)
                return True
        return False

    def _read_again(self, text: str) -> None:
        """Reads text that was withheld, at the end. In a long one, marks stay."""
        self._is_last_look = True
        if len(text) > MAX_AGAIN_CHARS:
            self._emit(text)
            return
        self._text, self._at = text, 0
        self._read(ended=True)

    def _read_label(self, ended: bool) -> bool:
        """Reads the name of a role, a channel or a part."""
        if self._labeled.kind is MarkKind.PART:
            return self._read_part(ended)
        found = _LABEL.match(self._text, self._at)
        assert found is not None
        at = found.end()
        if self._labeled.kind is MarkKind.ROLE:
            return self._read_name_of_tool(at, ended)
        while at < len(self._text) and self._text[at] == "<":
            mark = read_mark(self._text, at)
            if mark == "" and not ended:
                return False
            if not isinstance(mark, Mark) or mark.kind not in (MarkKind.MESSAGE, MarkKind.CONSTRAIN):
                break
            at += len(mark.text)
            if mark.kind is MarkKind.MESSAGE:
                break
            at = (re.compile(r"\w*").match(self._text, at) or found).end()
        else:
            if not ended and _MAYBE_LABEL.fullmatch(self._text, at):
                return False
            at += self._text[at : at + 1] == "\n"
        self._at = at
        recipient = (found["alone"] or found["to"]).strip().removeprefix("to=")
        self._follow_label(found["label"] or "", recipient)
        return True

    def _follow_label(self, label: str, recipient: str) -> None:
        """Does what a label says. `recipient`: whom the message is for, if it says so."""
        self._mode = Mode.ANSWER
        if recipient == "self":
            self._begin_thought(_Thought(None))
        elif recipient and recipient not in ("all", "user", "assistant"):
            # A tool, by gpt-oss's name for it.
            self._begin_call(Mark(MarkKind.CALL, "", recipient, False, True))
            self._add_to_call(f"{recipient} ")
        elif self._labeled.kind is MarkKind.CHANNEL:
            self._open_channel(label)
        elif label.lower() in OWN_ROLES or not label:
            self._breaks = self._begun
        else:
            self._mode = Mode.CUT if self._begun else Mode.ANSWER

    def _read_part(self, ended: bool) -> bool:
        """Reads the name of a part, which says whether it is a thought, a call or the answer."""
        found = _PART.match(self._text, self._at)
        assert found is not None
        at = found.end()
        mark = read_mark(self._text, at) if at < len(self._text) else ""
        if mark == "" and not ended:
            return False
        self._mode = Mode.ANSWER
        if not isinstance(mark, Mark) or mark.kind is not MarkKind.MESSAGE:
            self._at = at if mark == "" else self._at
            return True
        if is_thought(found[1]):
            self._at = at + len(mark.text)
            self._meet_thought_part()
        elif words_of(found[1]) & {"tools", "tool", "call", "calls", "function"} and not self._labeled.closes:
            self._begin_call(Mark(MarkKind.CALL, "", found[1], False, True))
        else:
            self._at = at + len(mark.text)
        return True

    def _meet_thought_part(self) -> None:
        if not self._labeled.closes:
            self._begin_thought(_Thought(None, is_part=True))
        elif self._thought.is_part:
            self._thought = _Thought(None)
            self._end_thought()
        else:
            self._close_thought(by_role=False)

    def _read_name_of_tool(self, at: int, ended: bool) -> bool:
        """Reads a tool's name between the model's role and the mark of a call; any other text is the answer."""
        mark = read_mark(self._text, at) if at < len(self._text) else ""
        if mark == "" and not ended:
            return False
        self._mode = Mode.ANSWER
        if isinstance(mark, Mark) and mark.kind is MarkKind.CALL:
            self._at = at
        return True

    def _open_channel(self, label: str) -> None:
        self._is_bare = False
        if label.lower() in _ANSWER_CHANNELS:
            self._end_thought()
        else:
            self._begin_thought(_Thought(None))

    def _read_after_end(self, ended: bool) -> bool:
        """Reads what follows the end of a turn: a role's name in words begins a turn that the model invents."""
        head = self._text[self._at : self._at + 40]
        if _OF_OTHERS.match(head):
            self._mode = Mode.CUT
        elif _MAYBE_OF_OTHERS.fullmatch(head) and len(head) < 40 and not ended:
            return False
        else:
            self._mode = Mode.ANSWER
        return True

    def _begin_call(self, mark: Mark | None) -> None:
        self._mode = Mode.CALL
        self._call = _Written(mark, is_inline=bool(self._line.strip()) and self._last in _OPENING)

    def _add_to_call(self, text: str) -> None:
        """Withholds text. What is too long for a call is text, and so is what closes without being one."""
        self._call.add(text)
        if self._call.chars > MAX_CALL_CHARS:
            if self._call.mark is None:
                self._restore(self._call.text)
            else:
                self._end_call(is_complete=True)
        elif self._call.has_closed() and not self._call.may_be_call(self._tools):
            self._restore(self._call.text[: self._call.end])
            self._text, self._at = self._call.text[self._call.end :], 0

    def _restore(self, written: str) -> None:
        """Takes what was withheld as a call for text after all."""
        self._mode = Mode.ANSWER
        self._emit(written)

    def _end_call(self, *, is_complete: bool) -> None:
        """Decides what the withheld text is."""
        written = self._call.text
        calls = read_calls(written, self._tools, is_whole=self._call.mark is None)
        offered = [call for call in calls if call.name in self._tools]
        self._mode = Mode.CUT
        if self._call.is_example(is_offered=bool(offered)):
            self._restore(written)
        elif self._call.mark is None and (not calls or offered != calls):
            self._mode = Mode.ANSWER
            self._read_again(written)
            if self._mode is Mode.CALL:
                self._end_call(is_complete=is_complete)
        elif offered and is_complete:
            self.calls = offered
        elif not self._call.is_weak and (calls or looks_like_call(written)):
            self.has_unusable_call = is_complete
        else:
            self._restore(written)


HEADER = Mark(MarkKind.HEADER, "", "", False, True)


@dataclass(eq=False)
class _Thought:
    """Reasoning, as it grows."""

    closer: re.Pattern[str] | None
    """What ends it; None: any mark of a form that tokens have."""
    pieces: list[str] = field(default_factory=list)
    """Its text, if only its own tag ends it, with its tags: it may be the answer, or hold a call."""
    is_part: bool = False
    """Whether it is a part between tokens."""
    is_weak: bool = False
    """Whether the name of its tag may be one of an answer's own."""

    @classmethod
    def of(cls, mark: Mark) -> Self:
        """Returns the one that a mark opens."""
        if mark.is_token:
            return cls(None)
        return cls(closing_pattern(mark), [mark.text], is_weak=not is_thought(mark.name))

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)


class _Written:
    """What may be a written call, as it grows."""

    def __init__(self, mark: Mark | None, *, is_inline: bool = False) -> None:
        """`mark`: the one that began it; None: the text's beginning looks like a call.

        `is_inline`: it stands within a sentence, so that it is an example if the sentence goes on.
        """
        self.mark = mark
        self.chars = 0
        self.end = 0
        """Where the mark ends that closes it; 0: it hasn't come."""
        self._is_inline = is_inline
        self.is_weak = (
            mark is not None
            and not mark.is_token
            and (words_of(mark.name) <= {"tool", "tools", "use"} or mark.text.startswith("<function name="))
        )
        """Whether its tag says too little: what isn't a call of an offered tool is text."""
        self._closer = closing_of(mark) if mark is not None and mark.text and not mark.is_token else ""
        self._pieces: list[str] = []
        self._tail = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def is_example(self, *, is_offered: bool) -> bool:
        """Returns whether the sentence goes on behind it, or behind its mark alone if no such tool is offered."""
        if not self._is_inline or self.mark is None:
            return False
        begin = self.end or (0 if is_offered else len(self.mark.text))
        behind = self.text[begin:].partition("\n")[0] if begin else ""
        is_word = bool(self.end) or behind[:1] in (" ", "\t")
        return is_word and bool(behind.strip()) and behind.strip()[0] not in "<[{"

    def add(self, text: str) -> None:
        """Adds text."""
        self._pieces.append(text)
        self.chars += len(text)
        self._tail = self._tail[1 - len(self._closer) :] + text if self._closer else ""

    def has_closed(self) -> bool:
        """Returns whether the text that was added last has closed it."""
        if not self._closer or self._closer not in self._tail:
            return False
        self.end = self.text.index(self._closer) + len(self._closer)
        self._closer = ""
        return True

    def may_be_call(self, tools: Mapping[str, ToolDefinition]) -> bool:
        """Returns whether it is a call, or nothing that a reader is meant to read."""
        calls = read_calls(self.text[: self.end], tools)
        if self.is_weak:
            return any(call.name in tools for call in calls)
        return bool(calls) or looks_like_call(self.text)
