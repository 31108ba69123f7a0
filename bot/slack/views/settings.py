"""Builds the modal with a channel's settings, which includes caps for admins. A field's block_id is the setting's
name."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.calls import tool_label
from bot.core.caps import EnteredLimits, OwnerCaps
from bot.core.channel_settings import CHANNEL_SETTINGS, ChannelSettings, DefaultSettings, Setting, SettingsPlace
from bot.core.conversation import is_direct_message
from bot.slack.blockkit import (
    Json,
    actions,
    button,
    checkboxes,
    checked_options,
    context,
    field_values,
    header,
    initial_view,
    input_field,
    modal,
    mrkdwn,
    multi_static_select,
    radio_buttons,
    static_select,
    text_area,
    text_line,
)
from bot.slack.views.caps import caps_fields, entered_caps
from bot.slack.views.memory import OPEN_MEMORY
from bot.slack.views.modal import Modal, place_in
from bot.slack.views.schedules import list_button
from slack_markdown.render import beginning

_ID = "settings"
DEFAULT = "default"
_PLACEHOLDER_CHARS = 150
MAX_REVOCABLE = 50
"""Maximum number of always-allowed tools in the modal. `typist mcp` lists all of them."""
ALLOWED_TOOLS = "allowed_tools"
_UNSET = ChannelSettings()


@dataclass(frozen=True, slots=True)
class SubmittedSettings:
    place: SettingsPlace
    entered: ChannelSettings
    initial_settings: ChannelSettings
    revoked_tools: Sequence[str]
    caps: EnteredLimits


def _settings_modal(
    place: SettingsPlace,
    settings: ChannelSettings,
    defaults: DefaultSettings,
    focus: str,
    allowed_tools: Sequence[str] = (),
    caps: OwnerCaps | None = None,
    tool_warnings: Sequence[str] = (),
) -> Json:
    """Returns the modal with a channel's settings. `focus`: the field with the cursor.

    `defaults.mcp_servers`: servers that the person can choose. `allowed_tools`: always-allowed tools that the person
    can revoke. If one of these is empty, its field is left out. `caps`: the channel's caps, for an admin.
    `tool_warnings`: warnings about the channel's servers, in mrkdwn.
    """
    channel = texts.settings.THIS_DIRECT_MESSAGE if is_direct_message(place.channel_id) else f"<#{place.channel_id}>"
    blocks = [context(mrkdwn(texts.settings.settings_apply_to(channel)))]
    for name, setting in CHANNEL_SETTINGS.items():
        if setting.is_channel_only and is_direct_message(place.channel_id):
            continue
        blocks += _field(name, setting, getattr(settings, name), defaults, has_focus=focus == name)
        if name == "mcp_servers":
            blocks += [context(mrkdwn(warning)) for warning in tool_warnings]
    if allowed_tools:
        tools = {tool: tool_label(tool) for tool in allowed_tools[:MAX_REVOCABLE]}
        menu, hint = multi_static_select(tools), texts.settings.ALLOWED_TOOLS_HINT
        blocks.append(input_field(ALLOWED_TOOLS, texts.settings.ALLOWED_TOOLS, menu, hint=hint))
    blocks.append(actions([list_button(place.channel_id), button(OPEN_MEMORY, texts.memory.SHOW_MEMORY)]))
    if caps:
        blocks += [header(texts.quotas.CHANNEL_QUOTAS), *caps_fields(caps)]
    return modal(_ID, texts.settings.SETTINGS_TITLE, blocks, asdict(place))


def _field(name: str, setting: Setting, value: Any, defaults: DefaultSettings, *, has_focus: bool) -> list[Json]:
    words, default = setting.words, setting.effective_value(defaults, getattr(_UNSET, name))
    labels = setting.options(defaults) or words.options
    match setting.control:
        case "menu" | "radio buttons":
            choice = static_select if setting.control == "menu" else radio_buttons
            options = labels if getattr(_UNSET, name) else _with_default(labels, default, value)
            element = choice(options, chosen=value if value in labels else DEFAULT, focus=has_focus)
        case "switch":
            chosen = "off" if value is False else "on"
            element = radio_buttons(texts.settings.SWITCH, chosen=chosen, focus=has_focus)
        case "checkboxes":
            boxes = value if isinstance(value, tuple) else labels if value else ()
            element = checkboxes(labels, chosen=boxes, focus=has_focus)
        case "line" | "area":
            text = text_line if setting.control == "line" else text_area
            placeholder = words.placeholder or beginning(defaults.system_prompt, _PLACEHOLDER_CHARS)
            element = text(placeholder=placeholder, initial=value, focus=has_focus)
    if default is None or (setting.control == "checkboxes" and not labels):
        return []
    # A menu's hint explains the other options.
    hint = "" if setting.control == "menu" and len(labels) == 1 else words.hint
    is_optional = setting.control in ("checkboxes", "line", "area")
    return [input_field(name, words.label, element, hint=hint, optional=is_optional)]


def _with_default(labels: Mapping[str, str], default: str, chosen: str | None) -> dict[str, str]:
    """Returns a menu's options, beginning with the default from the environment. The default isn't repeated unless it
    was chosen."""
    default = labels.get(default, default)
    others = {value: label for value, label in labels.items() if label != default or value == chosen}
    return {DEFAULT: texts.settings.default_option(default), **others}


def _parse_submission(view: Mapping[str, Any]) -> SubmittedSettings:
    return SubmittedSettings(
        place_in(view), _settings_in(view), _settings_in(initial_view(view)), _revoked_tools(view), entered_caps(view)
    )


def _settings_in(view: Mapping[str, Any]) -> ChannelSettings:
    values = field_values(view)
    return ChannelSettings(**{name: _entered_setting(view, values, name) for name in CHANNEL_SETTINGS})


def _entered_setting(view: Mapping[str, Any], values: Mapping[str, str], name: str) -> Any:
    setting = CHANNEL_SETTINGS[name]
    match setting.control:
        case "switch":
            return False if values.get(name) == "off" else None
        case "checkboxes":
            return setting.parse(checked_options(view, name))
        case "line" | "area":
            return setting.parse(values.get(name, "").strip())
        case "menu" | "radio buttons":
            chosen, default = values.get(name, DEFAULT), getattr(_UNSET, name)
            with suppress(ValueError):
                return default if chosen == DEFAULT else setting.parse(chosen)
            return default


def _revoked_tools(view: Mapping[str, Any]) -> tuple[str, ...]:
    fields = [block for block in view.get("blocks") or () if block.get("block_id") == ALLOWED_TOOLS]
    listed = [str(option["value"]) for block in fields for option in block["element"]["options"]]
    kept = checked_options(view, ALLOWED_TOOLS)
    return tuple(tool for tool in listed if tool not in kept)


SETTINGS = Modal(_ID, _settings_modal, _parse_submission, lambda _: "model")
