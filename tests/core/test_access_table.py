"""Every combination of the access settings against every kind of person, compared with the documented rules.

`expected` states the rules a second time, so that the test doesn't repeat the code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.limits.access import OPTIONAL_KINDS, AccessRules, Denial, UserKind, denial, depends_on_kind
from tests.core.user_kinds import SUBSETS

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
    """Yields all combinations that settings.py accepts: it refuses lists that allow and deny the same."""
    users = [(a, d) for a, d in product(LISTS_OF_USERS, repeat=2) if not a & d]
    channels = [(a, d) for a, d in product(LISTS_OF_CHANNELS, repeat=2) if not a & d]
    for also, (allow, deny), (allow_in, deny_in), place in product(SUBSETS, users, channels, (HERE, DIRECT)):
        yield Combination(AccessRules(also, allow, deny, allow_in, deny_in), place)


ROWS = list(rows())


def expected(row: Combination, kind: UserKind | None) -> Denial | None:
    """Returns the decision by the rules of docs/decisions.md, in their order."""
    rules = row.rules
    if ASKER in rules.deny_users:
        return Denial.PERSON
    elsewhere = bool(rules.allow_channels) and row.channel_id == HERE and HERE not in rules.allow_channels
    if row.channel_id in rules.deny_channels or elsewhere:
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
    wrong = [row for row in ROWS if denial(row.rules, row.question, kind) is not expected(row, kind)]
    assert not wrong, f"{len(wrong)} of {len(ROWS)} rows are decided wrongly; the first is {wrong[0]}"


def test_kind_is_needed_exactly_where_it_changes_the_decision() -> None:
    for row in ROWS:
        answers = {expected(row, kind) for kind in (*UserKind, None)}
        assert depends_on_kind(row.rules, row.question) is (len(answers) > 1), row


def test_unneeded_kind_makes_no_difference_to_the_decision() -> None:
    for row in ROWS:
        if not depends_on_kind(row.rules, row.question):
            assert {denial(row.rules, row.question, kind) for kind in UserKind} == {
                denial(row.rules, row.question, None)
            }
