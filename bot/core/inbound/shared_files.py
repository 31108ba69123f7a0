"""The files of a conversation: which of them count first, and how their content joins the messages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from bot.core.conversation import File, Media
from bot.core.documents import Document
from bot.core.inbound.files import (
    MAX_FILES,
    OpenedFile,
    Transcript,
    Unread,
    document_label,
    file_label,
    linked_canvases,
    not_shown,
)
from bot.core.inbound.marks import Marks
from bot.core.inbound.prompt import CountTokens, PromptMessage, two_ends
from bot.core.trust import FILE


def files_newest_first(messages: Sequence[PromptMessage]) -> list[File]:
    """Returns the question's files, then those of the messages before it, the newest message first."""
    return [file for message in reversed(messages) for file in message.files]


def with_linked_canvases(messages: Sequence[PromptMessage]) -> list[PromptMessage]:
    """Adds to each message the canvases that its text links, except to our own: those repeat an answer.

    A link may name any file. To one that is shared in the conversation, it counts as sharing that file again.
    """
    shared = {file.id: file for message in messages for file in message.files}
    return [replace(one, files=_with_linked(one, shared)) if one.speaker else one for one in messages]


def _with_linked(message: PromptMessage, shared: Mapping[str, File]) -> tuple[File, ...]:
    own = {file.id for file in message.files}
    linked = (shared.get(canvas.id, canvas) for canvas in linked_canvases(message.text) if canvas.id not in own)
    # One more than can be read, so that readers learn of it. A message has room for thousands.
    return (*message.files, *islice(linked, MAX_FILES + 1))


def open_to_readers(shared: Sequence[PromptMessage], opened: Mapping[str, OpenedFile]) -> frozenset[str]:
    """Returns the ids of the files that all readers of a conversation may open.

    `shared`: the messages with the files that came with them. `opened`: files by id, also those that are only linked.
    """
    readable = {file_id for file_id, file in opened.items() if not isinstance(file.content, Unread)}
    return frozenset(readable | {file.id for message in shared for file in message.files})


def file_ids_since_answer(messages: Sequence[PromptMessage]) -> Iterator[str]:
    """Yields the ids of the files that came after the bot's last answer, which accounted for all earlier ones."""
    for message in reversed(messages):
        if message.speaker is None:
            return
        yield from (file.id for file in message.files)


def truncate_files(
    files: Mapping[str, OpenedFile], count_tokens: CountTokens, limit_tokens: int
) -> dict[str, OpenedFile]:
    """Cuts the files' texts to a number of tokens in all; files that come first are cut last."""
    truncated: dict[str, OpenedFile] = {}
    for file_id, file in files.items():
        if (text := text_of(file)) is not None:
            size = count_tokens(text)
            if size > limit_tokens:
                chars = len(text) * max(0, limit_tokens) // size
                file = _with_text(file, two_ends(text, chars))
                size = limit_tokens
            limit_tokens -= size
        truncated[file_id] = file
    return truncated


def text_of(file: OpenedFile) -> str | None:
    """Returns the text that a model may get of a file, None if there is none."""
    content = file.content.alternative if isinstance(file.content, Media) else file.content
    if isinstance(content, Document | Transcript):
        return content.text
    return content if isinstance(content, str) else None


def _with_text(file: OpenedFile, text: str) -> OpenedFile:
    """Returns a file with a shorter text."""
    content = file.content
    if isinstance(content, Media) and content.alternative:
        content = replace(content, alternative=replace(content.alternative, text=text))
    else:
        content = replace(content, text=text) if isinstance(content, Document | Transcript) else text
    return replace(file, content=content, truncated=True)


def attach_files(messages: Sequence[PromptMessage], files: Mapping[str, OpenedFile]) -> list[PromptMessage]:
    """Adds to each message the content of its files; a file that was shared twice is shown where it came last."""
    with_files: list[PromptMessage] = []
    shown: set[str] = set()
    for message in reversed(messages):
        new = [files[file.id] for file in message.files if file.id not in shown]
        shown |= {file.id for file in message.files}
        labels = [message.marks.framed("file", label) if message.marks else label for label in map(file_label, new)]
        text = "\n\n".join([message.text, *labels]).strip()
        media = tuple(_labeled(file.content, message.marks) for file in new if isinstance(file.content, Media))
        origins = message.origins | FILE if new else message.origins
        with_files.append(replace(message, text=text, media=media, origins=origins))
    return with_files[::-1]


def _labeled(media: Media, marks: Marks | None) -> Media:
    """Returns a medium with what stands in its place for a model that can't be shown it: in marks, as of any file."""
    label = not_shown(media.name)
    if media.alternative is not None and media.alternative.text.strip():
        label = f"(In place of {media.name}, which you can't be shown:)\n{document_label(media.alternative)}"
    return replace(media, alternative=Document(marks.framed("file", label) if marks else label))
