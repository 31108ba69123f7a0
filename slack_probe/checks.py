"""All checks, in the order in which they run. Each yields observations: a name, a value, and a detail for readers.

The values and details contain numbers, Slack's error names and our own words: never names, text, IDs or tokens.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp

from bot.checks.report import CheckStatus
from bot.errors import Refused
from bot.slack.blockkit import Json
from bot.slack.client import CLOSE_TIMEOUT_S
from bot.slack.json_values import json_object
from bot.slack.manifest import AGENT_SCOPE
from slack_probe.bench import Bench, NotObserved
from slack_probe.expectations import ACCEPTED, NO, YES
from slack_probe.forms import forms

UNFURL_WAIT_S = 10.0
BETWEEN_BURSTS_S = 20.0
"""The pause after which a channel accepts a burst of posts again."""
PANE_WITHIN_S = 90.0
LINK = "https://docs.slack.dev/"
_PRIVATE_SEARCH = frozenset({"search:read.private", "search:read.im", "search:read.mpim"})
_RATES = {1: 3, 5: 2, 20: 1}
"""Seconds by calls a second."""


class Observed(NamedTuple):
    name: str
    value: str
    detail: str = ""


Observations = AsyncIterator[Observed]


def _word(seen: bool) -> str:
    return YES if seen else NO


async def _witness(bench: Bench, name: str, question: str) -> Observed:
    """Returns what the person who runs the command sees."""
    seen = await bench.ask(question)
    return Observed(name, "", "nobody could tell") if seen is None else Observed(name, _word(seen))


async def check_forms(bench: Bench) -> Observations:
    refused, problems = "", []
    for name, form in forms().items():
        kind = "view" if "type" in form else "message"
        try:
            await bench.call("blocks.validate", **{kind: form})
        except Refused as error:
            refused = refused or error.name
            problems.append(f"{name}: {'; '.join(error.problems) or error.name}")
            if error.name != f"invalid_{kind}":
                break
    yield Observed("all", refused or ACCEPTED, "<br>".join(problems) or f"{len(forms())} forms")


async def check_search(bench: Bench) -> Observations:
    """Observes the granted scopes: one lead says that bots get search scopes for private conversations."""
    granted = sorted(scope for scope in bench.scopes if scope.startswith("search:"))
    yield Observed("private", _word(bool(_PRIVATE_SEARCH.intersection(granted))), f"granted: {granted or 'none'}")


async def check_posts(bench: Bench) -> Observations:
    for rate, seconds in _RATES.items():

        async def post(number: int) -> None:
            await bench.call_once("chat.postMessage", channel=bench.channel_id, text=f"Burst, post {number}.")

        await bench.clock.sleep(BETWEEN_BURSTS_S)
        yield Observed(str(rate), *await bench.burst(post, rate, seconds))


async def check_edits(bench: Bench) -> Observations:
    ts = await bench.post(in_thread=True, text="Burst.")
    for rate, seconds in _RATES.items():

        async def edit(number: int, rate: int = rate) -> None:
            await bench.call_once("chat.update", channel=bench.channel_id, ts=ts, text=f"Edit {rate}, {number}.")

        yield Observed(str(rate), *await bench.burst(edit, rate, seconds))


async def check_appends(bench: Bench) -> Observations:
    async with bench.stream(bench.person_id, bench.me.team_id) as ts:
        for rate, seconds in _RATES.items():

            async def append(number: int) -> None:
                words = f" Append {number}."
                await bench.call_once("chat.appendStream", channel=bench.channel_id, ts=ts, markdown_text=words)

            yield Observed(str(rate), *await bench.burst(append, rate, seconds))


async def check_statuses(bench: Bench) -> Observations:
    thread = {"channel_id": bench.channel_id, "thread_ts": bench.root_ts}
    outcome = await bench.outcome("assistant.threads.setStatus", **thread, status="is checking statuses…")
    yield Observed("call", outcome, "an agent" if AGENT_SCOPE in bench.scopes else "an app without Agents")
    if outcome == ACCEPTED:
        yield await _witness(bench, "you", "Open the check's thread. Does it show that the app is checking statuses?")
        yield await _witness(bench, "others", "Does another member of the channel see this, too?")
        await bench.outcome("assistant.threads.setStatus", **thread, status="")
    else:
        for name in ("you", "others"):
            yield Observed(name, NO, "there is no status")


def _text(words: str) -> Json:
    return {"type": "plain_text", "text": words}


def _button(*visible_to: str) -> Json:
    limit: Json = {"visible_to_user_ids": list(visible_to)} if visible_to else {}
    return {"type": "button", "action_id": "probe", "text": _text("Probe"), **limit}


_RICH_TEXT: Json = {
    "type": "rich_text",
    "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "A paragraph."}]}],
}
_HEADER: Json = {"type": "header", "text": _text("A header")}
_SECTION: Json = {"type": "section", "text": _text("A section.")}
_CONTEXT: Json = {"type": "context", "elements": [_text("Small print.")]}
_ACTIONS: Json = {"type": "actions", "elements": [_button()]}
_REPLACED: Mapping[str, tuple[Sequence[Json], Sequence[Json]]] = {
    "header": ([_RICH_TEXT], [_HEADER]),
    "section_context": ([_RICH_TEXT], [_SECTION, _CONTEXT]),
    "context": ([_RICH_TEXT], [_CONTEXT]),
    "context_actions": ([_RICH_TEXT], [_CONTEXT, _ACTIONS]),
    "beside_context": ([_RICH_TEXT, _CONTEXT], [_CONTEXT]),
    "kept": ([_RICH_TEXT], [_RICH_TEXT, _CONTEXT]),
}


async def check_mismatch(bench: Bench) -> Observations:
    for name, (before, after) in _REPLACED.items():
        ts = await bench.post(in_thread=True, text="Blocks.", blocks=before)
        edit = {"channel": bench.channel_id, "ts": ts, "text": "Other blocks.", "blocks": after}
        yield Observed(name, await bench.outcome("chat.update", **edit))


async def check_unfurls(bench: Bench) -> Observations:
    async with bench.stream(bench.person_id, bench.me.team_id) as ts:
        await bench.call("chat.appendStream", channel=bench.channel_id, ts=ts, markdown_text=f" {LINK}")
    where = {"channel": bench.channel_id, "thread_ts": bench.root_ts}
    post = await bench.call("chat.postMessage", **where, text=LINK, unfurl_links=True)
    await bench.clock.sleep(UNFURL_WAIT_S)
    # A post with the same link shows whether Slack could make a preview at all.
    posted = "had" if (await _reply(bench, str(post["ts"]))).get("attachments") else "didn't have"
    streamed = await _reply(bench, ts)
    yield Observed("stream", _word(bool(streamed.get("attachments"))), f"a post with the same link {posted} a preview")


async def _reply(bench: Bench, ts: str) -> Json:
    read = await bench.call(
        "conversations.replies", channel=bench.channel_id, ts=bench.root_ts, oldest=ts, latest=ts, inclusive=True
    )
    return next((one for one in read.get("messages") or () if one.get("ts") == ts), {})


async def check_visible(bench: Bench) -> Observations:
    for count in (1, 10, 100, 1_000):
        ids = [bench.person_id, *(f"U{number:010}" for number in range(1, count))]
        blocks = [{"type": "actions", "elements": [_button(*ids)]}]
        yield Observed(str(count), await bench.outcome("blocks.validate", blocks=blocks))
    shown, hidden = (
        [_RICH_TEXT, {"type": "actions", "elements": [_button(one)]}] for one in (bench.person_id, bench.me.user_id)
    )
    ts = await bench.post(in_thread=True, text="A button.", blocks=shown)
    await bench.call("chat.update", channel=bench.channel_id, ts=ts, text="A button.", blocks=hidden)
    stored = str(await _reply(bench, ts))
    yield Observed("updated", _word(bench.me.user_id in stored.partition("visible_to_user_ids")[2]))
    yield await _witness(bench, "hidden", "Does the thread's last message show you a button, “Probe”?")


async def check_ephemeral(bench: Bench) -> Observations:
    reply_ts = await bench.post(in_thread=True, text="A reply.")
    to = {"channel": bench.channel_id, "user": bench.person_id, "text": "Only you can see this."}
    for name, thread_ts in {"thread": bench.root_ts, "reply": reply_ts}.items():
        yield Observed(name, await bench.outcome("chat.postEphemeral", **to, thread_ts=thread_ts))
    yield await _witness(bench, "place", "Does the thread show messages that only you can see?")


async def check_outsiders(bench: Bench) -> Observations:
    if not bench.outsiders:
        raise NotObserved("nobody from another organization is in the channel")
    person_id, team_id = bench.outsiders[0]
    outcome = ACCEPTED
    try:
        async with bench.stream(person_id, team_id):
            pass
    except Refused as error:
        outcome = error.name
    yield Observed("stream", outcome)


async def check_pane(bench: Bench) -> Observations:
    """Observes the events of a message that a person sends in the app's pane, and acknowledges them."""
    if AGENT_SCOPE not in bench.scopes:
        raise NotObserved("the app has no pane")
    events: list[Json] = []
    opened = await bench.app_client.call("apps.connections.open")
    limits = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S)
    async with bench.client.session.ws_connect(str(opened.get("url")), timeout=limits) as connection:
        reading = asyncio.create_task(_read_events(connection, events))
        try:
            await bench.ask("Open a channel, then the app's pane next to it, and send a message there. Done?")
            with suppress(TimeoutError):
                async with asyncio.timeout(PANE_WITHIN_S):
                    while not any(one.get("type") == "message" for one in events):
                        await bench.clock.sleep(0.5)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    messages = [one for one in events if one.get("type") == "message"]
    if not messages:
        raise NotObserved("no message arrived; another process might have received it")
    message = messages[0]
    types = sorted({str(one.get("type")) for one in events})
    yield Observed("opened", _word("app_home_opened" in types), f"events: {', '.join(types)}")
    yield Observed("context", _word("app_context" in message), f"fields: {', '.join(sorted(message))}")
    yield Observed("token", _word("action_token" in json_object(message, "assistant_thread")))


async def _read_events(connection: aiohttp.ClientWebSocketResponse, events: list[Json]) -> None:
    async for received in connection:
        envelope: Any = received.json()
        if envelope_id := envelope.get("envelope_id"):
            await connection.send_json({"envelope_id": envelope_id})
            events.append(dict(json_object(json_object(envelope, "payload"), "event")))


async def check_models(bench: Bench) -> Observations:
    found = await bench.try_models()
    # Model names can be private, so the report only has their vendors.
    failed = [f"{one.model.partition('/')[0]}: {one.conversation}" for one in found if one.status is not CheckStatus.OK]
    detail = f"not passed: {', '.join(failed)}" if failed else f"{len(found)} conversations"
    yield Observed("conversations", _word(not failed), detail)


class Check(NamedTuple):
    id: str
    """The first part of the IDs of its expectations."""
    group: str
    run: Callable[[Bench], Observations]


GROUPS: Mapping[str, str] = {
    "forms": "Slack validates examples of all messages and views. This posts nothing.",
    "bursts": "Posts about 35 messages quickly, and edits some as quickly. This takes two minutes.",
    "threads": "Posts about 15 messages in a thread, and asks you what you see there.",
    "pane": "Asks you to send a message in the app's pane.",
    "models": "Has six short conversations with each model, which cost at most --limit.",
}
"""The description of each group, for the question whether to run its checks."""


CHECKS: Sequence[Check] = (
    Check("forms", "forms", check_forms),
    Check("search", "forms", check_search),
    Check("posts", "bursts", check_posts),
    Check("edits", "bursts", check_edits),
    Check("appends", "bursts", check_appends),
    Check("statuses", "threads", check_statuses),
    Check("mismatch", "threads", check_mismatch),
    Check("unfurls", "threads", check_unfurls),
    Check("visible", "threads", check_visible),
    Check("ephemeral", "threads", check_ephemeral),
    Check("outsiders", "threads", check_outsiders),
    Check("pane", "pane", check_pane),
    Check("models", "models", check_models),
)
