"""What Slack is asked about a person, and what people without access are told, with a real record of notifications."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.access import AccessRules, UserKind
from bot.core.texts.access import Denial
from bot.services.access_control import (
    LONG_LOOKUP_TIMEOUT_S,
    SHORT_LOOKUP_TIMEOUT_S,
    AccessControl,
    refusal_to_change,
)
from bot.services.notifications import UNSAVED_NOTICE_INTERVAL_S, Notifier
from bot.slack.users import KIND_WITHIN_S
from bot.store import Stores
from tests.clocks import InstantClock, idle
from tests.services.answering import QUESTION, Accounts
from tests.services.parts import stores_of, workspace_of


@pytest.mark.parametrize(
    ("from_bot", "sentences"),
    [(False, [texts.access.with_admins(Denial.GUEST, ["<@U3>", "<@U4>", "<@U5>"])]), (True, [])],
    ids=["person", "bot"],
)
async def test_denied_person_reads_three_admins_and_a_bot_reads_nothing(
    stores: Stores, from_bot: bool, sentences: list[str]
) -> None:
    accounts = Accounts()
    notifier = Notifier(stores, workspace_of(ephemeral=accounts))
    admins = frozenset({"U6", "U4", "U3", "U5"})
    access_control = AccessControl(AccessRules(), accounts, notifier, admins)
    access_control.explain_denial(replace(QUESTION, is_from_bot=from_bot), Denial.GUEST)
    await idle()
    assert accounts.sentences == sentences


async def test_asker_reads_once_in_ten_minutes_that_questions_are_not_saved_and_a_bot_never() -> None:
    accounts, clock = Accounts(), InstantClock()
    notifier = Notifier(stores_of(clock=clock), workspace_of(ephemeral=accounts))
    for user_id, from_bot, later_s, told in (
        ("U1", False, 0.0, 1),
        ("U2", False, 1.0, 2),
        ("UCI", True, 0.0, 2),
        ("U1", False, UNSAVED_NOTICE_INTERVAL_S - 2, 2),
        ("U1", False, 1.0, 3),
        ("U2", False, 0.5, 3),
    ):
        clock.now_s += later_s
        notifier.tell_not_saved(replace(QUESTION, user_id=user_id, is_from_bot=from_bot))
        await idle()
        assert accounts.sentences == [texts.shortcut.NOT_SAVED_YET] * told


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        (AccessRules(), False),
        (AccessRules(extra_kinds=frozenset({UserKind.GUEST, UserKind.EXTERNAL})), False),
        (AccessRules(extra_kinds=frozenset({UserKind.BOT})), True),
        (AccessRules(allow_users=frozenset({"U0DEPLOYS"})), True),
        (AccessRules(allow_channels=frozenset({"C0DEPLOYS"})), False),
    ],
    ids=["members", "guests and others", "bots", "a list of people", "a list of channels"],
)
def test_mention_by_a_bot_may_be_a_question_where_bots_or_listed_people_may_ask(
    stores: Stores, rules: AccessRules, may: bool
) -> None:
    accounts = Accounts()
    access_control = AccessControl(rules, accounts, Notifier(stores, workspace_of(ephemeral=accounts)))
    assert access_control.can_allow_bots is may


@dataclass
class Directory:
    """Slack's answers about people, in turn; the last one stays. It keeps what it was asked."""

    kinds: Sequence[UserKind | None] = (UserKind.MEMBER,)
    last: UserKind | None = None
    named: bool | None = True
    """Whether a group of the rules names everybody."""
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def kind(
        self, user_id: str, *, now_within_s: float | None, within_s: float, is_press: bool
    ) -> UserKind | None:
        self.asked.append((user_id, now_within_s, within_s, is_press))
        kinds = [one for one in self.asked if len(one) == 4]
        return self.kinds[min(len(kinds), len(self.kinds)) - 1]

    async def last_known_kind(self, user_id: str) -> UserKind | None:
        return self.last

    async def is_listed(self, user_id: str, *, within_s: float, is_press: bool) -> bool | None:
        self.asked.append((user_id, within_s, is_press))
        return self.named

    def known_kind(self, user_id: str) -> Any:
        return self.last

    def control(self, rules: AccessRules, stores: Stores) -> AccessControl:
        slack: Any = self
        people: Any = _Named(self)
        return AccessControl(
            rules, slack, Notifier(stores, workspace_of(ephemeral=Accounts())), frozenset({"UADMIN"}), people
        )


@dataclass
class _Named:
    of: Directory

    async def is_listed(self, user_id: str, *, within_s: float, is_press: bool) -> bool | None:
        return await self.of.is_listed(user_id, within_s=within_s, is_press=is_press)

    def known_access(self, user_id: str) -> bool | None:
        return self.of.named


BY_GROUP = AccessRules(allow_users=frozenset({"@support"}))
BY_NAME = AccessRules(allow_users=frozenset({"U1"}))
EVERYBODY = AccessRules(extra_kinds=frozenset({UserKind.GUEST, UserKind.EXTERNAL, UserKind.BOT}))
BOT_ASKS = replace(QUESTION, is_from_bot=True)


@pytest.mark.parametrize(
    ("rules", "question", "how", "asked"),
    [
        (AccessRules(), QUESTION, {}, [("U1", None, KIND_WITHIN_S, False)]),
        (AccessRules(), QUESTION, {"now_within_s": 3.0}, [("U1", 3.0, KIND_WITHIN_S, False)]),
        (AccessRules(), QUESTION, {"within_s": 4.0, "is_press": True}, [("U1", None, 4.0, True)]),
        (AccessRules(), BOT_ASKS, {}, []),
        (EVERYBODY, QUESTION, {}, []),
        (EVERYBODY, QUESTION, {"members_only": True}, [("U1", None, KIND_WITHIN_S, False)]),
        (BY_NAME, QUESTION, {}, []),
        (BY_GROUP, QUESTION, {"within_s": 4.0}, [("U1", 4.0, False)]),
        (BY_GROUP, QUESTION, {"now_within_s": 3.0, "within_s": 4.0, "is_press": True}, [("U1", 3.0, True)]),
        (BY_GROUP, BOT_ASKS, {}, []),
    ],
)
async def test_slack_is_asked_only_for_what_the_rules_depend_on_and_no_longer_than_there_is_time(
    stores: Stores, rules: AccessRules, question: Any, how: dict[str, Any], asked: Sequence[tuple[object, ...]]
) -> None:
    directory = Directory()
    await directory.control(rules, stores).denial(question, **how)
    assert directory.asked == asked


@pytest.mark.parametrize(
    ("rules", "kind", "named", "denial", "members_only"),
    [
        (AccessRules(), UserKind.MEMBER, False, None, None),
        (AccessRules(), UserKind.GUEST, False, Denial.GUEST, Denial.GUEST),
        (AccessRules(), None, False, Denial.UNKNOWN, Denial.UNKNOWN),
        (EVERYBODY, UserKind.GUEST, False, None, Denial.NOT_A_MEMBER),
        (EVERYBODY, None, False, None, Denial.NOT_A_MEMBER),
        (BY_NAME, UserKind.EXTERNAL, False, None, Denial.NOT_A_MEMBER),
        (BY_GROUP, UserKind.MEMBER, True, None, None),
        (BY_GROUP, UserKind.MEMBER, False, Denial.PERSON, Denial.PERSON),
        (BY_GROUP, UserKind.MEMBER, None, Denial.UNKNOWN, Denial.UNKNOWN),
    ],
)
async def test_what_members_alone_may_do_is_denied_to_others_who_have_access(
    stores: Stores,
    rules: AccessRules,
    kind: UserKind | None,
    named: bool | None,
    denial: Denial | None,
    members_only: Denial | None,
) -> None:
    control = Directory([kind], named=named).control(rules, stores)
    assert await control.denial(QUESTION) is denial
    assert await control.denial(QUESTION, members_only=True) is members_only


@pytest.mark.parametrize(
    ("rules", "known", "named", "denial"),
    [
        (AccessRules(), None, None, None),
        (AccessRules(), UserKind.MEMBER, None, None),
        (AccessRules(), UserKind.GUEST, None, Denial.GUEST),
        (BY_GROUP, UserKind.MEMBER, None, None),
        (BY_GROUP, None, False, Denial.PERSON),
        (BY_GROUP, UserKind.GUEST, True, None),
    ],
)
def test_at_once_only_what_is_known_denies(
    stores: Stores, rules: AccessRules, known: UserKind | None, named: bool | None, denial: Denial | None
) -> None:
    control = Directory(last=known, named=named).control(rules, stores)
    assert control.known_denial(QUESTION) is denial
    assert control.known_denial(BOT_ASKS) is (Denial.PERSON if rules is BY_GROUP else Denial.BOT)


AT_ONCE, PATIENTLY = ("U1", SHORT_LOOKUP_TIMEOUT_S, KIND_WITHIN_S, False), ("U1", None, LONG_LOOKUP_TIMEOUT_S, False)


@pytest.mark.parametrize(
    ("rules", "kinds", "last", "denial", "asked"),
    [
        (AccessRules(), [UserKind.MEMBER], UserKind.GUEST, None, [AT_ONCE]),
        (AccessRules(), [UserKind.GUEST], UserKind.MEMBER, Denial.GUEST, [AT_ONCE]),
        (AccessRules(), [None], UserKind.MEMBER, None, [AT_ONCE]),
        (AccessRules(), [None], UserKind.GUEST, Denial.GUEST, [AT_ONCE]),
        (AccessRules(), [None, UserKind.MEMBER], None, None, [AT_ONCE, PATIENTLY]),
        (AccessRules(), [None], None, Denial.UNKNOWN, [AT_ONCE, PATIENTLY]),
        (
            BY_GROUP,
            [UserKind.MEMBER],
            UserKind.MEMBER,
            Denial.UNKNOWN,
            [("U1", SHORT_LOOKUP_TIMEOUT_S, False), ("U1", LONG_LOOKUP_TIMEOUT_S, False)],
        ),
    ],
)
async def test_asker_whose_turn_comes_has_access_by_what_slack_says_now_or_said_last(
    stores: Stores,
    rules: AccessRules,
    kinds: Sequence[UserKind | None],
    last: UserKind | None,
    denial: Denial | None,
    asked: Sequence[tuple[object, ...]],
) -> None:
    directory = Directory(kinds, last, named=None)
    assert await directory.control(rules, stores).denial_when_claimed(QUESTION) is denial
    assert directory.asked == asked


@pytest.mark.parametrize(
    ("kind", "may", "told"), [(UserKind.MEMBER, True, 0), (None, True, 0), (UserKind.GUEST, False, 1)]
)
async def test_question_is_shown_as_queued_unless_its_asker_is_surely_denied(
    stores: Stores, kind: UserKind | None, may: bool, told: int
) -> None:
    accounts = Accounts(kind)
    control = AccessControl(AccessRules(), accounts, Notifier(stores, workspace_of(ephemeral=accounts)))
    assert await control.can_be_queued(QUESTION) is may
    await idle()
    assert len(accounts.sentences) == told


@dataclass
class Places:
    owner: str | None

    async def user_in_direct_message(self, channel_id: str) -> str:
        return self.owner or ""

    async def creator(self, channel_id: str) -> str | None:
        return self.owner


NOT_THEIRS = texts.commands.NOT_YOUR_CHANNEL


@pytest.mark.parametrize(
    ("user_id", "channel_id", "owner", "refusal"),
    [
        ("U1", "C1", "U1", ""),
        ("U1", "C1", "U2", NOT_THEIRS),
        ("U1", "C1", "", NOT_THEIRS),
        ("U1", "C1", None, f"{NOT_THEIRS} {texts.commands.INVITE_ME_FIRST}"),
        ("UADMIN", "C1", None, ""),
        ("U1", "D1", "U1", ""),
        ("U1", "D1", "U2", NOT_THEIRS),
        ("U1", "D1", "", ""),
        ("UADMIN", "D1", "U1", NOT_THEIRS),
    ],
)
async def test_place_is_set_up_by_whom_it_belongs_to_and_a_channel_by_admins_too(
    stores: Stores, user_id: str, channel_id: str, owner: str | None, refusal: str
) -> None:
    directory = Directory()
    workspace = workspace_of(surfaces=Places(owner))
    control = directory.control(AccessRules(), stores)
    assert await refusal_to_change(control, workspace, user_id, channel_id) == refusal
    assert directory.asked == [(user_id, None, KIND_WITHIN_S, True)]
    guests = Directory([UserKind.GUEST]).control(AccessRules(), stores)
    assert await refusal_to_change(guests, workspace, user_id, channel_id) == Denial.GUEST
