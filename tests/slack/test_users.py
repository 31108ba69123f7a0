"""People's names and kinds, and who reads a channel, with Slack's answers over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.core.access import UserKind
from bot.core.channels import DIRECT_MESSAGE, Channel, ChannelType
from bot.core.conversation import ThreadKey
from bot.services.access_control import LONG_LOOKUP_TIMEOUT_S, SHORT_LOOKUP_TIMEOUT_S
from bot.slack import users as users_module
from bot.slack.users import (
    KIND_TRUSTED_S,
    KIND_WITHIN_S,
    MAX_LOOKED_UP,
    NAMES_WITHIN_S,
    READERS_TRUSTED_S,
    RESERVED_FOR_KINDS,
    RESERVED_FOR_PRESSES,
    TRUSTED_S,
    ChannelReaders,
    Users,
    domain_of,
    find_members,
    is_channel_open,
    kind_of,
    kinds_by_id,
    name_of,
    zone_of,
)
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api import conversations
from slack_sandbox.web_api.budgets import WINDOW_S
from slack_sandbox.wire import channel_json
from slack_sandbox.workspace import PARTNERS_ID, User
from tests.fast import FastClock
from tests.slack.workspaces import connected, connected_workspace

pytestmark = [pytest.mark.wide, pytest.mark.skips_waits]

CALLS_A_MINUTE = 100
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
    "deactivated": (TEAM | {"deleted": True}, UserKind.DEACTIVATED),
    "no answer": ({}, None),
    "a bot that is a guest": (TEAM | {"is_bot": True, "is_restricted": True}, UserKind.GUEST),
    "deactivated in another workspace": ({"team_id": "T2", "deleted": True}, UserKind.DEACTIVATED),
}
ALL_NAMES = {"name": "ada.l", "real_name": "Ada Lovelace", "profile": {"display_name": "ada", "real_name": "Ada L."}}
NAMES: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "the display name": (ALL_NAMES, "ada"),
    "without a display name": (ALL_NAMES | {"profile": {"display_name": ""}}, "Ada Lovelace"),
    "with an empty real name": (ALL_NAMES | {"profile": {"real_name": "Ada L."}, "real_name": ""}, "Ada L."),
    "the real name of the profile": ({"name": "ada.l", "profile": {"real_name": "Ada L."}}, "Ada L."),
    "a channel": ({"name": "general"}, "general"),
    "no name": ({"profile": {}}, ""),
}


class AheadClock(FastClock):
    """A FastClock that can be set forward and remembers what was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return super().now() + self.ahead_s

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    async def sleep(self, delay_s: float) -> None:
        self.sleeps.append(delay_s)
        await super().sleep(delay_s)


@dataclass
class UsersStage:
    sandbox: Sandbox
    clock: AheadClock
    users: Users
    readers: ChannelReaders

    async def has_only_insiders(self, channel_id: str) -> bool:
        return await self.readers.has_only_insiders(ThreadKey("T1", channel_id, "1.0"))

    def lookups(self, method: str = "users.info") -> int:
        """Returns how often Slack was asked, by default about people."""
        return sum(call.method == method for call in self.sandbox.calls)

    def most_in_a_minute(self) -> int:
        times = [call.at_monotonic_s for call in self.sandbox.calls if call.method == "users.info"]
        return max(sum(at - WINDOW_S < other <= at for other in times) for at in times)

    def restarted(self) -> Users:
        return Users(self.users._client, "T0SANDBOX", self.users._recorded)

    def add_person(self, count: int, beginning: str = "U0P") -> list[str]:
        """Adds so many members; returns their ids, which have this beginning."""
        people = [User(f"{beginning}{number}", f"p{number}", f"P{number}", "#64748b") for number in range(count)]
        self.sandbox.workspace.users.update((person.id, person) for person in people)
        return [person.id for person in people]

    async def fail_for(self, delay_s: float, fault: str = "internal_error") -> None:
        self.sandbox.faults.start(fault, method="users.info")
        await asyncio.sleep(delay_s)
        self.sandbox.faults.stop(fault)

    def become_guest(self, user_id: str) -> None:
        people = self.sandbox.workspace.users
        people[user_id] = replace(people[user_id], is_restricted=True, name="gus", real_name="Gus")


@pytest.fixture
async def stage() -> AsyncIterator[UsersStage]:
    clock = AheadClock()
    settings = {"subscribed": frozenset[str](), "monotonic": clock.monotonic}
    async with connected_workspace(clock, **settings) as (sandbox, workspace):
        readers = ChannelReaders(workspace.paced, workspace.users)
        yield UsersStage(sandbox, clock, workspace.users, readers)


@pytest.mark.parametrize(("user", "kind"), KINDS.values(), ids=KINDS)
def test_kind_of_a_person_follows_from_what_slack_says(user: Mapping[str, Any], kind: UserKind | None) -> None:
    assert kind_of(user, "T1") is kind


@pytest.mark.parametrize(("subject", "name"), NAMES.values(), ids=NAMES)
def test_name_is_the_one_that_slack_shows(subject: Mapping[str, Any], name: str) -> None:
    assert name_of(subject) == name


@pytest.mark.parametrize(
    ("fields", "domain"),
    [({}, "lab.org"), ({"is_email_confirmed": True}, "lab.org"), ({"is_email_confirmed": False}, "")],
)
def test_domain_is_that_of_an_address_unless_nobody_has_confirmed_it(fields: Mapping[str, Any], domain: str) -> None:
    assert domain_of({"profile": {"email": "ada@sub@Lab.org"}, **fields}) == domain


async def test_kind_is_trusted_for_ten_minutes_and_then_looked_up_again(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.become_guest("U0ADA")
    stage.clock.ahead_s += KIND_TRUSTED_S - 1
    assert await stage.users.kind("U0ADA") is stage.users.known_kind("U0ADA") is UserKind.MEMBER
    assert stage.lookups() == 1
    stage.clock.ahead_s += 1
    assert stage.users.known_kind("U0ADA") is None
    assert await stage.users.kind("U0ADA") is stage.users.known_kind("U0ADA") is UserKind.GUEST
    assert stage.lookups() == 2


async def test_name_is_trusted_for_an_hour(stage: UsersStage) -> None:
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "Ada"}
    stage.become_guest("U0ADA")
    stage.clock.ahead_s += TRUSTED_S - 1
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "Ada"}
    stage.clock.ahead_s += 1
    assert await stage.users.names(["U0ADA"]) != {"U0ADA": "Ada"}
    assert stage.lookups() == 2


async def test_three_admins_are_named_in_the_order_of_their_ids_without_those_who_left(stage: UsersStage) -> None:
    assert stage.users.admins_to_name({"U4", "U2", "U9", "U1"}) == ["U1", "U2", "U4"]
    admins = ["U0KATHERINE", "U0GRACE", "U0ADA"]
    await stage.users.names(admins)
    assert stage.users.admins_to_name(admins) == ["U0ADA", "U0GRACE"]


async def test_name_and_kind_cost_one_lookup(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "Ada"}
    await stage.users.names(["U0GRACE"])
    assert stage.users.known_kind("U0GRACE") is UserKind.MEMBER
    assert stage.lookups() == 2


async def test_time_zone_comes_with_the_name_or_the_kind(stage: UsersStage) -> None:
    ada = stage.sandbox.workspace.users["U0ADA"]
    stage.sandbox.workspace.users["U0ADA"] = replace(ada, tz="Asia/Kolkata")
    assert stage.users.zones(["U0ADA"]) == {}
    await stage.users.names(["U0ADA"])
    await stage.users.kind("U0GRACE")
    assert stage.users.zones(["U0ADA", "U0GRACE", "U0ALAN"]) == {
        "U0ADA": ZoneInfo("Asia/Kolkata"),
        "U0GRACE": ZoneInfo("Etc/UTC"),
    }
    assert stage.lookups() == 2


@pytest.mark.parametrize("tz", [None, "", 7, "Mars/Olympus", "../up", "/etc/passwd", "America", "a\0b", "x" * 5_000])
def test_time_zone_that_this_machine_does_not_know_is_none(tz: object) -> None:
    assert zone_of({"tz": tz}) is None


async def test_name_of_a_private_channel_is_only_for_its_own_conversations(stage: UsersStage) -> None:
    ids = ["C0GENERAL", "C0PROJECTX"]
    assert await stage.users.names(ids, in_channel="C0GENERAL") == {"C0GENERAL": "general"}
    assert await stage.users.names(ids, in_channel="C0PROJECTX") == {"C0GENERAL": "general", "C0PROJECTX": "project-x"}
    assert await stage.users.names(ids) == {"C0GENERAL": "general"}


async def test_channels_have_names_and_no_kind(stage: UsersStage) -> None:
    assert await stage.users.names(["C0GENERAL", "U0ADA", "S0GROUP"]) == {"C0GENERAL": "general", "U0ADA": "Ada"}
    assert stage.users.known_kind("C0GENERAL") is None
    assert stage.lookups() == 1


async def test_simultaneous_lookups_share_one_call(stage: UsersStage) -> None:
    lookups = [asyncio.create_task(stage.users.kind("U0ADA")) for _ in range(5)]
    named = asyncio.create_task(stage.users.names(["U0ADA"]))
    await asyncio.sleep(0)
    lookups[0].cancel()
    assert await asyncio.gather(*lookups[1:]) == [UserKind.MEMBER] * 4
    assert await named == {"U0ADA": "Ada"}
    assert stage.lookups() == 1


async def test_last_known_kind_applies_while_slack_fails(stage: UsersStage) -> None:
    await stage.users.kind("U0ADA")
    stage.clock.ahead_s += KIND_TRUSTED_S
    stage.sandbox.faults.start("internal_error", method="users.info")
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert stage.users.known_kind("U0ADA") is None, "it must be looked up again the next time"
    assert [round(sleep_s, 3) for sleep_s in stage.clock.sleeps[:4]] == [0.5, 1, 2, 4]
    assert {round(sleep_s, 3) for sleep_s in stage.clock.sleeps[4:]} == {6}
    assert await stage.users.kind("U0GRACE") is None


@pytest.mark.parametrize(("retry_after_s", "kind"), [(3, UserKind.MEMBER), (600, None)])
async def test_no_lookup_is_made_before_slack_says(
    stage: UsersStage, retry_after_s: int, kind: UserKind | None
) -> None:
    stage.sandbox.faults.start("rate_limit", method="users.info", times=1, retry_after_s=retry_after_s)
    stage.sandbox.faults.start("refuse", method="users.list", error="missing_scope")
    assert await stage.users.kind("U0ADA") is kind
    assert await stage.users.names(["U0ADA"]) == ({"U0ADA": "Ada"} if kind else {})
    assert stage.lookups() == (2 if kind else 1)


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
    assert await stage.users.kind(user_id) is stage.users.known_kind(user_id) is UserKind.EXTERNAL
    assert await stage.users.names([user_id]) == {}
    assert stage.lookups() == 1


async def test_oldest_profiles_are_dropped_beyond_the_limit(stage: UsersStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_module, "MAX_LISTED", 2)
    for user_id in ("U0ADA", "U0GRACE", "U0NOBODY"):
        await stage.users.kind(user_id)
    assert [stage.users.known_kind(user_id) for user_id in ("U0ADA", "U0GRACE")] == [None, UserKind.MEMBER]


async def test_profile_that_is_looked_up_again_is_the_newest(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "MAX_LISTED", 2)
    for user_id in ("U0ADA", "U0GRACE"):
        await stage.users.kind(user_id)
    stage.clock.ahead_s += KIND_TRUSTED_S
    for user_id in ("U0ADA", "U0NOBODY"):
        await stage.users.kind(user_id)
    assert stage.users.known_kind("U0ADA") is UserKind.MEMBER
    assert await stage.users.names(["U0ADA"]) == {"U0ADA": "Ada"}
    assert stage.lookups() == 4, "the oldest was dropped, not the one looked up again"


async def test_kind_as_of_now_is_never_what_slack_said_before(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.become_guest("U0ADA")
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert await stage.users.kind("U0ADA", now_within_s=5.0) is UserKind.GUEST
    assert stage.lookups() == 2


async def test_lookups_within_the_age_that_a_caller_accepts_are_shared(stage: UsersStage) -> None:
    for ahead_s, lookups in ((0, 1), (59, 1), (61, 2)):
        stage.clock.ahead_s = ahead_s
        assert await stage.users.kind("U0ADA", now_within_s=5.0, max_age_s=60.0) is UserKind.MEMBER
        assert stage.lookups() == lookups


@pytest.mark.parametrize("fault", ["no_answer", "internal_error", "rate_limit"])
async def test_no_kind_as_of_now_is_known_while_slack_does_not_say(stage: UsersStage, fault: str) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.sandbox.faults.start(fault, method="users.info")
    stage.sandbox.faults.start("refuse", method="users.list", error="missing_scope")
    assert await stage.users.kind("U0ADA", now_within_s=2.0) is None


async def test_lookup_that_began_seconds_ago_says_nothing_of_now(stage: UsersStage) -> None:
    stage.sandbox.faults.start("slow", method="users.info", delay_s=5.0, times=1)
    first = asyncio.create_task(stage.users.kind("U0ADA", now_within_s=10.0))
    await asyncio.sleep(3)
    assert await stage.users.kind("U0ADA", now_within_s=10.0) is await first is UserKind.MEMBER
    assert stage.lookups() == 2


async def test_kind_is_unknown_in_bounded_time_while_slack_hangs(stage: UsersStage) -> None:
    stage.sandbox.faults.start("no_answer", method="users.info")
    began = stage.clock.monotonic()
    assert await stage.users.kind("U0ADA") is None
    assert stage.clock.monotonic() - began < KIND_WITHIN_S + 2


async def test_many_askers_stay_within_what_slack_takes_in_a_minute(stage: UsersStage) -> None:
    people = stage.add_person(60)

    async def steps(user_id: str) -> int:
        known = 0
        for _ in range(6):
            both = await asyncio.gather(*(stage.users.kind(user_id, now_within_s=10.0) for _ in range(2)))
            known += both.count(UserKind.MEMBER)
            await asyncio.sleep(10)
        return known

    known = await asyncio.gather(*map(steps, people))
    assert stage.most_in_a_minute() <= CALLS_A_MINUTE
    assert not [call for call in stage.sandbox.calls if not call.ok]
    assert sum(known) >= 2 * CALLS_A_MINUTE


@pytest.mark.parametrize(("fault", "lasts_s"), [("internal_error", 30), ("no_answer", 20)])
@pytest.mark.parametrize("count", [1, 30, 50])
async def test_outage_denies_nobody_however_many_wait(
    stage: UsersStage, count: int, fault: str, lasts_s: float
) -> None:
    people = stage.add_person(count)
    served: list[str] = []

    async def ask(user_id: str) -> UserKind | None:
        kind = await stage.users.kind(user_id)
        served.append(user_id)
        return kind

    outage = asyncio.create_task(stage.fail_for(lasts_s, fault))
    await asyncio.sleep(1)
    waiting = [asyncio.create_task(ask(user_id)) for user_id in people for _ in range(3)]
    assert await asyncio.gather(*waiting) == [UserKind.MEMBER] * len(waiting)
    await outage
    assert stage.most_in_a_minute() <= CALLS_A_MINUTE
    assert len(set(served[:3])) == 1, "all who wait for one person are told at once"


async def test_outage_costs_half_of_the_calls_and_ends_with_the_waits(stage: UsersStage) -> None:
    stage.sandbox.faults.start("internal_error", method="users.info")
    stage.sandbox.faults.start("refuse", method="users.list", error="internal_error")
    kinds = await asyncio.gather(*map(stage.users.kind, stage.add_person(50)))
    assert kinds == [None] * 50
    assert stage.most_in_a_minute() <= CALLS_A_MINUTE / 2
    before = stage.lookups()
    await asyncio.sleep(30)
    assert stage.lookups() == before, "nobody waits"


async def test_person_whom_only_slack_cannot_tell_about_keeps_nobody_waiting(stage: UsersStage) -> None:
    people = stage.add_person(30)
    stage.sandbox.faults.start("refuse", method="users.list", error="missing_scope")
    for user_id in people[:6]:
        stage.sandbox.faults.start("internal_error", method="users.info", match_text=f"{user_id}'")
    kinds = await asyncio.gather(*map(stage.users.kind, people))
    assert kinds == [None] * 6 + [UserKind.MEMBER] * 24


async def test_names_leave_calls_for_kinds(stage: UsersStage) -> None:
    people = stage.add_person(CALLS_A_MINUTE)
    first, second = people[:50], people[50:]
    assert len(await stage.users.names(first)) == 50
    assert "C0GENERAL" in await stage.users.names([*second[:-1], "C0GENERAL"])
    assert 50 < stage.lookups() <= CALLS_A_MINUTE - RESERVED_FOR_KINDS
    kinds = await asyncio.gather(
        *(stage.users.kind(user_id, now_within_s=5.0) for user_id in second[-RESERVED_FOR_KINDS:])
    )
    assert kinds == [UserKind.MEMBER] * RESERVED_FOR_KINDS
    assert not [call for call in stage.sandbox.calls if not call.ok]


CHANNELS: Mapping[str, Channel] = {
    "C0GENERAL": Channel(ChannelType.PUBLIC, "general", "[Runbook](https://x.example) &lt;b&gt;", "<@U0ADA|ada>"),
    "C0PROJECTX": Channel(ChannelType.PRIVATE, "project-x"),
    "C0PARTNERS": Channel(ChannelType.PUBLIC, "partners", is_shared=True),
    "C0MPDM": Channel(ChannelType.GROUP, "mpdm-ada--grace--bot-1"),
    "D0ADA": DIRECT_MESSAGE,
}


async def test_channel_is_looked_up_once_in_ten_minutes_and_a_direct_message_never(stage: UsersStage) -> None:
    general = stage.sandbox.workspace.channel("general")
    general.topic, general.purpose = "<https://x.example|Runbook> &lt;b&gt;", "<@U0ADA|ada>"
    for _ in range(2):
        for id_, channel in CHANNELS.items():
            assert await stage.users.channel(id_) == channel
    assert stage.lookups("conversations.info") == len(CHANNELS) - 1
    general.topic = "Changed"
    stage.clock.ahead_s = KIND_TRUSTED_S
    assert (await stage.users.channel("C0GENERAL") or DIRECT_MESSAGE).topic == "Changed"
    stage.clock.ahead_s *= 2
    stage.sandbox.faults.start("refuse", method="conversations.info", error="missing_scope")
    for _ in range(2):
        assert (await stage.users.channel("C0GENERAL") or DIRECT_MESSAGE).topic == "Changed", "an older state is kept"
        assert await stage.users.is_private("C0GENERAL") is None


async def test_names_do_not_wait_for_the_end_of_an_outage(stage: UsersStage) -> None:
    stage.sandbox.faults.start("internal_error", method="users.info")
    kind = asyncio.create_task(stage.users.kind("U0ADA"))
    await asyncio.sleep(1)
    began = stage.clock.monotonic()
    assert await stage.users.names(["U0ADA", "U0GRACE", "C0GENERAL"]) == {"C0GENERAL": "general"}
    assert stage.clock.monotonic() - began < NAMES_WITHIN_S + 2
    assert await kind is None


LAUNCHES: Mapping[str, tuple[int, int, str, int]] = {
    # How many people ask at once, how many others the workspace has, what fails, and the calls of users.list.
    "200 people": (200, 0, "", 1),
    "400 people": (400, 0, "", 1),
    "of 12,000": (200, 12_000, "", 13),
    "the list is refused": (200, 0, "refuse", 1),
    "the list is slow": (200, 0, "slow", 0),
    "the list isn't answered": (200, 0, "no_answer", 1),
}


@pytest.mark.parametrize(
    ("count", "others", "fault", "lists"),
    [pytest.param(*launch, id=name, marks=[pytest.mark.long] * (launch[1] > 0)) for name, launch in LAUNCHES.items()],
)
@pytest.mark.long(after_row=2)
async def test_many_new_people_are_listed_and_nobody_stays_unknown(
    stage: UsersStage, count: int, others: int, fault: str, lists: int
) -> None:
    stage.add_person(others, "U0X")
    people = stage.add_person(count)
    stage.become_guest(people[1])
    if fault:
        stage.sandbox.faults.start(fault, method="users.list", error="missing_scope", delay_s=240.0)
    kinds = await asyncio.gather(*(stage.users.kind(user_id, within_s=LONG_LOOKUP_TIMEOUT_S) for user_id in people))
    assert kinds == [UserKind.MEMBER, UserKind.GUEST, *[UserKind.MEMBER] * (count - 2)]
    assert not [call for call in stage.sandbox.calls if call.error == "ratelimited"]
    assert stage.lookups("users.list") == lists
    assert (stage.lookups() >= count - MAX_LOOKED_UP) is bool(fault)


async def test_list_is_read_no_further_than_to_those_who_wait(stage: UsersStage) -> None:
    people = stage.add_person(MAX_LOOKED_UP + 10)
    stage.add_person(5_000, "U0X")
    await asyncio.gather(*map(stage.users.kind, people))
    assert stage.lookups("users.list") == 1


@pytest.mark.parametrize("before", ["askers", "presses", "names", "a rate limit"])
@pytest.mark.parametrize("late", [1, 10])
@pytest.mark.long(after_row=3)
async def test_people_for_whom_no_call_is_left_are_listed_and_do_not_wait(
    stage: UsersStage, before: str, late: int
) -> None:
    """Fewer wait than are looked up one by one, and the last calls of the minute are kept for presses."""
    people, others = stage.add_person(late), stage.add_person(CALLS_A_MINUTE, "U0X")
    if before == "a rate limit":
        stage.sandbox.faults.start("rate_limit", method="users.info", retry_after_s=60)
    else:
        if before == "names":
            await stage.users.names(others)
        while stage.lookups() < CALLS_A_MINUTE - RESERVED_FOR_PRESSES:
            await stage.users.kind(others.pop(), is_press=before == "presses")
    lookups, began = stage.lookups(), stage.clock.monotonic()
    assert await asyncio.gather(*map(stage.users.kind, people)) == [UserKind.MEMBER] * late
    assert stage.clock.monotonic() - began < 2
    assert stage.lookups("users.list") == 1
    assert not [call for call in stage.sandbox.calls if call.ok and call.method == "users.info"][lookups:]


async def test_strangers_whom_no_list_has_are_looked_up_alone(stage: UsersStage) -> None:
    people, strangers = stage.add_person(50), [f"U0S{number}" for number in range(30)]
    kinds = await asyncio.gather(*map(stage.users.kind, [*strangers, *people]))
    assert kinds == [UserKind.EXTERNAL] * 30 + [UserKind.MEMBER] * 50
    assert stage.lookups("users.list") == 1


async def test_press_is_told_who_a_person_is_while_hundreds_stand_in_line(stage: UsersStage) -> None:
    """None of them is on the list, so users.info is used up for minutes."""
    strangers = [f"U0GONE{number}" for number in range(3 * CALLS_A_MINUTE)]
    waiting = [asyncio.create_task(stage.users.kind(one, within_s=LONG_LOOKUP_TIMEOUT_S)) for one in strangers]
    await stage.sandbox.wait_for(lambda: stage.lookups() >= CALLS_A_MINUTE - RESERVED_FOR_PRESSES)
    for _ in range(RESERVED_FOR_PRESSES // 2):
        assert await stage.users.kind("U0ADA", now_within_s=SHORT_LOOKUP_TIMEOUT_S, is_press=True) is UserKind.MEMBER
    assert await asyncio.gather(*waiting) == [UserKind.EXTERNAL] * len(strangers)
    assert stage.most_in_a_minute() <= CALLS_A_MINUTE


async def test_list_that_began_before_a_press_says_nothing_of_now(stage: UsersStage) -> None:
    people = stage.add_person(50)
    stage.sandbox.faults.start("slow", method="users.list", delay_s=5.0, times=1)
    stage.sandbox.faults.start("slow", method="users.info", delay_s=8.0, times=10)
    waiting = [asyncio.create_task(stage.users.kind(user_id)) for user_id in people]
    await asyncio.sleep(3)
    stage.become_guest(people[-1])
    assert await stage.users.kind(people[-1], now_within_s=30.0) is UserKind.GUEST
    assert {*await asyncio.gather(*waiting[:-1])} == {UserKind.MEMBER}


async def test_restarted_process_knows_a_kind_for_as_long_as_the_first_one_would(stage: UsersStage) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    # The record is written in the background.
    await asyncio.sleep(0.1)
    stage.become_guest("U0ADA")
    stage.clock.ahead_s += KIND_TRUSTED_S - 1
    assert await stage.restarted().kind("U0ADA") is UserKind.MEMBER
    assert stage.lookups() == 1
    assert await stage.restarted().kind("U0ADA", now_within_s=5.0) is UserKind.GUEST
    await asyncio.sleep(0.1)
    stage.clock.ahead_s += KIND_TRUSTED_S
    assert await stage.restarted().last_known_kind("U0ADA") is UserKind.GUEST
    stage.clock.ahead_s += TRUSTED_S
    assert await stage.restarted().last_known_kind("U0ADA") is None


@pytest.mark.parametrize("error", ["account_inactive", "missing_scope"])
async def test_last_known_kind_applies_for_an_hour_while_slack_refuses(stage: UsersStage, error: str) -> None:
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.sandbox.faults.start("refuse", method="users.info", error=error)
    stage.clock.ahead_s += TRUSTED_S - 100
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    stage.clock.ahead_s += 101
    assert await stage.users.kind("U0ADA") is None


@pytest.mark.parametrize(
    ("channel_id", "insiders"),
    [("C0GENERAL", True), ("C0PROJECTX", True), ("C0MPDM", True), ("C0RANDOM", False), ("C0PARTNERS", False)],
    ids=["members and bots", "private", "group message", "guests", "Slack Connect"],
)
async def test_channel_with_guests_or_other_organizations_has_outsiders(
    stage: UsersStage, channel_id: str, insiders: bool
) -> None:
    assert await stage.has_only_insiders(channel_id) is insiders


@pytest.mark.parametrize(
    "field", ["is_shared", "is_ext_shared", "is_org_shared", "is_pending_ext_shared", "pending_shared"]
)
async def test_channel_that_other_workspaces_read_or_will_has_outsiders(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    shared = {field: ["T2"] if field == "pending_shared" else True}
    monkeypatch.setattr(conversations, "channel_json", lambda *place: {**channel_json(*place), **shared})
    assert not await stage.has_only_insiders("C0GENERAL")


async def test_channel_with_more_members_than_are_read_has_outsiders(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    general = stage.sandbox.workspace.channel("C0GENERAL")
    general.members += stage.add_person(users_module.MAX_PAGES - len(general.members) % users_module.MAX_PAGES)
    monkeypatch.setattr(users_module, "PEOPLE_PER_PAGE", len(general.members) // users_module.MAX_PAGES)
    assert await stage.has_only_insiders("C0GENERAL")
    general.members += stage.add_person(1, "U0Q")
    stage.clock.ahead_s += READERS_TRUSTED_S
    assert not await stage.has_only_insiders("C0GENERAL")


async def test_channel_of_which_slack_names_no_member_has_outsiders(stage: UsersStage) -> None:
    stage.sandbox.workspace.channel("C0GENERAL").members.clear()
    assert not await stage.has_only_insiders("C0GENERAL")


async def test_direct_message_has_one_reader(stage: UsersStage) -> None:
    assert await stage.has_only_insiders("D0EDITH")
    assert stage.lookups("conversations.members") == 0


async def test_guest_who_joins_counts_a_minute_later(stage: UsersStage) -> None:
    assert await stage.has_only_insiders("C0GENERAL")
    stage.sandbox.workspace.channel("C0GENERAL").members.append("U0EDITH")
    stage.clock.ahead_s += READERS_TRUSTED_S
    assert not await stage.has_only_insiders("C0GENERAL")


async def test_one_guest_among_many_people_counts_and_all_are_listed_at_once(stage: UsersStage) -> None:
    workspace, general = stage.sandbox.workspace, stage.sandbox.workspace.channel("C0GENERAL")
    general.members += stage.add_person(MAX_LOOKED_UP + 5)
    assert await stage.has_only_insiders("C0GENERAL")
    assert (stage.lookups("users.list"), stage.lookups("users.info")) == (1, 0)
    workspace.users["U0P7"] = replace(workspace.users["U0P7"], is_restricted=True)
    stage.clock.ahead_s += 3_600
    assert not await stage.has_only_insiders("C0GENERAL")


@pytest.mark.parametrize("method", ["conversations.info", "conversations.members", "users.info"])
@pytest.mark.parametrize("fault", ["refuse", "slow"])
async def test_what_slack_does_not_tell_counts_as_outsiders(
    stage: UsersStage, monkeypatch: pytest.MonkeyPatch, method: str, fault: str
) -> None:
    monkeypatch.setattr("bot.slack.users.NAMES_WITHIN_S", 0.5)
    stage.sandbox.faults.start(fault, method=method, error="missing_scope", delay_s=60.0)
    async with asyncio.timeout(30):
        assert not await stage.has_only_insiders("C0GENERAL")


async def test_domain_is_a_members_and_comes_with_the_kind(stage: UsersStage) -> None:
    assert stage.users.known_domain("U0ADA") is None
    assert await stage.users.domain("U0ADA") == stage.users.known_domain("U0ADA") == "sandbox.example"
    assert await stage.users.kind("U0ADA") is UserKind.MEMBER
    assert stage.lookups() == 1
    assert await stage.users.domain("U0EDITH") == ""
    stage.clock.ahead_s += KIND_TRUSTED_S
    assert stage.users.known_domain("U0ADA") is None


async def test_workspace_of_a_person_is_ours_unless_they_are_in_another_one_alone(stage: UsersStage) -> None:
    people = ("U0ADA", "U0EMMY", "U0NOBODY")
    ours = stage.sandbox.team_id
    assert [await stage.users.team_id(one) for one in people] == [ours, PARTNERS_ID, ours]


async def test_privacy_of_a_channel_is_trusted_for_ten_minutes(stage: UsersStage) -> None:
    channels = {"C0GENERAL": False, "C0PROJECTX": True, "D0ADA": True, "C0NOWHERE": None}
    for ahead_s, lookups in ((0.0, 3), (KIND_TRUSTED_S - 1, 4), (KIND_TRUSTED_S, 7)):
        stage.clock.ahead_s = ahead_s
        assert {channel: await stage.users.is_private(channel) for channel in channels} == channels
        assert stage.lookups("conversations.info") == lookups, "one that Slack doesn't tell is asked for again"


FOUND: Mapping[str, Mapping[str, str]] = {
    "U0ADA": {"U0ADA": "Ada"},
    "@ada": {"U0ADA": "Ada", "U0TWIN": "ADA"},
    "Grace": {"U0GRACE": "Grace"},
    "ad": {},
    "Edith": {},
    "U0EDITH": {},
    "Katherine": {},
    "Deploys": {},
    "U0NOBODY": {},
}


async def test_members_are_found_by_their_id_or_a_whole_name_in_any_case() -> None:
    async with connected(subscribed=frozenset[str]()) as (sandbox, client):
        sandbox.workspace.users["U0TWIN"] = User("U0TWIN", "twin", "ADA", "#000000")
        assert {words: await find_members(client, words) for words in FOUND} == FOUND


@pytest.mark.parametrize(("error", "kind"), [("user_not_found", None), ("user_not_visible", UserKind.EXTERNAL)])
@pytest.mark.parametrize(("others", "lists"), [(MAX_LOOKED_UP - 3, 0), (MAX_LOOKED_UP - 2, 1)])
async def test_kinds_of_many_people_are_listed_first(
    error: str, kind: UserKind | None, others: int, lists: int
) -> None:
    async with connected(subscribed=frozenset[str]()) as (sandbox, client):
        people = [User(f"U0P{number}", f"p{number}", f"P{number}", "#64748b") for number in range(others)]
        sandbox.workspace.users.update((person.id, person) for person in people)
        sandbox.faults.start("refuse", method="users.info", error=error, match_text="U0NOBODY")
        ids = ["U0ADA", "U0EDITH", "U0NOBODY", *(person.id for person in people)]
        assert await kinds_by_id(client, ids, sandbox.team_id) == {
            **dict.fromkeys(ids, UserKind.MEMBER),
            "U0EDITH": UserKind.GUEST,
            "U0NOBODY": kind,
        }
        asked = [call.method for call in sandbox.calls]
        assert (asked.count("users.list"), asked.count("users.info")) == (lists, 1 if lists else len(ids))


async def test_channel_is_open_unless_it_is_archived_or_not_found() -> None:
    async with connected(subscribed=frozenset[str]()) as (sandbox, client):
        sandbox.workspace.channel("random").archived = True
        channels = ("C0GENERAL", "C0RANDOM", "C0NOWHERE")
        assert [await is_channel_open(client, channel) for channel in channels] == [True, False, False]
