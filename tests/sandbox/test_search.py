"""assistant.search.context: search in public channels, on behalf of the person whose message the app got."""

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.action_tokens import LIFE_S
from sandbox.server import Sandbox
from sandbox.workspace import Json, Message
from tests.sandbox import manifests
from tests.sandbox.conftest import ManualTime
from tests.sandbox.shapes.shape import problems
from tests.sandbox.shapes.web_api import SEARCHED

METHOD = "assistant.search.context"


@pytest.fixture
async def agent(clock: ManualTime) -> AsyncIterator[Sandbox]:
    manifest = manifests.agent()
    manifest["oauth_config"]["scopes"]["bot"].append("search:read.public")
    async with Sandbox(monotonic=clock, manifest=manifest) as sandbox:
        yield sandbox


@pytest.fixture
def web(agent: Sandbox, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(agent.bot_token, base_url=agent.api_url, session=session)


async def asked(sandbox: Sandbox, user: str = "ada", channel: str = "general") -> str:
    """Returns the action token of a mention; "" if its event has none."""
    await sandbox.say(user, channel, "@typist look it up")
    [event] = [event for event in events(sandbox) if event["type"] == "app_mention"][-1:]
    return str(event.get("assistant_thread", {}).get("action_token", ""))


def events(sandbox: Sandbox) -> list[Json]:
    return [delivery.payload["event"] for delivery in sandbox.deliveries]


async def search(web: AsyncWebClient, **arguments: Any) -> list[str]:
    response = await web.api_call(METHOD, data=arguments)
    return [message["content"] for message in response["results"]["messages"]]


async def test_messages_in_public_channels_are_found_newest_first(agent: Sandbox, web: AsyncWebClient) -> None:
    root = await agent.say("grace", "general", "The launch is on Friday & nothing moves")
    await agent.say("alan", "general", "launch on friday? No", root)
    await agent.say("grace", "random", "Friday lunch")
    await agent.say("grace", agent.dm("grace"), "my launch on Friday")
    token = await asked(agent)
    assert await search(web, query="LAUNCH friday", action_token=token) == [
        "launch on friday? No",
        "The launch is on Friday &amp; nothing moves",
    ]
    assert await search(web, query="friday &", action_token=token) == ["The launch is on Friday &amp; nothing moves"]
    assert await search(web, query="nowhere", action_token=token) == []
    in_order = await search(web, query="launch", action_token=token, sort="timestamp", sort_dir="asc")
    assert in_order[0].startswith("The launch")
    assert await search(web, query="launch", action_token=token, after=4_000_000_000) == []


async def test_new_message_is_not_found_before_it_is_indexed(agent: Sandbox, session: aiohttp.ClientSession) -> None:
    async with Sandbox(index_delay_s=60.0, manifest=agent.manifest) as slow:
        web = AsyncWebClient(slow.bot_token, base_url=slow.api_url, session=session)
        old_ts = f"{time.time() - 61:.6f}"
        slow.workspace.post(Message("C0GENERAL", old_ts, "U0GRACE", "The launch was on Monday"))
        await slow.say("grace", "general", "The launch is on Friday")
        assert await search(web, query="launch", action_token=await asked(slow)) == ["The launch was on Monday"]


async def test_response_has_the_documented_shape(agent: Sandbox, web: AsyncWebClient) -> None:
    root = await agent.say("grace", "general", "The launch is on Friday")
    await agent.say("alan", "general", "Which launch?", root)
    token = await asked(agent)
    response = await web.api_call(
        METHOD, data={"query": "launch", "action_token": token, "include_context_messages": "true"}
    )
    assert problems(response.data, SEARCHED) == []
    reply, _ = response["results"]["messages"]
    assert reply["permalink"].endswith(f"?thread_ts={root}&cid=C0GENERAL")
    assert reply["context_messages"] == {"before": [], "after": []}


async def test_bots_are_found_only_if_asked_for(agent: Sandbox, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel="C0GENERAL", text="launch report")
    token = await asked(agent)
    assert await search(web, query="launch", action_token=token) == []
    assert await search(web, query="launch", action_token=token, include_bots=True) == ["launch report"]


async def test_results_come_in_pages_of_up_to_20(agent: Sandbox, web: AsyncWebClient) -> None:
    for number in range(25):
        await agent.say("grace", "general", f"launch {number}")
    token = await asked(agent)
    first = await web.api_call(METHOD, data={"query": "launch", "action_token": token})
    cursor = first["response_metadata"]["next_cursor"]
    rest = await web.api_call(METHOD, data={"query": "launch", "action_token": token, "cursor": cursor})
    assert [len(page["results"]["messages"]) for page in (first, rest)] == [20, 5]
    assert rest["response_metadata"]["next_cursor"] == ""


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"query": ""}, "invalid_arguments"),
        ({"action_token": ""}, "invalid_action_token"),
        ({"action_token": "1.2.abc"}, "invalid_action_token"),
        ({"channel_types": "public_channel,private_channel"}, "missing_scope"),
        ({"channel_types": "everything"}, "invalid_arguments"),
        ({"content_types": "messages,files"}, "missing_scope"),
        ({"limit": 21}, "invalid_limit"),
        ({"sort": "age"}, "invalid_arguments"),
        ({"after": "yesterday"}, "invalid_arguments"),
    ],
)
async def test_wrong_arguments_are_refused(agent: Sandbox, web: AsyncWebClient, arguments: Json, error: str) -> None:
    await agent.say("grace", "general", "launch")
    token = await asked(agent)
    with pytest.raises(SlackApiError, match=error):
        await search(web, **{"query": "launch", "action_token": token, **arguments})


async def test_token_ends_after_a_while(agent: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    token = await asked(agent)
    clock.now_s += LIFE_S
    assert await search(web, query="nowhere", action_token=token) == []
    clock.now_s += 1
    with pytest.raises(SlackApiError, match="invalid_action_token"):
        await search(web, query="nowhere", action_token=token)


async def test_events_of_guests_and_other_organizations_have_no_token(agent: Sandbox) -> None:
    assert await asked(agent, "ada")
    assert not await asked(agent, "edith", "partners")
    assert not await asked(agent, "emmy", "partners")


async def test_app_without_a_pane_gets_no_token(clock: ManualTime) -> None:
    async with Sandbox(monotonic=clock, manifest=manifests.classic()) as sandbox:
        assert not await asked(sandbox)


async def test_messages_that_do_not_name_the_app_have_no_token(agent: Sandbox) -> None:
    await agent.say("ada", "general", "hello all")
    await agent.say("ada", agent.dm("ada"), "hello")
    in_channel, direct = events(agent)
    assert "assistant_thread" not in in_channel
    assert direct["assistant_thread"]["action_token"]


async def test_method_needs_its_scope(agent: Sandbox, web: AsyncWebClient) -> None:
    agent.granted.discard("search:read.public")
    with pytest.raises(SlackApiError, match="missing_scope"):
        await search(web, query="launch", action_token=await asked(agent))


async def test_ten_searches_a_minute(agent: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    token = await asked(agent)
    for _ in range(10):
        await search(web, query="launch", action_token=token)
    with pytest.raises(SlackApiError, match="ratelimited"):
        await search(web, query="launch", action_token=token)
    clock.now_s += 60
    assert await search(web, query="launch", action_token=token) == []


@pytest.mark.parametrize("error", ["feature_not_enabled", "assistant_search_context_disabled"])
async def test_search_can_be_switched_off(agent: Sandbox, web: AsyncWebClient, error: str) -> None:
    agent.faults.start("refuse", method=METHOD, error=error)
    with pytest.raises(SlackApiError, match=error):
        await search(web, query="launch", action_token=await asked(agent))


async def test_hit_on_a_root_counts_its_replies_and_links_to_its_thread(agent: Sandbox, web: AsyncWebClient) -> None:
    root = await agent.say("grace", "random", "the launch")
    reply = await agent.say("ada", "random", "launch it", root)
    lone = await agent.say("ada", "random", "another launch")
    response = await web.api_call(METHOD, data={"query": "launch", "action_token": await asked(agent)})
    hits: dict[str, Any] = {hit["message_ts"]: hit for hit in response["results"]["messages"]}
    assert (hits[root]["reply_count"], hits[root]["author_email"]) == (1, agent.workspace.user("U0GRACE").email)
    for ts in (root, reply):
        assert hits[ts]["permalink"].endswith(f"?thread_ts={root}&cid=C0RANDOM")
    assert "reply_count" not in hits[reply].keys() | hits[lone].keys()
    assert "?" not in hits[lone]["permalink"]
