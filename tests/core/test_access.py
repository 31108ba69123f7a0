"""Who may ask, by the kind of user and by the lists."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from bot.core.access import (
    CHANNEL_NOTICE,
    DIRECT_MESSAGE_NOTICE,
    OPTIONAL_KINDS,
    UNCHECKED_NOTICE,
    AccessRules,
    BotQuestions,
    DenialNotice,
    UserKind,
    denial_notice,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.texts.access import Denial
from tests.core.user_kinds import SUBSETS


def question_of(user_id: str = "UADA", channel_id: str = "C1") -> Question:
    return Question(ThreadKey("T1", channel_id, "1.0"), "1.0", user_id, "why?")


@pytest.mark.parametrize(
    ("in_a_row", "in_an_hour", "too_many"), [(0, 0, False), (2, 19, False), (3, 3, True), (0, 20, True)]
)
def test_bots_that_answer_each_other_are_denied_eventually(in_a_row: int, in_an_hour: int, too_many: bool) -> None:
    assert BotQuestions(in_a_row, in_an_hour).is_over_limit is too_many


@pytest.mark.parametrize(
    ("denied", "channel_id", "notice", "every_s"),
    [
        *((denied, "D1", DIRECT_MESSAGE_NOTICE, 60) for denied in Denial if denied is not Denial.UNKNOWN),
        *((denied, "C1", CHANNEL_NOTICE, 3600) for denied in Denial if denied is not Denial.UNKNOWN),
        *((Denial.UNKNOWN, channel_id, UNCHECKED_NOTICE, 0) for channel_id in ("D1", "C1")),
    ],
)
def test_denied_asker_gets_an_explanation_sooner_where_nobody_else_reads(
    denied: Denial, channel_id: str, notice: DenialNotice, every_s: float
) -> None:
    assert denial_notice(question_of(channel_id=channel_id), denied) == notice
    assert notice.every_s == every_s
    assert len({one.name for one in (DIRECT_MESSAGE_NOTICE, CHANNEL_NOTICE, UNCHECKED_NOTICE)}) == 3, (
        "each has a time of its own"
    )


ASKER, SOMEBODY = "U0ASKER", "U0SOMEBODY"
HERE, ELSEWHERE, DIRECT = "C0HERE", "C0ELSEWHERE", "D0ASKER"
NOBODY: frozenset[str] = frozenset()
LISTS_OF_USERS = (NOBODY, frozenset({ASKER}), frozenset({SOMEBODY}), frozenset({ASKER, SOMEBODY}))
LISTS_OF_CHANNELS = (NOBODY, frozenset({HERE}), frozenset({ELSEWHERE}), frozenset({DIRECT}))


@dataclass(frozen=True)
class Combination:
    rules: AccessRules
    channel_id: str

    @property
    def question(self) -> Question:
        return Question(ThreadKey("T1", self.channel_id, "1.0"), "1.0", ASKER, "why?")


def rows() -> Iterator[Combination]:
    for also, users, channels, place in product(SUBSETS, LISTS_OF_USERS, LISTS_OF_CHANNELS, (HERE, DIRECT)):
        yield Combination(AccessRules(also, users, channels), place)


ROWS = list(rows())


def expected(row: Combination, kind: UserKind | None) -> Denial | None:
    """Returns the decision by the rules of docs/contributors/decisions.md, in their order."""
    rules = row.rules
    if rules.allow_channels and row.channel_id == HERE and HERE not in rules.allow_channels:
        return Denial.CHANNEL
    if rules.allow_users:
        return Denial.PERSON if rules.allow_users == {SOMEBODY} else None
    match kind:
        case UserKind.MEMBER:
            return None
        case None:
            return None if len(rules.extra_kinds) == len(OPTIONAL_KINDS) else Denial.UNKNOWN
        case UserKind.DEACTIVATED:
            return None if len(rules.extra_kinds) == len(OPTIONAL_KINDS) else Denial.PERSON
        case _:
            return None if kind in rules.extra_kinds else Denial[kind.name]


@pytest.mark.parametrize("kind", [*UserKind, None], ids=lambda kind: kind.value if kind else "unknown")
def test_every_access_setting_allows_and_denies_as_documented(kind: UserKind | None) -> None:
    wrong = [row for row in ROWS if row.rules.denial(row.question, kind) is not expected(row, kind)]
    assert not wrong, f"{len(wrong)} of {len(ROWS)} rows are decided wrongly; the first is {wrong[0]}"


def test_list_of_who_may_ask_has_people_groups_and_domains_apart() -> None:
    rules = AccessRules(allow_users=frozenset({"U0ADA", "W0GRACE", "S0GROUP", "@support", "@Sandbox.Example"}))
    assert rules.people == {"U0ADA", "W0GRACE"}
    assert rules.groups == {"S0GROUP", "support"}
    assert rules.domains == {"sandbox.example"}


def test_kind_is_needed_exactly_where_it_changes_the_decision() -> None:
    for row in ROWS:
        answers = {expected(row, kind) for kind in (*UserKind, None)}
        assert row.rules.needs_user_type(row.question) is (len(answers) > 1), row


BY_NAME = AccessRules(allow_users=frozenset({"S0GROUP", "@acme.example", "U0BOSS"}))


@pytest.mark.parametrize(
    ("rules", "user_id", "is_listed", "denied"),
    [
        (BY_NAME, ASKER, True, None),
        (BY_NAME, ASKER, None, Denial.UNKNOWN),
        (BY_NAME, ASKER, False, Denial.PERSON),
        (BY_NAME, "U0BOSS", None, None),
        (AccessRules(), ASKER, True, Denial.GUEST),
        (AccessRules(allow_users=BY_NAME.allow_users, allow_channels=frozenset({HERE})), ASKER, True, Denial.CHANNEL),
    ],
)
def test_group_or_domain_lets_a_guest_in_where_one_names_them(
    rules: AccessRules, user_id: str, is_listed: bool | None, denied: Denial | None
) -> None:
    assert rules.denial(question_of(user_id, ELSEWHERE), UserKind.GUEST, is_listed) is denied


@pytest.mark.parametrize(
    ("users", "asker", "from_bot", "needed"),
    [
        ({"S0GROUP"}, ASKER, False, True),
        ({"@acme.example"}, ASKER, False, True),
        ({"@acme.example", ASKER}, ASKER, False, False),
        ({"@acme.example"}, ASKER, True, False),
        ({SOMEBODY}, ASKER, False, False),
        (set(), ASKER, False, False),
    ],
)
def test_groups_and_address_are_needed_exactly_where_they_change_the_decision(
    users: set[str], asker: str, from_bot: bool, needed: bool
) -> None:
    asked = replace(question_of(asker), is_from_bot=from_bot)
    assert AccessRules(allow_users=frozenset(users)).needs_groups_or_email(asked) is needed
