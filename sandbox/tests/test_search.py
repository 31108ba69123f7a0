"""assistant.search.context: searches public channels, on behalf of the person whose message the app received."""

import time
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.action_tokens import LIFE_S
from slack_sandbox.server import Sandbox
from slack_sandbox.testing import manifests
from slack_sandbox.testing.requests import error_name
from slack_sandbox.testing.shapes.shape import problems
from slack_sandbox.testing.shapes.web_api import SEARCHED
from slack_sandbox.workspace import Json, Message
from tests.conftest import ManualTime, sent_events

METHOD = "assistant.search.context"


def searching() -> Json:
    """Returns the manifest of an agent that can search public channels."""
    manifest = manifests.agent()
    manifest["oauth_config"]["scopes"]["bot"].append("search:read.public")
    return manifest


pytestmark = pytest.mark.slack(manifest=searching())


async def asked(sandbox: Sandbox, user: str = "ada", channel: str = "general") -> str:
    """Returns the action token of a mention, or "" if its event doesn't have one."""
    await sandbox.say(user, channel, "@bot look it up")
    [event] = [event for event in sent_events(sandbox) if event["type"] == "app_mention"][-1:]
    return str(event.get("assistant_thread", {}).get("action_token", ""))


async def search(web: AsyncWebClient, **arguments: Any) -> list[str]:
    response = await web.api_call(METHOD, data=arguments)
    return [message["content"] for message in response["results"]["messages"]]


async def test_messages_in_public_channels_are_found_newest_first(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("grace", "general", "The launch is on Friday & nothing moves")
    await sandbox.say("alan", "general", "launch on friday? No", root)
    await sandbox.say("grace", "random", "Friday lunch")
    await sandbox.say("grace", sandbox.dm("grace"), "my launch on Friday")
    token = await asked(sandbox)
    assert await search(web, query="LAUNCH friday", action_token=token) == [
        "launch on friday? No",
        "The launch is on Friday &amp; nothing moves",
    ]
    assert await search(web, query="friday &", action_token=token) == ["The launch is on Friday &amp; nothing moves"]
    assert await search(web, query="nowhere", action_token=token) == []
    in_order = await search(web, query="launch", action_token=token, sort="timestamp", sort_dir="asc")
    assert in_order[0].startswith("The launch")
    assert await search(web, query="launch", action_token=token, after=4_000_000_000) == []


@pytest.mark.slack(index_delay_s=60.0)
async def test_new_message_is_not_found_before_it_is_indexed(sandbox: Sandbox, web: AsyncWebClient) -> None:
    old_ts = f"{time.time() - 61:.6f}"
    sandbox.workspace.post(Message("C0GENERAL", old_ts, "U0GRACE", "The launch was on Monday"))
    await sandbox.say("grace", "general", "The launch is on Friday")
    assert await search(web, query="launch", action_token=await asked(sandbox)) == ["The launch was on Monday"]


async def test_response_has_the_documented_shape(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("grace", "general", "The launch is on Friday")
    await sandbox.say("alan", "general", "Which launch?", root)
    token = await asked(sandbox)
    response = await web.api_call(
        METHOD, data={"query": "launch", "action_token": token, "include_context_messages": "true"}
    )
    assert problems(response.data, SEARCHED) == []
    reply, _ = response["results"]["messages"]
    assert reply["permalink"].endswith(f"?thread_ts={root}&cid=C0GENERAL")
    assert reply["context_messages"] == {"before": [], "after": []}


async def test_bots_are_found_only_if_asked_for(sandbox: Sandbox, web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel="C0GENERAL", text="launch report")
    token = await asked(sandbox)
    assert await search(web, query="launch", action_token=token) == []
    assert await search(web, query="launch", action_token=token, include_bots=True) == ["launch report"]


async def test_results_come_in_pages_of_up_to_20(sandbox: Sandbox, web: AsyncWebClient) -> None:
    for number in range(25):
        await sandbox.say("grace", "general", f"launch {number}")
    token = await asked(sandbox)
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
async def test_wrong_arguments_are_refused(sandbox: Sandbox, web: AsyncWebClient, arguments: Json, error: str) -> None:
    await sandbox.say("grace", "general", "launch")
    token = await asked(sandbox)
    assert await error_name(search(web, **{"query": "launch", "action_token": token, **arguments})) == error


async def test_token_ends_after_a_while(sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    token = await asked(sandbox)
    clock.now_s += LIFE_S
    assert await search(web, query="nowhere", action_token=token) == []
    clock.now_s += 1
    assert await error_name(search(web, query="nowhere", action_token=token)) == "invalid_action_token"


async def test_events_of_guests_and_other_organizations_have_no_token(sandbox: Sandbox) -> None:
    assert await asked(sandbox, "ada")
    assert not await asked(sandbox, "edith", "partners")
    assert not await asked(sandbox, "emmy", "partners")


@pytest.mark.slack(manifest=manifests.classic())
async def test_app_without_a_pane_gets_no_token(sandbox: Sandbox) -> None:
    assert not await asked(sandbox)


async def test_messages_that_do_not_name_the_app_have_no_token(sandbox: Sandbox) -> None:
    await sandbox.say("ada", "general", "hello all")
    await sandbox.say("ada", sandbox.dm("ada"), "hello")
    in_channel, direct = sent_events(sandbox)
    assert "assistant_thread" not in in_channel
    assert direct["assistant_thread"]["action_token"]


async def test_method_needs_its_scope(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.granted.discard("search:read.public")
    assert await error_name(search(web, query="launch", action_token=await asked(sandbox))) == "missing_scope"


async def test_ten_searches_a_minute(sandbox: Sandbox, web: AsyncWebClient, clock: ManualTime) -> None:
    token = await asked(sandbox)
    for _ in range(10):
        await search(web, query="launch", action_token=token)
    assert await error_name(search(web, query="launch", action_token=token)) == "ratelimited"
    clock.now_s += 60
    assert await search(web, query="launch", action_token=token) == []


@pytest.mark.parametrize("error", ["feature_not_enabled", "assistant_search_context_disabled"])
async def test_search_can_be_switched_off(sandbox: Sandbox, web: AsyncWebClient, error: str) -> None:
    sandbox.faults.start("refuse", method=METHOD, error=error)
    assert await error_name(search(web, query="launch", action_token=await asked(sandbox))) == error


async def test_hit_on_a_root_counts_its_replies_and_links_to_its_thread(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("grace", "random", "the launch")
    reply = await sandbox.say("ada", "random", "launch it", root)
    lone = await sandbox.say("ada", "random", "another launch")
    response = await web.api_call(METHOD, data={"query": "launch", "action_token": await asked(sandbox)})
    hits: dict[str, Any] = {hit["message_ts"]: hit for hit in response["results"]["messages"]}
    assert (hits[root]["reply_count"], hits[root]["author_email"]) == (1, sandbox.workspace.user("U0GRACE").email)
    for ts in (root, reply):
        assert hits[ts]["permalink"].endswith(f"?thread_ts={root}&cid=C0RANDOM")
    assert "reply_count" not in hits[reply].keys() | hits[lone].keys()
    assert "?" not in hits[lone]["permalink"]
