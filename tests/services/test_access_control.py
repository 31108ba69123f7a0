"""What a denied asker is told, with a real record of notices."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.access import AccessRules, Denial
from bot.services.access_control import AccessControl, PrivateNotices
from bot.store import Stores
from tests.clocks import idle
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
