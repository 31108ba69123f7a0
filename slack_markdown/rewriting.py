"""Maps positions in a block's rewritten text to its source."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from slack_markdown.escaping import Replacement, with_replacements


class Rewriting(NamedTuple):
    text: str
    replacements: Sequence[Replacement]
    undecided: int
    """The offset in the source after which later text can change the result, or the source's length if it can't."""
    is_open: bool
    """Whether a construct is open at the end and changes how later text is parsed."""

    def compose(self, replacements: Sequence[Replacement]) -> list[Replacement]:
        """Maps replacements in the rewritten text to the source, and merges them with the replacements that rewrote
        it."""
        return list(_compose(self, replacements)) if self.replacements else list(replacements)

    @property
    def decided_text(self) -> str:
        growth = sum(_growth(replacement) for replacement in self.replacements if replacement.end <= self.undecided)
        return self.text[: self.undecided + growth]

    def source_offset(self, offset: int) -> int:
        """Returns the source offset for an offset in the rewritten text, or a replacement's start for an offset within
        it."""
        shift = 0
        for replacement in self.replacements:
            start = replacement.start + shift
            if offset <= start:
                break
            if offset < start + len(replacement.text):
                return replacement.start
            shift += _growth(replacement)
        return offset - shift


def _growth(replacement: Replacement) -> int:
    return len(replacement.text) - (replacement.end - replacement.start)


def _compose(first: Rewriting, second: Sequence[Replacement]) -> Iterator[Replacement]:
    """Yields the combined replacements of two passes, merging overlapping ones."""
    parts: list[tuple[int, int, Replacement | None, int]] = [(one.start, one.end, one, 0) for one in second]
    shift = 0
    for one in first.replacements:
        parts.append((one.start + shift, one.start + shift + len(one.text), None, _growth(one)))
        shift += _growth(one)
    # An insertion comes before a replacement at the same position.
    parts.sort(key=lambda part: part[:2])
    at = shift = 0
    while at < len(parts):
        start, end = parts[at][:2]
        source_start, inner = start - shift, []
        while at < len(parts) and (parts[at][0] < end or parts[at][:2] == (start, end)):
            _, part_end, replacement, growth = parts[at]
            end, shift, at = max(end, part_end), shift + growth, at + 1
            inner += [replacement] if replacement else []
        yield Replacement(source_start, end - shift, with_replacements(first.text, inner, start, end))
