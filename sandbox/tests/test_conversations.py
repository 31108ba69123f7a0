"""Reading channels, threads and people; reactions."""

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.server import Sandbox
from slack_sandbox.testing.requests import error_of
from slack_sandbox.workspace import Json

GENERAL = "C0GENERAL"


def texts(messages: list[Json]) -> list[str]:
    return [message["text"] for message in messages]


async def post_numbers(sandbox: Sandbox, count: int) -> list[str]:
    return [await sandbox.say("ada", "general", str(number)) for number in range(count)]


async def test_history_is_paginated_newest_first(sandbox: Sandbox, web: AsyncWebClient) -> None:
    await post_numbers(sandbox, 5)
    pages = []
    async for page in await web.conversations_history(channel=GENERAL, limit=2):
        pages.append(texts(page["messages"]))
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


@pytest.mark.parametrize(
    ("oldest", "latest", "inclusive", "expected"),
    [(1, 3, False, ["2"]), (1, 3, True, ["3", "2", "1"]), (None, 2, False, ["1", "0"]), (2, None, False, ["4", "3"])],
)
async def test_history_is_limited_to_the_given_range(
    sandbox: Sandbox, web: AsyncWebClient, oldest: int | None, latest: int | None, inclusive: bool, expected: list[str]
) -> None:
    timestamps = await post_numbers(sandbox, 5)
    page = await web.conversations_history(
        channel=GENERAL,
        oldest=None if oldest is None else timestamps[oldest],
        latest=None if latest is None else timestamps[latest],
        inclusive=inclusive,
    )
    assert texts(page["messages"]) == expected


async def test_replies_are_paginated_from_the_root(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "root")
    for number in range(4):
        await sandbox.say("grace", "general", str(number), root)
    pages = []
    async for page in await web.conversations_replies(channel=GENERAL, ts=root, limit=2):
        pages.append(texts(page["messages"]))
    assert pages == [["root", "0"], ["1", "2"], ["3"]]


async def test_replies_always_start_with_the_root(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "root")
    replies = [await sandbox.say("grace", "general", str(number), root) for number in range(4)]
    page = await web.conversations_replies(channel=GENERAL, ts=root, oldest=replies[1])
    assert texts(page["messages"]) == ["root", "2", "3"]


async def test_thread_messages_have_reply_counts_and_parents(sandbox: Sandbox, web: AsyncWebClient) -> None:
    root = await sandbox.say("ada", "general", "root")
    reply = await sandbox.say("grace", "general", "reply", root)
    await sandbox.say("grace", "general", "shown to all", root, broadcast=True)
    first, second, _ = (await web.conversations_replies(channel=GENERAL, ts=root))["messages"]
    assert {"thread_ts": root, "reply_count": 2, "reply_users": ["U0GRACE"]}.items() <= first.items()
    assert {"thread_ts": root, "parent_user_id": "U0ADA", "ts": reply}.items() <= second.items()
    page = await web.conversations_history(channel=GENERAL)
    assert texts(page["messages"]) == ["shown to all", "root"]


async def test_users_and_dms_are_described(sandbox: Sandbox, web: AsyncWebClient) -> None:
    user = (await web.users_info(user="U0ADA"))["user"]
    assert (user["profile"]["display_name"], user["is_bot"]) == ("Ada", False)
    dm = await web.conversations_open(users="U0ADA")
    assert dm["channel"]["id"] == sandbox.dm("ada")
    channel = (await web.conversations_info(channel=sandbox.dm("ada")))["channel"]
    assert (channel["is_im"], channel["user"]) == (True, "U0ADA")


async def test_pins_of_a_channel_are_listed_newest_first_until_their_messages_are_deleted(
    sandbox: Sandbox, web: AsyncWebClient
) -> None:
    sandbox.granted.update(("pins:read", "pins:write"))
    older, newer, unpinned = await post_numbers(sandbox, 3)
    elsewhere = await sandbox.say("ada", "random", "elsewhere")
    for channel, ts in (("general", newer), ("general", older), ("random", elsewhere)):
        await sandbox.pin("grace", channel, ts)
    await web.pins_add(channel=GENERAL, timestamp=unpinned)
    await sandbox.delete("general", unpinned)
    items = (await web.pins_list(channel=GENERAL))["items"]
    assert [(item["message"]["ts"], item["created_by"], item["type"]) for item in items] == [
        (older, "U0GRACE", "message"),
        (newer, "U0GRACE", "message"),
    ]
    assert items[0]["message"]["pinned_to"] == [GENERAL]
    link = (await web.chat_getPermalink(channel=GENERAL, message_ts=older))["permalink"]
    assert items[0]["message"]["permalink"] == link
    sandbox.workspace.leave("general", sandbox.bot_user_id)
    assert await error_of(web, "pins.list", channel=GENERAL) == "not_in_channel"


async def test_reaction_can_be_added_and_removed_once(sandbox: Sandbox, web: AsyncWebClient) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    await web.reactions_add(channel=GENERAL, timestamp=ts, name="eyes")
    again = {"channel": GENERAL, "timestamp": ts, "name": "eyes"}
    assert await error_of(web, "reactions.add", **again) == "already_reacted"
    reactions = (await web.conversations_history(channel=GENERAL))["messages"][0]["reactions"]
    assert reactions == [{"name": "eyes", "users": ["U0BOT"], "count": 1}]
    await web.reactions_remove(channel=GENERAL, timestamp=ts, name="eyes")
    assert await error_of(web, "reactions.remove", **again) == "no_reaction"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("thumbsup", "+1"), ("thumbsup::skin-tone-3", "+1::skin-tone-3"), ("poop", "hankey"), ("our_own", "our_own")],
)
async def test_reaction_has_the_canonical_name_of_its_emoji(
    sandbox: Sandbox, web: AsyncWebClient, name: str, canonical: str
) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    await sandbox.react("ada", "general", ts, name)
    reactions = (await web.conversations_history(channel=GENERAL))["messages"][0]["reactions"]
    assert [reaction["name"] for reaction in reactions] == [canonical]
    await web.reactions_add(channel=GENERAL, timestamp=ts, name=canonical)
    again = {"channel": GENERAL, "timestamp": ts, "name": name}
    assert await error_of(web, "reactions.add", **again) == "already_reacted"


@pytest.mark.parametrize("name", ["no such", "\N{EYES}", "Eyes", "+1::skin-tone-9"])
async def test_reaction_needs_the_name_of_an_emoji(sandbox: Sandbox, web: AsyncWebClient, name: str) -> None:
    ts = await sandbox.say("ada", "general", "hi")
    for method in ("reactions.add", "reactions.remove"):
        assert await error_of(web, method, channel=GENERAL, timestamp=ts, name=name) == "invalid_name"
    for known in ("+1::skin-tone-6", "non-potable_water", "+1", "\N{LATIN SMALL LETTER O WITH DIAERESIS}"):
        await web.reactions_add(channel=GENERAL, timestamp=ts, name=known)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ada", {"is_admin": True, "is_owner": True, "is_restricted": False}),
        ("grace", {"is_admin": True, "is_owner": False}),
        ("alan", {"is_admin": False, "is_restricted": False, "is_ultra_restricted": False, "is_bot": False}),
        ("edith", {"is_restricted": True, "is_ultra_restricted": False}),
        ("mary", {"is_restricted": True, "is_ultra_restricted": True}),
        ("emmy", {"team_id": "T0PARTNERS", "is_stranger": False}),
        ("deploys", {"is_bot": True}),
    ],
)
async def test_user_has_the_flags_of_their_role(
    sandbox: Sandbox, web: AsyncWebClient, name: str, expected: Json
) -> None:
    user = (await web.users_info(user=sandbox.workspace.user(name).id))["user"]
    assert expected.items() <= user.items()
    assert ("is_stranger" in user) == ("is_admin" not in user) == (name == "emmy")


async def test_external_user_without_a_common_channel_is_a_stranger(sandbox: Sandbox, web: AsyncWebClient) -> None:
    sandbox.workspace.leave("partners", "bot")
    assert (await web.users_info(user="U0EMMY"))["user"]["is_stranger"] is True


async def test_channel_has_its_creator_members_and_connected_teams(web: AsyncWebClient) -> None:
    shared = (await web.conversations_info(channel="C0PARTNERS", include_num_members=True))["channel"]
    assert (shared["creator"], shared["is_ext_shared"], shared["num_members"]) == ("U0ADA", True, 6)
    assert shared["connected_team_ids"] == ["T0PARTNERS"]
    assert "creator" not in (await web.conversations_info(channel="D0ADA"))["channel"]
    members = []
    async for page in await web.conversations_members(channel="C0PARTNERS", limit=4):
        members += page["members"]
    assert members == ["U0ADA", "U0GRACE", "U0ALAN", "U0BOT", "U0EDITH", "U0EMMY"]
    names = {user["name"] for user in (await web.users_list())["members"]}
    assert len(names) == 11
    assert {"slackbot", "slack", "bot"} < names
