"""What a form with a person's sign-ins ends."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from bot.core import texts
from bot.services.commands import SlashCommands
from bot.slack.views.accounts import KeptAccounts
from bot.store.accounts import Owner
from tests.services.parts import workspace_of


@dataclass
class SignOuts:
    """Ends sign-ins, but for those at a server where they change meanwhile."""

    changes_at: str
    owners: list[Owner] = field(default_factory=list)

    async def sign_out(self, owner: Owner) -> bool:
        self.owners.append(owner)
        return owner.server != self.changes_at


@pytest.mark.parametrize(
    ("changes_at", "said", "servers"),
    [("", "", ["jira", "github"]), ("jira", texts.accounts.SIGN_OUT_FAILED, ["jira"])],
    ids=["both end", "the first one changes"],
)
async def test_person_is_signed_out_of_all_servers_that_they_unchecked_or_reads_that_it_failed(
    changes_at: str, said: str, servers: list[str]
) -> None:
    sign_ins, unused = SignOuts(changes_at), (None,) * 7
    parts: Any = (None, workspace_of(), *unused, sign_ins)
    assert await SlashCommands(*parts).sign_out("U1", KeptAccounts(["jira", "github"])) == said
    assert sign_ins.owners == [Owner("T1", "U1", server) for server in servers]
