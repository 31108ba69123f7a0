"""Caps in Slack: Typist admins see and set them in App Home and in a channel's settings."""

import logging
from dataclasses import dataclass

from bot.core import texts
from bot.core.inbound.triage import Identity
from bot.core.limits import cap_fields
from bot.core.limits.cap_fields import Entered, OwnerCaps
from bot.core.limits.caps import Cap, CapOwner, ScopeIds
from bot.errors import StoreError
from bot.slack.surfaces import Surfaces
from bot.store.caps import CapStore
from bot.store.usage_ledger import UsageLedger

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CapSettings:
    """Shows and saves the caps of one owner. `open` raises RateLimited and Refused, the others StoreError."""

    store: CapStore
    usage: UsageLedger
    surfaces: Surfaces
    me: Identity
    defaults: tuple[Cap, ...]
    """The caps of the settings, which hold where admins have set no others."""
    unpriced: tuple[str, ...]
    """The models in use that have no price."""
    admins: frozenset[str]

    async def open(self, user_id: str, trigger_id: str, owner: CapOwner) -> None:
        """Shows an admin the modal with an owner's caps, and everybody else who may set them."""
        if user_id not in self.admins:
            await self.surfaces.open_sentence(trigger_id, texts.ONLY_ADMINS_SET_QUOTAS)
            return
        try:
            caps = await self.of(owner)
        except StoreError as error:
            log.warning("caps of %s %s not read: %s", owner.scope, owner.id, error)
            await self.surfaces.open_sentence(trigger_id, texts.COMMAND_FAILED)
            return
        await self.surfaces.open_caps_modal(trigger_id, caps)

    async def of(self, owner: CapOwner) -> OwnerCaps:
        """Returns the caps and the usage of the workspace, a channel or a person."""
        team_id, scope = self.me.team_id, owner.scope
        return OwnerCaps(
            owner,
            cap_fields.by_field(await self.store.own(team_id, owner), scope),
            cap_fields.by_field(self.defaults, scope),
            await self.usage.used_by_period(ScopeIds(team_id, owner.id, owner.id), scope),
        )

    def problems(self, user_id: str, entered: Entered) -> dict[str, str]:
        """Returns a sentence for each field that this person can't save."""
        if entered and user_id not in self.admins:
            return {entered[0][0]: texts.ONLY_ADMINS_SET_QUOTAS}
        return cap_fields.problems(entered, self.unpriced)

    async def save(self, user_id: str, owner: CapOwner, entered: Entered) -> dict[str, str]:
        """Saves an owner's caps, or returns a sentence for each field that can't be saved."""
        if problems := self.problems(user_id, entered):
            return problems
        if await self.store.change(self.me.team_id, owner, cap_fields.limits_of(entered), by=user_id):
            log.info("admin %s changed the caps of %s %s", user_id, owner.scope, owner.id)
        return {}
