"""Caching of people's names and kinds, with a manual clock and Slack's answers over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.core.lease import Lease
from bot.core.limits.access import UserKind
from bot.slack import users as users_module
from bot.slack.client import SlackClient, new_session
from bot.slack.retry_policy import USER_KIND
from bot.slack.users import KIND_KEPT_S, KIND_TRUSTED_S, NAME_TRUSTED_S, Users, kind_of, name_of
from bot.slack.workspace import Workspace
from sandbox.server import Sandbox
from tests.clocks import InstantClock
from tests.slack.schedules import LoneLedger, RecordsInMemory

TEAM = {"team_id": "T1"}
KINDS: Mapping[str, tuple[Mapping[str, Any], UserKind | None]] = {
    "a member": (TEAM, UserKind.MEMBER),
    "without a team": ({"id": "U1"}, UserKind.MEMBER),
    "of another workspace": ({"team_id": "T2"}, UserKind.EXTERNAL),
    "of several workspaces of a Grid": ({"team_id": "T2", "enterprise_user": {"teams": ["T1"]}}, UserKind.MEMBER),
    "of other workspaces of a Grid": ({"team_id": "T2", "enterprise_user": {"teams": ["T3"]}}, UserKind.EXTERNAL),
    "a stranger": (TEAM | {"is_stranger": True}, UserKind.EXTERNAL),
    "a guest": (TEAM | {"is_restricted": True}, UserKind.GUEST),
    "a guest of one channel": (TEAM | {"is_ultra_restricted": True}, UserKind.GUEST),
    "a guest of another workspace": ({"team_id": "T2", "is_restricted": True}, UserKind.EXTERNAL),
    "a bot": (TEAM | {"is_bot": True}, UserKind.BOT),
    "deactivated": (TEAM | {"deleted": True}, None),
    "no answer": ({}, None),
}
ALL_NAMES = {"name": "ada.l", "real_name": "Ada Lovelace", "profile": {"display_name": "ada", "real_name": "Ada L."}}
NAMES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "the display name": (ALL_NAMES, "ada"),
    "without a display name": (ALL_NAMES | {"profile": {"display_name": ""}}, "Ada Lovelace"),
    "the real name of the profile": ({"name": "ada.l", "profile": {"real_name": "Ada L."}}, "Ada L."),
    "a channel": ({"name": "general"}, "general"),
    "no name": ({"profile": {}}, ""),
}


@dataclass
class UsersStage:
    sandbox: Sandbox
    clock: InstantClock
    users: Users

    def lookups(self) -> int:
        """Returns how often Slack was asked about people."""
        return sum(call.method == "users.info" for call in self.sandbox.calls)

    def become_guest(self, user_id: str) -> None:
        people = self.sandbox.workspace.users
        people[user_id] = replace(people[user_id], is_restricted=True, name="gus", real_name="Gus")


@pytest.fixture
async def stage() -> AsyncIterator[UsersStage]:
    async with known_people() as stage:
        yield stage


@asynccontextmanager
async def known_people() -> AsyncIterator[UsersStage]:
    clock = InstantClock()
    async with Sandbox(subscribed=frozenset()) as sandbox, new_session() as session:
        client = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        me = await client.identity()
        workspace = Workspace(me, client, ledger=LoneLedger(), records=RecordsInMemory(), lease=Lease(), clock=clock)
        yield UsersStage(sandbox, clock, workspace.users)


@pytest.mark.parametrize(("user", "kind"), KINDS.values(), ids=KINDS)
def test_kind_of_a_person_follows_from_what_slack_says(user: Mapping[str, Any], kind: UserKind | None) -> None:
    assert kind_of(user, "T1") is kind


@pytest.mark.parametrize(("subject", "name"), NAMES.values(), ids=NAMES)
def test_name_is_the_one_that_slack_shows(subject: Mapping[str, Any], name: str) -> None:
    assert name_of(subject) == name


async def test_kind_is_trusted_for_ten_minutes_and_then_looked_up_again(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.become_guest("U0ADA")
    stage.clock.now_s += KIND_TRUSTED_S - 1
    assert await stage.users.kind("U0ADA") is stage.users.known("U0ADA") is UserKind.MEMBER
    assert stage.lookups() == 1
    stage.clock.now_s += 1
    assert stage.users.known("U0ADA") is None
    assert await stage.users.kind("U0ADA") is stage.users.known("U0ADA") is UserKind.GUEST
    assert stage.lookups() == 2


async def test_name_is_trusted_for_an_hour(stage: UsersStage) -> None:
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "ada"}
    stage.become_guest("U0ADA")
    stage.clock.now_s += NAME_TRUSTED_S - 1
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "ada"}
    stage.clock.now_s += 1
    assert await stage.users.names(["U0ADA"]) != {"U0ADA": "ada"}
    assert stage.lookups() == 2


async def test_name_and_kind_cost_one_lookup(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "ada"}
    await stage.users.names(["U0GRACE"])
    assert stage.users.known("U0GRACE") is UserKind.MEMBER
    assert stage.lookups() == 2


async def test_channels_have_names_and_no_kind(stage: UsersStage) -> None:
    assert await stage.users.names(["C0GENERAL", "U0ADA", "S0GROUP"]) == {"C0GENERAL": "general", "U0ADA": "ada"}
    assert stage.users.known("C0GENERAL") is None
    assert stage.lookups() == 1


async def test_simultaneous_lookups_share_one_call(stage: UsersStage) -> None:
    lookups = [asyncio.create_task(stage.users.kind("U0ADA")) for _ in range(5)]
    named = asyncio.create_task(stage.users.names(["U0ADA"]))
    await asyncio.sleep(0)
    lookups[0].cancel()
    assert await asyncio.gather(*lookups[1:]) == [UserKind.MEMBER] * 4
    assert await named == {"U0ADA": "ada"}
    assert stage.lookups() == 1


async def test_last_known_kind_applies_while_slack_fails(stage: UsersStage) -> None:
    await stage.users.kind("U0ADA")
    stage.clock.now_s += KIND_TRUSTED_S
    stage.sandbox.faults.start("internal_error", method="users.info")
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert stage.users.known("U0ADA") is None, "it must be looked up again the next time"
    assert stage.clock.sleeps == [0.5, 1, 2, 4, 8, 8]
    assert await stage.users.kind("U0GRACE") is None


async def test_last_known_kind_applies_after_the_scope_was_taken_away(stage: UsersStage) -> None:
    await stage.users.kind("U0ADA")
    stage.clock.now_s += KIND_TRUSTED_S
    stage.sandbox.faults.start("refuse", method="users.info", error="missing_scope")
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(3, 3), (600, USER_KIND.max_retry_after_s)])
async def test_rate_limit_is_waited_out_within_bounds(stage: UsersStage, retry_after_s: int, wait_s: float) -> None:
    stage.sandbox.faults.start("rate_limit", method="users.info", times=1, retry_after_s=retry_after_s)
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert stage.clock.sleeps == [wait_s]


async def test_kinds_are_looked_up_each_time_and_names_once_an_hour_without_the_scope(stage: UsersStage) -> None:
    stage.sandbox.faults.start("refuse", method="users.info", error="missing_scope")
    for _ in range(2):
        assert await stage.users.kind("U0ADA") is None
    assert stage.lookups() == 2
    for _ in range(2):
        assert await stage.users.names(["U0ADA"]) == {}
    assert stage.lookups() == 2
    assert stage.clock.sleeps == []


@pytest.mark.parametrize("user_id", ["U0NOBODY", "B0NOBODY"])
async def test_person_whom_the_workspace_may_not_see_is_external(stage: UsersStage, user_id: str) -> None:
    assert await stage.users.kind(user_id) is stage.users.known(user_id) is UserKind.EXTERNAL
    assert await stage.users.names([user_id]) == {}
    assert stage.lookups() == 1


async def test_oldest_profiles_are_dropped_beyond_the_limit(stage: UsersStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_module, "MAX_PROFILES", 2)
    for user_id in ("U0ADA", "U0GRACE", "U0NOBODY"):
        await stage.users.kind(user_id)
    assert [stage.users.known(user_id) for user_id in ("U0ADA", "U0GRACE")] == [None, UserKind.MEMBER]


async def test_profile_that_is_looked_up_again_is_the_newest(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "MAX_PROFILES", 2)
    for user_id in ("U0ADA", "U0GRACE"):
        await stage.users.kind(user_id)
    stage.clock.now_s += KIND_TRUSTED_S
    for user_id in ("U0ADA", "U0NOBODY"):
        await stage.users.kind(user_id)
    assert stage.users.known("U0ADA") is UserKind.MEMBER
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "ada"}
    assert stage.lookups() == 4, "the oldest was dropped, not the one looked up again"


async def test_kind_now_is_never_what_slack_said_before(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.become_guest("U0ADA")
    stage.clock.now_s += 0.1
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert await stage.users.kind_now("U0ADA", 5.0) is UserKind.GUEST
    stage.clock.now_s += 0.1
    stage.sandbox.faults.start("slow", method="users.info", delay_s=5.0)
    assert await stage.users.kind_now("U0ADA", 0.2) is None


async def test_kind_is_unknown_in_bounded_time_while_slack_hangs(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.users.KIND_WITHIN_S", 0.3)
    stage.sandbox.faults.start("slow", method="users.info", delay_s=5.0)
    async with asyncio.timeout(3):
        assert await stage.users.kind("U0ADA") is None


async def test_last_known_kind_applies_for_an_hour_while_slack_fails(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.sandbox.faults.start("refuse", method="users.info", error="account_inactive")
    stage.clock.now_s += KIND_KEPT_S - 100
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.clock.now_s += 101
    assert await stage.users.kind("U0ADA") is None
