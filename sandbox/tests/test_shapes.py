"""Compares everything that the sandbox sends with the shapes recorded from the real Slack, over HTTP and WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from slack_sandbox.files import Mail, UploadedFile
from slack_sandbox.people import Content
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.bolt import actions, button, option, plain
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.testing.requests import error_name
from slack_sandbox.testing.shapes import events, interactivity, messages, web_api
from slack_sandbox.testing.shapes.events import changed, deleted, edited, mention, message_event, unedited
from slack_sandbox.testing.shapes.messages import BY_BOT, BY_CLASSIC_APP, BY_PERSON, FILE_SHARE_BY_PERSON, TOMBSTONE
from slack_sandbox.testing.shapes.shape import Shape, problems
from slack_sandbox.web_api.http import FORM_ONLY, SCOPES
from slack_sandbox.workspace import Json

GENERAL = "C0GENERAL"
MODAL = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Settings"),
    "submit": plain("Save"),
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": plain("Words"),
            "element": {"type": "plain_text_input", "action_id": "words"},
        },
        actions({"type": "static_select", "action_id": "model", "options": [option("a"), option("b")]}),
    ],
}
REPLY = [
    {"type": "markdown", "text": "# Heading\n\n*Words*, `code` and 👍.\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n- one"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "_stopped_"}]},
    actions(button("again"), {"type": "static_select", "action_id": "pick", "options": [option("a")]}),
]
TASKS = [
    {"type": "task_update", "id": "read", "title": "Read", "status": "in_progress", "details": "Three pages"},
    {"type": "markdown_text", "text": "*Words*"},
]


@dataclass
class Wire:
    """An app without an SDK. It records all envelopes and acknowledges them."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    envelopes: list[Json] = field(default_factory=list)
    received: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def call(self, method: str, *, token: str | None = None, **arguments: Any) -> Json:
        token = self.sandbox.bot_token if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = (
            {"params": {key: str(value) for key, value in arguments.items()}}
            if method in FORM_ONLY
            else {"json": arguments}
        )
        async with self.session.post(f"{self.sandbox.api_url}{method}", headers=headers, **body) as answer:
            response: Json = await answer.json()
        return response

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            envelope = json.loads(message.data)
            async with self.received:
                self.envelopes.append(envelope)
                self.received.notify_all()
            if "envelope_id" in envelope:
                await socket.send_json({"envelope_id": envelope["envelope_id"]})

    async def of_kind(self, kind: str, count: int) -> list[Json]:
        """Waits for at least `count` envelopes of a type and returns them."""

        def matching() -> list[Json]:
            return [envelope for envelope in self.envelopes if envelope["type"] == kind]

        async with asyncio.timeout(WITHIN_S), self.received:
            await self.received.wait_for(lambda: len(matching()) >= count)
        return matching()

    async def events(self, count: int) -> list[Json]:
        return [envelope["payload"]["event"] for envelope in await self.of_kind("events_api", count)]

    async def post(self, **fields: Any) -> str:
        return str((await self.call("chat.postMessage", channel=GENERAL, text="Hi", **fields))["ts"])


@asynccontextmanager
async def wired(manifest: Json) -> AsyncIterator[Wire]:
    sandbox = Sandbox(manifest=manifest, twin_order="mention_first", ack_timeout_s=30.0)
    async with sandbox, aiohttp.ClientSession() as session:
        wire = Wire(sandbox, session)
        url = (await wire.call("apps.connections.open", token=sandbox.app_token))["url"]
        async with session.ws_connect(url) as socket:
            listening = asyncio.create_task(wire.listen(socket))
            await wire.of_kind("hello", 1)
            try:
                yield wire
            finally:
                await socket.close()
                await listening


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with wired(manifests.classic()) as wire:
        yield wire


# ---- events


async def a_mention(wire: Wire) -> None:
    await wire.sandbox.say("ada", "general", "@bot *why* is that? :wave: https://bot.example")


async def a_thread(wire: Wire) -> None:
    root = await wire.sandbox.say("ada", "general", "hi")
    await wire.sandbox.say("grace", "general", "- one\n- two\n> quote", root)


async def a_direct_message(wire: Wire) -> None:
    await wire.sandbox.say("ada", wire.sandbox.dm("ada"), "hi")


async def a_mention_where_the_app_is_no_member(wire: Wire) -> None:
    wire.sandbox.workspace.leave("general", "bot")
    await wire.sandbox.say("ada", "general", "@bot why?")


async def an_edited_mention(wire: Wire) -> None:
    ts = await wire.sandbox.say("ada", "general", "@bot why?")
    await wire.sandbox.edit("general", ts, "@bot why not?")


async def a_mention_by_an_edit_where_the_app_is_no_member(wire: Wire) -> None:
    wire.sandbox.workspace.leave("general", "bot")
    ts = await wire.sandbox.say("ada", "general", "why?")
    await wire.sandbox.edit("general", ts, "@bot why?")


async def a_broadcast(wire: Wire) -> None:
    root = await wire.sandbox.say("grace", "general", "root")
    await wire.sandbox.say("ada", "general", "reply", root, broadcast=True)


async def a_stream_of_another_app(wire: Wire) -> None:
    root = await wire.sandbox.say("grace", "general", "root")
    ts = await wire.sandbox.stream_as_bot("deploys", "general", root)
    await wire.sandbox.end_stream_as_bot("general", ts, "@bot *done*")


async def a_file(wire: Wire) -> None:
    await wire.sandbox.share(
        "ada", "general", "@bot look", [UploadedFile("a.png", b"png"), UploadedFile("a.txt", b"text")]
    )


async def a_clip(wire: Wire) -> None:
    ts = await wire.sandbox.share("ada", "general", "", [UploadedFile("Audio clip (1).m4a", b"m4a")])
    await wire.sandbox.transcribe(wire.sandbox.workspace.message(GENERAL, ts).files[0]["id"], "What day is it?")


async def a_canvas(wire: Wire) -> None:
    await wire.sandbox.share("ada", "general", "look", [UploadedFile("Plan.canvas", b"<h1>Plan</h1>")])


async def a_file_from_another_organisation(wire: Wire) -> None:
    await wire.sandbox.share("emmy", "partners", "look", [UploadedFile("a.png", b"png")])


async def a_table(wire: Wire) -> None:
    await wire.sandbox.paste("ada", "general", "Which?", [["Name", "Units"], ["QB55C", "3"], ["", "0"]])


async def a_forwarded_message(wire: Wire) -> None:
    ts = await wire.sandbox.say("ada", "random", "hi")
    await wire.sandbox.forward("grace", "random", ts, "general")


async def a_notice_of_slack(wire: Wire) -> None:
    await wire.sandbox.say_as_slack("ada", "<@U0ADA> archived the channel <#C0RANDOM>")


async def a_mail(wire: Wire) -> None:
    mail = Mail("Grace <grace@mail.example>", "Invoice 12", "Please pay.", attachments=("invoice.pdf",))
    await wire.sandbox.receive_mail("general", mail)
    await wire.sandbox.share("ada", "general", "look", [mail])


async def an_app_as_slackbot(wire: Wire) -> None:
    await wire.sandbox.say_as_slackbot("general", "New in the feed: *1.2.0*")


async def another_bot(wire: Wire) -> None:
    await wire.sandbox.say_as_bot("deploys", "general", "@bot done")


async def an_app_that_acts_for_a_person(wire: Wire) -> None:
    await wire.sandbox.say_through_app("A0DEPLOYS", "ada", "general", "done")


async def a_classic_app(wire: Wire) -> None:
    attachment = {"color": "#ff0000", "title": "Build", "title_link": "https://ci.example/1", "text": "failed"}
    await wire.sandbox.say_as_bot("deploys", "general", "done", is_legacy=True)
    await wire.sandbox.post("deploys", "general", Content("failed", attachments=[attachment]))


async def a_deletion(wire: Wire) -> None:
    ts = await wire.sandbox.say("ada", "general", "hi")
    await wire.sandbox.delete("general", ts)


async def a_deleted_thread(wire: Wire) -> None:
    root = await wire.sandbox.say("ada", "general", "hi")
    reply = await wire.sandbox.say("grace", "general", "hello", root)
    await wire.sandbox.delete("general", root)
    await wire.sandbox.delete("general", reply)


async def a_reply_of_the_app(wire: Wire) -> None:
    ts = await wire.post()
    await wire.call("chat.update", channel=GENERAL, ts=ts, text="Whole", blocks=REPLY)
    await wire.call("chat.delete", channel=GENERAL, ts=ts)


async def a_stream_of_the_app(wire: Wire) -> None:
    root = await wire.sandbox.say("ada", "general", "hi")
    recipient = {"recipient_team_id": wire.sandbox.team_id, "recipient_user_id": "U0ADA"}
    started = await wire.call(
        "chat.startStream", channel=GENERAL, thread_ts=root, task_display_mode="plan", **recipient
    )
    streaming = {"channel": GENERAL, "ts": started["ts"]}
    await wire.call("chat.appendStream", **streaming, chunks=TASKS)
    await wire.call("chat.stopStream", **streaming)


async def a_file_of_the_app(wire: Wire) -> None:
    await share_file_as_app(wire)


MENTION = mention(BY_PERSON)
MESSAGE = message_event(BY_PERSON)
EDITED = changed(edited(BY_PERSON), unedited(BY_PERSON))
BROADCAST = {key: shape for key, shape in unedited(messages.BROADCAST_BY_PERSON).items() if key != "team?"}
STREAMED = {**unedited(BY_BOT), "streaming_state": "completed"}
STREAM_START_BEFORE = {
    **{key: shape for key, shape in unedited(BY_BOT).items() if key != "blocks?"},
    "text": "",
    "streaming_state": "in_progress",
}
STREAM_START = message_event(STREAM_START_BEFORE)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (a_mention, [MENTION, MESSAGE]),
        (a_thread, [MESSAGE, MESSAGE]),
        (a_direct_message, [MESSAGE]),
        (a_mention_where_the_app_is_no_member, [MENTION]),
        (an_edited_mention, [MENTION, MESSAGE, mention(edited(BY_PERSON)), EDITED]),
        (a_mention_by_an_edit_where_the_app_is_no_member, [mention(edited(BY_PERSON))]),
        (a_broadcast, [MESSAGE, message_event(BROADCAST), changed(BROADCAST, BROADCAST)]),
        (a_stream_of_another_app, [MESSAGE, STREAM_START, changed(STREAMED, STREAM_START_BEFORE)]),
        (a_file, [mention(FILE_SHARE_BY_PERSON), message_event(FILE_SHARE_BY_PERSON)]),
        (
            a_file_from_another_organisation,
            [message_event({**FILE_SHARE_BY_PERSON, "files": [messages.CHECK_FILE_INFO]})],
        ),
        (a_clip, [message_event({**FILE_SHARE_BY_PERSON, "text": "", "files": [messages.AUDIO_CLIP]})]),
        (a_canvas, [message_event({**FILE_SHARE_BY_PERSON, "files": [messages.CANVAS]})]),
        (a_table, [message_event({**BY_PERSON, "attachments": BY_PERSON["attachments?"]})]),
        (a_forwarded_message, [MESSAGE, message_event({**BY_PERSON, "attachments": BY_PERSON["attachments?"]})]),
        (
            a_mail,
            [
                message_event(messages.MAIL_TO_CHANNEL),
                message_event({**FILE_SHARE_BY_PERSON, "files": [messages.MAIL]}),
            ],
        ),
        (an_app_as_slackbot, [message_event(messages.APP_AS_SLACKBOT)]),
        (a_notice_of_slack, [message_event(messages.FROM_SLACK)]),
        (another_bot, [mention(BY_BOT), message_event(BY_BOT)]),
        (an_app_that_acts_for_a_person, [message_event({**BY_PERSON, "app_id": messages.APP})]),
        (a_classic_app, [message_event(BY_CLASSIC_APP), message_event(BY_BOT)]),
        (a_deletion, [MESSAGE, deleted(unedited(BY_PERSON))]),
        (
            a_deleted_thread,
            [MESSAGE, MESSAGE, changed(TOMBSTONE, BY_PERSON), deleted(BY_PERSON), changed(TOMBSTONE, [])],
        ),
        (
            a_reply_of_the_app,
            [message_event(BY_BOT), changed(edited(BY_BOT), unedited(BY_BOT)), deleted(edited(BY_BOT))],
        ),
        (a_stream_of_the_app, [MESSAGE, message_event(BY_BOT), changed(BY_BOT, BY_BOT)]),
        (a_file_of_the_app, [message_event(messages.FILE_SHARE_BY_BOT)]),
    ],
)
async def test_event_has_the_recorded_shape(
    wire: Wire, act: Callable[[Wire], Awaitable[None]], expected: Sequence[Shape]
) -> None:
    await act(wire)
    envelopes = await wire.of_kind("events_api", len(expected))
    assert len(envelopes) == len(expected)
    for envelope, shape in zip(envelopes, expected, strict=True):
        assert problems(envelope["payload"]["event"], shape) == []
        assert problems(envelope, {**events.SOCKET_EVENT, "payload": events.envelope(shape)}) == []


async def a_home(wire: Wire) -> None:
    client = wire.sandbox.client("ada")
    client.open_tab("home")
    home = {"type": "home", "blocks": [actions(button("ask"))]}
    await wire.call("views.publish", user_id="U0ADA", view=home)
    client.open_tab("home")


async def an_assistants_thread(wire: Wire) -> None:
    client, dm = wire.sandbox.client("ada"), wire.sandbox.dm("ada")
    client.look_at("general")
    ts = client.start_thread()
    client.look_at("random")
    await wire.sandbox.say("ada", dm, "hi", ts)
    await wire.call("assistant.threads.setTitle", channel_id=dm, thread_ts=ts, title="Greetings")


async def an_agents_tab(wire: Wire) -> None:
    client, dm = wire.sandbox.client("ada"), wire.sandbox.dm("ada")
    client.look_at("general", await wire.sandbox.say("grace", "general", "look here"))
    client.open_tab("messages")
    client.look_at("general", canvas_id="F0PLAN")
    ts = await wire.sandbox.say("ada", dm, "hi")
    await wire.call("agents.sessions.setStatus", channel_id=dm, thread_ts=ts, status="processing")
    client.stop(dm, ts)
    client.rename(dm, ts, "Greetings")


async def two_reactions(wire: Wire) -> None:
    ts = await wire.sandbox.say("ada", "general", "hi")
    await wire.sandbox.react("grace", "general", ts, "eyes")
    await wire.sandbox.react("grace", "general", ts, "eyes", add=False)


async def two_joins(wire: Wire) -> None:
    workspace = wire.sandbox.workspace
    for user, inviter in ((wire.sandbox.bot_user_id, "U0ADA"), ("U0EDITH", "")):
        if user in workspace.channel("general").members:
            workspace.leave("general", user)
        workspace.join("general", user, inviter)


PANE_THREAD = messages.PANE_THREAD
TITLED = {**PANE_THREAD, "assistant_app_thread": PANE_THREAD["assistant_app_thread?"]}
CLIP = message_event({**FILE_SHARE_BY_PERSON, "files": [messages.AUDIO_CLIP]})
FROM_PANE = {**MESSAGE, "assistant_thread": {"action_token": str}}


@pytest.mark.parametrize(
    ("manifest", "act", "expected"),
    [
        (manifests.transcribing(), a_clip, [CLIP, *(events.FILE_CHANGE,) * 4]),
        (manifests.reacting(), two_reactions, [events.REACTION, events.REACTION]),
        (
            manifests.greeting(),
            two_joins,
            [{**events.JOIN, "inviter": str}, {key: of for key, of in events.JOIN.items() if key != "inviter?"}],
        ),
        (manifests.classic(), a_home, [events.HOME, {**events.HOME, "view": events.HOME["view?"]}]),
        (
            manifests.assistant(),
            an_assistants_thread,
            [events.PANE_OPENED, events.PANE_MOVED, FROM_PANE, changed(TITLED, PANE_THREAD)],
        ),
        (
            manifests.agent(),
            an_agents_tab,
            [
                MESSAGE,
                events.LOOKED,
                events.MESSAGES_TAB,
                events.LOOKED,
                {**FROM_PANE, "app_context": events.CONTEXT},
                events.metadata_of_root({**BY_PERSON, "client_msg_id": str}),
                events.STOPPED,
                events.metadata_of_root({**BY_PERSON, "client_msg_id": str}),
                events.RENAMED,
            ],
        ),
    ],
)
async def test_home_and_pane_event_has_the_recorded_shape(
    manifest: Json, act: Callable[[Wire], Awaitable[None]], expected: Sequence[Shape]
) -> None:
    async with wired(manifest) as wire:
        await act(wire)
        for envelope, shape in zip(await wire.of_kind("events_api", len(expected)), expected, strict=True):
            assert problems(envelope, {**events.SOCKET_EVENT, "payload": events.envelope(shape)}) == []


async def test_hello_and_disconnect_have_the_recorded_shape(wire: Wire) -> None:
    wire.sandbox.sockets.refresh(warning_s=0.0)
    for kind, shape, count in (("hello", events.HELLO, 1), ("disconnect", events.DISCONNECT, 2)):
        for response in await wire.of_kind(kind, count):
            assert problems(response, shape) == []


# ---- interactive payloads


async def a_press(wire: Wire) -> None:
    ts = await wire.post(blocks=REPLY, thread_ts=await wire.sandbox.say("ada", "general", "hi"))
    await wire.sandbox.client("ada").press("general", ts, "again")
    await wire.sandbox.client("ada").press("general", ts, "pick", "a")


async def a_press_on_an_ephemeral_message(wire: Wire) -> None:
    ts = await wire.call("chat.postEphemeral", channel=GENERAL, user="U0ADA", text="Hi", blocks=REPLY)
    await wire.sandbox.client("ada").press("general", ts["message_ts"], "again")


async def a_modal(wire: Wire) -> None:
    client = wire.sandbox.client("ada")
    await client.use_global_shortcut("ask_anything")
    (started,) = await wire.of_kind("interactive", 1)
    await wire.call("views.open", trigger_id=started["payload"]["trigger_id"], view=MODAL)
    assert client.modal is not None
    await client.press_in_view(client.modal, "model", "b")
    assert await client.submit({"words": "hi"}) == {}


async def a_modal_that_is_closed(wire: Wire) -> None:
    client = wire.sandbox.client("ada")
    await client.use_global_shortcut("ask_anything")
    (started,) = await wire.of_kind("interactive", 1)
    await wire.call("views.open", trigger_id=started["payload"]["trigger_id"], view=MODAL)
    await client.close()


async def a_query_in_a_message(wire: Wire) -> None:
    ts = await wire.post(blocks=[actions({"type": "external_select", "action_id": "city"})])
    assert (
        await error_name(wire.sandbox.client("ada").suggest("general", ts, "city", "ber")) == "invalid_response_options"
    )


async def a_query_in_a_modal(wire: Wire) -> None:
    client = wire.sandbox.client("ada")
    await client.use_global_shortcut("ask_anything")
    (envelope,) = await wire.of_kind("interactive", 1)
    menu = {"type": "external_select", "action_id": "city", "min_query_length": 0, "placeholder": plain("City")}
    view = MODAL | {"blocks": [actions(menu, block_id="place")]}
    await wire.call("views.open", trigger_id=envelope["payload"]["trigger_id"], view=view)
    assert client.modal is not None
    assert await error_name(client.suggest_in_view(client.modal, "city", "")) == "invalid_response_options"


async def a_message_shortcut(wire: Wire) -> None:
    for user, ts in (("ada", await wire.sandbox.say("ada", "general", "hi")), ("ada", await wire.post())):
        await wire.sandbox.client(user).use_message_shortcut("general", ts, "ask_about")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (a_press, [interactivity.PRESS, interactivity.PRESS]),
        (a_press_on_an_ephemeral_message, [interactivity.EPHEMERAL_PRESS]),
        (a_modal, [interactivity.SHORTCUT, interactivity.VIEW_PRESS, interactivity.SUBMISSION]),
        (a_modal_that_is_closed, [interactivity.SHORTCUT, interactivity.CLOSED]),
        (a_query_in_a_message, [interactivity.SUGGESTION]),
        (a_query_in_a_modal, [interactivity.SHORTCUT, interactivity.SUGGESTION]),
        (a_message_shortcut, [interactivity.MESSAGE_ACTION, interactivity.MESSAGE_ACTION]),
    ],
)
async def test_interactive_payload_has_the_recorded_shape(
    wire: Wire, act: Callable[[Wire], Awaitable[None]], expected: Sequence[Shape]
) -> None:
    await act(wire)
    for envelope, shape in zip(await wire.of_kind("interactive", len(expected)), expected, strict=True):
        assert problems(envelope["payload"], shape) == []


async def test_command_has_the_recorded_shape(wire: Wire) -> None:
    await wire.sandbox.client("ada").command("general", "/bot help me")
    (envelope,) = await wire.of_kind("slash_commands", 1)
    assert problems(envelope["payload"], interactivity.COMMAND) == []


# ---- responses of the Web API


async def share_file_as_app(wire: Wire) -> Json:
    wire.sandbox.granted.update(("files:write", "files:read", "channels:read"))
    opened = await wire.call("files.getUploadURLExternal", filename="answer.md", length=4)
    async with wire.session.post(opened["upload_url"], data=b"text") as answer:
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert await answer.text() == "OK - 4"
    return await wire.call("files.completeUploadExternal", files=[{"id": opened["file_id"]}], channel_id=GENERAL)


async def call_method(wire: Wire, method: str) -> Json:
    """Calls a method in a workspace that has all types of messages, and returns the response."""
    sandbox = wire.sandbox
    for act in (a_mention, a_file, a_file_from_another_organisation, a_table, a_broadcast, another_bot, a_classic_app):
        await act(wire)
    root = await sandbox.say("ada", "general", "hi")
    ts = await wire.post(blocks=REPLY, thread_ts=root, metadata={"event_type": "reply", "event_payload": {"page": 0}})
    await sandbox.react("ada", "general", ts, "eyes")
    for pinned in (ts, *(message.ts for message in sandbox.messages("general"))):
        await sandbox.pin("ada", "general", pinned)
    await sandbox.add_tab("ada", "partners", UploadedFile("Plan.canvas", b"# Plan"))
    await wire.call("chat.update", channel=GENERAL, ts=ts, text="Hello", blocks=REPLY)
    content = {"channel": GENERAL, "text": "Hi", "blocks": REPLY}
    stream = {"channel": GENERAL, "thread_ts": root, "recipient_team_id": sandbox.team_id, "recipient_user_id": "U0ADA"}
    streaming = {"channel": GENERAL, "ts": (await wire.call("chat.startStream", **stream))["ts"]}
    canvas = {"canvas_id": (await wire.call("canvases.create", title="Plan"))["canvas_id"]}
    arguments: dict[str, Json] = {
        "chat.postMessage": {**content, "thread_ts": root},
        "chat.update": {**content, "ts": ts},
        "chat.delete": {"channel": GENERAL, "ts": ts},
        "chat.postEphemeral": {**content, "user": "U0ADA"},
        "chat.startStream": stream,
        "chat.appendStream": {**streaming, "markdown_text": "more"},
        "chat.stopStream": {**streaming, "chunks": TASKS},
        "conversations.replies": {"channel": GENERAL, "ts": root, "include_all_metadata": True, "limit": 1},
        "conversations.history": {"channel": GENERAL},
        "conversations.info": {"channel": "C0PARTNERS", "include_num_members": True},
        "api.test": {"answer": "42"},
        "chat.getPermalink": {"channel": GENERAL, "message_ts": ts},
        "conversations.list": {"types": "public_channel,private_channel,mpim,im"},
        "users.conversations": {"types": "public_channel,private_channel,mpim,im"},
        "conversations.open": {"users": "U0ADA", "return_im": True},
        "pins.list": {"channel": GENERAL},
        "reactions.get": {"channel": GENERAL, "timestamp": ts, "full": True},
        "users.info": {"user": "U0ADA"},
        "users.lookupByEmail": {"email": "ada@sandbox.example"},
        "users.profile.get": {"user": "U0ADA"},
        "files.getUploadURLExternal": {"filename": "answer.md", "length": 4},
        "canvases.create": {"title": "Plan"},
        "canvases.getContent": canvas,
        "canvases.access.set": {**canvas, "access_level": "read", "channel_ids": [GENERAL]},
        "canvases.delete": canvas,
    }
    return await wire.call(method, **arguments.get(method, {}))


@pytest.mark.parametrize("method", sorted(set(web_api.ANSWERS) - {"files.info", "views.open"}))
async def test_response_has_the_recorded_shape(wire: Wire, method: str) -> None:
    wire.sandbox.granted.update(SCOPES)
    completes_upload = method == "files.completeUploadExternal"
    answer = await share_file_as_app(wire) if completes_upload else await call_method(wire, method)
    assert problems(answer, web_api.ANSWERS[method]) == []


async def test_private_channel_has_the_recorded_shape(wire: Wire) -> None:
    wire.sandbox.granted.update(SCOPES)
    private = wire.sandbox.workspace.channel("project-x").id
    answer = await wire.call("conversations.info", channel=private)
    assert problems(answer, {"ok": True, "channel": web_api.PRIVATE_CHANNEL}) == []


async def test_file_has_shares_and_types_after_slack_has_posted_it(wire: Wire) -> None:
    answer = await share_file_as_app(wire)
    (file,) = answer["files"]
    assert (file["shares"], file["mimetype"]) == ({}, "")
    await wire.sandbox.wait_for(lambda: wire.sandbox.messages("general"))
    info = await wire.call("files.info", file=file["id"])
    assert problems(info, web_api.ANSWERS["files.info"]) == []
    assert (list(info["file"]["shares"]["public"]), info["file"]["mode"]) == ([GENERAL], "snippet")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("U0ADA", messages.MEMBER),
        ("U0EDITH", messages.MEMBER),
        ("U0BOT", messages.MEMBER),
        ("USLACKBOT", {**messages.MEMBER, "name": "slackbot", "is_bot": False}),
        ("USLACK", {**messages.MEMBER, "name": "slack", "is_bot": False}),
        ("U0EMMY", messages.FOREIGNER),
        ("U0ALAN", messages.DEACTIVATED),
    ],
)
async def test_user_has_the_recorded_shape(wire: Wire, user: str, expected: Shape) -> None:
    wire.sandbox.people.deactivate("alan")
    answer = await wire.call("users.info", user=user)
    assert problems(answer, {"ok": True, "user": expected}) == []


async def test_error_response_has_the_recorded_shape(wire: Wire) -> None:
    responses = [
        await wire.call("auth.test", token=""),
        await wire.call("views.open", view={"type": "modal"}),
        await wire.call("chat.postMessage", channel=GENERAL, blocks=[{"type": "unknown"}]),
        await wire.call("files.delete", file="F0"),
    ]
    for answer in responses:
        assert problems(answer, web_api.REFUSAL) == []
    assert [answer["error"] for answer in responses] == [
        "not_authed",
        "invalid_arguments",
        "invalid_blocks",
        "missing_scope",
    ]


async def test_response_headers_name_the_tokens_scopes(wire: Wire) -> None:
    headers = {"Authorization": f"Bearer {wire.sandbox.bot_token}"}
    async with wire.session.post(f"{wire.sandbox.api_url}auth.test", headers=headers) as answer:
        assert answer.headers["X-OAuth-Scopes"].split(",") == sorted(manifests.SCOPES)
        assert [name for name in web_api.HEADERS if name not in answer.headers] == []
        assert answer.content_type == "application/json"
