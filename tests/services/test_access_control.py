"""What a denied asker is told, with a real record of notices."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.access import AccessRules, Denial, UserKind
from bot.services.access_control import UNSAVED_EVERY_S, AccessControl, PrivateNotices, UnsavedQuestions
from bot.store import Stores
from tests.clocks import InstantClock, idle
from tests.services.answering import QUESTION, Accounts


@pytest.mark.parametrize(
    ("from_bot", "sentences"),
    [(False, [texts.access.naming_admins(Denial.GUEST, ["<@U3>", "<@U4>", "<@U5>"])]), (True, [])],
    ids=["person", "bot"],
)
async def test_denied_person_reads_three_admins_and_a_bot_reads_nothing(
    stores: Stores, from_bot: bool, sentences: list[str]
) -> None:
    accounts = Accounts()
    notices = PrivateNotices(accounts, stores.notices)
    admins = ("U6", "U4", "U3", "U5")
    access_control = AccessControl(AccessRules(), accounts, notices, admins)
    access_control.tell(replace(QUESTION, from_bot=from_bot), Denial.GUEST)
    await idle()
    assert accounts.sentences == sentences


async def test_asker_reads_once_in_ten_minutes_that_questions_are_not_saved_and_a_bot_never() -> None:
    accounts, clock = Accounts(), InstantClock()
    unsaved = UnsavedQuestions(accounts, clock)
    for user_id, from_bot, later_s, told in (
        ("U1", False, 0.0, 1),
        ("U2", False, 1.0, 2),
        ("UCI", True, 0.0, 2),
        ("U1", False, UNSAVED_EVERY_S - 2, 2),
        ("U1", False, 1.0, 3),
        ("U2", False, 0.5, 3),
    ):
        clock.now_s += later_s
        unsaved.tell(replace(QUESTION, user_id=user_id, from_bot=from_bot))
        await idle()
        assert accounts.sentences == [texts.shortcut.NOT_SAVED_YET] * told


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        (AccessRules(), False),
        (AccessRules(also=frozenset({UserKind.GUEST, UserKind.EXTERNAL})), False),
        (AccessRules(also=frozenset({UserKind.BOT})), True),
        (AccessRules(allow_users=frozenset({"U0DEPLOYS"})), True),
        (AccessRules(allow_channels=frozenset({"C0DEPLOYS"})), False),
    ],
    ids=["members", "guests and others", "bots", "a list of people", "a list of channels"],
)
def test_mention_by_a_bot_may_be_a_question_where_bots_or_listed_people_may_ask(
    stores: Stores, rules: AccessRules, may: bool
) -> None:
    accounts = Accounts()
    access_control = AccessControl(rules, accounts, PrivateNotices(accounts, stores.notices))
    assert access_control.may_allow_bots is may
