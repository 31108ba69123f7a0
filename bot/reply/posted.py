"""Finds a reply's messages in Slack.

Each page's message has metadata: the question, the page number, the length of the answer up to the page's end, and
whether the page was cut for a stream. The metadata identifies a message if there was no response to its post. It also
tells a process that takes over a job where the pages break. The text itself is recorded before Slack shows it.

Files have no metadata and are recognized by their names, which contain the question's ts. A deleted file loses its
name, and its message must be deleted separately. If the deletion is interrupted in between, the message is recognized
because it is from the bot and contains only deleted files. Only messages by the bot's own user are considered, because
other users can use the same names.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from bot.core.conversation import Question, with_names
from bot.core.job import PENDING_ROLES, Job, MessageRole, RecordedMessage
from bot.errors import EndReason, Refusal, Refused
from bot.reply.attachments import FileMessage, file_keys, is_file_of_question
from bot.reply.edits import Post
from bot.reply.messages import Delete, PageView, Upload, VisibleReply, current_pages, recorded_reply, restore_unreplaced
from bot.slack.client import PacedClient
from bot.slack.history import LOOK_BACK_MESSAGES
from bot.slack.json_values import Payload, count, json_object, json_objects, messages_in, string
from bot.slack.text import answer_of, body_of

METADATA_EVENT = "typist_reply"
_NUMBERS = ("page", "version", "shown_chars")
COMPARED_CHARS = 40
MAX_FILE_DELAY_S = 600.0
"""Maximum time between an answer's last page and its files."""


@dataclass(frozen=True, slots=True)
class FoundPost:
    ts: str
    is_current: bool
    """Whether the message shows the post's content rather than an earlier state of the page."""


@dataclass(frozen=True, slots=True)
class FoundStream:
    """One of the bot's messages that might be a stream of a reply."""

    ts: str
    letters: str
    """The letters and digits in the message's text. Slack stores other characters in a converted form."""

    def shows(self, text: str) -> bool:
        """Returns whether an answer contains the first letters of the message. A message without letters matches any
        answer."""
        return self.letters[:COMPARED_CHARS] in _letters_and_digits(text)


class PostedReplies:
    """Reads replies back from Slack. Raises RateLimited and Refused. `bot_user_id`: the user ID of Typist's bot."""

    def __init__(self, client: PacedClient, bot_user_id: str) -> None:
        self._client = client
        self._bot_user_id = bot_user_id

    async def find_post(self, post: Post, known_ts: Collection[str]) -> FoundPost | None:
        """Returns the message created by a post whose response was lost, or None if Slack didn't post it. `known_ts`:
        the ts of other messages of the same page. Raises Refused with OUTSIDE_THREAD if the page was posted outside its
        thread because the thread had been deleted."""
        question = post.question
        try:
            pages = _page_messages(question, (await self._own_messages(question))[0])
        except Refused as error:
            if error.reason is not Refusal.MESSAGE_GONE:
                raise
            for page in _page_messages(question, await self._messages_at_root(question)):
                raise Refused(error.method, error.error, Refusal.OUTSIDE_THREAD, str(page["ts"])) from error
            raise
        wanted = metadata_of(question, post.page, post.view)["event_payload"]
        matches = (page for page in pages if _page_number(page) == post.page and page["ts"] not in known_ts)
        return next((FoundPost(page["ts"], _page_metadata(page) == wanted) for page in matches), None)

    async def find_files(self, question: Question, ids: Sequence[str]) -> str | None:
        attached = _file_messages(question, (await self._own_messages(question))[0])
        return next((message.ts for message in attached if set(ids) <= set(message.file_ids)), None)

    async def find_shared(self, upload: Upload, known_ts: Collection[str]) -> str | None:
        """Returns the ts of the message with files whose IDs were lost, or None if Slack doesn't list it."""
        attached = _file_messages(upload.question, (await self._own_messages(upload.question))[0])
        files = file_keys(upload.files)
        return next((one.ts for one in attached if one.files >= files and one.ts not in known_ts), None)

    async def files_at_root(self, question: Question) -> list[Delete]:
        """Returns `Delete` calls for messages outside threads that contain the reply's files."""
        attached = _file_messages(question, await self._messages_at_root(question))
        return [Delete(question, message.ts, message.file_ids) for message in attached]

    async def visible_reply(self, job: Job) -> tuple[VisibleReply, list[FoundStream]]:
        """Returns the part of a job's reply or earlier version that Slack shows, and messages that might be streams."""
        messages, is_all = await self._own_messages(job.question)
        if job.page_ts and not is_all:
            older, _ = await self._own_messages(job.question, f"{float(job.page_ts[-1]) + MAX_FILE_DELAY_S:.6f}")
            messages = list({message["ts"]: message for message in (*older, *messages)}.values())
        by_ts = {message["ts"]: message for message in messages}
        job = replace(job, messages=_updated_messages(job, by_ts, is_all=is_all))
        recorded = recorded_reply(job)
        current = [by_ts.get(page.ts, {}) for page in current_pages(job)]
        shows_end = (
            bool(current) and len(current) == len(recorded.page_ts) and bool(_page_metadata(current[-1]).get("end"))
        )
        known = {message.ts for message in job.messages}
        late = [page["ts"] for page in _page_messages(job.question, messages) if page["ts"] not in known]
        shown = replace(
            recorded,
            shows_end=shows_end,
            file_messages=tuple(_file_messages(job.question, messages)),
            replaced_ts=(*recorded.replaced_ts, *(late if shows_end else ())),
            pending_roles=() if shows_end else recorded.pending_roles,
        )
        return shown, _streams(job.question, messages)

    async def late_messages(self, question: Question, known_ts: Collection[str]) -> list[Delete]:
        """Returns `Delete` calls for messages that Slack posted too late for the reply to record."""
        return [call for call in (await self.deletions(question))[0] if call.ts not in known_ts]

    async def deletions(self, question: Question) -> tuple[list[Delete], bool]:
        """Returns `Delete` calls for the reply's messages, and whether the list is complete."""
        try:
            messages, is_all = await self._own_messages(question)
        except Refused as error:
            if error.reason is not Refusal.MESSAGE_GONE:
                raise
            messages = await self._messages_at_root(question)
            is_all = False
        pages = [Delete(question, page["ts"]) for page in _page_messages(question, messages)]
        files = [Delete(question, message.ts, message.file_ids) for message in _file_messages(question, messages)]
        emptied = [Delete(question, message["ts"]) for message in messages if _is_emptied(question, message)]
        return [*pages, *files, *emptied], is_all

    async def find_streams(self, question: Question) -> list[FoundStream]:
        return _streams(question, (await self._own_messages(question))[0])

    async def messages_since(self, question: Question) -> list[Payload]:
        return (await self._read_messages(question, question.thread.thread_ts))[0]

    async def _own_messages(self, question: Question, latest_ts: str | None = None) -> tuple[list[Payload], bool]:
        messages, is_all = await self._read_messages(question, question.thread.thread_ts, latest_ts)
        return list(filter(self.is_own, messages)), is_all

    async def _messages_at_root(self, question: Question) -> list[Payload]:
        return list(filter(self.is_own, (await self._read_messages(question, None))[0]))

    def is_own(self, message: Payload) -> bool:
        return message.get("user") == self._bot_user_id

    async def _read_messages(
        self, question: Question, thread_ts: str | None, latest_ts: str | None = None
    ) -> tuple[list[Payload], bool]:
        """Returns the messages of a thread, or of the channel if `thread_ts` is None, from the question on, oldest
        first, and whether the list is complete. If a direct message has too many messages, Slack returns only the
        newest ones, and `latest_ts` can be used to request older ones."""
        answer = await self._client.call(
            "conversations.history" if thread_ts is None else "conversations.replies",
            channel=question.thread.channel_id,
            ts=thread_ts,
            oldest=question.ts,
            latest=latest_ts,
            limit=LOOK_BACK_MESSAGES,
            include_all_metadata=True,
        )
        messages = sorted(messages_in(answer), key=lambda message: str(message["ts"]))
        return messages, not answer.get("has_more")


def metadata_of(question: Question, page: int, view: PageView) -> Payload:
    """Returns the metadata of a page's message. A question's ts is unique in its channel."""
    payload = {
        "question_ts": question.ts,
        "version": view.version,
        "page": page,
        "shown_chars": view.end_chars,
        "for_stream": view.for_stream,
        "end": view.end.reason if view.end else "",
    }
    return {"event_type": METADATA_EVENT, "event_payload": payload}


def is_answered(question_ts: str, bot_messages: Iterable[Payload], recorded_ts: Collection[str]) -> bool | None:
    """Returns whether the bot's messages in Slack answer an unrecorded question, or None if it is unclear.

    `recorded_ts`: the ts of the bot's recorded messages. Slack can have more of its messages than that if the database
    was restored or the question was erased. The answer to a later question also answers earlier ones. It is unclear if
    there are only other messages from the bot below the question (a placeholder, an offer, a notice or an unfinished
    stream), or if an earlier answer was edited after the question, because that edit might have answered the question.
    """
    in_doubt = False
    for message in bot_messages:
        payload = _page_metadata(message)
        answers_ts = string(payload, "question_ts")
        if message["ts"] in recorded_ts:
            in_doubt = in_doubt or answers_ts > question_ts
        elif message["ts"] < question_ts:
            in_doubt = in_doubt or string(json_object(message, "edited"), "ts") > question_ts
        elif answers_ts >= question_ts and payload.get("end") not in ("", EndReason.OFFERED):
            return True
        else:
            in_doubt = True
    return None if in_doubt else False


def _page_metadata(message: Payload) -> Payload:
    metadata = json_object(message, "metadata")
    payload = json_object(metadata, "event_payload")
    is_page = metadata.get("event_type") == METADATA_EVENT
    return payload if is_page and all(str(payload.get(name)).isdecimal() for name in _NUMBERS) else {}


def _page_messages(question: Question, messages: list[Payload]) -> list[Payload]:
    return [message for message in messages if _page_metadata(message).get("question_ts") == question.ts]


def _page_number(message: Payload) -> int:
    return int(_page_metadata(message)["page"])


def _updated_messages(job: Job, by_ts: dict[str, Payload], *, is_all: bool) -> tuple[RecordedMessage, ...]:
    """Returns the recorded messages, without those that were deleted in Slack, and with pages whose responses were
    lost."""
    there = [message for message in job.messages if message.ts in by_ts or not is_all or message.role in PENDING_ROLES]
    recorded_pages = [message for message in job.messages if message.role is MessageRole.PAGE]
    pages = list(takewhile(lambda page: page in there, recorded_pages))
    known = {message.ts for message in job.messages}
    last = pages[-1].ts if pages else ""
    for page in _page_messages(job.question, list(by_ts.values())):
        if page["ts"] not in known and page["ts"] > last and _page_number(page) == len(pages):
            pages.append(RecordedMessage(page["ts"], MessageRole.PAGE))
    messages = restore_unreplaced((*pages, *(message for message in there if message.role is not MessageRole.PAGE)))
    return tuple(_with_metadata(message, by_ts.get(message.ts, {})) for message in messages)


def _with_metadata(message: RecordedMessage, slack_message: Payload) -> RecordedMessage:
    """Returns a message updated from its metadata if it has any. Streams have no metadata until they are stopped."""
    payload = _page_metadata(slack_message)
    if not payload:
        return message
    return replace(message, version=int(payload["version"]), for_stream=bool(payload.get("for_stream")))


def _is_emptied(question: Question, message: Payload) -> bool:
    files = json_objects(message, "files")
    return message["ts"] > question.ts and bool(files) and all(file.get("mode") == "tombstone" for file in files)


def _streams(question: Question, messages: list[Payload]) -> list[FoundStream]:
    """Returns the messages that might be streams, which have no metadata until they are stopped. Only one reply grows
    in a thread at a time, and most of the bot's other messages in a thread have metadata."""
    return [
        FoundStream(message["ts"], _letters_and_digits(with_names(body_of(answer_of(message)), {})))
        for message in messages
        if message["ts"] > question.ts
        and not (message.get("metadata") or message.get("files") or message.get("subtype"))
    ]


def _letters_and_digits(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _file_messages(question: Question, messages: list[Payload]) -> list[FileMessage]:
    attached = []
    for message in messages:
        files = [
            file
            for file in json_objects(message, "files")
            if string(file, "id") and is_file_of_question(string(file, "name"), question.ts)
        ]
        if files:
            keys = frozenset((file["name"], count(file, "size")) for file in files)
            attached.append(FileMessage(message["ts"], tuple(file["id"] for file in files), keys))
    return attached
