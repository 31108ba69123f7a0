"""Who has access, by the access rules and by what Slack says of people and their groups."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.clock import Clock, SystemClock
from bot.core.access import AccessRules, UserKind
from bot.core.conversation import Question, ThreadKey
from bot.core.texts.access import Denial
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.settings import read
from bot.slack.client import SlackClient, new_session
from bot.slack.user_groups import AccessGroups
from bot.slack.users import KIND_TRUSTED_S
from bot.store import Stores
from slack_sandbox.server import Sandbox
from tests.clocks import InstantClock, ManualClock
from tests.core.user_kinds import SUBSETS
from tests.scenarios.conftest import manifest
from tests.slack.workspaces import workspace_of

pytestmark = pytest.mark.skips_waits

EVERYBODY = SUBSETS[-1]


def question_of(user_id: str) -> Question:
    return Question(ThreadKey("T0SANDBOX", "C0RANDOM", "1.0"), "1.0", user_id, "why?")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A workspace with another member, a guest and a person of another organization."""
    async with Sandbox(manifest=manifest()) as sandbox:
        sandbox.people.add_person("gus")
        sandbox.people.add_person("gia", guest=True)
        sandbox.people.add_person("stan", team_id="T0ELSEWHERE")
        yield sandbox


@asynccontextmanager
async def access_control(
    sandbox: Sandbox, stores: Stores, rules: AccessRules, clock: Clock | None = None
) -> AsyncIterator[AccessControl]:
    async with new_session() as session:
        workspace = await workspace_of(SlackClient(sandbox.bot_token, sandbox.api_url, session), clock or SystemClock())
        users, notifier = workspace.users, Notifier(stores, workspace)
        yield AccessControl(rules, users, notifier, people=AccessGroups(workspace.paced, users, rules))


PEOPLE: dict[str, UserKind | None] = {
    "U0ADA": UserKind.MEMBER,
    "U0GRACE": UserKind.MEMBER,
    "U0EDITH": UserKind.GUEST,
    "U0MARY": UserKind.GUEST,
    "U0EMMY": UserKind.EXTERNAL,
    "U0STAN": UserKind.EXTERNAL,
    "U0NOBODY": UserKind.EXTERNAL,
    "U0BOTDEPLOYS": UserKind.BOT,
    "U0BOT": UserKind.BOT,
    "U0ALAN": UserKind.DEACTIVATED,
}
"""An owner, an admin, two guests, two people of other organizations, one whom Slack hides, another bot, Typist itself,
and a deactivated account."""


@pytest.mark.parametrize("known", [True, False], ids=["Slack says who they are", "users.info fails"])
async def test_each_kind_of_person_is_admitted_exactly_if_it_is_allowed(
    sandbox: Sandbox, stores: Stores, known: bool
) -> None:
    sandbox.people.deactivate("alan")
    if not known:
        sandbox.faults.start("refuse", method="users.info", error="missing_scope")
    for also in SUBSETS:
        decided = {}
        async with access_control(sandbox, stores, AccessRules(extra_kinds=also)) as deciding:
            for user_id in PEOPLE:
                asked = question_of(user_id)
                at_once = deciding.known_denial(asked)
                decided[user_id] = await deciding.denial(asked)
                assert at_once in (None, decided[user_id])
        may = {user_id for user_id, kind in PEOPLE.items() if kind is UserKind.MEMBER or kind in also}
        if also == EVERYBODY or not known:
            may = set(PEOPLE) if also == EVERYBODY else set()
        assert {user_id for user_id, denied in decided.items() if denied is None} == may, also
        assert known or set(decided.values()) <= {None, Denial.UNKNOWN}, also


GROUPS = {"support": ["U0GRACE", "U0EDITH"], "old": []}
BY_NAME: dict[str, tuple[str, set[str]]] = {
    "a group, whatever kind its people are": ("@support", {"U0GRACE", "U0EDITH"}),
    "a group by its ID": ("S0GROUP1", {"U0GRACE", "U0EDITH"}),
    "a person, and a group": ("U0STAN, @support", {"U0STAN", "U0GRACE", "U0EDITH"}),
    "a group that doesn't exist": ("@suport", set()),
    "a group that somebody has disabled": ("@old", set()),
    "a domain: members alone": ("@sandbox.example", {"U0ADA", "U0GRACE"}),
    "a domain in other letters, and a group": ("@Sandbox.Example, @support", {"U0ADA", "U0GRACE", "U0EDITH"}),
    "a domain above theirs": ("@example", set()),
    "a domain below theirs": ("@mail.sandbox.example", set()),
    "another domain that ends in the same way": ("@box.example", set()),
}


def listing(value: str) -> AccessRules:
    return AccessRules(allow_users=read({"BOT_ALLOW_USERS": value}).allow_users)


@pytest.mark.parametrize(("value", "may"), BY_NAME.values(), ids=BY_NAME)
async def test_groups_and_domains_give_access_to_their_people_and_nobody_else(
    sandbox: Sandbox, stores: Stores, value: str, may: set[str]
) -> None:
    sandbox.granted |= {"usergroups:read", "users:read.email"}
    sandbox.workspace.user_groups |= GROUPS
    sandbox.people.deactivate("alan")
    async with access_control(sandbox, stores, listing(value)) as deciding:
        for person in PEOPLE:
            asked = replace(question_of(person), is_from_bot=PEOPLE[person] is UserKind.BOT)
            at_once = deciding.known_denial(asked)
            denied = await deciding.denial(asked)
            assert at_once in (None, denied)
            assert (denied is None, denied in (None, Denial.PERSON)) == (person in may, True), person
            assert deciding.known_denial(asked) is denied
    lists = [call for call in sandbox.calls if call.method == "usergroups.list"]
    assert len(lists) <= 1, "one call for all"


@pytest.mark.parametrize("value", ["@support", "@sandbox.example", "@support, @sandbox.example"])
@pytest.mark.parametrize("how", ["no scope", "outage", "rate limit"])
async def test_nobody_has_access_by_what_slack_does_not_say(
    sandbox: Sandbox, stores: Stores, value: str, how: str
) -> None:
    """Nor does an asker wait for longer than was given, or Slack get a call for each question."""
    sandbox.workspace.user_groups |= GROUPS
    if how != "no scope":
        sandbox.granted |= {"usergroups:read", "users:read.email"}
    async with access_control(sandbox, stores, listing(value)) as deciding:
        if how != "no scope":
            sandbox.faults.start("unavailable" if how == "outage" else "rate_limit", method=None)
        denied = [await deciding.denial(question_of("U0GRACE"), within_s=2.0) for _ in range(5)]
    assert set(denied) <= {Denial.UNKNOWN, Denial.PERSON}
    assert sum(call.method == "usergroups.list" for call in sandbox.calls) <= 1


@pytest.mark.parametrize("value", ["@support", "@sandbox.example"])
@pytest.mark.parametrize("is_up", [True, False], ids=["Slack is well", "Slack is away"])
async def test_removed_person_loses_access_within_ten_minutes_and_a_short_outage_denies_nobody(
    sandbox: Sandbox, stores: Stores, value: str, is_up: bool
) -> None:
    clock = ManualClock()
    sandbox.granted |= {"usergroups:read", "users:read.email"}
    sandbox.workspace.user_groups["support"] = ["U0ADA", "U0GRACE"]
    asked = question_of("U0GRACE")
    async with access_control(sandbox, stores, listing(value), clock) as deciding:
        assert await deciding.denial(asked) is None
        sandbox.workspace.user_groups["support"] = ["U0ADA"]
        sandbox.people.deactivate("grace")
        if not is_up:
            sandbox.faults.start("unavailable", method=None)
        clock.now_s += KIND_TRUSTED_S - 1
        if not is_up:
            assert await deciding.denial(asked, within_s=0.1) is None
        clock.now_s += 1
        denied = await deciding.denial(asked, within_s=30.0 if is_up else 0.1)
    assert denied is (Denial.PERSON if is_up else Denial.UNKNOWN)


async def test_person_who_comes_into_a_group_has_access_within_five_minutes(sandbox: Sandbox, stores: Stores) -> None:
    clock, asked = ManualClock(), question_of("U0GRACE")
    sandbox.granted.add("usergroups:read")
    sandbox.workspace.user_groups["support"] = ["U0ADA"]
    async with access_control(sandbox, stores, listing("@support"), clock) as deciding:
        assert await deciding.denial(asked) is Denial.PERSON
        sandbox.workspace.user_groups["support"] = ["U0ADA", "U0GRACE"]
        clock.now_s += KIND_TRUSTED_S / 2
        assert deciding.known_denial(asked) is None
        assert await deciding.denial(asked) is None


async def test_denied_person_is_told_at_each_question_in_a_direct_message_and_once_an_hour_in_channels(
    sandbox: Sandbox, stores: Stores
) -> None:
    clock, direct = stores.clock, sandbox.dm("ada")
    assert isinstance(clock, InstantClock)
    began_s = clock.now_s
    asked = [
        (0, "C0GENERAL", True),
        (1, direct, True),
        (30, direct, False),
        (30, "C0GENERAL", False),
        (62, direct, True),
        (200, direct, True),
        (300, "C0RANDOM", False),
        (3_599, "C0GENERAL", False),
        (3_601, "C0RANDOM", True),
        (3_602, direct, True),
    ]
    async with access_control(sandbox, stores, AccessRules(), clock) as deciding:
        for passed_s, channel_id, has_ephemeral in asked:
            clock.now_s = began_s + passed_s
            before, tasks = len(sandbox.workspace.ephemerals), asyncio.all_tasks()
            ts = f"{clock.now():.6f}"
            root = None if channel_id == direct else ts
            deciding.explain_denial(
                Question(ThreadKey("T0SANDBOX", channel_id, root), ts, "U0ADA", "why?"), Denial.PERSON
            )
            await asyncio.gather(*(asyncio.all_tasks() - tasks))
            assert (passed_s, len(sandbox.workspace.ephemerals) > before) == (passed_s, has_ephemeral)
