"""Takes the marks of chat templates out of a model's text: reasoning, channels, stop tokens, headers and written calls.

Servers without the right parser pass on what a model writes between the marks of its template. A mark is found by its
form: `<|name|>` with straight or full-width bars, on one side or both; `◁name▷`; a tag, or a word in brackets, whose
name is about thinking, turns or calls. Nothing depends on a model's name. What a mark does follows from the words of
its name (`_kind`); a token of an unknown name is taken out.

In code a mark is text, and so is one within a sentence: behind a space or a quotation mark, with more of the sentence
behind it. Reasoning between tags counts only before the answer's first word.

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
from enum import Enum, auto

from bot.models.events import TakenBack, Thinking
from bot.models.mark_forms import MAX_MARK_CHARS, OWN_ROLES, Kind, Mark, closing_of, read_mark, words_of
from bot.models.prompt import ToolDefinition
from bot.models.written_calls import MAX_CALL_CHARS, WrittenCall, looks_like_call, read_calls

CODE_AHEAD_CHARS = 1_000
"""How far the end of inline code is looked for. What goes on for longer is taken for code."""
MAX_RUN = 100
"""Longer runs of backticks are taken apart."""
STEPS_AT_ONCE = 500
"""After so many looks at a text, the process does what else is due. Each takes 2 to 30 µs."""

_ANSWER_CHANNELS = {"final", "answer", "response", "output", "text", "content", "commentary"}

_EVENT = re.compile(r"[\n`~]|<(?=[\w/|｜]|<(?:[/S]|\Z)|\Z)|[\[◁](?=[\w/]|\Z)")
"""What is looked at: a line's end, code, and what may begin a mark."""
_RUN = re.compile(rf"`{{1,{MAX_RUN}}}|~{{1,{MAX_RUN}}}")
_TICKS = re.compile(r"`+")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
_CONTAINER = re.compile(r"(?:[ \t]{0,20}(?:>|[-+*]|\d{1,9}[.)]))*[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-+*>]|\d)")
_NOT_BLANK = re.compile(r"\S")
_LABEL = re.compile(r"[ \t]*([\w-]{0,40})((?:[ \t]+to=[\w.:-]{1,100})?)((?:[ \t]+(?:json|code))?)[ \t]*")
_MAYBE_LABEL = re.compile(r"(?:to?=?|js?o?|co?d?)?")
_OF_OTHERS = re.compile(r"\s*(?:#{1,4} *)?(?:user|human|instruction|system)\s{0,3}:", re.IGNORECASE)
_MAYBE_OF_OTHERS = re.compile(r"\s*(?:#{0,4} *)?[A-Za-z]{0,11}\s{0,3}")
_WRAPPED = re.compile(r"<(answer|response|final|final_answer|solution|output)>")
_OPENING = " \t\"'“‘«([{*_|:=,/"
_SENTENCE_ENDS = ".!?…。！？"
_LABELS = ("assistant", "analysis", "commentary", "final")
_UNMARKED_FINAL = "assistantfinal"
"""How gpt-oss's channels end their analysis where the server drops the tokens and keeps the labels."""
_WHOLE = re.compile(
    r"(?:`{3,}[\w-]{0,20}[ \t]{0,9}\n\s{0,9})?\[?\s{0,9}\{\s{0,9}"
    r'"(?P<key>\w{1,20})"\s{0,9}:\s{0,9}(?:"(?P<value>[^"\n]{0,100})"|[{\[])'
)
_MAYBE_WHOLE = re.compile(
    r"(?:`{0,3}|`{3,}[\w-]{0,20}[ \t]{0,9}(?:\n\s{0,9})?)\[?\s{0,9}(?:\{\s{0,9}"
    r'(?:"(?:\w{0,20}|(?P<key>\w{1,20})"\s{0,9}(?::\s{0,9}(?:"[^"\n]{0,100})?)?))?)?'
)
_NAMES_CALL = {"name", "tool", "tool_name", "function"}
_BEGINS_CALL = {*_NAMES_CALL, "type", "id", "arguments", "parameters", "args"}


class Mode(Enum):
    """What the text is at the moment."""

    ANSWER = auto()
    LABEL = auto()
    """The name of a role or channel."""
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
        self._has_taken_back = False
        self._closed_by_role = False
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
        self._fence = ""
        self._ticks = 0
        """How many backticks may have opened inline code; negative: they have."""
        self._opened = Counter[str]()
        """The tags that are text and not closed, by name."""
        self._closer = ""
        """What ends the thought; "": any mark of a form that tokens have."""
        self._had_thought = False
        self._wrapper = ""
        self._label_kind = Kind.HEADER
        self._call = _Written(None)
        self._unclosed: list[str] = []
        """What may be reasoning without tokens, and is the answer if its end never comes."""

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
        self._read(ended=True)
        if self._mode is Mode.CALL:
            self._end_call(is_complete=is_complete)
        if self._mode is Mode.THOUGHT and self._closer == _UNMARKED_FINAL and is_complete:
            self._mode = Mode.ANSWER
            self._emit("".join(self._unclosed))
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
        if not self._begun and (decided := self._read_beginning(ended)) is not None:
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
        for label in _LABELS:
            if head.startswith(label):
                return self._read_bare_label(label, head[len(label) :], ended)
            if label.startswith(head) and not ended:
                return False
        return self._read_whole_call(head, ended) if self._tools and head[0] in "{[`" else None

    def _read_whole_call(self, head: str, ended: bool) -> bool | None:
        """Reads the beginning of a text that may be nothing but a call, without a mark; None if it isn't."""
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
            if rest[:1] == "\n" or is_marked:
                self._at += len(label)
                self._is_bare = False
                return True
            return None
        if is_marked:
            self._open_channel(label)
            self._at += len(label)
            return True
        if label == "analysis" and (rest[:1].isupper() or rest[:1] in "\"'“"):
            self._at += len(label)
            self._begin_thought(_UNMARKED_FINAL)
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
            self._pass(1)
            return True
        if (read := self._own_mark(ended)) is not None or (read := self._end_of_wrapper(ended)) is not None:
            return read
        mark = read_mark(self._text, self._at)
        if mark == "" and not ended:
            return False
        if not isinstance(mark, Mark):
            self._pass(1)
            return True
        code = self._code_from(len(mark.text), ended) if self._ticks else 0
        is_text = None if code is None else bool(code) or self._is_text(mark, ended)
        if is_text:
            if mark.kind is Kind.THOUGHT and not code:
                self._opened[mark.name] += -1 if mark.closes else 1
            self._pass(code or len(mark.text))
        elif is_text is not None:
            self._meet(mark)
        return is_text is not None

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
        if mark.kind is Kind.THOUGHT and not mark.is_token:
            if mark.closes and self._opened[mark.name] > 0:
                return True
            if not mark.closes and self._begun:
                return True
        if mark.name == "s" and self._begun:
            # Also what strikes text through.
            return not mark.closes or self._opened["s"] > 0 or self._has_more_on_line(len(mark.text), ended)
        is_within_line = self._begun and not self._after_end and bool(self._line.strip())
        if mark.kind is Kind.CALL or not is_within_line or self._last not in _OPENING:
            return False
        if mark.kind is Kind.THOUGHT and mark.closes and self._last in " \t" and self._last_ink in _SENTENCE_ENDS:
            return False
        return self._has_more_on_line(len(mark.text), ended)

    def _has_more_on_line(self, chars: int, ended: bool) -> bool | None:
        """Returns whether words follow on the line behind a mark of so many characters; None if that isn't known."""
        behind = self._text[self._at + chars : self._at + chars + MAX_MARK_CHARS]
        words = behind.lstrip(" \t")
        if not words and len(behind) < MAX_MARK_CHARS and not ended:
            return None
        return bool(words) and words[0] not in "\n<[◁"

    def _meet(self, mark: Mark) -> None:
        """Does what a mark says."""
        if mark.kind is not Kind.CALL:
            self._at += len(mark.text)
            self._is_bare = self._is_bare and self._begun
        match mark.kind:
            case Kind.THOUGHT | Kind.CHANNEL if mark.closes:
                self._close_thought(by_role=False)
            case Kind.THOUGHT:
                self._begin_thought("" if mark.is_token else closing_of(mark))
            case Kind.CHANNEL | Kind.HEADER:
                self._mode, self._label_kind = Mode.LABEL, mark.kind
            case Kind.ROLE if mark.closes:
                self._close_thought(by_role=True)
            case Kind.ROLE if words_of(mark.name) & OWN_ROLES:
                self._breaks = self._begun
            case Kind.ROLE | Kind.RESULT if self._begun:
                self._mode = Mode.CUT
            case Kind.CALL:
                self._meet_call(mark)
            case Kind.OTHER if self._begun:
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

    def _begin_thought(self, closer: str) -> None:
        self._mode = Mode.THOUGHT
        self._closer = closer
        self._is_bare = False
        self._had_thought = True
        self._unclosed = []
        if not self._begun:
            self._out = []
            self._withheld = [] if self._withheld is not None else None

    def _read_thought(self, ended: bool) -> bool:
        """Reads reasoning up to its end. While it lasts, only a possible beginning of the closing mark is kept."""
        if self._closer:
            closed_at = self._text.find(self._closer, self._at)
            if closed_at < 0:
                kept = max(self._at, len(self._text) - len(self._closer) + 1)
                if self._closer == _UNMARKED_FINAL:
                    self._unclosed.append(self._text[self._at : len(self._text) if ended else kept])
                self._at = len(self._text) if ended else kept
                return False
            self._at = closed_at + len(self._closer)
            self._end_thought()
            return True
        found = re.compile(r"[<◁]").search(self._text, self._at)
        self._at = found.start() if found else len(self._text)
        if found is None:
            return False
        mark = read_mark(self._text, self._at)
        if mark == "" and not ended:
            return False
        if not (isinstance(mark, Mark) and mark.is_token) or mark.kind in (Kind.MESSAGE, Kind.CONSTRAIN):
            self._at += len(mark.text) if isinstance(mark, Mark) else 1
            return True
        self._mode = Mode.ANSWER
        if mark.kind in (Kind.THOUGHT, Kind.OTHER) or (mark.kind is Kind.CHANNEL and mark.closes):
            self._at += len(mark.text)
            self._end_thought()
        return True

    def _end_thought(self) -> None:
        self._mode = Mode.ANSWER
        self._breaks = self._begun
        if self._withheld == []:
            self._withheld = None

    def _read_label(self, ended: bool) -> bool:
        """Reads the name of a role or a channel."""
        found = _LABEL.match(self._text, self._at)
        assert found is not None
        at = found.end()
        while at < len(self._text) and self._text[at] == "<":
            mark = read_mark(self._text, at)
            if mark == "" and not ended:
                return False
            if not isinstance(mark, Mark) or mark.kind not in (Kind.MESSAGE, Kind.CONSTRAIN):
                break
            at += len(mark.text)
            if mark.kind is Kind.MESSAGE:
                break
            at = (re.compile(r"\w*").match(self._text, at) or found).end()
        else:
            if not ended and _MAYBE_LABEL.fullmatch(self._text, at):
                return False
            at += self._text[at : at + 1] == "\n"
        self._mode = Mode.ANSWER
        recipient = found[2].strip().removeprefix("to=")
        if recipient and recipient not in ("all", "user", "assistant"):
            # A tool, by gpt-oss's name for it.
            self._at = at
            self._begin_call(Mark(Kind.CALL, "", recipient, False, True))
            self._add_to_call(f"{recipient} ")
        elif self._label_kind is Kind.CHANNEL:
            self._at = at
            self._open_channel(found[1])
        elif found[1].lower() in OWN_ROLES or not found[1]:
            self._at = at
            self._breaks = self._begun
        else:
            self._at = at
            self._mode = Mode.CUT if self._begun else Mode.ANSWER
        return True

    def _open_channel(self, label: str) -> None:
        self._is_bare = False
        if label.lower() in _ANSWER_CHANNELS:
            self._end_thought()
        else:
            self._begin_thought("")

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
        if (self._call.mark is None and (not calls or offered != calls)) or self._call.is_example:
            self._restore(written)
        elif offered and is_complete:
            self.calls = offered
        elif calls or looks_like_call(written):
            self.has_unusable_call = is_complete
        else:
            self._restore(written)


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
        self._closer = closing_of(mark) if mark is not None and mark.text and not mark.is_token else ""
        self._pieces: list[str] = []
        self._tail = ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    @property
    def is_example(self) -> bool:
        """Whether the sentence goes on behind it."""
        behind = self.text[self.end :].partition("\n")[0].strip() if self.end and self._is_inline else ""
        return bool(behind) and behind[0] not in "<["

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
        return bool(read_calls(self.text[: self.end], tools)) or looks_like_call(self.text)
