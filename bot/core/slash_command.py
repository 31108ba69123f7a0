"""The slash command: its subcommands and responses. The manifest decides on its name, /typist by default."""

from dataclasses import dataclass

from bot.core.inbound.channel_settings import SettingsField
from bot.core.limits.caps import UsageToDate

HELP, USAGE = "help", "usage"
SETTINGS_FIELDS = {
    "model": SettingsField.MODEL,
    "prompt": SettingsField.SYSTEM_PROMPT,
    "mentions": SettingsField.ENGAGEMENT,
}
"""The field with which the settings open, by subcommand."""


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """What somebody typed: "/typist usage" is the name "/typist" and the text "usage"."""

    name: str
    text: str

    @property
    def subcommand(self) -> str:
        """The first word of the text; without any, HELP."""
        words = self.text.split()
        return words[0].lower() if words else HELP


@dataclass(frozen=True, slots=True)
class Help:
    """The help text's contents."""

    command: str
    """The slash command's name."""
    unknown_subcommand: str = ""
    """The unknown subcommand that a person typed; "" if help was requested."""


@dataclass(frozen=True, slots=True)
class CommandResponse:
    """A response that only the person who used the command or shortcut reads."""

    content: str | Help | UsageToDate
    settings: str = ""
    """The settings in effect in the channel, as one line."""
