"""A channel's settings that differ from the default in one, for tests that hold for each setting, also a new one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.core.channel_settings import CHANNEL_SETTINGS, ChannelSettings, DefaultSettings

OFFERED = DefaultSettings(models=("anthropic/two",), system_prompt="Be brief.", mcp_servers=("time",))
NONE = ChannelSettings()


def _other_value(name: str) -> Any:
    row = CHANNEL_SETTINGS[name]
    options = [row.parse(option) for option in row.words.options] or list(row.options(OFFERED))
    if options:
        first = next(option for option in options if option != getattr(NONE, name))
        return (first,) if row.parse is tuple else first
    return {"switch": False, "checkboxes": True}.get(row.control, row.parse("eyes"))


CHANGED: Mapping[str, ChannelSettings] = {
    name: replace(NONE, **{name: _other_value(name)}) for name in CHANNEL_SETTINGS
}
"""By the name of the setting that differs."""
