"""Access control: a denied asker gets private notices at a bounded rate, and no model is asked."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.clock import Clock, SystemClock
from bot.core import texts
from bot.core.access import MAX_BOT_QUESTIONS_IN_A_ROW, Denial, UserKind
from bot.core.conversation import Question, ThreadKey
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl, PrivateNotices
from bot.settings import Settings, access_rules_of, read
from bot.slack.client import SlackClient, new_session
from bot.slack.user_groups import NamedPeople
from bot.slack.users import KIND_TRUSTED_S
from bot.store import Stores
from slack_sandbox.server import Sandbox
from tests.clocks import InstantClock, ManualClock
from tests.core.user_kinds import SUBSETS
from tests.scenarios.conftest import Stage, growing, running, says, shown
from tests.scenarios.surfaces import ephemerals
from tests.streams.server import VendorServer

pytestmark = pytest.mark.skips_waits


@pytest.fixture
async def others(sandbox: Sandbox, vendor: VendorServer) -> Stage:
    """Returns a workspace with another member, a guest and a person of another organization. The bot isn't running."""
    sandbox.people.arrive("gus")
    sandbox.people.arrive("gia", guest=True)
    sandbox.people.arrive("stan", team_id="T0ELSEWHERE")
    return Stage(sandbox, vendor)


async def delivered(sandbox: Sandbox) -> None:
    """Waits until the messages so far are acknowledged. Arrivals may be given up before the bot is connected."""
    sent = [one for one in sandbox.deliveries if one.payload["event"]["type"] != "member_joined_channel"]
    await sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in sent))


async def check_unanswered(stage: Stage, asked: Iterable[str], channel: str = "general") -> None:
    """Waits until all events are acknowledged and another question is answered, then checks that these got no reply."""
    await delivered(stage.sandbox)
    await stage.answers("random", await stage.mention("and now?", "random", "grace"))
    assert [stage.bots(channel, ts) for ts in asked] == [[] for _ in asked]


@pytest.mark.parametrize(("name", "denial"), [("gia", Denial.GUEST), ("stan", Denial.EXTERNAL)])
async def test_guests_and_external_people_get_a_private_denial_where_they_ask_and_no_answer(
    others: Stage, settings: Settings, name: str, denial: Denial
) -> None:
    async with running(settings):
        first = await others.mention(user=name)
        await others.sandbox.wait_for(lambda: ephemerals(others))
        again = await others.mention(user=name)
        direct = await others.sandbox.say(name, others.sandbox.dm(name), "why?")
        await check_unanswered(others, [first, again])
        await others.sandbox.wait_for(lambda: len(ephemerals(others)) == 2)
    assert ephemerals(others) == [(f"U0{name.upper()}", denial)] * 2
    channels = {message.channel for message in others.sandbox.workspace.ephemerals}
    assert channels == {"C0GENERAL", others.sandbox.dm(name)}
    assert others.bots(others.sandbox.dm(name), direct) == []
    assert len(others.vendor.requests) == 1
    assert all(len(delivery.sent_at_s) <= 1 for delivery in others.sandbox.deliveries)


EVERYBODY = SUBSETS[-1]


def question_of(user_id: str) -> Question:
    return Question(ThreadKey("T0SANDBOX", "C0RANDOM", "1.0"), "1.0", user_id, "why?")


@asynccontextmanager
async def access_control(settings: Settings, clock: Clock | None = None) -> AsyncIterator[AccessControl]:
    """Yields the bot's access control, with the given settings and the sandbox's Web API."""
    async with new_session() as session:
        client, clock = SlackClient(settings.slack_bot_token, settings.slack_api_url, session), clock or SystemClock()
        store = await Stores.open("sqlite://", "access", clock, 3)
        try:
            me = await client.identity()
            workspace = Workspace(
                me,
                client,
                ledger=store.rate_ledger,
                worker_queue=store.worker_queue,
                account_kinds=store.account_kinds,
                clock=clock,
            )
            rules, users = access_rules_of(settings), workspace.users
            notices = PrivateNotices(workspace.ephemeral, store.notices)
            yield AccessControl(rules, users, notices, people=NamedPeople(workspace.paced, users, rules))
        finally:
            await store.close()


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
and a deactivated account.
"""


@pytest.mark.parametrize("known", [True, False], ids=["Slack says who they are", "users.info fails"])
async def test_each_kind_of_person_is_admitted_exactly_if_it_is_allowed(
    others: Stage, settings: Settings, known: bool
) -> None:
    others.sandbox.people.deactivate("alan")
    if not known:
        others.sandbox.faults.start("refuse", method="users.info", error="missing_scope")
    for also in SUBSETS:
        decided = {}
        async with access_control(replace(settings, allow_also=also)) as deciding:
            for user_id in PEOPLE:
                asked = question_of(user_id)
                at_once = deciding.denial_at_once(asked)
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


def listing(settings: Settings, value: str) -> Settings:
    return replace(settings, allow_users=read({"BOT_ALLOW_USERS": value}).allow_users)


@pytest.mark.parametrize(("value", "may"), BY_NAME.values(), ids=BY_NAME)
async def test_groups_and_domains_give_access_to_their_people_and_nobody_else(
    others: Stage, settings: Settings, value: str, may: set[str]
) -> None:
    others.sandbox.granted |= {"usergroups:read", "users:read.email"}
    others.sandbox.workspace.user_groups |= GROUPS
    others.sandbox.people.deactivate("alan")
    async with access_control(listing(settings, value)) as deciding:
        for person in PEOPLE:
            asked = replace(question_of(person), from_bot=PEOPLE[person] is UserKind.BOT)
            at_once = deciding.denial_at_once(asked)
            denied = await deciding.denial(asked)
            assert at_once in (None, denied)
            assert (denied is None, denied in (None, Denial.PERSON)) == (person in may, True), person
            assert deciding.denial_at_once(asked) is denied
    lists = [call for call in others.sandbox.calls if call.method == "usergroups.list"]
    assert len(lists) <= 1, "one call for all"


@pytest.mark.parametrize("value", ["@support", "@sandbox.example", "@support, @sandbox.example"])
@pytest.mark.parametrize("how", ["no scope", "outage", "rate limit"])
async def test_nobody_has_access_by_what_slack_does_not_say(
    others: Stage, settings: Settings, value: str, how: str
) -> None:
    """Nor does an asker wait for longer than was given, or Slack get a call for each question."""
    others.sandbox.workspace.user_groups |= GROUPS
    if how != "no scope":
        others.sandbox.granted |= {"usergroups:read", "users:read.email"}
    async with access_control(listing(settings, value)) as deciding:
        if how != "no scope":
            others.sandbox.faults.start("unavailable" if how == "outage" else "rate_limit", method=None)
        denied = [await deciding.denial(question_of("U0GRACE"), within_s=2.0) for _ in range(5)]
    assert set(denied) <= {Denial.UNKNOWN, Denial.PERSON}
    assert sum(call.method == "usergroups.list" for call in others.sandbox.calls) <= 1


@pytest.mark.parametrize("value", ["@support", "@sandbox.example"])
@pytest.mark.parametrize("is_up", [True, False], ids=["Slack is well", "Slack is away"])
async def test_removed_person_loses_access_within_ten_minutes_and_a_short_outage_denies_nobody(
    others: Stage, settings: Settings, value: str, is_up: bool
) -> None:
    sandbox, clock = others.sandbox, ManualClock()
    sandbox.granted |= {"usergroups:read", "users:read.email"}
    sandbox.workspace.user_groups["support"] = ["U0ADA", "U0GRACE"]
    asked = question_of("U0GRACE")
    async with access_control(listing(settings, value), clock) as deciding:
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


async def test_person_who_comes_into_a_group_has_access_within_five_minutes(others: Stage, settings: Settings) -> None:
    sandbox, clock, asked = others.sandbox, ManualClock(), question_of("U0GRACE")
    sandbox.granted.add("usergroups:read")
    sandbox.workspace.user_groups["support"] = ["U0ADA"]
    async with access_control(listing(settings, "@support"), clock) as deciding:
        assert await deciding.denial(asked) is Denial.PERSON
        sandbox.workspace.user_groups["support"] = ["U0ADA", "U0GRACE"]
        clock.now_s += KIND_TRUSTED_S / 2
        assert deciding.denial_at_once(asked) is None
        assert await deciding.denial(asked) is None


LISTS = {
    "a person beside the allowed ones": ({"allow_users": frozenset(["U0GRACE"])}, Denial.PERSON),
    "a channel beside the allowed ones": ({"allow_channels": frozenset(["C0GENERAL"])}, Denial.CHANNEL),
}


@pytest.mark.parametrize(("lists", "denial"), LISTS.values(), ids=LISTS.keys())
async def test_allow_lists_apply_to_people_and_channels(
    others: Stage, settings: Settings, lists: dict[str, frozenset[str]], denial: Denial
) -> None:
    async with access_control(replace(settings, **lists)) as deciding:  # type: ignore[arg-type]
        assert await deciding.denial(question_of("U0ADA")) == denial


async def test_denied_person_is_told_at_each_question_in_a_direct_message_and_once_an_hour_in_channels(
    others: Stage, settings: Settings
) -> None:
    clock, direct = InstantClock(), others.sandbox.dm("ada")
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
    async with access_control(settings, clock) as deciding:
        for passed_s, channel_id, has_ephemeral in asked:
            clock.now_s = began_s + passed_s
            before, tasks = len(ephemerals(others)), asyncio.all_tasks()
            ts = f"{clock.now():.6f}"
            root = None if channel_id == direct else ts
            deciding.tell(Question(ThreadKey("T0SANDBOX", channel_id, root), ts, "U0ADA", "why?"), Denial.PERSON)
            await asyncio.gather(*(asyncio.all_tasks() - tasks))
            assert (passed_s, len(ephemerals(others)) > before) == (passed_s, has_ephemeral)


async def test_person_whose_kind_is_unknown_is_denied(others: Stage, settings: Settings) -> None:
    async with running(settings):
        others.sandbox.faults.start("refuse", method="users.info", error="missing_scope", times=3)
        asked = await others.mention()
        await others.sandbox.wait_for(lambda: ephemerals(others))
        assert ephemerals(others) == [("U0ADA", Denial.UNKNOWN)]
        assert others.bots("general", asked) == []
        others.sandbox.faults.stop("refuse")
        assert await others.answers("general", await others.mention()) == ["The whole answer."]


async def test_other_bots_are_ignored_unless_allowed(others: Stage, settings: Settings) -> None:
    async with running(settings):
        asked = await others.sandbox.say_as_bot("hal", "general", "@typist why?")
        await check_unanswered(others, [asked])
    assert ephemerals(others) == []
    async with running(replace(settings, allow_also=frozenset([UserKind.BOT]))):
        for old in (False, True):
            asked = await others.sandbox.say_as_bot("hal", "general", "@typist why?", old=old)
            assert await others.answers("general", asked) == ["The whole answer."]


async def test_question_that_another_bot_streams_is_answered_once_when_it_is_complete(
    others: Stage, settings: Settings
) -> None:
    sandbox = others.sandbox
    root = await sandbox.say("ada", "general", "a thread")
    async with running(replace(settings, allow_also=frozenset([UserKind.BOT]))):
        streamed = await sandbox.stream_as_bot("hal", "general", root)
        await delivered(sandbox)
        assert others.vendor.requests == []
        await sandbox.end_stream_as_bot("general", streamed, "@typist why?")
        assert await others.answers("general", root) == ["The whole answer."]
        for delivery in list(sandbox.deliveries):
            sandbox.sockets.redeliver(delivery)
        await delivered(sandbox)
    assert len(others.vendor.requests) == 1


async def test_two_bots_that_answer_each_other_stop_after_some_rounds(others: Stage, settings: Settings) -> None:
    async with running(replace(settings, allow_also=frozenset([UserKind.BOT]))):
        root = await others.mention("talk to hal")
        await others.answers("general", root)
        for number in range(MAX_BOT_QUESTIONS_IN_A_ROW):
            await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
            await others.answers("general", root, count=number + 2)
        await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
        await delivered(others.sandbox)
        await others.sandbox.say("ada", "general", "@typist go on", root)
        await others.answers("general", root, count=MAX_BOT_QUESTIONS_IN_A_ROW + 2)
        await others.sandbox.say_as_bot("hal", "general", "@typist is that so?", root)
        await others.answers("general", root, count=MAX_BOT_QUESTIONS_IN_A_ROW + 3)
    assert len(others.vendor.requests) == MAX_BOT_QUESTIONS_IN_A_ROW + 3


async def test_question_beyond_the_persons_limit_is_queued_behind_a_placeholder(
    others: Stage, settings: Settings
) -> None:
    others.vendor.script(says("word " * 60, pause_s=0.06))
    async with running(replace(settings, max_concurrent_per_user=1)):
        first = await others.mention("first?")
        await others.sandbox.wait_for(lambda: others.bots("general", first))
        second = await others.mention("second?")
        other = await others.mention("mine?", user="grace")
        (waiting,) = await others.sandbox.wait_for(lambda: others.bots("general", second))
        assert growing(waiting)
        assert texts.answers.QUEUED in shown(waiting)
        await others.vendor.request(1)
        assert [prompt[-1]["content"] for prompt in others.prompts()] == ["first?", "mine?"]
        for asked in (first, second, other):
            assert await others.answers("general", asked) == [("word " * 60).rstrip()]
