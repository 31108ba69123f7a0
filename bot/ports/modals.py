"""Modals. Each method raises RateLimited and Refused."""

from typing import Protocol

from bot.core.inbound.channel_settings import ChannelSettings, DefaultSettings, SettingsField, SettingsPlace
from bot.core.message_question import QuotedMessage
from bot.core.reply.approvals import ApprovalPlace, Ask


class Modals(Protocol):
    """Opens modals, within three seconds of the action that created the trigger."""

    async def open_settings_modal(
        self,
        trigger_id: str,
        place: SettingsPlace,
        settings: ChannelSettings,
        defaults: DefaultSettings,
        focus: SettingsField,
    ) -> None:
        """Shows a channel's settings, with the cursor in `focus`."""
        ...

    async def open_question_modal(self, trigger_id: str, about: QuotedMessage, writer_id: str | None) -> None:
        """Asks a person what they want to know about a message, which `writer_id` wrote."""
        ...


class ArgumentsModals(Protocol):
    """Opens modals about calls of tools."""

    async def open_arguments_modal(self, trigger_id: str, ask: Ask, place: ApprovalPlace | None) -> None:
        """Shows all arguments of a call. With a place, the person may approve the call there."""
        ...
