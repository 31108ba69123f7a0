"""Whose words an export's messages are, and who can read them: no text or name goes to somebody else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slack_sandbox.export.opened import Export, open_export
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Json
from tests.exports import (
    ADA,
    ALAN,
    DAY,
    GENERAL,
    GRACE,
    PRIVATE,
    START_S,
    TOKEN,
    channel,
    export,
    packed,
    person,
    said,
    ts,
)

SIGNE = {"user_profile": {"real_name": "Signe"}}
OTHER = "C07SAMPLE04"


def nobody(number: int, **more: Any) -> Json:
    return {"text": f"number {number}", "ts": ts(number)} | more


def names(opened: Export) -> list[str]:
    """Returns the authors' names of #general, as a sandbox shows them and its search finds them."""
    workspace = Sandbox(export=opened).workspace
    messages = list(workspace.messages(GENERAL))
    return [workspace.users[message.user_id].real_name for message in messages]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([nobody(1, user=None, **SIGNE), nobody(2), nobody(3, subtype="bot_message")], ["Signe", "Unknown", "Unknown"]),
        ([nobody(1), nobody(2, username="hook"), nobody(3, username="cron")], ["Unknown", "hook", "cron"]),
        ([nobody(1, username="hook"), nobody(2, username="hook")], ["hook", "hook"]),
        ([nobody(1, user="U0UNKNOWN", **SIGNE), nobody(2)], ["Signe", "Unknown"]),
        ([nobody(1, user="U" + "0" * 50, **SIGNE), nobody(2, user="U" + "0" * 51)], ["Signe", "Unknown"]),
        ([nobody(1, username="hook", subtype="file_share", files=[{"id": "F1", "user": GRACE}])], ["hook"]),
        ([nobody(1, files=[{"id": "F1", "user": GRACE}])], ["Unknown"]),
        ([nobody(1, subtype="file_share", files=[{"id": "F1", "user": GRACE}])], ["Grace"]),
        ([nobody(1, user="U0BOT", **SIGNE), nobody(2, user="USLACKBOT")], ["Signe", "slackbot"]),
        ([nobody(1, bot_id="B0BOT", username="hook")], ["hook"]),
    ],
)
def test_authors_without_an_id_only_share_the_name_that_they_state(entries: list[Json], expected: list[str]) -> None:
    assert [name.replace("Slackbot", "slackbot") for name in names(open_export(packed(export(entries))))] == expected


@pytest.mark.parametrize(
    "people",
    [
        [person(ADA, "ada"), person("U0BOT", "mallory")],
        [person(ADA, "ada"), person("U07MALLORY1", "mallory", is_bot=True, profile={"bot_id": "B0BOT"})],
    ],
    ids=["user ID", "bot ID"],
)
def test_nobody_in_an_export_has_the_apps_account(people: list[Json]) -> None:
    opened = open_export(packed(export([nobody(1, user="U0BOT"), nobody(2, bot_id="B0BOT")], people=people)))
    workspace = Sandbox(export=opened).workspace
    assert workspace.users["U0BOT"] == workspace.bot
    assert [user.id for user in workspace.users.values() if user.bot_id == "B0BOT"] == ["U0BOT"]
    assert not [message for message in workspace.messages(GENERAL) if message.user_id == "U0BOT"]


def test_mention_by_handle_reaches_the_person_with_that_handle() -> None:
    stranger = nobody(1, user="U07OUTSIDE1", user_profile={"real_name": "Grace"})
    opened = open_export(packed(export([stranger] * 5)))
    assert [user.id for user in opened.people if user.name == "grace"] == [GRACE]


def test_direct_messages_of_alike_ids_are_two() -> None:
    people = [person("U07SAME001", "ada"), person("W07SAME001", "grace")]
    workspace = Sandbox(export=open_export(packed(export(people=people)))).workspace
    assert workspace.dm("ada").id != workspace.dm("grace").id


PUBLIC = {"channels.json": [channel(GENERAL, "bindery", [ADA, GRACE, ALAN])]}
SECRET = {f"bindery/{DAY}": [said(1, ADA, "The price of the wheat paste is secret.")]}


@pytest.mark.parametrize(
    ("lists", "owner", "counted"),
    [
        (PUBLIC | {"groups.json": [channel(PRIVATE, "bindery", [ADA])]}, PRIVATE, 1),
        ({"channels.json": [*PUBLIC["channels.json"], channel(OTHER, "bindery", [], is_private=True)]}, OTHER, 1),
        (PUBLIC | {"groups.json": [channel(GENERAL, "bindery", [ADA])]}, GENERAL, 0),
        ({"groups.json": [channel(PRIVATE, "bindery", [ADA]), channel(OTHER, "bindery", [GRACE])]}, "", 1),
        ({"groups.json": [channel(PRIVATE, "bindery", [ADA, GRACE]), channel(OTHER, "bindery", [GRACE])]}, OTHER, 1),
        (
            {"mpims.json": [channel(PRIVATE, "bindery", [ADA])], "groups.json": [channel(OTHER, "bindery", [])]},
            OTHER,
            1,
        ),
        (PUBLIC, GENERAL, 0),
    ],
    ids=["lists", "flag", "one ID", "nobody reads both", "one reads both", "group message", "alone"],
)
def test_folder_of_two_conversations_goes_to_the_one_whose_members_can_read_both(
    lists: dict[str, Any], owner: str, counted: int
) -> None:
    # Only a message that is read elsewhere tells an export whose folder is left out from one that can't be read.
    files = {"users.json": export()["users.json"], **lists, **SECRET}
    files["dms.json"] = [{"id": "D07SAMPLE01", "members": [ADA, GRACE]}]
    files[f"D07SAMPLE01/{DAY}"] = [said(2, ADA, "hi")]
    opened = open_export(packed(files))
    assert [channel for channel, index in opened.indexes.items() if len(index) and channel[0] != "D"] == (
        [owner] if owner else []
    )
    kinds = {channel.id: channel.type for channel in opened.channels}
    assert lists is PUBLIC or not owner or kinds[owner] != "channel"
    assert len(opened.report.lost.get("shared_folder", ())) == counted


@pytest.mark.parametrize("odd", ["99999999999.000000", "4102444800.000000", "1.000000"])
def test_odd_time_does_not_move_the_last_day(odd: str) -> None:
    opened = open_export(packed(export([said(1, ADA, "hi"), said(2, ADA, "odd") | {"ts": odd}])))
    assert opened.report.last_day == "Monday, October 5, 2026"


@pytest.mark.parametrize("number", [float, lambda text: int(float(text)), lambda text: text.partition(".")[0]])
def test_times_and_names_written_as_numbers_are_read(number: Callable[[str], float | str]) -> None:
    whole = number(ts(1)) != float(ts(1))
    stored = [f"{START_S + at}.000000" if whole else ts(at) for at in range(3)]
    root = said(1, ADA, "") | {"text": 42, "ts": number(ts(1)), "edited": {"user": ADA, "ts": number(ts(2))}}
    reply = said(2, GRACE, "reply", thread_ts=number(ts(1))) | {"ts": number(ts(2))}
    opened = open_export(packed(export([root | {"reactions": [{"name": 100, "users": [GRACE]}]}, reply])))
    first, second = opened.load_message(GENERAL, 0), opened.load_message(GENERAL, 1)
    assert (first.ts, first.edited_ts, first.text) == (stored[1], stored[2], "42")
    assert first.reactions == (("100", (GRACE,)),)
    assert (second.ts, second.thread_ts) == (stored[2], stored[1])
    assert not list(opened.report.left_out())


@pytest.mark.parametrize("wrong", [True, -1, 1_791_190_000_001, 1e300, float("nan"), float("inf"), None, [], "soon"])
def test_number_that_is_no_time_is_counted(wrong: object) -> None:
    opened = open_export(packed(export([said(1, ADA, "hi"), said(2, ADA, "odd") | {"ts": wrong}])))
    assert list(opened.report.left_out()) == ["1 entry without a time"]


@pytest.mark.parametrize("before", ["%3Ft%3D", "under_", "X", "?t=", "é"])
@pytest.mark.parametrize("token", [TOKEN, "xapp-1-A0000000000-0000000000000-" + "0" * 64])
def test_token_is_removed_whatever_is_before_it(before: str, token: str) -> None:
    entry = nobody(1, username=f"hook {before}{token}") | {"text": f"see {before}{token} there"}
    message = open_export(packed(export([entry]))).load_message(GENERAL, 0)
    assert "000" not in message.text + str(message.username)
    assert message.text.endswith(" there")


def test_backslashes_and_unpacked_folders_are_read_like_slacks_zip(tmp_path: Path) -> None:
    files = export([said(1, ADA, "hi")], files={f"kunden-köln/{DAY}": [said(2, ADA, "Grüße")]})
    opened = open_export(packed(files))
    windows = open_export(packed({name.replace("/", "\\"): content for name, content in files.items()}))
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(json.dumps(content).encode())
    (tmp_path / "general" / "2026-10-06.json").symlink_to("/etc/hostname")
    unpacked = open_export(tmp_path)
    assert opened.report.messages == 2
    assert windows.report == opened.report
    assert unpacked.load_message(GENERAL, 0) == opened.load_message(GENERAL, 0)
    assert unpacked.report.counts == opened.report.counts
    assert unpacked.report.lost == {"unknown_files": ["general/2026-10-06.json"]}
