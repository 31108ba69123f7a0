"""The modal with a channel's settings, with its caps for an admin. Pure. A field's block_id is its name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

from bot.core import texts
from bot.core.calls import label_of
from bot.core.caps import Entered, OwnerCaps
from bot.core.channel_settings import ChannelSettings, DefaultSettings, Length, SettingsField, SettingsPlace, emoji_name
from bot.core.conversation import is_direct
from bot.core.triage import Engagement
from bot.models.prompt import Effort
from bot.slack.blockkit import (
    Json,
    actions,
    button,
    checkboxes,
    checked,
    context,
    header,
    input_field,
    modal,
    mrkdwn,
    multi_static_select,
    radio_buttons,
    static_select,
    text_area,
    text_line,
    untouched,
    values_of,
)
from bot.slack.views.caps import caps_fields, entered_caps
from bot.slack.views.memory import OPEN_MEMORY
from bot.slack.views.modal import Modal, place_in
from bot.slack.views.schedules import list_button
from slack_markdown.render import beginning

_ID = "settings"
DEFAULT = "default"
"""The option that leaves a setting to the environment."""
_PLACEHOLDER_CHARS = 150
MAX_REVOCABLE = 50
"""Always allowed tools in the settings: more don't fit into a modal's text. `typist mcp` lists all."""

_Option = TypeVar("_Option", bound=StrEnum)
_SWITCH_VALUES = {"on": None, "off": False}
"""What is on by the settings can only be turned off."""


@dataclass(frozen=True, slots=True)
class SubmittedSettings:
    """What a person submitted in the modal with a channel's settings."""

    place: SettingsPlace
    entered: ChannelSettings
    shown: ChannelSettings
    """What the modal showed when it was opened."""
    revoked: Sequence[str]
    """Always allowed tools whose calls ask again from now on."""
    caps: Entered
    """Empty where the modal showed none."""


def _settings_modal(
    place: SettingsPlace,
    settings: ChannelSettings,
    defaults: DefaultSettings,
    focus: SettingsField,
    allowed_tools: Sequence[str] = (),
    caps: OwnerCaps | None = None,
    tool_warnings: Sequence[str] = (),
) -> Json:
    """Returns the modal with a channel's settings; `focus` is the field where the cursor is.

    `defaults.mcp_servers` are those that the person may choose, and `allowed_tools` the always allowed tools that they
    may revoke; without any, the modal has no such field. `caps` are the channel's, for an admin. `tool_warnings` are
    sentences of mrkdwn about the servers that the channel uses.
    """
    channel = texts.settings.THIS_DIRECT_MESSAGE if is_direct(place.channel_id) else f"<#{place.channel_id}>"
    prompt = text_area(
        SettingsField.SYSTEM_PROMPT,
        placeholder=beginning(defaults.system_prompt, _PLACEHOLDER_CHARS),
        initial=settings.system_prompt,
        focus=focus is SettingsField.SYSTEM_PROMPT,
    )
    blocks = [
        context(mrkdwn(texts.settings.settings_apply_to(channel))),
        _model_field(settings, defaults, focus),
        _field(SettingsField.SYSTEM_PROMPT, prompt, optional=True),
        _menu_field(SettingsField.LENGTH, texts.settings.LENGTH_OPTIONS, settings.length, focus),
        _menu_field(SettingsField.EFFORT, texts.settings.EFFORT_OPTIONS, settings.effort, focus),
    ]
    if not is_direct(place.channel_id):
        blocks += _channel_fields(settings, defaults, focus)
        blocks += [context(mrkdwn(warning)) for warning in tool_warnings]
    if defaults.web_search:
        blocks.append(_switch_field(SettingsField.WEB_SEARCH, settings.web_search, focus))
    if allowed_tools:
        tools = {tool: label_of(tool) for tool in allowed_tools[:MAX_REVOCABLE]}
        menu = multi_static_select(SettingsField.ALLOWED_TOOLS, tools)
        blocks.append(_field(SettingsField.ALLOWED_TOOLS, menu, optional=True))
    blocks.append(actions([list_button(place.channel_id), button(OPEN_MEMORY, texts.memory.SHOW_MEMORY)]))
    if caps:
        blocks += [header(texts.quotas.CHANNEL_QUOTAS), *caps_fields(caps)]
    return modal(
        _ID,
        texts.settings.SETTINGS_TITLE,
        blocks,
        submit=texts.settings.SAVE,
        close=texts.settings.CANCEL,
        private_metadata=json.dumps(asdict(place), ensure_ascii=False),
    )


def _field(name: SettingsField, element: Json, *, optional: bool, has_hint: bool = True) -> Json:
    """Returns a setting's field, with its label and hint."""
    hint = texts.settings.SETTING_HINTS.get(name, "") if has_hint else ""
    return input_field(name, texts.settings.SETTING_LABELS[name], element, hint=hint, optional=optional)


def _model_field(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> Json:
    first = next(iter(defaults.models), "")
    # A model that was removed from BOT_MODELS isn't asked anymore.
    chosen = settings.model if settings.model in defaults.models else None
    labels = _with_default({model: defaults.names.of(model) for model in defaults.models}, first, chosen)
    return _menu_field(SettingsField.MODEL, labels, chosen or DEFAULT, focus, has_hint=len(defaults.models) > 1)


def _menu_field(
    name: SettingsField, options: Mapping[str, str], chosen: str, focus: SettingsField, *, has_hint: bool = True
) -> Json:
    menu = static_select(name, options, chosen=chosen, focus=focus is name)
    return _field(name, menu, optional=False, has_hint=has_hint)


def _channel_fields(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> list[Json]:
    """Returns the fields that a direct message doesn't have."""
    name = SettingsField.ENGAGEMENT
    labels = _with_default(texts.settings.ENGAGEMENTS, defaults.engagement, settings.engagement)
    buttons = radio_buttons(name, labels, chosen=settings.engagement or DEFAULT, focus=focus is name)
    fields = [
        _field(name, buttons, optional=False),
        _checkbox_field(SettingsField.NEW_POSTS, texts.settings.NEW_POSTS_OPTION, settings.new_posts, focus),
    ]
    if defaults.gate:
        fields.append(_checkbox_field(SettingsField.GATE, texts.settings.GATE_OPTION, settings.gate, focus))
    if defaults.reactions:
        name = SettingsField.REACTION
        emoji = text_line(
            name, placeholder=texts.settings.REACTION_PLACEHOLDER, initial=settings.reaction, focus=focus is name
        )
        fields.append(_field(name, emoji, optional=True))
    if defaults.read_channel:
        fields.append(_switch_field(SettingsField.READ_CHANNEL, settings.read_channel, focus))
    if defaults.mcp_servers:
        name = SettingsField.MCP_SERVERS
        servers = {server: server for server in defaults.mcp_servers}
        boxes = checkboxes(name, servers, chosen=settings.mcp_servers, focus=focus is name)
        fields.append(_field(name, boxes, optional=True))
    return fields


def _with_default(labels: Mapping[str, str], default: str, chosen: str | None) -> dict[str, str]:
    """Returns the options of a menu, first the environment's default, which is listed once unless it was chosen."""
    others = {value: label for value, label in labels.items() if value != default or value == chosen}
    return {DEFAULT: texts.settings.default_option(labels.get(default, default)), **others}


def _checkbox_field(name: SettingsField, option: str, is_checked: bool, focus: SettingsField) -> Json:
    box = checkboxes(name, {name: option}, chosen=(name,) if is_checked else (), focus=focus is name)
    return _field(name, box, optional=True)


def _switch_field(name: SettingsField, is_on: bool | None, focus: SettingsField) -> Json:
    buttons = radio_buttons(name, texts.settings.SWITCH, chosen="off" if is_on is False else "on", focus=focus is name)
    return _field(name, buttons, optional=False)


def _submitted(view: Mapping[str, Any]) -> SubmittedSettings:
    return SubmittedSettings(
        place_in(view), _settings_in(view), _settings_in(untouched(view)), _revoked_tools(view), entered_caps(view)
    )


def _settings_in(view: Mapping[str, Any]) -> ChannelSettings:
    """Returns the settings that the fields of a modal have. An untouched one has those that it showed."""
    values = values_of(view)
    model = values.get(SettingsField.MODEL, DEFAULT)
    return ChannelSettings(
        None if model == DEFAULT else model,
        values.get(SettingsField.SYSTEM_PROMPT, "").strip(),
        _chosen(Engagement, values.get(SettingsField.ENGAGEMENT)),
        SettingsField.NEW_POSTS in checked(view, SettingsField.NEW_POSTS),
        SettingsField.GATE in checked(view, SettingsField.GATE),
        _SWITCH_VALUES.get(values.get(SettingsField.WEB_SEARCH, "on")),
        _SWITCH_VALUES.get(values.get(SettingsField.READ_CHANNEL, "on")),
        checked(view, SettingsField.MCP_SERVERS),
        _chosen(Effort, values.get(SettingsField.EFFORT)) or Effort.NORMAL,
        _chosen(Length, values.get(SettingsField.LENGTH)) or Length.NORMAL,
        emoji_name(values.get(SettingsField.REACTION, "")),
    )


def _revoked_tools(view: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the always allowed tools that a person has removed. One that the modal didn't list isn't removed."""
    name = SettingsField.ALLOWED_TOOLS
    fields = [block for block in view.get("blocks") or () if block.get("block_id") == name]
    listed = [str(option["value"]) for block in fields for option in block["element"]["options"]]
    kept = checked(view, name)
    return tuple(tool for tool in listed if tool not in kept)


def _chosen(options: type[_Option], value: str | None) -> _Option | None:
    """Returns the option that a menu stands at; None if it stands at the environment's default."""
    return next((option for option in options if option == value), None)


SETTINGS = Modal(_ID, _settings_modal, _submitted, lambda _: SettingsField.MODEL)
