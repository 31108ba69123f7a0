"""Converts RTF to Markdown. striprtf reads it, after content that striprtf would lose has been rewritten.

One pass over the control words keeps track of groups. It turns fields, forms and superscripts into text, turns
paragraph ends within a cell into line breaks, and drops hidden text. Source: Microsoft's Rich Text Format 1.9.1.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from files_to_markdown.document import Draft, Part
from files_to_markdown.markup import link, merge_strikethrough
from files_to_markdown.word_parts import link_target, prompt_of

_ASIDE = re.compile(rb"\{(?:\\\*)?\\(?:footnote|(?:header|footer)[lrf]?|shp|shpinst|shptxt|pntext)(?![a-z])")
_EQUATION = re.compile(rb"\\moMath(?![A-Za-z])")
_OLD_EQUATION = re.compile(rb"\\objclass Equation")
_OBJECT = re.compile(rb"\{\\object(?![a-z])")
_DELETED = re.compile(rb"\\deleted(?![a-z0])")
_TOKEN = re.compile(rb"([{}])|\\([a-zA-Z]+)(-?[0-9]+)? ?|\\'[0-9a-fA-F]{2}|\\[^a-zA-Z]|[^{}\\\r\n]+|[\r\n]+|\\")
_SIMPLE = re.compile(rb"[\w.,+*-]+")
_CHARSET = re.compile(rb"\\(mac|pca?)(?![a-z0-9])")
_CHARSETS = {b"mac": "mac_roman", b"pc": "cp437", b"pca": "cp850"}
_FONT_PAGE = re.compile(rb"\\cpg(\d{3,5})")
_FONT = re.compile(r"(\\f\d+)([^;]*+;?)")
_LINE_END = re.compile(r"[\r\n]+")
_BOTH = re.compile(rb"\\upr\s?\{")
"""Matches text for old readers, which precedes the same text in Unicode."""
_UNICODE = re.compile(rb"\{\\\*\\ud(?![a-z])[ ]?")
_UNESCAPED = re.compile(rb"[\x80-\xff]")
_STYLED = re.compile(rb"\\cs\d")
"""Matches a character style after a star. Old readers then skip the control word, but not the text."""
_MAX_HEADER_BYTES = 1_000
_MAX_FONTS = 1_000
_ENDS = (b"par", b"line", b"cell", b"row", b"page", b"sect")
_MAX_CODES = 100
_MAX_CODE_BYTES = 4_000
"""Maximum size of one piece of a field's code."""
_SYMBOL = re.compile(r"^([ \t]*)[\uf020-\uf0ff](?=\s)", re.MULTILINE)
"""Matches a list item's bullet from a symbol font."""
_SPECIAL = re.compile(rb"([{}\\])")


@dataclass(frozen=True, slots=True)
class _State:
    sign: bytes = b""
    """The sign for a superscript (^) or subscript (_), or b""."""
    is_hidden: bool = False
    is_struck: bool = False
    is_aside: bool = False
    """Whether striprtf skips the whole group."""
    is_code: bool = False
    """Whether the group is a field's code or a form field's content."""
    closing: bytes = b""


@dataclass(slots=True)
class _Field:
    depth: int
    shown_before: int
    """The number of visible pieces of text before the field."""
    code: list[bytes] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    entries: list[bytes] = field(default_factory=list)

    def add(self, text: bytes) -> None:
        """Stores a piece of the field's code, or of an entry in a form field's list."""
        if self.entries and self.numbers.get(b"fftype") == 2:
            self.entries[-1] = self.entries[-1][:_MAX_CODE_BYTES] + text[:_MAX_CODE_BYTES]
        elif len(self.code) < _MAX_CODES:
            self.code.append(text[:_MAX_CODE_BYTES])

    def value(self) -> bytes:
        kind = self.numbers.get(b"fftype", 0)
        chosen = self.numbers.get(b"ffres", 25)
        # 25 means that the default applies.
        chosen = self.numbers.get(b"ffdefres", 0) if chosen == 25 else chosen
        if kind == 1 or b"FORMCHECKBOX" in b"".join(self.code):
            return rb"\u9746?" if chosen else rb"\u9744?"
        return self.entries[chosen] if kind == 2 and 0 <= chosen < len(self.entries) else b""


class _Rewriter:
    def __init__(self, destinations: Collection[bytes]) -> None:
        self.hidden = 0
        self.fields = 0
        """The number of fields without a saved result."""
        self._shown_count = 0
        self._destinations = destinations
        """The control words of groups that striprtf skips."""
        self._states = [_State()]
        self._fields: list[_Field] = []
        self._is_cell = False
        self._last_text = b""
        self._is_mark_open = False
        self._has_begun = False
        """Whether the last token began a group. Only there does a star mean that old readers skip the group."""

    def rewrite(self, content: bytes) -> Iterator[bytes]:
        at = 0
        while (found := _TOKEN.match(content, at)) is not None:
            at = found.end()
            brace, word, number = found.groups()
            state = self._states[-1]
            if not state.is_aside and (not state.is_struck or word in _ENDS or (brace == b"}" and state.closing)):
                yield self._end_strikethrough()
            begins, self._has_begun = self._has_begun, brace == b"{"
            is_kept = begins and not _STYLED.match(content, at)
            if found[0] == b"\\*" and not is_kept and not content.startswith(b"\\deleted", at):
                continue
            if brace == b"{":
                self._states.append(replace(self._states[-1], closing=b""))
                yield brace
            elif brace:
                yield from self._end_group()
            elif word == b"bin":
                # This many bytes of binary data follow.
                at += max(0, int(number or 0)) if len(number or b"") < 9 else len(content)
            elif word:
                yield from self._rewrite_word(found[0], word, int(number) if number and len(number) < 9 else None)
            else:
                yield from self._rewrite_text(found[0])

    def _end_strikethrough(self) -> bytes:
        was_open, self._is_mark_open = self._is_mark_open, False
        return b"~~" if was_open else b""

    def _begin_strikethrough(self) -> bytes:
        """Returns the mark that begins strikethrough, if the next text needs one."""
        state = self._states[-1]
        if not state.is_struck or state.is_aside or state.is_code or self._is_mark_open:
            return b""
        self._is_mark_open = True
        return b"~~"

    def _end_group(self) -> Iterator[bytes]:
        state = self._states.pop() if len(self._states) > 1 else self._states[0]
        yield state.closing
        yield b"}"
        if self._fields and len(self._states) < self._fields[-1].depth:
            yield self._end_field(self._fields.pop())
        elif self._fields and state.is_code and not self._states[-1].is_code:
            yield self._fields[-1].value()

    def _end_field(self, field: _Field) -> bytes:
        """Returns the words for a field without a result. If they are unknown, counts the field and returns b""."""
        state = self._states[-1]
        code = b"".join(field.code).decode("latin-1")
        if (
            field.shown_before < self._shown_count
            or field.numbers
            or state.is_hidden
            or state.is_aside
            or link_target(code)
        ):
            return b""
        words = prompt_of(code)
        self.fields += words is None
        return (words or "").encode("latin-1")

    def _rewrite_word(self, token: bytes, word: bytes, number: int | None) -> Iterator[bytes]:
        state = self._states[-1]
        if word == b"field":
            self._fields.append(_Field(len(self._states), self._shown_count))
        elif word == b"fldinst":
            self._states[-1] = replace(state, is_code=True)
        elif word == b"fldrslt" and self._fields:
            yield token
            yield from self._begin_result(state, self._fields[-1])
            return
        elif state.is_code and self._fields and word.startswith(b"ff"):
            self._fields[-1].numbers[word] = number or 0
            if word == b"ffl":
                self._fields[-1].entries.append(b"")
        elif word in (b"par", b"line") and self._is_cell:
            token = b"{<br>}"
        elif word in (b"intbl", b"pard"):
            self._is_cell = word == b"intbl"
        elif word == b"u":
            self._last_text = b"a"
            self._shown_count += 1
            yield self._begin_strikethrough()
        else:
            self._states[-1] = _apply_word(state, word, number)
            self.hidden += self._states[-1].is_hidden and not state.is_hidden
            if word in self._destinations:
                self._states[-1] = replace(state, is_aside=True)
        yield token

    def _begin_result(self, state: _State, field: _Field) -> Iterator[bytes]:
        url, place = link_target(b"".join(field.code).decode("latin-1").replace("\\\\", "\\")) or ("", "")
        if link("x", url) != "x":
            target = f"{url}{'#' if place else ''}{place}".encode("latin-1")
            self._states[-1] = replace(state, closing=b"](" + _SPECIAL.sub(rb"\\\1", target) + b")")
            yield self._end_strikethrough() + b"["

    def _rewrite_text(self, text: bytes) -> Iterator[bytes]:
        state = self._states[-1]
        if state.is_code and self._fields:
            self._fields[-1].add(text)
            return
        if state.is_hidden:
            return
        if state.sign and self._last_text[-1:].isalnum() and not text.startswith((b"[", b"\\", b"\r", b"\n", b" ")):
            text = state.sign + (text if _SIMPLE.fullmatch(text) else b"(" + text + b")")
        if text.strip(b"\r\n") and (text[:1] != b"\\" or text[1:2] == b"'"):
            self._last_text = text
        self._shown_count += not state.is_aside and text.strip() not in (b"", b"\\*")
        if text == b"\\*":
            self._states[-1] = replace(state, is_aside=True)
        elif text.strip():
            yield self._begin_strikethrough()
        yield text


def _apply_word(state: _State, word: bytes, number: int | None) -> _State:
    if word in (b"super", b"sub"):
        return replace(state, sign=b"" if number == 0 else {b"super": b"^", b"sub": b"_"}[word])
    if word in (b"up", b"dn"):
        return replace(state, sign=b"" if number == 0 else {b"up": b"^", b"dn": b"_"}[word])
    if word in (b"nosupersub", b"plain"):
        is_kept = word != b"plain"
        return replace(state, sign=b"", is_hidden=state.is_hidden and is_kept, is_struck=state.is_struck and is_kept)
    if word in (b"strike", b"striked"):
        return replace(state, is_struck=number != 0)
    return replace(state, is_hidden=number != 0) if word == b"v" else state


def read_rtf(content: bytes, draft: Draft) -> None:
    """Adds an rtf file to a draft. Bars separate the cells of a table row."""
    from striprtf.striprtf import charset_map, destinations, font_table_group, rtf_to_text

    # striprtf would drop footnotes, headers, footers and text boxes, so they become plain groups. Tracked deletions
    # become groups that it drops.
    readable = _UNICODE.sub(rb"{\\plain ", _BOTH.sub(rb"{\\*\\upra ", _ASIDE.sub(rb"{\\plain ", content)))
    readable, deletions = _DELETED.subn(rb"\\*\\deleted", readable)
    rewriter = _Rewriter(frozenset(map(str.encode, destinations)))
    readable = b"".join(rewriter.rewrite(readable))
    # RTF is ASCII, with other characters escaped in the charset that the file declares by number (charsets.py).
    named = _CHARSET.search(content[:_MAX_HEADER_BYTES])
    charset = _CHARSETS[named[1]] if named else "cp1252"
    readable = _UNESCAPED.sub(lambda byte: b"\\'%02x" % ord(byte[0]), readable)
    fonts = {page: number for number, page in charset_map.items()}
    readable = _FONT_PAGE.sub(
        lambda found: b"\\fcharset%d" % fonts.get(f"cp{found[1].decode()}", 0), readable, count=_MAX_FONTS
    )
    rtf = readable.decode("latin-1")
    fonts_said: str = font_table_group(rtf)  # type: ignore[no-untyped-call]
    rtf = rtf.replace(fonts_said, _without_unset_charsets(fonts_said), 1)
    text = rtf_to_text(rtf, charset, "replace")  # type: ignore[no-untyped-call]
    # It writes an emoji as the two halves of its escape.
    draft.add(merge_strikethrough(_SYMBOL.sub(r"\1•", _join_halves(text).replace("\u00ad", ""))))
    draft.record_left_out(Part.COMMENT, count=content.count(b"{\\*\\annotation"))
    draft.record_left_out(Part.DELETION, count=deletions)
    draft.record_left_out(Part.HIDDEN_TEXT, count=rewriter.hidden)
    draft.record_left_out(Part.FIELD, count=rewriter.fields)
    # Newer programs write a text box twice, for programs from before 1997.
    draft.record_left_out(Part.TEXT_BOX, count=max(0, content.count(b"\\dptxbxtext") - content.count(b"\\shptxt")))
    equations = len(_OLD_EQUATION.findall(content))
    draft.record_left_out(Part.EQUATION, count=len(_EQUATION.findall(content)) + equations)
    objects = len(_OBJECT.findall(content))
    draft.record_left_out(Part.ATTACHMENT, count=max(0, objects - equations))
    # Word writes a picture twice, once for old readers, and an object includes one for readers that can't open it.
    pictures = content.count(b"{\\pict") - content.count(b"{\\nonshppict") - content.count(b"{\\result")
    draft.record_left_out(Part.PICTURE, count=max(0, pictures))


def _without_unset_charsets(fonts: str) -> str:
    """Removes fonts without a charset. They use the file's charset, but striprtf would use the next font's."""
    return _FONT.sub(lambda found: found[0] if "\\fcharset" in found[2] else found[2], _LINE_END.sub("", fonts))


def _join_halves(text: str) -> str:
    """Joins adjacent halves of surrogate pairs and replaces lone halves with U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
