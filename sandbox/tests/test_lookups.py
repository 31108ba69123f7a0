"""Lookups of channels, people, teams, links and reactions, and posts to a channel by its name."""

from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_of
from slack_sandbox.web_api.budgets import GENEROUS
from slack_sandbox.workspace import Json

GENERAL = "C0GENERAL"


ONE_POST = pytest.mark.slack(posts=replace(GENEROUS, burst=1))


async def listed(web: AsyncWebClient, **arguments: Any) -> list[list[str]]:
    return [
        [channel.get("name", channel["id"]) for channel in page["channels"]]
        async for page in await web.conversations_list(**arguments)
    ]


async def test_channels_are_listed_in_pages(web: AsyncWebClient) -> None:
    assert await listed(web, limit=2) == [["general", "random"], ["partners"]]
    assert await listed(web, types="private_channel,mpim") == [["project-x", "mpdm-ada--grace--bot-1"]]
    assert await listed(web, types="im", limit=5) == [["D0ADA", "D0GRACE", "D0ALAN", "D0EDITH", "D0MARY"], ["D0EMMY"]]


async def test_archived_channels_are_listed_unless_they_are_excluded(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.channel("random").archived = True
    assert await listed(web) == [["general", "random", "partners"]]
    assert await listed(web, exclude_archived=True) == [["general", "partners"]]


async def test_own_conversations_are_those_that_the_bot_is_in(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.leave("random", "bot")
    types = "public_channel,private_channel"
    pages = [page["channels"] async for page in await web.users_conversations(types=types, limit=2)]
    assert [[channel["name"] for channel in page] for page in pages] == [["general", "project-x"], ["partners"]]


async def test_conversations_of_a_person_are_the_public_ones_and_those_that_the_bot_shares(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    types = "public_channel,private_channel"

    async def names(user: str) -> list[str]:
        answer = await web.users_conversations(types=types, user=user)
        return [channel["name"] for channel in answer["channels"]]

    assert await names("U0ALAN") == ["general", "random", "project-x", "partners"]
    assert await names("U0EDITH") == ["random", "partners"], "a guest"
    sandbox.workspace.leave("random", "bot")
    sandbox.workspace.leave("project-x", "bot")
    assert await names("U0ALAN") == ["general", "random", "partners"]
    assert await error_of(web, "users.conversations", user="U0NOBODY") == "user_not_found"


async def test_private_channels_without_the_bot_are_not_listed(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.leave("project-x", "bot")
    sandbox.workspace.leave("random", "bot")
    assert await listed(web, types="public_channel,private_channel") == [["general", "random", "partners"]]


async def test_each_listed_type_needs_its_scope(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.granted.remove("groups:read")
    assert await error_of(web, "conversations.list", types="public_channel,private_channel") == "missing_scope"


@pytest.mark.parametrize("name", ["general", "#general", GENERAL])
async def test_message_is_posted_by_channel_name(web: AsyncWebClient, name: str) -> None:
    posted = await web.chat_postMessage(channel=name, text="hi")
    assert posted["channel"] == GENERAL
    shown = await web.chat_postEphemeral(channel=name, user="U0ADA", text="hi")
    assert shown["message_ts"] > posted["ts"]


@ONE_POST
async def test_channel_has_one_budget_by_any_name(web: AsyncWebClient) -> None:
    await web.chat_postMessage(channel="#general", text="hi")
    for name in ("general", GENERAL):
        assert await error_of(web, "chat.postMessage", channel=name, text="hi") == "ratelimited"


@ONE_POST
async def test_direct_message_has_one_budget_by_its_id_and_its_persons(web: AsyncWebClient) -> None:
    posted = await web.chat_postMessage(channel="U0ADA", text="hi")
    for name in ("U0ADA", str(posted["channel"])):
        assert await error_of(web, "chat.postMessage", channel=name, text="hi") == "ratelimited"
    assert (await web.chat_postMessage(channel="U0GRACE", text="hi"))["ok"]


async def test_group_dm_is_opened_once(sandbox: Sandbox, web: AsyncWebClient) -> None:
    opened = await web.conversations_open(users="U0ADA,U0ALAN", return_im=True)
    assert opened["channel"]["name"] == "mpdm-ada--alan--bot-1"
    assert "already_open" not in opened.data
    again = await web.conversations_open(users=["U0ALAN", "U0ADA"])
    assert (again["channel"], again["already_open"]) == ({"id": opened["channel"]["id"]}, True)
    assert (await web.conversations_open(users="U0ADA,U0GRACE"))["channel"]["id"] == "C0MPDM"
    await web.chat_postMessage(channel=opened["channel"]["id"], text="hi")
    assert [message.text for message in sandbox.messages(opened["channel"]["id"])] == ["hi"]
    members = (await web.conversations_members(channel=opened["channel"]["id"]))["members"]
    assert set(members) == {"U0ADA", "U0ALAN", "U0BOT"}


async def test_conversation_of_too_many_people_is_refused(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ids = [f"U0{number}" for number in range(9)]
    for user_id in ids:
        ada = sandbox.workspace.user("ada")
        sandbox.workspace.users[user_id] = replace(ada, id=user_id, name=user_id.lower())
    assert await error_of(web, "conversations.open", users=",".join(ids)) == "too_many_users"


async def test_person_is_found_by_email(sandbox: Sandbox, web: AsyncWebClient) -> None:
    user = (await web.users_lookupByEmail(email="Grace@sandbox.example"))["user"]
    assert (user["id"], user["profile"]["email"]) == ("U0GRACE", "grace@sandbox.example")
    sandbox.people.deactivate("grace")
    assert await error_of(web, "users.lookupByEmail", email="grace@sandbox.example") == "users_not_found"


async def test_email_needs_its_scope(sandbox: Sandbox, web: AsyncWebClient) -> None:
    async def profiles() -> list[Json]:
        answers = [(await web.users_profile_get(user="U0ADA"))["profile"]]
        answers += [user["profile"] for user in (await web.users_list())["members"] if user["id"] == "U0ADA"]
        return [*answers, (await web.users_info(user="U0ADA"))["user"]["profile"]]

    assert [profile["email"] for profile in await profiles()] == ["ada@sandbox.example"] * 3
    sandbox.granted.remove("users:read.email")
    assert [profile for profile in await profiles() if "email" in profile] == []
    assert await error_of(web, "users.lookupByEmail", email="ada@sandbox.example") == "missing_scope"


async def test_user_groups_are_listed_with_their_people_if_asked_for(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.user_groups |= {"support": ["U0ADA"], "old": []}
    (plain,) = (await web.usergroups_list())["usergroups"]
    assert (plain["handle"], "users" in plain) == ("support", False)
    listed = (await web.usergroups_list(include_users=True, include_disabled=True))["usergroups"]
    assert [(group["handle"], group["users"], bool(group["date_delete"])) for group in listed] == [
        ("support", ["U0ADA"], False),
        ("old", [], True),
    ]
    sandbox.granted.remove("usergroups:read")
    assert await error_of(web, "usergroups.list") == "missing_scope"


async def test_profile_is_the_bots_own_without_a_user(web: AsyncWebClient) -> None:
    assert (await web.users_profile_get())["profile"]["bot_id"] == "B0BOT"


async def test_team_is_the_bots_own(sandbox: Sandbox, web: AsyncWebClient) -> None:
    assert (await web.team_info())["team"]["id"] == sandbox.team_id


async def test_api_test_needs_no_token_and_returns_its_arguments(
    sandbox: Sandbox, session: aiohttp.ClientSession
) -> None:
    web = AsyncWebClient(base_url=sandbox.api_url, session=session)
    assert (await web.api_test(answer="42"))["args"] == {"answer": "42"}
    assert await error_of(web, "auth.test") == "not_authed"


async def test_permalink_of_a_reply_names_its_thread(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "hi")
    reply = await sandbox.say("grace", "general", "hello", root)

    async def link(ts: str) -> str:
        return str((await web.chat_getPermalink(channel=GENERAL, message_ts=ts))["permalink"])

    address = "https://sandbox.slack.com/archives/C0GENERAL/p"
    assert await link(root) == address + root.replace(".", "")
    assert await link(reply) == f"{address}{reply.replace('.', '')}?thread_ts={root}&cid=C0GENERAL"


async def test_reactions_are_those_of_a_message(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    await sandbox.react("grace", "general", ts, "eyes")
    message = (await web.reactions_get(channel=GENERAL, timestamp=ts))["message"]
    assert message["reactions"] == [{"name": "eyes", "users": ["U0GRACE"], "count": 1}]
