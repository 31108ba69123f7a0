"""Native streams and a thread's status."""

from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_name, error_of, error_response
from tests.conftest import ManualTime

GENERAL = "C0GENERAL"
CLOSED = "message_not_in_streaming_state"
SEARCH: Any = {"type": "task_update", "id": "search", "title": "Search the docs", "status": "in_progress"}


async def start(sandbox: Sandbox, web: AsyncWebClient, **fields: Any) -> str:
    root = await sandbox.say("ada", "general", "question")
    recipient = {"recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    answer = await web.chat_startStream(channel=GENERAL, thread_ts=root, **{**recipient, **fields})
    return str(answer["ts"])


def blocks_of(sandbox: Sandbox, ts: str) -> list[Any]:
    return [dict(block) for block in sandbox.workspace.message(GENERAL, ts).blocks]


async def test_stream_appends_text_until_stopped(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="One ")
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="**two** ")
    await web.chat_stopStream(channel=GENERAL, ts=ts, markdown_text="three.")
    message = sandbox.workspace.message(GENERAL, ts)
    assert message.sent_blocks == ({"type": "markdown", "text": "One **two** three."},)
    assert [block["type"] for block in message.blocks] == ["rich_text"]
    assert await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, markdown_text="x") == CLOSED
    await web.chat_update(channel=GENERAL, ts=ts, text="fixed")


async def test_stop_adds_blocks_and_metadata_behind_the_text(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="Text.")
    context = {"type": "context", "elements": [{"type": "mrkdwn", "text": "done"}]}
    metadata = {"event_type": "reply", "event_payload": {"page": 0}}
    await web.chat_stopStream(channel=GENERAL, ts=ts, blocks=[context], metadata=metadata)
    assert [block["type"] for block in blocks_of(sandbox, ts)] == ["rich_text", "context"]
    assert sandbox.workspace.message(GENERAL, ts).metadata == metadata


TEXT: Any = {"markdown_text": "text"}
CHUNKS: Any = {"chunks": [{"type": "markdown_text", "text": "text"}]}


@pytest.mark.parametrize(("first", "second"), [(TEXT, CHUNKS), (CHUNKS, TEXT)])
@pytest.mark.parametrize("is_bare", [True, False])
@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_first_content_decides_between_text_and_chunks(
    sandbox: Sandbox, web: AsyncWebClient, first: Any, second: Any, method: str, *, is_bare: bool
) -> None:
    ts = await start(sandbox, web, **({} if is_bare else first))
    await web.api_call("chat.appendStream", json={"channel": GENERAL, "ts": ts, **first})
    assert await error_of(web, method, channel=GENERAL, ts=ts, **second) == "streaming_mode_mismatch"
    await web.api_call(method, json={"channel": GENERAL, "ts": ts, **first})


async def test_stop_takes_blocks_behind_chunks(sandbox: Sandbox, web: AsyncWebClient) -> None:
    blocks = [{"type": "divider"}]
    for content in ({"blocks": blocks}, {"chunks": [{"type": "blocks", "blocks": blocks}]}):
        ts = await start(sandbox, web, chunks=[SEARCH])
        await web.api_call("chat.stopStream", json={"channel": GENERAL, "ts": ts, **content})
        assert [block["type"] for block in blocks_of(sandbox, ts)] == ["task_card", "divider"]


async def test_timeline_changes_a_task_in_place(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, chunks=[{**SEARCH, "details": "Three pages"}])
    source = {"type": "url", "url": "https://bot.example", "text": "Docs"}
    update = {**SEARCH, "status": "complete", "output": "Found", "sources": [source]}
    chunks = [{"type": "markdown_text", "text": "It says so."}, update]
    await web.chat_appendStream(channel=GENERAL, ts=ts, chunks=chunks)
    card, text = blocks_of(sandbox, ts)
    assert (card["type"], card["task_id"], card["status"]) == ("task_card", "search", "complete")
    assert [card[key]["elements"][0]["elements"][0]["text"] for key in ("details", "output")] == [
        "Three pages",
        "Found",
    ]
    assert card["sources"] == [source]
    assert text["type"] == "rich_text"


async def test_plan_shows_all_tasks_below_its_title(sandbox: Sandbox, web: AsyncWebClient) -> None:
    read = {**SEARCH, "id": "read", "title": "Read a page", "status": "pending"}
    ts = await start(sandbox, web, task_display_mode="plan", chunks=[SEARCH, read])
    await web.chat_appendStream(channel=GENERAL, ts=ts, chunks=[{"type": "plan_update", "title": "Look it up"}])
    (plan,) = blocks_of(sandbox, ts)
    assert (plan["type"], plan["title"]) == ("plan", "Look it up")
    assert [(task["task_id"], task["status"]) for task in plan["tasks"]] == [
        ("search", "in_progress"),
        ("read", "pending"),
    ]


async def test_task_left_in_progress_shows_an_error_after_the_stop(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, chunks=[SEARCH])
    await web.chat_stopStream(channel=GENERAL, ts=ts)
    assert blocks_of(sandbox, ts)[0]["status"] == "error"


@pytest.mark.parametrize(
    "chunk",
    [
        "text",
        {"text": "no type"},
        {"type": "unknown"},
        {"type": "markdown_text", "text": ""},
        {**SEARCH, "status": "done"},
        {**SEARCH, "id": ""},
        {**SEARCH, "title": "x" * 257},
        {**SEARCH, "sources": ["https://bot.example"]},
        {"type": "plan_update", "title": "x" * 257},
    ],
)
async def test_invalid_chunk_is_refused_and_changes_nothing(sandbox: Sandbox, web: AsyncWebClient, chunk: Any) -> None:
    ts = await start(sandbox, web)
    assert await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, chunks=[SEARCH, chunk]) == "invalid_chunks"
    assert blocks_of(sandbox, ts) == []


async def test_text_and_chunks_in_one_call_are_refused(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web)
    both = await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, **TEXT, **CHUNKS)
    assert both == "cannot_provide_both_markdown_text_and_chunks"
    assert await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts) == "no_text"


async def test_stream_is_closed_after_five_minutes(sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    ts = await start(sandbox, web)
    clock.now_s += 299
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="x")
    clock.now_s += 1
    assert await error_of(web, "chat.stopStream", channel=GENERAL, ts=ts) == CLOSED


async def test_message_can_be_edited_once_slack_has_closed_its_stream(
    sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime
) -> None:
    ts = await start(sandbox, web, markdown_text="x")
    clock.now_s += 300
    await web.chat_update(channel=GENERAL, ts=ts, text="y")
    assert sandbox.workspace.message(GENERAL, ts).text == "y"


async def test_stream_is_limited_to_10_000_bytes(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="é" * 4_999)
    assert await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, markdown_text="éé") == "msg_too_long"
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="é")


@pytest.mark.slack(stream_capacity_bytes=None)
async def test_stream_without_that_limit_takes_what_a_message_takes(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="x" * 12_000)
    assert (
        await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, markdown_text="x" * 12_001) == "msg_too_long"
    )
    assert (
        await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, markdown_text="x" * 1_201)
        == "msg_blocks_too_long"
    )
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="x" * 1_200)


async def test_stream_takes_62_blocks_and_an_edit_of_it_50(sandbox: Sandbox, web: AsyncWebClient) -> None:
    text = "text\n\n---\n\n" * 31
    ts = await start(sandbox, web, markdown_text=text)
    assert len(blocks_of(sandbox, ts)) == 62
    assert await error_of(web, "chat.appendStream", channel=GENERAL, ts=ts, markdown_text="text") == "invalid_blocks"
    await web.chat_stopStream(channel=GENERAL, ts=ts)
    blocks = [{"type": "markdown", "text": text}]
    assert await error_of(web, "chat.update", channel=GENERAL, ts=ts, text="text", blocks=blocks) == "invalid_blocks"


async def read_back(sandbox: Sandbox, web: AsyncWebClient, ts: str) -> Any:
    root = sandbox.workspace.message(GENERAL, ts).root_ts
    replies = await web.conversations_replies(channel=GENERAL, ts=root)
    return next(message for message in replies["messages"] if message["ts"] == ts)


async def test_stream_is_read_back_as_a_translation_with_its_state(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="## Why\n\n**It** is `so` <&\n\n1. one\n2. two\n\nThen.\n\n")
    assert (await read_back(sandbox, web, ts))["streaming_state"] == "in_progress"
    table = "| a |\n|---|\n| b |"
    stopped = await web.chat_stopStream(channel=GENERAL, ts=ts, markdown_text=table)
    message = await read_back(sandbox, web, ts)
    assert message["streaming_state"] == stopped["message"]["streaming_state"] == "completed"
    assert message["text"] == ("Why *It* is `so` &lt;&amp;\n\n1. one\n2. two\nThen., with interactive elements")
    header, rich_text, read_table = message["blocks"]
    assert header["level"] == 2
    assert rich_text["elements"][-1]["elements"][-1] == {"type": "text", "text": "\n\n"}
    assert {cell["type"] for row in read_table["rows"] for cell in row} == {"rich_text"}


async def test_stream_has_no_metadata_before_its_stop(sandbox: Sandbox, web: AsyncWebClient) -> None:
    metadata = {"event_type": "reply", "event_payload": {"page": 0}}
    ts = await start(sandbox, web, metadata=metadata, markdown_text="x")
    await web.chat_appendStream(channel=GENERAL, ts=ts, markdown_text="y", metadata=metadata)
    assert "metadata" not in await read_back(sandbox, web, ts)
    await web.chat_stopStream(channel=GENERAL, ts=ts, metadata=metadata)
    assert (await read_back(sandbox, web, ts))["metadata"]["event_type"] == "reply"


async def test_open_stream_can_be_neither_edited_nor_deleted(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, markdown_text="x")
    assert await error_of(web, "chat.delete", channel=GENERAL, ts=ts) == "cant_delete_message"
    assert await error_of(web, "chat.update", channel=GENERAL, ts=ts, text="y") == "streaming_state_conflict"
    await web.chat_stopStream(channel=GENERAL, ts=ts)
    await web.chat_delete(channel=GENERAL, ts=ts)


async def test_details_and_output_of_a_task_are_appended(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await start(sandbox, web, chunks=[{**SEARCH, "details": "Three ", "output": "x" * 20_000}])
    update = {**SEARCH, "title": "Read", "status": "complete", "details": "pages", "output": "x" * 20_000}
    await web.chat_appendStream(channel=GENERAL, ts=ts, chunks=[update])
    (card,) = blocks_of(sandbox, ts)
    details, output = (card[key]["elements"][0]["elements"][0]["text"] for key in ("details", "output"))
    assert (card["title"], card["status"], details, output) == ("Read", "complete", "Three pages", "x" * 40_000)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"thread_ts": None}, "invalid_arguments"),
        ({"thread_ts": ""}, "invalid_thread_ts"),
        ({"recipient_team_id": None}, "missing_recipient_team_id"),
        ({"recipient_user_id": None}, "missing_recipient_user_id"),
        ({"recipient_user_id": "C0GENERAL"}, "invalid_arguments"),
        ({"recipient_user_id": "U0NOBODY"}, "user_not_found"),
        ({"recipient_user_id": "U0BOT"}, "user_not_found"),
        ({"recipient_team_id": "T0PARTNERS"}, "team_not_found"),
        ({"task_display_mode": "cards"}, "invalid_arguments"),
    ],
)
async def test_stream_requires_a_thread_and_a_person(
    sandbox: Sandbox, web: AsyncWebClient, changed: Any, error: str
) -> None:
    root = await sandbox.say("ada", "general", "question")
    arguments = {"thread_ts": root, "recipient_team_id": "T0SANDBOX", "recipient_user_id": "U0ADA", **changed}
    given = {key: value for key, value in arguments.items() if value is not None}
    assert await error_of(web, "chat.startStream", channel=GENERAL, **given) == error
    assert sandbox.workspace.replies(GENERAL, root) == []


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_open_stream_in_an_archived_channel_takes_no_more_calls(
    sandbox: Sandbox, web: AsyncWebClient, method: str
) -> None:
    ts = await start(sandbox, web, markdown_text="Hello")
    sandbox.workspace.channel(GENERAL).archived = True
    assert await error_of(web, method, channel=GENERAL, ts=ts, markdown_text=" there") == "is_archived"
    assert sandbox.workspace.message(GENERAL, ts).text == "Hello"


async def test_stream_to_a_person_of_another_organization_names_that_persons_team(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    person = next(user for user in sandbox.workspace.users.values() if user.team_id == "T0PARTNERS")
    root = await sandbox.say("ada", "general", "question")
    arguments: Any = {"channel": GENERAL, "thread_ts": root, "recipient_user_id": person.id}
    ours = {**arguments, "recipient_team_id": sandbox.team_id}
    assert await error_of(web, "chat.startStream", **ours) == "team_not_found"
    assert (await web.chat_startStream(**arguments, recipient_team_id=person.team_id))["ok"]


async def call(sandbox: Sandbox, web: AsyncWebClient, method: str, ts: str) -> None:
    if method == "chat.startStream":
        await start(sandbox, web, **TEXT)
    else:
        await web.api_call(method, json={"channel": GENERAL, "ts": ts, **TEXT})


METHODS = ("chat.startStream", "chat.appendStream", "chat.stopStream")


def streamed(sandbox: Sandbox) -> list[str]:
    messages = sandbox.workspace.messages(GENERAL)
    return [message.text for message in messages if message.user_id == sandbox.bot_user_id]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("fault", "is_done"), [("drop_request", False), ("lose_response", True)])
async def test_lost_call_of_a_stream_takes_effect_only_if_its_request_arrived(
    sandbox: Sandbox, web: AsyncWebClient, method: str, fault: str, *, is_done: bool
) -> None:
    web.retry_handlers = []
    ts = await start(sandbox, web, markdown_text="begun, ")
    sandbox.faults.start(fault, method=method, times=1)
    with pytest.raises(aiohttp.ClientError):
        await call(sandbox, web, method, ts)
    grown = "begun, text" if is_done else "begun,"
    started_again = ["begun,"] + (["text"] if is_done else [])
    assert streamed(sandbox) == (started_again if method == "chat.startStream" else [grown])


@pytest.mark.parametrize("method", METHODS)
async def test_stream_can_be_refused_at_any_call(sandbox: Sandbox, web: AsyncWebClient, method: str) -> None:
    ts = await start(sandbox, web, markdown_text="begun, ")
    sandbox.faults.start("refuse", method=method, times=1, error="not_allowed")
    assert await error_name(call(sandbox, web, method, ts)) == "not_allowed"
    assert streamed(sandbox) == ["begun,"]


@pytest.mark.parametrize("method", METHODS)
async def test_slack_can_close_a_stream_at_any_call(sandbox: Sandbox, web: AsyncWebClient, method: str) -> None:
    ts = await start(sandbox, web, markdown_text="begun, ")
    sandbox.faults.start("close_stream", method=method, times=1)
    if method == "chat.startStream":
        await call(sandbox, web, method, ts)
        ts = list(sandbox.workspace.messages(GENERAL))[-1].ts
        method = "chat.appendStream"
    assert await error_name(call(sandbox, web, method, ts)) == CLOSED
    await web.chat_update(channel=GENERAL, ts=ts, text="fixed")


@pytest.mark.parametrize(("method", "budget"), list(zip(METHODS, (20, 100, 20), strict=True)))
async def test_each_call_of_a_stream_has_its_own_budget(
    sandbox: Sandbox, web: AsyncWebClient, method: str, budget: int
) -> None:
    for _ in range(budget):
        assert await error_of(web, method, channel=GENERAL) == "invalid_arguments"
    limited = await error_response(web.api_call(method, json={"channel": GENERAL}))
    assert (limited.status_code, limited["error"]) == (429, "ratelimited")


async def test_status_ends_after_two_minutes_or_when_the_bot_posts(
    sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime
) -> None:
    root = await sandbox.say("ada", "general", "question")

    async def set_status() -> None:
        await web.assistant_threads_setStatus(channel_id=GENERAL, thread_ts=root, status="is thinking…")

    await set_status()
    assert sandbox.workspace.status(GENERAL, root) == "is thinking…"
    clock.now_s += 120
    assert sandbox.workspace.status(GENERAL, root) is None
    await set_status()
    await web.chat_postMessage(channel=GENERAL, text="answer", thread_ts=root)
    assert sandbox.workspace.status(GENERAL, root) is None


async def test_events_show_a_stream_of_another_bot_empty_and_then_whole(sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", "general", "a thread")
    ts = await sandbox.stream_as_bot("hal", "general", root)
    await sandbox.end_stream_as_bot("general", ts, "All of it")
    start, end = (delivery.payload["event"] for delivery in list(sandbox.deliveries)[-2:])
    assert (start["text"], start["streaming_state"], start.get("blocks")) == ("", "in_progress", None)
    assert (end["subtype"], end["hidden"], end["message"]["streaming_state"]) == ("message_changed", True, "completed")
    assert (end["message"]["text"], end["previous_message"]["text"]) == ("All of it", "")
    assert end["previous_message"]["streaming_state"] == "in_progress"
    assert not {"edited", "source_team"} & end["message"].keys()
