"""The files of a conversation: in what order they count, and how what was found in them joins its messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from bot.core.conversation import File, Media
from bot.core.inbound.files import Opened, label
from bot.core.inbound.prompt import Spoken, Tokens, ends


def files_in(said: Sequence[Spoken]) -> list[File]:
    """The question's files, then those of the messages before it, newest first."""
    return [file for each in reversed(said) for file in each.files]


def not_told_yet(said: Sequence[Spoken]) -> Iterator[str]:
    """Ids of the files that came after our last answer: that one named the others."""
    for each in reversed(said):
        if each.speaker is None:
            return
        yield from (file.id for file in each.files)


def shortened(opened: Mapping[str, Opened], tokens: Tokens, limit_tokens: int) -> dict[str, Opened]:
    """With text that takes, by estimate, no more than so many tokens in all; the first count before the others."""
    short: dict[str, Opened] = {}
    for file_id, each in opened.items():
        if isinstance(each.read, str):
            size = tokens(each.read)
            if size > limit_tokens:
                chars = len(each.read) * max(0, limit_tokens) // size
                each, size = replace(each, read=ends(each.read, chars), cut=True), limit_tokens
            limit_tokens -= size
        short[file_id] = each
    return short


def attached(said: Sequence[Spoken], opened: Mapping[str, Opened]) -> list[Spoken]:
    """Each message with what its files hold; one that is shared again is shown where it came last."""
    joined: list[Spoken] = []
    shown: set[str] = set()
    for each in reversed(said):
        new = [opened[file.id] for file in each.files if file.id not in shown]
        shown |= {file.id for file in each.files}
        text = "\n\n".join([each.text, *map(label, new)]).strip()
        media = tuple(found.read for found in new if isinstance(found.read, Media))
        joined.append(replace(each, text=text, media=media))
    return joined[::-1]
