"""Take-over: messages and text of a reply come from the store, and Slack tells how much of it is shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.core.conversation import Question, ThreadKey
from bot.core.job import POSTING, Checkpoint, End, Job, MessageRole, RecordedMessage, sentence_notice, ts_of
from bot.core.outbox import OutboxEntry, OutboxKind
from bot.errors import EndReason, Refusal, Refused
from bot.reply.answer import Answer
from bot.reply.delivery import MessageDelivery, MessageTransport
from bot.reply.edits import Post, Update
from bot.reply.messages import Call, Delete, PageView, VisibleReply
from bot.reply.outbox_sender import OutboxSender
from bot.reply.outcomes import CallDone, CallLost
from bot.reply.posted import PostedReplies
from bot.reply.reply import Reply
from bot.reply.streams import StartStream
from bot.slack.history import LOOK_BACK_MESSAGES, History
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.web_api.budgets import GENEROUS
from slack_sandbox.workspace import Json
from tests.core.conversations import recorded_pages
from tests.reply.outcomes import refused
from tests.slack.workspaces import connected, workspace_of

TEXT = "# Title\n\nSome **bold** words.\n\n- one\n- two\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nThe end of it"
LOST = (MessageRole.POSTING,)


@asynccontextmanager
async def posting(manifest: Json | None = None) -> AsyncIterator[tuple[Sandbox, MessageTransport, History]]:
    posts = replace(GENEROUS, burst=1_000)
    async with connected(subscribed=frozenset(), manifest=manifest, posts=posts) as (sandbox, client):
        workspace = await workspace_of(client, SystemClock())
        posted = PostedReplies(workspace.paced, workspace.me.user_id)
        yield sandbox, MessageTransport(client, workspace.paced, posted, workspace.users), workspace.history


@pytest.fixture
async def place() -> AsyncIterator[tuple[Sandbox, MessageTransport, History]]:
    async with posting() as place:
        yield place


@pytest.fixture
def sandbox(place: tuple[Sandbox, MessageTransport, History]) -> Sandbox:
    return place[0]


@pytest.fixture
def transport(place: tuple[Sandbox, MessageTransport, History]) -> MessageTransport:
    return place[1]


async def asked(sandbox: Sandbox, *, direct: bool = False) -> Question:
    place = sandbox.dm("ada") if direct else "general"
    ts = await sandbox.say("ada", place, "why?")
    channel_id = place if direct else "C0GENERAL"
    return Question(ThreadKey(sandbox.team_id, channel_id, None if direct else ts), ts, "U0ADA", "why?")


async def show(transport: MessageTransport, reply: Reply) -> None:
    delivery = transport.delivery(reply)
    while (call := reply.next_call()) is not None:
        assert isinstance(call, Post | Update)
        await sent(delivery, reply, call)


async def sent(delivery: MessageDelivery, reply: Reply, call: Call) -> None:
    reply.on_send(call)
    reply.on_outcome(call, await delivery.send(call, lambda: True))


async def growing(transport: MessageTransport, question: Question, text: str) -> Reply:
    reply = Reply(Answer(Job(1, question, 1)))
    reply.append(text)
    await show(transport, reply)
    return reply


async def test_unrecorded_message_is_found(sandbox: Sandbox, transport: MessageTransport) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, "word " * 4_000)
    assert len(reply.page_ts) == 2
    for on_record in ((), reply.recorded_messages[:1], reply.recorded_messages):
        assert (await transport.recover(Job(1, question, 2, (*on_record, POSTING)))).page_ts == reply.page_ts


@pytest.mark.parametrize("version", [0, 1])
async def test_reply_that_an_attempt_left_by_itself_is_continued_without_a_look_at_slack(
    sandbox: Sandbox, transport: MessageTransport, version: int
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    job = Job(1, question, 2, reply.recorded_messages, version=version, checkpoint=Checkpoint(f"{TEXT}, and more"))
    shown = VisibleReply(reply.page_ts, is_outdated=version == 1)
    assert await transport.recover(job) == shown
    assert not [call for call in sandbox.calls if call.method == "conversations.replies"]


@pytest.mark.parametrize("complete_pages", [0, 2])
async def test_stream_that_an_attempt_left_open_is_stopped_without_a_look_at_slack(
    sandbox: Sandbox, transport: MessageTransport, complete_pages: int
) -> None:
    question, streams = await asked(sandbox), transport.streams
    messages: tuple[RecordedMessage, ...] = ()
    for page in range(complete_pages + 1):
        ts = await streams.start(StartStream(question, page, PageView("Some words"), "Some words"))
        messages += (RecordedMessage(ts, MessageRole.PAGE, for_stream=True),)
        if page < complete_pages:
            await streams.stop_paced(question, ts, keeps_stop=False)
    await transport.recover(Job(1, question, 2, messages, checkpoint=Checkpoint("Some words")))
    assert sandbox._web.app.streams == {}
    assert not [call for call in sandbox.calls if call.method == "conversations.replies"]


@pytest.mark.parametrize("words", [5, 4_000], ids=["only page", "last page"])
@pytest.mark.parametrize("posting_on_record", [(POSTING,), ()], ids=["did not leave", "was refused"])
async def test_page_stays_if_the_post_that_should_replace_it(
    sandbox: Sandbox, transport: MessageTransport, words: int, posting_on_record: tuple[RecordedMessage, ...]
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, "word " * words)
    *before, last = recorded_pages(*reply.page_ts)
    messages = (*before, replace(last, role=MessageRole.REPLACED), *posting_on_record)
    shown = await transport.recover(Job(1, question, 2, messages, checkpoint=Checkpoint("word " * words)))
    assert (shown.page_ts, shown.replaced_ts) == (reply.page_ts, ())
    assert [message.ts for message in sandbox.messages("general", question.ts)[1:]] == list(reply.page_ts)


@pytest.mark.parametrize("fault", ["drop_request", "internal_error", "lose_response"])
async def test_stream_that_is_not_on_record_is_removed_although_its_first_stop_fails(
    sandbox: Sandbox, transport: MessageTransport, fault: str
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    await transport.streams.start(StartStream(question, 0, PageView("word"), "word"))
    sandbox.faults.start(fault, method="chat.stopStream", times=1)
    messages = (*reply.recorded_messages, RecordedMessage("", MessageRole.STARTING))
    await transport.recover(Job(1, question, 2, messages, checkpoint=Checkpoint(TEXT)))
    assert [message.ts for message in sandbox.messages("general", question.ts)[1:]] == list(reply.page_ts)


async def test_message_is_no_lost_stream_if_no_start_of_one_is_on_record(
    sandbox: Sandbox, transport: MessageTransport
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    other = await transport.streams.start(StartStream(question, 0, PageView("word"), "Some bold words"))
    await transport.recover(Job(1, question, 2, (*reply.recorded_messages, POSTING), checkpoint=Checkpoint(TEXT)))
    assert [message.ts for message in sandbox.messages("general", question.ts)[1:]] == [*reply.page_ts, other]


@pytest.mark.parametrize("pending_roles", [(), LOST])
async def test_clean_up_that_is_rate_limited_is_left_to_the_outbox_if_a_message_may_stand_there(
    sandbox: Sandbox, transport: MessageTransport, pending_roles: tuple[MessageRole, ...]
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    reply = Reply(Answer(Job(1, question, 1)), VisibleReply(reply.page_ts, pending_roles=pending_roles))
    delivery = transport.delivery(reply)
    sandbox.faults.start("rate_limit", method="conversations.replies", times=1, retry_after_s=60)
    assert await delivery.clean_up() == (CallLost() if pending_roles else CallDone())


async def test_end_that_slack_shows_is_known_at_a_take_over(sandbox: Sandbox, transport: MessageTransport) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    end = End(EndReason.LENGTH_LIMIT, sentence_notice("It is long."), "openai/test")
    job = Job(1, question, 2, reply.recorded_messages, checkpoint=Checkpoint(TEXT, end))
    assert not (await transport.recover(job)).shows_end
    reply.finish(end)
    await show(transport, reply)
    assert (await transport.recover(job)).shows_end


async def test_answer_older_than_the_look_back_keeps_its_messages(
    sandbox: Sandbox, transport: MessageTransport
) -> None:
    question = await asked(sandbox, direct=True)
    reply = await growing(transport, question, TEXT)
    for number in range(LOOK_BACK_MESSAGES + 5):
        await sandbox.say("ada", question.thread.channel_id, f"{number}")
    job = Job(1, question, 2, (*reply.recorded_messages, POSTING), version=1)
    shown = await transport.recover(job)
    assert (shown.page_ts, shown.is_outdated) == (reply.page_ts, True)
    assert not (await transport.recover(replace(job, version=0))).is_outdated


async def test_answer_whose_text_has_expired_is_read_from_slack(
    sandbox: Sandbox, transport: MessageTransport, place: tuple[Sandbox, MessageTransport, History]
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    reply.finish(End(EndReason.LENGTH_LIMIT, sentence_notice("It is long."), "openai/test"))
    await show(transport, reply)
    later = await sandbox.say("ada", "general", "and?", question.ts)
    _, answer, _ = await place[2].messages(replace(question, ts=later))
    assert "Some **bold** words." in answer.text
    assert not {"It is long.", "openai/test", "Regenerate"} & set(answer.text.splitlines())


def recorded_ahead(reply: Reply) -> tuple[RecordedMessage, ...]:
    """Returns what is on record before the next page of a reply is posted."""
    return (*reply.recorded_messages, POSTING)


async def ended_again(
    transport: MessageTransport, sandbox: Sandbox, text: str
) -> tuple[Reply, tuple[RecordedMessage, ...]]:
    """A reply whose end is posted as a new message, and whose old message isn't deleted yet; and the record before."""
    reply = await growing(transport, await asked(sandbox), text)
    reply.append(" The end.")
    reply.finish(End(EndReason.WHOLE))
    edit = reply.next_call()
    assert isinstance(edit, Update)
    reply.post_again(edit.page)
    before = recorded_ahead(reply)
    delivery = transport.delivery(reply)
    while isinstance(call := reply.next_call(), Post):
        await sent(delivery, reply, call)
    return reply, before


@pytest.mark.parametrize("text", [TEXT, "word " * 4_000], ids=["one page", "two pages"])
@pytest.mark.parametrize("is_recorded", [True, False])
async def test_message_that_the_end_has_replaced_is_deleted_at_a_take_over(
    sandbox: Sandbox, transport: MessageTransport, text: str, *, is_recorded: bool
) -> None:
    reply, before = await ended_again(transport, sandbox, text)
    on_record = (*reply.recorded_messages, POSTING) if is_recorded else before
    whole = f"{text} The end."
    job = Job(1, reply.job.question, 2, on_record, checkpoint=Checkpoint(whole))
    shown = await transport.recover(job)
    assert shown == VisibleReply(reply.page_ts, shows_end=True)
    left = [message.ts for message in sandbox.messages("general", reply.job.question.ts)[1:]]
    assert left == list(reply.page_ts)


@pytest.mark.parametrize("text", ["One word", "word " * 4_000], ids=["one page", "two pages"])
async def test_growing_page_that_was_replaced_unrecorded_is_continued_in_its_new_message(
    sandbox: Sandbox, transport: MessageTransport, text: str
) -> None:
    reply = await growing(transport, await asked(sandbox), text)
    reply.append(" and more")
    edit = reply.next_call()
    assert isinstance(edit, Update)
    refused(reply, edit, Refusal.UNEDITABLE)
    before = recorded_ahead(reply)
    delivery = transport.delivery(reply)
    while isinstance(call := reply.next_call(), Post):
        await sent(delivery, reply, call)
    job = Job(1, reply.job.question, 2, before, checkpoint=Checkpoint(text))
    shown = await transport.recover(job)
    assert shown == VisibleReply(reply.page_ts, pending_roles=LOST)
    assert [message.ts for message in sandbox.messages("general", reply.job.question.ts)[1:]] == list(reply.page_ts)


async def test_post_that_arrived_late_does_not_replace_the_message_on_record(
    sandbox: Sandbox, transport: MessageTransport
) -> None:
    reply = await growing(transport, await asked(sandbox), TEXT[:20])
    late = Reply(Answer(reply.job))
    late.append(TEXT[:10])
    reply.append(TEXT[20:])
    await show(transport, reply)
    await show(transport, late)
    job = Job(1, reply.job.question, 2, (*reply.recorded_messages, POSTING), checkpoint=Checkpoint(TEXT))
    shown = await transport.recover(job)
    assert shown.page_ts == reply.page_ts


async def test_message_that_the_end_has_replaced_stays_known_while_it_cannot_be_deleted(
    sandbox: Sandbox, transport: MessageTransport
) -> None:
    reply, before = await ended_again(transport, sandbox, TEXT)
    sandbox.faults.start("internal_error", method="chat.delete")
    job = Job(1, reply.job.question, 2, before, checkpoint=Checkpoint(f"{TEXT} The end."))
    shown = await transport.recover(job)
    assert (shown.page_ts, shown.replaced_ts) == (reply.page_ts, ts_of(before, MessageRole.REPLACED))
    call = Reply(Answer(reply.job), shown)
    call.finish(End(EndReason.WHOLE))
    sandbox.faults.stop("internal_error")
    await show_everything(transport, call)
    assert [message.ts for message in sandbox.messages("general", reply.job.question.ts)[1:]] == list(reply.page_ts)


async def test_end_whose_post_got_no_answer_is_found_and_needs_no_edit(
    sandbox: Sandbox, transport: MessageTransport
) -> None:
    reply = await growing(transport, await asked(sandbox), TEXT)
    (before,) = reply.page_ts
    reply.append(" The end.")
    reply.finish(End(EndReason.WHOLE))
    reply.post_again(0)
    sandbox.faults.start("lose_response", method="chat.postMessage", times=1)
    edits = sum(call.method == "chat.update" for call in sandbox.calls)
    await show_everything(transport, reply)
    assert sum(call.method == "chat.update" for call in sandbox.calls) == edits
    left = [message.ts for message in sandbox.messages("general", reply.job.question.ts)[1:]]
    assert left == list(reply.page_ts)
    assert before not in left


async def show_everything(transport: MessageTransport, reply: Reply) -> None:
    delivery = transport.delivery(reply)
    while (call := reply.next_call()) is not None:
        await sent(delivery, reply, call)


@pytest.mark.parametrize("is_paced", [True, False])
async def test_stream_that_is_still_open_is_stopped_before_it_is_deleted(
    sandbox: Sandbox, transport: MessageTransport, is_paced: bool
) -> None:
    question = await asked(sandbox)
    ts = await transport.streams.start(StartStream(question, 0, PageView(markdown="Some words"), "Some words"))
    await transport.files.delete(Delete(question, ts), is_paced=is_paced)
    assert [message.ts for message in sandbox.messages("general", question.ts)] == [question.ts]
    with pytest.raises(Refused) as caught:
        await transport.files.delete(Delete(question, question.ts), is_paced=is_paced)
    assert caught.value.error == "cant_delete_message", "another one's message isn't deleted"


@pytest.mark.parametrize("keeps_stop", [True, False])
async def test_deletion_of_an_open_stream_keeps_slacks_own_stop_while_the_answer_goes_on(keeps_stop: bool) -> None:
    async with posting(manifests.agent()) as (sandbox, transport, _):
        question = await asked(sandbox)
        ts = await transport.streams.start(StartStream(question, 0, PageView(markdown="Some words"), "Some words"))
        await transport.files.delete(Delete(question, ts, keeps_stop=keeps_stop))
        session = sandbox.panes.session("C0GENERAL", question.ts)
        assert session is not None
        assert session.status == ("processing" if keeps_stop else "active")


@pytest.mark.parametrize(
    ("kind", "refused"), [("clear", "chat.delete"), ("delete", "chat.delete"), ("delete", "conversations.replies")]
)
async def test_reply_is_deleted_once_slack_takes_the_token_again(
    sandbox: Sandbox, transport: MessageTransport, kind: str, refused: str
) -> None:
    question = await asked(sandbox)
    reply = await growing(transport, question, TEXT)
    unused: Any = None
    sender = OutboxSender(unused, transport.posted, transport.files)
    entry = OutboxEntry(1, OutboxKind.REPLY, 0.0, 1, 1, 0, question, reply.page_ts)
    sandbox.faults.start("refuse", method=refused, error="token_revoked", times=1)
    with pytest.raises(Refused):
        await getattr(sender, kind)(entry)
    assert len(sandbox.messages("general", question.ts)) == 2
    await getattr(sender, kind)(entry)
    assert len(sandbox.messages("general", question.ts)) == 1
