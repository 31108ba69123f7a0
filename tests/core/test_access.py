"""Who may ask, by the kind of user and by the lists."""

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.limits.access import (
    AccessRules,
    BotQuestions,
    Denial,
    UserKind,
    denial,
    denial_notice,
    depends_on_kind,
)

ANYBODY = frozenset(UserKind) - {UserKind.MEMBER}


def question_of(user_id: str = "UADA", channel_id: str = "C1") -> Question:
    return Question(ThreadKey("T1", channel_id, "1.0"), "1.0", user_id, "why?")


KINDS = {
    UserKind.MEMBER: None,
    UserKind.GUEST: Denial.GUEST,
    UserKind.EXTERNAL: Denial.EXTERNAL,
    UserKind.BOT: Denial.BOT,
    None: Denial.UNKNOWN,
}


@pytest.mark.parametrize(("kind", "expected"), KINDS.items())
def test_only_members_have_access_by_default(kind: UserKind | None, expected: Denial | None) -> None:
    assert denial(AccessRules(), question_of(), kind) is expected


@pytest.mark.parametrize("kind", sorted(ANYBODY))
def test_allowed_kind_has_access_besides_members(kind: UserKind) -> None:
    rules = AccessRules(frozenset([kind]))
    assert denial(rules, question_of(), kind) is None
    assert denial(rules, question_of(), UserKind.MEMBER) is None
    assert [other for other in ANYBODY if denial(rules, question_of(), other) is None] == [kind]


LISTS = {
    "denied": (AccessRules(deny_users=frozenset(["UADA"])), "C1", Denial.PERSON),
    "denied, though of an allowed kind": (AccessRules(ANYBODY, deny_users=frozenset(["UADA"])), "C1", Denial.PERSON),
    "another user is denied": (AccessRules(deny_users=frozenset(["UALAN"])), "C1", None),
    "allowed": (AccessRules(allow_users=frozenset(["UADA"])), "C1", None),
    "only others are allowed": (AccessRules(allow_users=frozenset(["UALAN"])), "C1", Denial.PERSON),
    "in a denied channel": (AccessRules(deny_channels=frozenset(["C1"])), "C1", Denial.CHANNEL),
    "allowed, in a denied channel": (
        AccessRules(allow_users=frozenset(["UADA"]), deny_channels=frozenset(["C1"])),
        "C1",
        Denial.CHANNEL,
    ),
    "in an allowed channel": (AccessRules(allow_channels=frozenset(["C1"])), "C1", None),
    "in a channel that is not allowed": (AccessRules(allow_channels=frozenset(["C1"])), "C2", Denial.CHANNEL),
    "in a direct message despite a channel list": (AccessRules(allow_channels=frozenset(["C1"])), "D1", None),
    "in a denied direct message": (AccessRules(deny_channels=frozenset(["D1"])), "D1", Denial.CHANNEL),
}


@pytest.mark.parametrize(("rules", "channel_id", "expected"), LISTS.values(), ids=LISTS.keys())
def test_lists_allow_and_deny_a_member(rules: AccessRules, channel_id: str, expected: Denial | None) -> None:
    assert denial(rules, question_of(channel_id=channel_id), UserKind.MEMBER) is expected


@pytest.mark.parametrize("kind", [*UserKind, None])
def test_user_on_the_allow_list_has_access_whatever_the_kind(kind: UserKind | None) -> None:
    rules = AccessRules(allow_users=frozenset(["UADA"]))
    assert denial(rules, question_of(), kind) is None
    assert not depends_on_kind(rules, question_of())


MATTERS = {
    "by default": (AccessRules(), True),
    "where one kind is allowed": (AccessRules(frozenset([UserKind.GUEST])), True),
    "where all are allowed": (AccessRules(ANYBODY), False),
    "where the person is denied": (AccessRules(deny_users=frozenset(["UADA"])), False),
    "where the channel is denied": (AccessRules(deny_channels=frozenset(["C1"])), False),
}


@pytest.mark.parametrize(("rules", "matters"), MATTERS.values(), ids=MATTERS.keys())
def test_kind_is_needed_only_where_it_changes_the_decision(rules: AccessRules, matters: bool) -> None:
    assert depends_on_kind(rules, question_of()) is matters


@pytest.mark.parametrize(
    ("in_a_row", "in_an_hour", "too_many"), [(0, 0, False), (2, 19, False), (3, 3, True), (0, 20, True)]
)
def test_bots_that_answer_each_other_are_denied_eventually(in_a_row: int, in_an_hour: int, too_many: bool) -> None:
    assert BotQuestions(in_a_row, in_an_hour).too_many is too_many


@pytest.mark.parametrize(
    ("denied", "channel_id", "every_s"),
    [
        (Denial.GUEST, "D1", 60),
        (Denial.GUEST, "C1", 3600),
        (Denial.UNKNOWN, "D1", 0),
        (Denial.UNKNOWN, "C1", 0),
    ],
)
def test_denied_asker_gets_an_explanation_sooner_where_nobody_else_reads(
    denied: Denial, channel_id: str, every_s: float
) -> None:
    assert denial_notice(question_of(channel_id=channel_id), denied).every_s == every_s
