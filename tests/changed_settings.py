"""A channel's settings that differ from the default in one, for tests that hold for each setting, also a new one."""

from collections.abc import Mapping
from dataclasses import fields
from enum import EnumType
from typing import Any, get_args, get_type_hints

from bot.core.channel_settings import ChannelSettings

_BY_TYPE: Mapping[Any, Any] = {
    str: "eyes",
    str | None: "anthropic/two",
    bool: True,
    bool | None: False,
    tuple[str, ...]: ("time",),
}


def _other_value(kind: Any, default: Any) -> Any:
    enums: list[Any] = [option for option in (kind, *get_args(kind)) if isinstance(option, EnumType)]
    return next(level for level in enums[0] if level != default) if enums else _BY_TYPE[kind]


_TYPES = get_type_hints(ChannelSettings)
CHANGED: Mapping[str, ChannelSettings] = {
    field.name: ChannelSettings(**{field.name: _other_value(_TYPES[field.name], field.default)})
    for field in fields(ChannelSettings)
}
"""By the name of the setting that differs."""
