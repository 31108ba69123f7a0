"""A text's inline marks, by CommonMark's rules: what to change in it before Slack reads it, and what is still open.

https://spec.commonmark.org/0.31.2/#inlines, with GitHub's `~~`.
"""

import re
import unicodedata
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.core.reply.markdown import emphasis, escaping
from bot.core.reply.markdown.escaping import Edit
from bot.core.reply.markdown.links import bare, misleads

LABEL_CHARS = 120
"""A `[` waits for its end for so long; after that it is shown as it is."""
READ_CHARS = 1_000
"""A longer label is no link's."""
NESTED = 100
"""So many open marks are looked back at."""

_SPECIAL = re.compile(r"\\|`+|\*+|_+|~+|!\[|\[|\]|<")
_TICKS = re.compile(r"`+")
_AUTOLINK = re.compile(r"<(https?://[^\s<>|]*)>", re.IGNORECASE)
_OTHER_AUTOLINK = re.compile(r"<(?:[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*|([\w.+-]+@[\w.-]+))>")
_BEGUN_AUTOLINK = re.compile(r"<(?:h|ht|htt|https?|https?:[^\s<>|]*)?$", re.IGNORECASE)
_ADDRESS_BEGUN = re.compile(r"\]\(\s*$")
_BEGUN_ENTITY = re.compile(r"(?:&#?\w{0,8}|(?<!\S)!)$")
_REFERENCE = re.compile(r"\[([^\[\]\\]*(?:\\.[^\[\]\\]*)*)\]")
_TITLE = re.compile(r"""\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))""", re.DOTALL)
_POINTED = re.compile(r"<((?:[^<>\\\n]|\\.)*)>")
_ADDRESS = re.compile(r"(?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*\))*")
"""With balanced parentheses, in three levels."""
_UNSENT = re.compile(r"<|&#?\w+;")
"""Slack decodes nothing in a link's address."""
_DEFINED = re.compile(r"\]:\s*(<([^<>\s]+)>)")
_SPACED = re.compile(r"\s")
_SPACE = re.compile(r"\s*")


Addresses = Mapping[str, Sequence[str]]
"""What reference labels stand for, by their keys: all that they may, where more than one definition is seen."""


class Run(NamedTuple):
    """Delimiters that may still open something: `left` are left of `size`; `below` are those before them."""

    mark: str
    start: int
    size: int
    left: int
    closes: bool
    below: "Run | None"


class Bracket(NamedTuple):
    start: int
    image: bool
    run: Run | None
    """The last one before it."""
    edits: int


@dataclass(slots=True)
class Inline:
    """What to do with a text."""

    edits: list[Edit] = field(default_factory=list)
    code: list[tuple[int, int]] = field(default_factory=list)
    """Where its code spans begin and end."""
    cut: int = -1
    """What follows is held back."""
    closing: str = ""
    """What closes the marks that are open at the cut."""


def scan(text: str, addresses: Addresses, *, growing: bool, start: int = 0) -> Inline:
    """`growing`: more may come, so that open marks are closed; `start`: what is before is no text."""
    return _Scan(text, addresses, growing).run(start)


def applied(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """A part of the text, changed."""
    parts = []
    for edit in edits:
        parts += [text[start : edit.start], edit.text]
        start = edit.end
    return "".join([*parts, text[start:end]])


def label_key(label: str) -> str:
    """Reference labels are compared without case, and with single spaces."""
    return " ".join(label.split()).casefold()


class _Scan:
    def __init__(self, text: str, addresses: Addresses, growing: bool) -> None:
        self.text = text
        self.addresses = addresses
        self.growing = growing
        self.last_run: Run | None = None
        self.brackets: list[Bracket] = []
        self.linked = 0
        """So many of the brackets are around a link, which no link can hold."""
        self.images: list[Edit] = []
        """None of them within another, in order."""
        self.found = Inline()

    def run(self, position: int) -> Inline:
        for address in _DEFINED.finditer(self.text, 0, position):
            self.found.edits.append(Edit(*address.span(1), bare(address[2])))
        while self.found.cut < 0 and (special := _SPECIAL.search(self.text, position)):
            position = self._special(special)
        if self.growing:
            self._close()
        end = self.found.cut if self.growing else len(self.text)
        harmless = [edit for edit in escaping.in_text(self.text, self.found.code, self.found.edits) if edit.end <= end]
        edits = [edit._replace(text=edit.text.replace("<", "&lt;")) for edit in self.found.edits]
        self.found.edits = sorted([*edits, *harmless])
        return self.found

    def _special(self, special: re.Match[str]) -> int:
        """Deals with one mark; returns where to go on."""
        match special[0][0]:
            case "\\":
                return self._escape(special.start())
            case "`":
                return self._code(special)
            case "*" | "_" | "~":
                return self._delimiters(special)
            case "[" | "!":
                bracket = Bracket(special.start(), special[0] == "![", self.last_run, len(self.found.edits))
                self.brackets.append(bracket)
                return special.end()
            case "]":
                return self._bracket_end(special.start())
        return self._angle(special.start())

    def _escape(self, start: int) -> int:
        if self.growing and start + 1 == len(self.text):
            self.found.cut = start
        return start + 2

    def _code(self, opening: re.Match[str]) -> int:
        ticks = opening[0]
        for closing in _TICKS.finditer(self.text, opening.end()):
            if closing[0] == ticks:
                self.found.code.append((opening.start(), closing.end()))
                return closing.end()
        if self.growing:
            end = len(self.text.rstrip("` \t\n"))
            begun = bool(self.text[opening.end() : end].strip())
            self.found.code += [(opening.start(), end)] * begun
            self.found.cut, self.found.closing = (end, ticks) if begun else (opening.start(), "")
        return opening.end()

    def _delimiters(self, found: re.Match[str]) -> int:
        start, end = found.span()
        if self.growing and end == len(self.text):
            self.found.cut = start
            return end
        mark, size = found[0][0], end - start
        opens, closes = self._flanks(start, end, mark)
        count = size - size % 2 if mark == "~" else size
        run = Run(mark, start, size, count, closes, None)
        if closes:
            run = self._matched(run, opens)
        if opens and run.left:
            self.last_run = run._replace(below=self.last_run)
        return end

    def _flanks(self, start: int, end: int, mark: str) -> tuple[bool, bool]:
        """Whether delimiters can open, and close, emphasis there. Those beside a CJK letter get a space."""
        before = self.text[start - 1] if start else " "
        after = self.text[end] if end < len(self.text) else " "
        left = not after.isspace() and (not _punctuation(after) or _apart(before))
        right = not before.isspace() and (not _punctuation(before) or _apart(after))
        if mark != "_":
            return left, right
        return left and (not right or _punctuation(before)), right and (not left or _punctuation(after))

    def _matched(self, run: Run, opens: bool) -> Run:
        """Closes what the run can close; returns what is left of it."""
        opener, looked_at = self.last_run, 0
        while opener and run.left and looked_at < NESTED:
            looked_at += 1
            if opener.mark != run.mark or _odd_match(opener, run, opens):
                opener = opener.below
                continue
            used = 2 if min(opener.left, run.left) >= 2 else 1
            run = run._replace(left=run.left - used)
            rest = opener._replace(left=opener.left - used)
            self._separate(opener, run)
            opener = self.last_run = rest if rest.left else rest.below
        return run

    def _separate(self, opener: Run, closer: Run) -> None:
        """Slack reads no emphasis directly beside a CJK letter, nor where it begins or ends with a bare address."""
        start, end, last = opener.start, opener.start + opener.size, closer.start + closer.size
        if opener.mark != "*":
            return
        if closer.size == opener.size and (
            emphasis.begins_address(self.text, end) or emphasis.last_address(self.text, closer.start)
        ):
            self.found.edits += [Edit(start, end, ""), Edit(closer.start, last, "")]
            return
        self._space(start, self.text[max(0, start - 1) : start])
        self._space(last, self.text[last : last + 1])

    def _space(self, at: int, beside: str) -> None:
        space = Edit(at, at, emphasis.HAIR_SPACE)
        if emphasis.CJK.match(beside) and space not in self.found.edits[-8:]:
            self.found.edits.append(space)

    def _angle(self, start: int) -> int:
        if _ADDRESS_BEGUN.search(self.text, max(0, start - 10), start):
            return start + 1
        if found := _AUTOLINK.match(self.text, start):
            self.found.edits.append(Edit(*found.span(), self._apart(found, bare(found[1]))))
            return found.end()
        if found := _OTHER_AUTOLINK.match(self.text, start):
            if found[1]:
                self.found.edits.append(Edit(*found.span(), self._apart(found, found[1])))
            return found.end()
        if self.growing and _BEGUN_AUTOLINK.match(self.text, start):
            self.found.cut = start
        return start + 1

    def _apart(self, found: re.Match[str], address: str) -> str:
        """An address in `<…>` is shown bare, as Slack makes a link of it, and apart from what stands beside it."""
        before, after = self.text[max(0, found.start() - 1) : found.start()], self.text[found.end() : found.end() + 1]
        beside = after.isalnum() or (after and after in "/_-<@&")
        return " " * before.isalnum() + address + " " * bool(beside)

    def _bracket_end(self, end: int) -> int:
        if not self.brackets:
            return end + 1
        bracket, around_link = self.brackets.pop(), len(self.brackets) < self.linked
        self.linked = min(self.linked, len(self.brackets))
        if around_link and not bracket.image:
            return end + 1
        after, addresses = self._target(bracket, end)
        if after < 0:
            self.found.cut = bracket.start
            self.last_run = bracket.run
            self.brackets.append(bracket)
        elif addresses:
            self._link(bracket, end, after, addresses)
        elif bracket.image and self.addresses:
            # It may stand for something all the same: definitions have more forms than are looked for.
            self.found.edits.append(Edit(bracket.start, bracket.start, "\\"))
        return after if after > 0 else end + 1

    def _target(self, bracket: Bracket, end: int) -> tuple[int, Sequence[str]]:
        """Where a link's target ends, and its address, or those that it may have; (-1, ()) if more must come first."""
        following = self.text[end + 1 : end + 2]
        if not following and self.growing:
            return -1, ()
        if following == "(":
            after, address = _destination(self.text, end + 1)
            if address is not None:
                return after, (address,)
            if after < 0 and self.growing:
                return -1, ()
        label = self.text[bracket.start + 1 + bracket.image : end]
        if following == "[":
            reference = _REFERENCE.match(self.text, end + 1)
            if reference is None and self.growing and self.text.find("]", end + 1) < 0:
                return -1, ()
            if reference and (known := self.addresses.get(label_key(reference[1] or label))):
                return reference.end(), known
        return end + 1, self.addresses.get(label_key(label), ())

    def _link(self, bracket: Bracket, end: int, after: int, addresses: Sequence[str]) -> None:
        label_start = bracket.start + 1 + bracket.image
        label = self.text[label_start:end]
        inner = bisect(self.images, bracket.start, key=lambda image: image.start)
        images = self.images[inner:]
        said = applied(self.text, images, label_start, end)
        # What an image stands for may end the word before it, or go on with it.
        apart = [image._replace(text=f" {image.text} ") for image in images]
        words = f"{said} {applied(self.text, apart, label_start, end)}" if images else said
        misleading = len(words) > READ_CHARS or misleads(words, *addresses)
        if misleading:
            self.found.edits += self._told(bracket, end, after, addresses[0])
        elif bracket.image and not label.strip():
            self.found.edits.append(Edit(bracket.start, after, bare(addresses[0])))
        elif bracket.image:
            self.found.edits.append(self._unimaged(bracket.start))
        elif images:
            # An image in a link's label is shown by its own label: links can't hold links.
            self.found.edits[bracket.edits :] = [*images, *self._outside(images, bracket.edits)]
        if said.strip() and not misleading and self._has_own_address(end) and _UNSENT.search(self.text, end + 1, after):
            self.found.edits.append(Edit(end + 1, after, f"({bare(addresses[0])})"))
        if bracket.image:
            self.images[inner:] = [Edit(bracket.start, after, said.strip() or "image")]
        elif not misleading and self._has_own_address(end):
            self.linked = len(self.brackets)
        if not misleading:
            self.last_run = bracket.run

    def _outside(self, images: list[Edit], since: int) -> list[Edit]:
        return [
            edit for edit in self.found.edits[since:] if not any(each.start <= edit.start < each.end for each in images)
        ]

    def _unimaged(self, mark: int) -> Edit:
        """Takes the `!` away that makes a link an image; what stands before must not go with the link then."""
        if mark and self.text[mark - 1] == "]":
            return Edit(mark, mark + 1, " ")
        before = self.text[:mark]
        if before.endswith("!") and (len(before) - len(before[:-1].rstrip("\\"))) % 2:
            return Edit(mark - 1, mark + 1, "\\!")
        return Edit(mark, mark + 1, "")

    def _told(self, bracket: Bracket, end: int, after: int, address: str) -> list[Edit]:
        """Instead of a link whose label is another address: the label, and where it would have led."""
        if not self._has_own_address(end):
            return [Edit(at, at, "\\") for at in (bracket.start + bracket.image, end)]
        return [Edit(bracket.start, bracket.start + 1 + bracket.image, ""), Edit(end, after, f" ({bare(address)})")]

    def _has_own_address(self, end: int) -> bool:
        """Other links are such only if their label was defined."""
        return self.text.startswith("(", end + 1)

    def _close(self) -> None:
        """Holds back what is half there, and closes the rest."""
        text = self.text
        cut = len(text) if self.found.cut < 0 else self.found.cut
        begun = [each for at, each in enumerate(self.brackets) if each.image or at >= self.linked]
        waiting = next((each for each in begun if cut - each.start <= LABEL_CHARS), None)
        if waiting:
            cut, self.last_run, self.found.closing = waiting.start, waiting.run, ""
        elif entity := _BEGUN_ENTITY.search(text, 0, cut):
            cut = cut if self.found.closing else entity.start()
        run = self.last_run
        if run and run.mark == "*" and not self.found.closing:
            cut = emphasis.last_address(text, cut, begun=True) or cut
        cut = len(text[:cut].rstrip())
        while run and not self.found.closing and run.start + run.size >= cut:
            cut = len(text[: run.start].rstrip())
            run = run.below
        self.found.cut = cut
        while run:
            self._close_for_show(run)
            run = run.below
        self.found.edits = [edit for edit in self.found.edits if edit.end <= cut]

    def _close_for_show(self, run: Run) -> None:
        if run.mark == "*" and emphasis.begins_address(self.text, run.start + run.size):
            self.found.edits.append(Edit(run.start, run.start + run.size, ""))
            return
        self.found.closing += run.mark * run.left
        if run.mark == "*":
            self._space(run.start, self.text[max(0, run.start - 1) : run.start])


def _odd_match(opener: Run, closer: Run, opens: bool) -> bool:
    """CommonMark's rule of three."""
    if opener.mark == "~" or not (opener.closes or opens):
        return False
    return (opener.size + closer.size) % 3 == 0 and bool(opener.size % 3 or closer.size % 3)


def _apart(character: str) -> bool:
    """Emphasis may begin after it, and end before it, whatever it begins or ends with."""
    return character.isspace() or _punctuation(character) or bool(emphasis.CJK.match(character))


def _punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _destination(text: str, start: int) -> tuple[int, str | None]:
    """The end of `(address "title")` and the address; (-1, None) where it only has no end yet."""
    at = _after_space(text, start + 1)
    if pointed := _POINTED.match(text, at):
        at, address = pointed.end(), pointed[1]
    elif text.startswith("<", at):
        return (-1 if "\n" not in text[at:] and ">" not in text[at:] else 0), None
    else:
        found = _ADDRESS.match(text, at)
        at, address = found.end() if found else at, found[0] if found else ""
        if at == len(text) or (text[at] == "(" and not _SPACED.search(text, at)):
            return -1, None
    if title := _TITLE.match(text, at):
        at = title.end()
    at = _after_space(text, at)
    if text.startswith(")", at):
        return at + 1, address
    return (-1 if at == len(text) or _title_begun(text, at) else 0), None


def _title_begun(text: str, at: int) -> bool:
    return text[at] in "\"'(" and text[at - 1].isspace() and _TITLE.match(text, at - 1) is None


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
