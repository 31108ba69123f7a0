"""Events that an app receives through slack_sdk's Socket Mode client."""

from collections.abc import Awaitable, Callable

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.workspace import Json
from tests.conftest import SdkApp, sent_events


def kind(event: Json) -> tuple[str, str | None, str | None]:
    return event["type"], event.get("subtype"), event.get("channel_type")


async def mention(sandbox: Sandbox) -> None:
    await sandbox.say("ada", "general", "@bot hi")


async def plain(sandbox: Sandbox) -> None:
    await sandbox.say("ada", "general", "hi")


async def direct(sandbox: Sandbox) -> None:
    await sandbox.say("ada", sandbox.dm("ada"), "@bot hi")


async def group(sandbox: Sandbox) -> None:
    await sandbox.say("ada", "mpdm-ada--grace--bot-1", "hi")


async def private(sandbox: Sandbox) -> None:
    await sandbox.say("ada", "project-x", "<@BOT> hi")


async def mention_without_membership(sandbox: Sandbox) -> None:
    sandbox.workspace.leave("general", "bot")
    await mention(sandbox)


async def private_without_membership(sandbox: Sandbox) -> None:
    sandbox.workspace.leave("project-x", "bot")
    await private(sandbox)
    await plain(sandbox)


async def broadcast(sandbox: Sandbox) -> None:
    root = await sandbox.say("grace", "general", "root")
    await sandbox.say("ada", "general", "reply", root, broadcast=True)


async def file(sandbox: Sandbox) -> None:
    await sandbox.share("ada", "general", "look", [UploadedFile("plan.png", b"png")])


async def edited(sandbox: Sandbox) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    await sandbox.edit("general", ts, "hello")


async def deleted(sandbox: Sandbox) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    await sandbox.delete("general", ts)


async def edited_in_a_thread(sandbox: Sandbox) -> None:
    root = await sandbox.say("grace", sandbox.dm("grace"), "root")
    ts = await sandbox.say("grace", sandbox.dm("grace"), "hi", root)
    await sandbox.edit(sandbox.dm("grace"), ts, "hello")
    await sandbox.delete(sandbox.dm("grace"), ts)


async def root_deleted(sandbox: Sandbox) -> None:
    root = await sandbox.say("ada", "general", "root")
    await sandbox.say("grace", "general", "reply", root)
    await sandbox.delete("general", root)


async def from_another_organisation(sandbox: Sandbox) -> None:
    await sandbox.say("emmy", "partners", "hi")


async def another_bot(sandbox: Sandbox) -> None:
    await sandbox.say_as_bot("deploys", "general", "done")


async def integration(sandbox: Sandbox) -> None:
    await sandbox.say_as_bot("deploys", "general", "done", is_legacy=True)


PLAIN = ("message", None, "channel")
DIRECT = ("message", None, "im")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (mention, [("app_mention", None, None), PLAIN]),
        (plain, [PLAIN]),
        (direct, [("message", None, "im")]),
        (group, [("message", None, "mpim")]),
        (private, [("app_mention", None, None), ("message", None, "group")]),
        (mention_without_membership, [("app_mention", None, None)]),
        (private_without_membership, [PLAIN]),
        (broadcast, [PLAIN, ("message", "thread_broadcast", "channel"), ("message", "message_changed", "channel")]),
        (file, [("message", "file_share", "channel")]),
        (edited, [PLAIN, ("message", "message_changed", "channel")]),
        (deleted, [PLAIN, ("message", "message_deleted", "channel")]),
        (
            edited_in_a_thread,
            [DIRECT, DIRECT, ("message", "message_changed", "im"), ("message", "message_deleted", "im")],
        ),
        (root_deleted, [PLAIN, PLAIN, ("message", "message_changed", "channel")]),
        (from_another_organisation, [PLAIN]),
        (another_bot, [PLAIN]),
        (integration, [("message", "bot_message", "channel")]),
    ],
)
async def test_actions_of_people_become_events(
    app: SdkApp, act: Callable[[Sandbox], Awaitable[None]], expected: list[tuple[str, str | None, str | None]]
) -> None:
    await app.connect()
    await act(app.sandbox)
    await app.sandbox.wait_for(lambda: all(d.acked_at_s is not None for d in app.sandbox.deliveries))
    assert [kind(event) for event in await app.events(len(expected))] == expected


async def test_mention_is_sent_as_two_events_for_one_message(app: SdkApp) -> None:
    await app.connect()
    ts = await app.sandbox.say("ada", "general", "@bot <b> & co")
    first, second = await app.events(2)
    assert first["ts"] == second["ts"] == ts
    assert first["client_msg_id"] == second["client_msg_id"]
    assert len({request.payload["event_id"] for request in app.requests}) == 2
    assert first["text"] == "<@U0BOT> &lt;b&gt; &amp; co"
    assert first["blocks"][0]["elements"][0]["elements"] == [
        {"type": "user", "user_id": "U0BOT"},
        {"type": "text", "text": " <b> & co"},
    ]


async def test_event_payload_has_all_fields(app: SdkApp) -> None:
    await app.connect()
    root = await app.sandbox.say("grace", "general", "question")
    ts = await app.sandbox.say("ada", "general", "answer", root)
    await app.events(2)
    payload = app.requests[1].payload
    assert payload["type"] == "event_callback"
    assert payload["authorizations"][0]["user_id"] == app.sandbox.bot_user_id
    assert {"team_id", "api_app_id", "event_id", "event_time"} <= payload.keys()
    expected = {"thread_ts": root, "parent_user_id": "U0GRACE", "user": "U0ADA", "ts": ts, "event_ts": ts}
    assert expected.items() <= payload["event"].items()


async def test_edit_and_deletion_events_have_the_previous_message(app: SdkApp) -> None:
    await app.connect()
    await edited_in_a_thread(app.sandbox)
    await root_deleted(app.sandbox)
    changed, deletion, *_, tombstone = (await app.events(7))[2:]
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("hello", "hi")
    assert changed["message"]["edited"]["user"] == "U0GRACE"
    assert changed["message"]["thread_ts"] == deletion["previous_message"]["thread_ts"]
    assert (deletion["deleted_ts"], deletion["previous_message"]["text"]) == (changed["message"]["ts"], "hello")
    assert (tombstone["message"]["subtype"], tombstone["message"]["user"]) == ("tombstone", "USLACKBOT")
    assert tombstone["previous_message"]["text"] == "root"


async def test_broadcast_comes_once_more_as_an_edit_that_nobody_made(app: SdkApp) -> None:
    await app.connect()
    await broadcast(app.sandbox)
    _, posted, again = await app.events(3)
    assert ("team" in posted, posted["root"]["team"]) == (False, app.sandbox.team_id)
    assert again["hidden"]
    assert again["message"] == again["previous_message"]
    assert "edited" not in again["message"]
    assert (again["message"]["ts"], again["message"]["text"]) == (posted["ts"], posted["text"])


@pytest.mark.slack(manifest=manifests.agent())
async def test_root_comes_again_with_its_counters_and_its_session(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "question")
    await sandbox.say("grace", "general", "a reply before there is a session", root)
    await web.agents_sessions_setStatus(channel_id="C0GENERAL", thread_ts=root, status="processing")
    await sandbox.say("ada", "general", "a second reply", root)
    _, _, begun, _, counted = sent_events(sandbox)
    for event, sessions, replies in ((begun, [None, "processing"], 1), (counted, ["processing", "processing"], 2)):
        before, after = event["previous_message"], event["message"]
        assert event["hidden"]
        assert [message.get("agent_session", {}).get("status") for message in (before, after)] == sessions
        assert (after["text"], after["reply_count"]) == (before["text"], replies)
        assert "edited" not in after
        assert [block["block_id"] for block in after["blocks"]] != [block["block_id"] for block in before["blocks"]]


async def test_message_from_another_organisation_names_its_team(app: SdkApp) -> None:
    await app.connect()
    await from_another_organisation(app.sandbox)
    (event,) = await app.events(1)
    assert (event["team"], event["user_team"], event["user_profile"]["team"]) == ("T0PARTNERS",) * 3
    payload = app.requests[0].payload
    assert (payload["team_id"], payload["is_ext_shared_channel"]) == ("T0PARTNERS", True)
    assert payload["authorizations"][0]["team_id"] == payload["context_team_id"] == app.sandbox.team_id


@pytest.mark.parametrize(
    ("sandbox", "firsts"),
    [
        ({"twin_order": "mention_first"}, {"app_mention"}),
        ({"twin_order": "message_first"}, {"message"}),
        ({"twin_order": "either", "seed": 1}, {"app_mention", "message"}),
    ],
    indirect=["sandbox"],
)
async def test_events_of_a_mention_come_in_the_configured_order(sandbox: Sandbox, firsts: set[str]) -> None:
    for _ in range(12):
        await mention(sandbox)
    assert {event["type"] for event in sent_events(sandbox)[::2]} == firsts


async def test_bot_receives_events_for_its_own_edits_and_deletions(app: SdkApp, web: AsyncWebClient) -> None:
    await app.connect()
    posted = await web.chat_postMessage(channel="C0GENERAL", text="…")
    await web.chat_update(channel="C0GENERAL", ts=posted["ts"], text="whole")
    await web.chat_delete(channel="C0GENERAL", ts=posted["ts"])
    post, changed, deletion = await app.events(3)
    assert (post["bot_id"], post["user"]) == ("B0BOT", "U0BOT")
    assert (changed["message"]["text"], changed["previous_message"]["text"]) == ("whole", "…")
    assert changed["message"]["edited"]["user"] == "B0BOT"
    assert "edited" not in changed["previous_message"]
    assert deletion["deleted_ts"] == posted["ts"]


@pytest.mark.slack(subscribed=frozenset({"app_mention"}))
async def test_only_subscribed_events_are_sent(sandbox: Sandbox) -> None:
    await plain(sandbox)
    await mention(sandbox)
    assert [event["type"] for event in sent_events(sandbox)] == ["app_mention"]
