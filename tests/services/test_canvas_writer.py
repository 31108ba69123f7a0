"""Canvases of answers: what is made, shown and deleted at each try of an outbox entry, with a real record."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa

from bot.core import texts
from bot.core.conversation import Question, ThreadKey
from bot.core.job import End, Job, MessageRole
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.errors import EndReason, Refusal, Refused
from bot.reply.outbox_sender import SideMessage
from bot.reply.sources import as_code_block
from bot.services.canvas_writer import CanvasWriter
from bot.services.side_messages import MAX_COPY_TRIES
from bot.slack.blockkit import Json
from bot.slack.canvases import Canvases
from bot.slack.json_values import Payload
from bot.slack.surfaces import EphemeralMessages
from bot.store import Stores
from bot.store.canvases import AnswerCanvas
from bot.store.schema import outbox_entries
from tests.services.answering import QUESTION
from tests.services.parts import workspace_of

FAILED = Refused("canvases", "timeout", Refusal.TRANSIENT)
FORBIDDEN = Refused("canvases", "restricted_action", Refusal.FORBIDDEN)
ALL_CALLS = ["create", "link", "post", "share"]


@dataclass
class CanvasesInSlack(Canvases, EphemeralMessages):
    """Slack, with the calls that it accepted. It raises each error once."""

    errors: dict[str, Refused] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    """The channel and the Markdown of each canvas."""
    while_creating: Callable[[], Awaitable[object]] | None = None
    can_write: bool = True

    async def create(self, title: str, markdown: str, channel_id: str, still: Callable[[], bool]) -> str:
        self._accept("create")
        if self.while_creating:
            await self.while_creating()
        self.made.append((channel_id, markdown))
        return "F1"

    async def link(self, canvas_id: str) -> str:
        self._accept("link")
        return f"https://slack.example/{canvas_id}"

    async def share(self, canvas_id: str, thread: ThreadKey, asker: str) -> None:
        self._accept("share")

    async def delete(self, canvas_id: str) -> None:
        self._accept(f"delete {canvas_id}")

    async def unrecorded_messages(self, entry: OutboxEntry, roles: Collection[MessageRole]) -> Mapping[str, Payload]:
        return {}

    async def post_side_message(self, entry: OutboxEntry, message: SideMessage, still: Callable[[], bool]) -> str:
        assert (message.role, message.version) == (MessageRole.LINK, 0)
        self._accept("post")
        return "999999.000000"

    async def delete_side_messages(self, entry: OutboxEntry, ts: Collection[str]) -> None:
        assert not ts

    async def show_sentence(self, question: Question, sentence: str, blocks: list[Json] | None = None) -> None:
        self.told.append((question.user_id, sentence))

    def _accept(self, call: str) -> None:
        if error := self.errors.pop(call, None):
            raise error
        self.calls.append(call)


async def answered(stores: Stores, reason: EndReason = EndReason.WHOLE) -> Job:
    await stores.question_queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    await stores.worker_queue.finish(job, End(reason), "Because.")
    return job


def writer_of(stores: Stores, slack: CanvasesInSlack) -> CanvasWriter:
    return CanvasWriter(stores, workspace_of(canvases=slack, outbox_sender=slack, ephemeral=slack))


async def taken(stores: Stores, job: Job, tries: int = 1) -> OutboxEntry:
    """Returns the entry for a canvas that U7 wants, as it is taken for one of its tries."""
    await stores.answer_canvases.request(job.id, 0, "U7")
    async with stores.database.engine.begin() as connection:
        await connection.execute(sa.update(outbox_entries).values(due_at=0.0, tries=tries - 1, is_held=False))
    entries = await stores.outbox.claim_due(9)
    return next(entry for entry in entries if entry.kind is OutboxKind.MAKE_CANVAS)


@pytest.mark.parametrize(
    ("refused", "error", "sentence", "calls"),
    [
        ("create", FAILED, None, ALL_CALLS),
        ("create", FORBIDDEN, texts.canvases.NOT_MADE, ALL_CALLS),
        ("post", FAILED, None, ["create", "link", "link", "post", "share"]),
        ("share", FAILED, None, ALL_CALLS),
        ("share", FORBIDDEN, texts.canvases.NOT_OPENED, ALL_CALLS),
    ],
    ids=str,
)
async def test_next_try_goes_on_after_a_failure_that_may_pass_and_the_person_is_told_of_another(
    stores: Stores, refused: str, error: Refused, sentence: str | None, calls: list[str]
) -> None:
    job = await answered(stores)
    slack = CanvasesInSlack({refused: error})
    writer = writer_of(stores, slack)
    with nullcontext() if sentence else pytest.raises(Refused):
        await writer.copy(await taken(stores, job), bool)
    assert slack.told == ([("U7", sentence)] if sentence else [])
    await writer.copy(await taken(stores, job, tries=2), bool)
    assert slack.calls == calls


@pytest.mark.parametrize(("tries", "is_made"), [(MAX_COPY_TRIES, True), (MAX_COPY_TRIES + 1, False)])
async def test_person_who_wants_a_canvas_waits_for_some_tries_only(stores: Stores, tries: int, is_made: bool) -> None:
    job = await answered(stores)
    slack = CanvasesInSlack()
    await writer_of(stores, slack).copy(await taken(stores, job, tries), bool)
    assert slack.calls == (ALL_CALLS if is_made else [])
    assert slack.told == ([] if is_made else [("U7", texts.canvases.NOT_MADE)])


@pytest.mark.parametrize(
    ("reason", "can_write", "sentence"),
    [
        (EndReason.STOPPED, True, texts.canvases.OF_INCOMPLETE),
        (EndReason.STOPPED, False, texts.canvases.OF_INCOMPLETE),
        (EndReason.WHOLE, False, texts.canvases.FORBIDDEN),
    ],
)
async def test_person_is_told_once_why_an_answer_gets_no_canvas(
    stores: Stores, reason: EndReason, can_write: bool, sentence: str
) -> None:
    job = await answered(stores, reason)
    slack = CanvasesInSlack(can_write=can_write)
    await writer_of(stores, slack).copy(await taken(stores, job), bool)
    assert (slack.calls, slack.told) == ([], [("U7", sentence)])


@pytest.mark.parametrize(
    ("errors", "markdown"),
    [
        ({}, "Because."),
        ({"create": Refused("canvases", "canvas_creation_failed", Refusal.UNREADABLE)}, as_code_block("Because.")),
    ],
    ids=["accepted", "its Markdown is refused"],
)
async def test_canvas_holds_the_answer_in_the_channel_of_its_question_if_need_be_as_code(
    stores: Stores, errors: dict[str, Refused], markdown: str
) -> None:
    job = await answered(stores)
    slack = CanvasesInSlack(dict(errors))
    await writer_of(stores, slack).copy(await taken(stores, job), bool)
    assert (slack.calls, slack.told) == (ALL_CALLS, [])
    assert slack.made == [(QUESTION.thread.channel_id, markdown)]


async def test_answer_that_is_deleted_has_no_canvas(stores: Stores) -> None:
    job = await answered(stores)
    slack = CanvasesInSlack(while_creating=lambda: stores.recorded_answers.delete(job.id, "U1"))
    for calls in (["create", "delete F1"], []):
        slack.calls.clear()
        await writer_of(stores, slack).copy(await taken(stores, job), bool)
        assert (slack.calls, slack.told) == (calls, [])


async def test_canvases_of_all_versions_go_with_their_records_though_slack_refuses_one_at_first(stores: Stores) -> None:
    job = await answered(stores)
    for canvas in (AnswerCanvas(0, "F0"), AnswerCanvas(1, "F1")):
        assert await stores.answer_canvases.record(job.id, canvas)
    slack = CanvasesInSlack({"delete F1": FAILED})
    writer = writer_of(stores, slack)
    with pytest.raises(Refused):
        await writer.delete(await taken(stores, job))
    assert await stores.answer_canvases.of_job(job.id) == [AnswerCanvas(1, "F1")]
    await writer.delete(await taken(stores, job, tries=2))
    assert slack.calls == ["delete F0", "delete F1"]
    assert await stores.answer_canvases.of_job(job.id) == []
