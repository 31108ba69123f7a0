"""Questions that the bot posts for people, as they are found again in Slack, and responses that Slack refuses."""

import asyncio
import itertools
import logging
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
from aiohttp import web

from bot.core.actions import ActionResponse
from bot.core.conversation import ThreadKey
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import Refusal, Refused
from bot.slack.client import MAX_LIST_PAGES, NO_UNFURLS, SlackClient, new_session, pages
from bot.slack.history import LOOK_BACK_MESSAGES
from bot.slack.quotas import cap_notification
from bot.slack.surfaces import CHANNELS_PER_PAGE, MAX_CHANNEL_PAGES, Surfaces
from bot.slack.users import MAX_PAGES, PEOPLE_PER_PAGE, ChannelReaders, pages_of_people
from slack_sandbox.testing.processes import WITHIN_S
from slack_sandbox.workspace import Channel
from tests.clocks import InstantClock
from tests.slack.scripted import Json, ScriptedClient
from tests.slack.workspaces import connected_workspace, workspace_of


async def test_post_of_somebody_else_is_never_taken_for_a_posted_question() -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        root = await sandbox.say("grace", "general", "One")
        about = QuotedMessage("C0GENERAL", root, root, "One", "")
        question = MessageQuestion(sandbox.team_id, "V1", "U0ADA", about, "Why?", 0.0)
        _, ts = await workspace.surfaces.post_question(question, lambda: True, elsewhere=False)
        posted = sandbox.workspace.message("C0GENERAL", ts)
        assert await workspace.surfaces.find_question(question, 0.0) == ts
        sandbox.workspace.change(replace(posted, user_id="U0GRACE"), announced=False)
        assert await workspace.surfaces.find_question(question, 0.0) is None


@pytest.mark.parametrize("has_url", [True, False], ids=["its response_url is gone", "they are not in the channel"])
@pytest.mark.parametrize("markdown", ["", "- one"])
async def test_response_that_slack_refuses_is_only_logged(
    has_url: bool, markdown: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        gone = f"{sandbox.api_url.removesuffix('/api/')}/gone" if has_url else ""
        response = ActionResponse("Too late.", markdown)
        with caplog.at_level(logging.WARNING):
            thread = ThreadKey(sandbox.team_id, "C0NOWHERE", None)
            await workspace.surfaces.respond_to_action(thread, "U0ADA", gone, response)
        assert ("response not sent" if has_url else "not shown in the thread") in caplog.text


async def test_message_for_one_person_has_no_link_unfurled() -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        root = await sandbox.say("ada", "general", "hi")
        thread = ThreadKey(sandbox.team_id, "C0GENERAL", root)
        await workspace.ephemeral.post(thread, "U0ADA", text="See https://a.example.")
        *_, call = sandbox.calls
        asked = {name: value for name, value in call.arguments.items() if name.startswith("unfurl_")}
        assert (call.method, asked) == ("chat.postEphemeral", dict.fromkeys(NO_UNFURLS, "false"))


async def test_channels_of_a_person_are_found_on_all_pages_that_a_bot_may_see() -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        bot, channels = sandbox.bot_user_id, sandbox.workspace.channels
        channels["C0THEIRS"] = Channel("C0THEIRS", "theirs", "group", ["U0ADA"])
        channels["C0OLD"] = Channel("C0OLD", "old", "channel", ["U0ADA", bot], archived=True)
        names = [f"C{number:05}" for number in range(CHANNELS_PER_PAGE * MAX_CHANNEL_PAGES)]
        for name in names[:CHANNELS_PER_PAGE]:
            channels[name] = Channel(name, name.lower(), "channel", ["U0ADA"])
        found = await workspace.surfaces.channels_of("U0ADA")
        assert found == {"C0GENERAL", "C0RANDOM", "C0PROJECTX", "C0PARTNERS", *names[:CHANNELS_PER_PAGE]}
        for name in names:
            channels[name] = Channel(name, name.lower(), "channel", ["U0ADA"])
        assert len(await workspace.surfaces.channels_of("U0ADA")) == CHANNELS_PER_PAGE * MAX_CHANNEL_PAGES
        called = [call.method for call in sandbox.calls]
        assert called.count("users.conversations") == 2 + MAX_CHANNEL_PAGES


async def test_nobody_is_told_twice_whichever_page_lists_their_direct_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.surfaces.MAX_PER_PAGE", 1)
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        people = {f"U0{name.upper()}": sandbox.dm(name) for name in ("ada", "grace", "alan")}
        for notice in ("monday", "monday", "tuesday"):
            for person in people:
                if not await workspace.surfaces.is_notified(person, {}, notice, 0.0):
                    await workspace.surfaces.notify(person, {"text": f"It is {notice}."}, notice, lambda: True)
        for direct_message in people.values():
            told = [message.text for message in sandbox.messages(direct_message)]
            assert told == ["It is monday.", "It is tuesday."]


@pytest.mark.parametrize(("error", "texts"), [("invalid_blocks", ["A."]), ("restricted_action", [])])
async def test_notification_comes_without_its_chart_where_slack_takes_none(error: str, texts: list[str]) -> None:
    with_chart = cap_notification("A.", "dollars", [("Mon", 1.5), ("Tue", 0.0)])
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        sandbox.faults.start("refuse", method="chat.postMessage", error=error, times=1)
        with nullcontext() if texts else pytest.raises(Refused):
            await workspace.surfaces.notify("U0ADA", with_chart, "cap", lambda: True)
        read = [message.text for message in sandbox.messages(sandbox.dm("ada"))]
        assert read == [cap_notification(text, "dollars", ())["text"] for text in texts]


MOST_READ = PEOPLE_PER_PAGE * MAX_CHANNEL_PAGES


@pytest.mark.parametrize(
    ("members", "place", "is_in"),
    [
        (2, None, False),
        (2, 1, True),
        (PEOPLE_PER_PAGE, None, False),
        (PEOPLE_PER_PAGE + 1, PEOPLE_PER_PAGE, True),
        (MOST_READ, None, False),
        (MOST_READ, MOST_READ - 1, True),
        # Nobody knows: a run isn't stopped, and a list isn't denied, for a channel's size.
        (MOST_READ + 1, MOST_READ, True),
        (MOST_READ + 1, None, True),
    ],
)
async def test_person_is_in_a_channel_unless_all_of_its_members_were_read(
    members: int, place: int | None, is_in: bool
) -> None:
    async with connected_workspace(InstantClock(), subscribed=frozenset()) as (sandbox, workspace):
        people = [f"U{number:05}" for number in range(members)]
        if place is not None:
            people[place] = "U0ADA"
        sandbox.workspace.channels["C0LARGE"] = Channel("C0LARGE", "large", "channel", people)
        assert await workspace.surfaces.is_in_channel("U0ADA", "C0LARGE") is is_in


@pytest.mark.parametrize("repeats", [True, False], ids=["one cursor", "ever new cursors"])
async def test_lists_without_an_end_are_left(repeats: bool) -> None:
    called, cursors = Counter[str](), itertools.count()
    me = {
        "team_id": "T1",
        "user_id": "U0BOT",
        "bot_id": "B1",
        "url": "https://a.slack.com/",
        "team": "A",
        "user": "bot",
    }

    async def answer(request: web.Request) -> web.Response:
        called[request.path.rpartition("/")[2]] += 1
        page = {"ok": True, **me, "channel": {"id": "C1"}, "channels": [{"id": "D1", "user": "U1"}], "members": ["U1"]}
        page["response_metadata"] = {"next_cursor": "again" if repeats else f"{next(cursors)}"}
        return web.json_response(page)

    app = web.Application()
    app.router.add_post("/api/{method}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with new_session() as session, asyncio.timeout(WITHIN_S):
        port = runner.addresses[0][1]
        client = SlackClient("xoxb-1", f"http://127.0.0.1:{port}/api/", session)
        workspace = await workspace_of(client, InstantClock())
        surfaces = workspace.surfaces
        assert not await surfaces.is_notified("U0ADA", {}, "key", 0.0)
        found = await surfaces.channels_of("U0ADA"), await surfaces.is_in_channel("U0ADA", "C1")
        assert found == (frozenset({"D1"}), True)
        conversations = [page async for page in pages(client.call, "users.conversations")]
        assert not await ChannelReaders(workspace.paced, workspace.users).has_only_insiders(
            ThreadKey("T1", "C1", "1.0")
        )
        people = [page async for page in pages_of_people(client)]
    await runner.cleanup()
    most = 2 * MAX_LIST_PAGES + MAX_CHANNEL_PAGES, MAX_CHANNEL_PAGES + MAX_PAGES, MAX_LIST_PAGES
    expected = (6, 4, 2) if repeats else most
    counted = called["users.conversations"], called["conversations.members"], called["users.list"]
    assert (counted, len(people), len(conversations)) == (expected, expected[2], expected[2])


@dataclass
class Slack(ScriptedClient):
    @property
    def surfaces(self) -> Surfaces:
        every: Any = self
        return Surfaces(every, every, every, "UBOT")


INFO = "conversations.info"
TIMEOUT, FORBIDDEN, GONE = (
    Refused(INFO, name, reason)
    for name, reason in (
        ("timeout", Refusal.TRANSIENT),
        ("missing_scope", Refusal.FORBIDDEN),
        ("channel_not_found", Refusal.CHANNEL_GONE),
    )
)


@pytest.mark.parametrize(
    ("answer", "creator", "person"),
    [
        ({"channel": {"creator": "U1", "user": "U2"}}, "U1", "U2"),
        ({"channel": {}}, "", ""),
        ({}, "", ""),
        (FORBIDDEN, "", ""),
        (GONE, None, GONE),
        (TIMEOUT, TIMEOUT, TIMEOUT),
    ],
    ids=["told", "not told", "no channel", "no right", "gone", "no answer"],
)
async def test_whose_a_channel_is_may_stay_unsaid(
    answer: Json | Refused, creator: str | Refused | None, person: str | Refused
) -> None:
    slack = Slack({INFO: answer})
    for asked, told in ((slack.surfaces.creator, creator), (slack.surfaces.user_in_direct_message, person)):
        with pytest.raises(Refused) if isinstance(told, Refused) else nullcontext():
            assert await asked("C1") == told
    assert slack.asked == [{"method": INFO, "channel": "C1"}] * 2


NEWS: dict[str, tuple[Json, bool]] = {
    "a post": ({"ts": "10.500000", "user": "U1"}, True),
    "a post of that moment": ({"ts": "10.000000", "user": "U1"}, False),
    "a file": ({"ts": "10.500000", "user": "U1", "subtype": "file_share"}, True),
    "an app's post": ({"ts": "10.500000", "subtype": "bot_message"}, True),
    "ours": ({"ts": "10.500000", "user": "UBOT"}, False),
    "Slack's own": ({"ts": "10.500000", "user": "USLACKBOT"}, False),
    "a join": ({"ts": "10.500000", "user": "U1", "subtype": "channel_join"}, False),
    "a reply": ({"ts": "9.0", "user": "U1", "latest_reply": "10.500000", "reply_users": ["UBOT", "U1"]}, True),
    "a reply below ours": ({"ts": "9.0", "user": "UBOT", "latest_reply": "10.500000", "reply_users": ["U1"]}, True),
    "our reply": ({"ts": "9.0", "user": "U1", "latest_reply": "10.500000", "reply_users": ["UBOT"]}, False),
    "a reply of that moment": ({"ts": "9.0", "user": "U1", "latest_reply": "10.000000", "reply_users": ["U1"]}, False),
}


@pytest.mark.parametrize(("message", "is_news"), NEWS.values(), ids=NEWS)
async def test_news_of_a_channel_is_what_others_have_written_since(message: Json, is_news: bool) -> None:
    slack = Slack({"conversations.history": {"messages": [{"ts": "9.0", "user": "U1"}, message]}})
    assert await slack.surfaces.has_news("C1", 10.0) is is_news
    assert slack.asked == [{"method": "conversations.history", "channel": "C1", "limit": LOOK_BACK_MESSAGES}]


@pytest.mark.parametrize(
    ("users", "has_messages"), [([], False), (["UBOT", "USLACKBOT", "USLACK"], False), (["UBOT", "U1"], True)]
)
async def test_direct_message_has_messages_once_a_person_has_written(users: list[str], has_messages: bool) -> None:
    messages = [{"ts": f"{number}.0", "user": user} for number, user in enumerate(users, start=1)]
    slack = Slack({"conversations.history": {"messages": messages}})
    assert await slack.surfaces.has_messages("D1", "9.0") is has_messages
    history = {"method": "conversations.history", "channel": "D1", "latest": "9.0", "limit": LOOK_BACK_MESSAGES}
    assert slack.asked == [history]


@pytest.mark.parametrize(("error", "is_raised"), [("already_reacted", False), ("is_archived", True)])
async def test_reaction_that_is_there_is_no_failure(error: str, is_raised: bool) -> None:
    slack = Slack({"reactions.add": Refused("reactions.add", error, Refusal.UNKNOWN)})
    with pytest.raises(Refused) if is_raised else nullcontext():
        await slack.surfaces.react("C1", "2.0", "eyes")
    assert slack.asked == [{"method": "reactions.add", "channel": "C1", "timestamp": "2.0", "name": "eyes"}]


@pytest.mark.parametrize(("in_modal", "method"), [(False, "views.open"), (True, "views.push")])
async def test_modal_that_slack_does_not_open_is_told_to_whoever_waits_for_it(in_modal: bool, method: str) -> None:
    refused = Refused(method, "expired_trigger_id", Refusal.UNKNOWN)
    with pytest.raises(Refused):
        await Slack({method: refused}).surfaces.open("trigger", {}, in_modal=in_modal)


async def test_modal_that_its_person_has_closed_is_left() -> None:
    slack = Slack({"views.update": Refused("views.update", "not_found", Refusal.UNKNOWN)})
    await slack.surfaces.update("V1", {"type": "modal"})
    assert slack.asked == [{"method": "views.update", "view_id": "V1", "view": {"type": "modal"}}]


@pytest.mark.parametrize("thread_ts", ["1.0", ""])
async def test_posted_question_is_looked_for_where_it_was_posted(thread_ts: str) -> None:
    posted = {"user": "UBOT", "blocks": [{"block_id": "asked-in-V1"}]}
    messages = [{**posted, "ts": "2.0", "blocks": [{"block_id": "asked-in-V2"}]}, {**posted, "ts": "3.0"}]
    method = "conversations.replies" if thread_ts else "conversations.history"
    slack = Slack({method: {"messages": messages}})
    about = QuotedMessage("C1", "1.5", thread_ts, "", "")
    question = MessageQuestion("T1", "V1", "U1", about, "Why?", 0.0)
    assert await slack.surfaces.find_question(question, 7.25) == "3.0"
    place = {"ts": thread_ts or None}
    since = {"oldest": "7.250000", "limit": LOOK_BACK_MESSAGES}
    assert slack.asked == [{"method": method, "channel": "C1", **since, **place}]
