"""Shows people their accounts on MCP servers, and lets them sign out. Admins can also sign everybody out."""

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from bot.clock import Background, keep_trying
from bot.core import texts
from bot.core.notifications import Notification
from bot.core.surfaces import Invocation
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.slack.notices import notification
from bot.slack.views.accounts import ACCOUNTS, SubmittedAccounts
from bot.store import Stores
from bot.store.accounts import Owner

if TYPE_CHECKING:
    from bot.accounts.sign_ins import SignIns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OwnAccounts:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    sign_ins: "SignIns | None" = None
    _background: Background = field(default_factory=Background, init=False)

    async def on_command(self, invocation: Invocation) -> str:
        """Shows a person's accounts and, to an admin, the number of signed-in people. Returns an error message, or ""
        if there is none."""
        team_id = self.workspace.me.team_id
        accounts = await self.stores.accounts.by_server(team_id, invocation.user_id) if self.sign_ins else {}
        is_admin = self.sign_ins is not None and invocation.user_id in self.access_control.admins
        people = await self.stores.accounts.counts_by_server(team_id) if is_admin else {}
        if not (accounts or people):
            return texts.accounts.NO_ACCOUNTS
        await self.workspace.surfaces.open(invocation.trigger_id, ACCOUNTS.build(accounts, people))
        return ""

    async def sign_out(self, user_id: str, submitted: SubmittedAccounts) -> str:
        """Signs a person out of the servers that they unchecked. Returns an error message, or "" if there is none."""
        for server in submitted.servers if self.sign_ins else ():
            assert self.sign_ins is not None
            if not await self.sign_ins.sign_out(Owner(self.workspace.me.team_id, user_id, server)):
                return texts.accounts.SIGN_OUT_FAILED
            await self._notify_person(user_id, f"signed out {server}", texts.accounts.signed_out_message(server))
        return ""

    async def sign_everybody_out(self, user_id: str, submitted: SubmittedAccounts) -> None:
        """Signs everybody out of the servers that an admin unchecked, in the background, and reports the result."""
        if self.sign_ins is None or user_id not in self.access_control.admins:
            return
        for server in submitted.servers_of_everybody:
            log.info("user %s signs everybody out of MCP server %s", user_id, server)
            failure = f"admin {user_id} not told that everybody is signed out of MCP server {server}"
            self._background.start(self._sign_everybody_out(self.sign_ins, user_id, server), failure)

    async def _sign_everybody_out(self, sign_ins: "SignIns", admin: str, server: str) -> None:
        team_id, accounts, done = self.workspace.me.team_id, self.stores.accounts, 0
        owners = await accounts.owners(server=server)
        for owner in (one for one in owners if one.team_id == team_id):
            signing_out = partial(sign_ins.sign_out, owner, admin)
            done += await keep_trying(signing_out, self.stores.clock, f"MCP server {server}: user not signed out")
        remaining = (await accounts.counts_by_server(team_id)).get(server, 0)
        said = texts.accounts.everybody_signed_out(server, done, remaining)
        await self._notify_person(admin, f"everybody signed out {server}", said)

    async def _notify_person(self, user_id: str, key: str, sentence: str) -> None:
        told = Notification(user_id, f"{key} {self.stores.clock.now():.3f}", notification(sentence))
        await self.stores.notifications.add(self.workspace.me.team_id, told)
