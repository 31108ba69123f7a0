"""A page's Markdown as Slack's `markdown` block takes it: nothing that Slack acts on, no marks that are still open."""

import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from bot.core.reply.markdown import block_parser, escaping, inline_parser, oversize
from bot.core.reply.markdown.block_parser import DEFINING, BlockKind, Leaf, Leaves, SourceLine, unsure
from bot.core.reply.markdown.emphasis import CJK
from bot.core.reply.markdown.escaping import Edit

_UNSHOWN = re.compile(r"\r(?=\n)|[\u202d\u202e]")
"""Nothing to see, though it would make a label read backwards: what looks like one address then is another."""
_CHANGED = re.compile(r"<|\]\(|\]\[|!\[|\]:|\*https?:|://[^\s*]*\*", re.IGNORECASE)
_BESIDE = re.compile(rf"\*{CJK.pattern}|{CJK.pattern}\*")
_DEFINITION = re.compile(r"\[((?:[^\[\]\\]|\\.)+)\]:\s*(?:<([^<>\n]*)>|(\S+))", re.DOTALL)
_TASK_BEGUN = re.compile(r"\[[ xX]?\]?$")
_ROW_BEGUN = re.compile(r"[|: \t-]*$")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """What reference labels may stand for; the same object for the same definitions, that it is quick to compare."""

    addresses: inline_parser.Addresses


NO_LABELS = Labels({})


def sent_chars(markdown: str) -> int:
    """How long a page's source is at most once it is sent, but for what closes open marks."""
    escaped = 3 * markdown.count("<") + 4 * markdown.count("&") + 3 * markdown.count("@")
    return len(markdown) + escaped + markdown.count("*")


def rendered(markdown: str, *, growing: bool) -> str:
    """What goes into the block.

    Images are links; a link with another address for its label is text that shows both. `growing`: more may come, so
    marks that are open are closed for show, and what may still become something else is held back.
    """
    markdown = _UNSHOWN.sub("", markdown)
    labels = _defined(markdown)
    *settled, last = _stretches(markdown)
    parts, fence = [], ""
    for stretch in settled:
        text, fence = _settled(stretch, fence, labels)
        parts.append(text)
    text, closing = _last(last, fence, labels, growing=growing)
    return "".join([*parts, text]).rstrip() + closing


def _stretches(markdown: str) -> list[str]:
    """Parts whose blocks are their own, but for a fence: each begins at the margin, after an empty line."""
    found: list[str] = []
    for part in markdown.split("\n\n"):
        if found and (not part or part[0].isspace()):
            found[-1] += f"\n\n{part}"
        else:
            if found:
                found[-1] += "\n\n"
            found.append(part)
    return found


@lru_cache(maxsize=1024)
def _settled(stretch: str, fence: str, labels: Labels) -> tuple[str, str]:
    """A stretch that others follow, and the fence that is open after it; `fence` is open before it."""
    found = block_parser.scan(stretch, partial=False, fence=fence)
    # One in a list or a quote ends with that.
    at_margin = found.open is not None and found.open.closing == found.open.fence
    still_open = found.open.fence if found.open and at_margin else ""
    return inline_parser.applied(stretch, _finished(stretch, found.leaves, labels)), still_open


def _last(stretch: str, fence: str, labels: Labels, *, growing: bool, following: str | None = None) -> tuple[str, str]:
    """The stretch that may go on, and what closes it for show; `following`: lines that are held back behind it."""
    partial = growing and not stretch.endswith("\n")
    found = block_parser.scan(stretch, partial=partial, fence=fence)
    # A line is held back for what the next one says; once that has begun as something else, it is not.
    known = following is not None and not _ROW_BEGUN.match(following.strip())
    held = _held(stretch, found, partial=partial, known=known) if growing else None
    if held is not None:
        following = stretch[held:]
        return (
            _last(stretch[:held], fence, labels, growing=True, following=following)
            if held
            else ("", fence and f"\n{fence}")
        )
    edits = _finished(stretch, found.leaves, labels)
    end, closing = len(stretch), _fence_end(found.open)
    if last := _last_text(stretch, found, partial=partial) if growing else None:
        text = _text(stretch, last) + "\n" * (not partial)
        start = block_parser.definitions_end(text) if found.leaves[-1].kind is BlockKind.TEXT else 0
        growth = inline_parser.scan(text, labels.addresses, growing=True, start=start)
        end, closing = _places(last, [growth.cut])[0], growth.closing
        lines = found.leaves[-1].lines
        line = next(each for each in reversed(lines) if each.content <= end or each is lines[0])
        if end < last[-1].end and unsure(stretch[line.content : end]):
            if following is not None:
                return _last(stretch, fence, labels, growing=False)
            return _last(stretch[: line.start], fence, labels, growing=True, following=stretch[line.start :])
        edits = [edit for edit in edits if edit.start < last[0].content] + _placed(last, growth.edits)
        wrapped = oversize.wrapped(stretch, found.leaves[-1])
        if wrapped and wrapped.opening.end < end:
            edits, closing = sorted([*edits, wrapped.opening]), closing + wrapped.closing.text
    return inline_parser.applied(stretch[:end].rstrip(), edits), closing


def _held(markdown: str, found: Leaves, *, partial: bool, known: bool) -> int | None:
    """Where the lines begin that are not shown yet, because the next ones say what they are."""
    leaf = found.open
    if found.unsure is not None or leaf is None:
        return found.unsure
    last = leaf.lines[-1]
    words = markdown[last.content : last.end].strip()
    if leaf.kind is BlockKind.FENCE:
        return None if markdown[leaf.lines[0].end :].strip() else leaf.lines[0].start
    if leaf.kind is not BlockKind.TEXT:
        return None
    before = leaf.lines[-2] if len(leaf.lines) > 1 else None
    if words.startswith("|") and not known:
        return last.start
    if partial and before and markdown.startswith("|", before.content) and _ROW_BEGUN.match(words):
        return before.start
    if partial and DEFINING.match(words) and (before is None or DEFINING.match(markdown, before.content, before.end)):
        return last.start
    return last.start if partial and last.content > last.start and _TASK_BEGUN.match(words) else None


def _last_text(markdown: str, found: Leaves, *, partial: bool) -> list[SourceLine] | None:
    """The lines of the text that grows: a paragraph, a heading, a table's last cell."""
    leaf = found.leaves[-1] if found.leaves else None
    if leaf is None or (leaf is not found.open and not (partial and leaf.lines[-1].end == len(markdown))):
        return None
    line = leaf.lines[-1]
    if leaf.kind is BlockKind.TABLE and oversize.wrapped(markdown, leaf):
        return None
    if leaf.kind is BlockKind.TABLE and partial:
        cells = [cell.end() for cell in _CELL.finditer(markdown, line.content, line.end)]
        return [SourceLine(line.start, cells[-1] if cells else line.content, line.end)]
    return leaf.lines if leaf.kind in (BlockKind.TEXT, BlockKind.HEADING) else None


def _fence_end(leaf: Leaf | None) -> str:
    return f"\n{leaf.closing}" if leaf and leaf.kind is BlockKind.FENCE else ""


def _defined(markdown: str) -> Labels:
    """What looks like a definition need not be one."""
    if "]:" not in markdown:
        return NO_LABELS
    return _labels(tuple((each[1], each[2] or each[3]) for each in _DEFINITION.finditer(markdown)))


@lru_cache(maxsize=256)
def _labels(definitions: tuple[tuple[str, str], ...]) -> Labels:
    found: dict[str, list[str]] = {}
    for label, address in dict.fromkeys(definitions):
        found.setdefault(inline_parser.label_key(label), []).append(address)
    return Labels(found)


def _finished(markdown: str, found: Iterable[Leaf], labels: Labels) -> list[Edit]:
    """What to change in texts and code as they stand."""
    changes = _changes(markdown)
    edits: list[Edit] = []
    for leaf in found:
        wrapped = oversize.wrapped(markdown, leaf)
        edits += [wrapped.opening, wrapped.closing] if wrapped else []
        if leaf.kind in (BlockKind.CODE, BlockKind.FENCE) or (leaf.kind is BlockKind.TABLE and wrapped):
            edits += escaping.in_code(markdown, leaf.lines[0].start, leaf.lines[-1].end) if changes else ()
            continue
        rows = [[line] for line in leaf.lines] if leaf.kind is BlockKind.TABLE else [leaf.lines]
        for lines in rows if changes else []:
            text = _text(markdown, lines)
            if _changes(text) or (labels.addresses and "[" in text):
                start = block_parser.definitions_end(text) if leaf.kind is BlockKind.TEXT else 0
                edits += _placed(lines, _edits(text, start, labels))
    return sorted(edits)


def _changes(text: str) -> bool:
    """Whether something in a text may have to be sent otherwise than it stands."""
    return bool(_CHANGED.search(text)) or (not text.isascii() and bool(_BESIDE.search(text)))


@lru_cache(maxsize=512)
def _edits(text: str, start: int, labels: Labels) -> tuple[Edit, ...]:
    return tuple(inline_parser.scan(text, labels.addresses, growing=False, start=start).edits)


def _text(markdown: str, lines: Iterable[SourceLine]) -> str:
    return "\n".join([markdown[line.content : line.end] for line in lines])


def _places(lines: Sequence[SourceLine], offsets: Iterable[int]) -> list[int]:
    """Where offsets in the text of lines are on the page."""
    begins = list(accumulate((line.end - line.content + 1 for line in lines[:-1]), initial=0))
    found = ((bisect(begins, offset) - 1, offset) for offset in offsets)
    return [min(lines[at].content + offset - begins[at], lines[at].end) for at, offset in found]


def _placed(lines: Sequence[SourceLine], edits: Iterable[Edit]) -> list[Edit]:
    edits = list(edits)
    starts, ends = _places(lines, [edit.start for edit in edits]), _places(lines, [edit.end for edit in edits])
    return [Edit(start, end, edit.text) for start, end, edit in zip(starts, ends, edits, strict=True)]
