"""Who may ask, by the kind of user and by the lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from bot.core.access import (
    OPTIONAL_KINDS,
    AccessRules,
    BotQuestions,
    Denial,
    UserKind,
    denial_notice,
)
from bot.core.conversation import Question, ThreadKey
from tests.core.user_kinds import SUBSETS


def question_of(user_id: str = "UADA", channel_id: str = "C1") -> Question:
    return Question(ThreadKey("T1", channel_id, "1.0"), "1.0", user_id, "why?")


@pytest.mark.parametrize(
    ("in_a_row", "in_an_hour", "too_many"), [(0, 0, False), (2, 19, False), (3, 3, True), (0, 20, True)]
)
def test_bots_that_answer_each_other_are_denied_eventually(in_a_row: int, in_an_hour: int, too_many: bool) -> None:
    assert BotQuestions(in_a_row, in_an_hour).too_many is too_many


@pytest.mark.parametrize(
    ("denied", "channel_id", "every_s"),
    [(Denial.GUEST, "D1", 60), (Denial.GUEST, "C1", 3600), (Denial.UNKNOWN, "D1", 0), (Denial.UNKNOWN, "C1", 0)],
)
def test_denied_asker_gets_an_explanation_sooner_where_nobody_else_reads(
    denied: Denial, channel_id: str, every_s: float
) -> None:
    assert denial_notice(question_of(channel_id=channel_id), denied).every_s == every_s


ASKER, SOMEBODY = "U0ASKER", "U0SOMEBODY"
HERE, ELSEWHERE, DIRECT = "C0HERE", "C0ELSEWHERE", "D0ASKER"
NOBODY: frozenset[str] = frozenset()
LISTS_OF_USERS = (NOBODY, frozenset({ASKER}), frozenset({SOMEBODY}), frozenset({ASKER, SOMEBODY}))
LISTS_OF_CHANNELS = (NOBODY, frozenset({HERE}), frozenset({ELSEWHERE}), frozenset({DIRECT}))


@dataclass(frozen=True)
class Combination:
    """One combination of access rules, and the channel of the question."""

    rules: AccessRules
    channel_id: str

    @property
    def question(self) -> Question:
        return Question(ThreadKey("T1", self.channel_id, "1.0"), "1.0", ASKER, "why?")


def rows() -> Iterator[Combination]:
    """Yields all combinations of the lists, with a question in a channel and one in a direct message."""
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
            return None if len(rules.also) == len(OPTIONAL_KINDS) else Denial.UNKNOWN
        case UserKind.DEACTIVATED:
            return None if len(rules.also) == len(OPTIONAL_KINDS) else Denial.PERSON
        case _:
            return None if kind in rules.also else Denial[kind.name]


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
        assert row.rules.depend_on_kind(row.question) is (len(answers) > 1), row
