"""The modals as Block Kit, and the values that people submit. A field's block_id is its name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from typing import Any, TypeVar

from bot.core import texts
from bot.core.conversation import Effort, is_direct
from bot.core.inbound.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    Length,
    SettingsField,
    SettingsPlace,
    emoji_name,
)
from bot.core.inbound.engagement import Engagement
from bot.core.limits.cap_fields import OwnerCaps
from bot.core.message_question import QuotedMessage
from bot.core.reply.approvals import ApprovalPlace, Ask
from bot.core.reply.preview import beginning
from bot.core.tools import label_of
from bot.slack.format import approval_blocks
from bot.slack.format.blockkit import (
    Json,
    checkboxes,
    context,
    header,
    input_field,
    modal,
    modal_to_read,
    mrkdwn,
    multi_static_select,
    plain_text,
    radio_buttons,
    section,
    static_select,
    text_area,
    text_line,
    untouched,
)
from bot.slack.format.cap_modals import caps_blocks

SETTINGS = "settings"
ASK_ABOUT = "ask_about"
ARGUMENTS = "arguments"
"""Callback ids: the modals', and that of the shortcut in the manifest (slack/manifest.py)."""
QUESTION = "question"
DEFAULT = "default"
"""The option that leaves a setting to the environment."""
_PLACEHOLDER_CHARS = 150
_QUOTE_BYTES = 2_000
"""Of private_metadata, whose 3,000 may be characters or bytes. store/message_questions.py has the whole quote."""
_DISPLAYED_QUOTE_CHARS = 300
MAX_REVOCABLE = 50
"""Always allowed tools in the settings: more don't fit into a modal's text. `typist mcp` lists all."""
_Option = TypeVar("_Option", bound=StrEnum)
_WEB_SEARCH_VALUES = {"on": None, "off": False}


def settings_modal(
    place: SettingsPlace,
    settings: ChannelSettings,
    defaults: DefaultSettings,
    focus: SettingsField,
    allowed_tools: Sequence[str] = (),
    caps: OwnerCaps | None = None,
) -> Json:
    """Returns the modal with a channel's settings; `focus` is the field where the cursor is.

    `defaults.mcp_servers` are those that the person may choose, and `allowed_tools` the always allowed tools that they
    may revoke; without any, the modal has no such field. `caps` are the channel's, for an admin.
    """
    channel = texts.THIS_DIRECT_MESSAGE if is_direct(place.channel_id) else f"<#{place.channel_id}>"
    blocks = [
        context(mrkdwn(texts.settings_apply_to(channel))),
        _model_field(settings, defaults, focus),
        _system_prompt_field(settings, defaults, focus),
        _length_field(settings, focus),
        _effort_field(settings, focus),
    ]
    if not is_direct(place.channel_id):
        blocks += [_engagement_field(settings, defaults, focus), _new_posts_field(settings, focus)]
        if defaults.gate:
            blocks.append(_gate_field(settings, focus))
        if defaults.reactions:
            blocks.append(_reaction_field(settings, focus))
        if defaults.mcp_servers:
            blocks.append(_mcp_servers_field(settings, defaults, focus))
    if defaults.web_search:
        blocks.append(_web_search_field(settings, focus))
    if allowed_tools:
        blocks.append(_allowed_tools_field(allowed_tools))
    if caps:
        blocks += [header(texts.CHANNEL_QUOTAS), *caps_blocks(caps)]
    return modal(
        SETTINGS,
        texts.SETTINGS_TITLE,
        blocks,
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(place), ensure_ascii=False),
    )


def question_modal(about: QuotedMessage, writer_id: str | None) -> Json:
    """Returns the modal for a question about a message, which `writer_id` wrote."""
    about = replace(about, quote=_shortened(about.quote or ""))
    question = text_area(QUESTION, placeholder=texts.EXPLAIN, focus=True)
    blocks = [
        context(mrkdwn(texts.message_from(f"<@{writer_id}>" if writer_id else ""))),
        section(plain_text(beginning(about.quote or "", _DISPLAYED_QUOTE_CHARS) or texts.NO_TEXT)),
        input_field(QUESTION, texts.QUESTION_LABEL, question, hint=texts.QUESTION_HINT, optional=True),
    ]
    return modal(
        ASK_ABOUT,
        texts.ASK_TITLE,
        blocks,
        submit=texts.ASK,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(about), ensure_ascii=False),
    )


def _shortened(quote: str) -> str:
    """Cuts a quote to the room in a modal's private_metadata."""
    while len(json.dumps(quote, ensure_ascii=False).encode()) > _QUOTE_BYTES:
        quote = quote[: len(quote) * 3 // 4].rstrip("\u200d") + "…"
    return quote


def submitted_settings(view: Mapping[str, Any]) -> tuple[SettingsPlace, ChannelSettings]:
    """Returns the channel of a settings modal, and the settings that a person entered."""
    values = _values(view)
    place = SettingsPlace(**json.loads(view["private_metadata"]))
    model = values.get(SettingsField.MODEL, DEFAULT)
    settings = ChannelSettings(
        None if model == DEFAULT else model,
        values.get(SettingsField.SYSTEM_PROMPT, "").strip(),
        _chosen(Engagement, values.get(SettingsField.ENGAGEMENT)),
        SettingsField.NEW_POSTS in _checked(view, SettingsField.NEW_POSTS),
        SettingsField.GATE in _checked(view, SettingsField.GATE),
        _WEB_SEARCH_VALUES.get(values.get(SettingsField.WEB_SEARCH, "on")),
        _checked(view, SettingsField.MCP_SERVERS),
        _chosen(Effort, values.get(SettingsField.EFFORT)) or Effort.NORMAL,
        _chosen(Length, values.get(SettingsField.LENGTH)) or Length.NORMAL,
        emoji_name(values.get(SettingsField.REACTION, "")),
    )
    return place, settings


def shown_settings(view: Mapping[str, Any]) -> ChannelSettings:
    """Returns the settings that a settings modal showed: those that an untouched one submits."""
    _, shown = submitted_settings(untouched(view))
    return shown


def _chosen(options: type[_Option], value: str | None) -> _Option | None:
    """Returns the option that a menu stands at; None if it stands at the environment's default."""
    return next((option for option in options if option == value), None)


def submitted_question(view: Mapping[str, Any]) -> tuple[QuotedMessage, str]:
    """Returns the question that a person entered, and the message that it is about, with the quote's beginning."""
    about = QuotedMessage(**json.loads(view["private_metadata"]))
    return about, _values(view).get(QUESTION, "").strip() or texts.EXPLAIN


def _model_field(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> Json:
    name = SettingsField.MODEL
    first = next(iter(defaults.models), "")
    # A model that was removed from BOT_MODELS isn't asked anymore.
    chosen = settings.model if settings.model in defaults.models else None
    labels = _with_default({model: model for model in defaults.models}, first, chosen)
    menu = static_select(name, labels, chosen=chosen or DEFAULT, focus=focus is name)
    hint = texts.MODEL_HINT if len(defaults.models) > 1 else ""
    return input_field(name, texts.MODEL_LABEL, menu, hint=hint, optional=False)


def _system_prompt_field(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> Json:
    name = SettingsField.SYSTEM_PROMPT
    text = text_area(
        name,
        placeholder=beginning(defaults.system_prompt, _PLACEHOLDER_CHARS),
        initial=settings.system_prompt,
        focus=focus is name,
    )
    return input_field(name, texts.SYSTEM_PROMPT_LABEL, text, hint=texts.SYSTEM_PROMPT_HINT, optional=True)


def _length_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.LENGTH
    menu = static_select(name, texts.LENGTH_OPTIONS, chosen=settings.length, focus=focus is name)
    return input_field(name, texts.LENGTH_LABEL, menu, optional=False)


def _effort_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.EFFORT
    menu = static_select(name, texts.EFFORT_OPTIONS, chosen=settings.effort, focus=focus is name)
    return input_field(name, texts.EFFORT_LABEL, menu, hint=texts.EFFORT_HINT, optional=False)


def _engagement_field(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> Json:
    name = SettingsField.ENGAGEMENT
    labels = _with_default(texts.ENGAGEMENTS, defaults.engagement, settings.engagement)
    buttons = radio_buttons(name, labels, chosen=settings.engagement or DEFAULT, focus=focus is name)
    return input_field(name, texts.ENGAGEMENT_LABEL, buttons, hint=texts.ENGAGEMENT_HINT, optional=False)


def _with_default(labels: Mapping[str, str], default: str, chosen: str | None) -> dict[str, str]:
    """Returns the options of a menu, first the environment's default, which is listed once unless it was chosen."""
    others = {value: label for value, label in labels.items() if value != default or value == chosen}
    return {DEFAULT: texts.default_option(labels.get(default, default)), **others}


def _new_posts_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.NEW_POSTS
    box = _checkbox(name, texts.NEW_POSTS_OPTION, checked=settings.new_posts, focus=focus)
    return input_field(name, texts.NEW_POSTS_LABEL, box, optional=True)


def _gate_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.GATE
    box = _checkbox(name, texts.GATE_OPTION, checked=settings.gate, focus=focus)
    return input_field(name, texts.GATE_LABEL, box, hint=texts.GATE_HINT, optional=True)


def _reaction_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.REACTION
    text = text_line(name, placeholder=texts.REACTION_PLACEHOLDER, initial=settings.reaction, focus=focus is name)
    return input_field(name, texts.REACTION_LABEL, text, hint=texts.REACTION_HINT, optional=True)


def _checkbox(name: SettingsField, option: str, *, checked: bool, focus: SettingsField) -> Json:
    return checkboxes(name, {name: option}, chosen=(name,) if checked else (), focus=focus is name)


def _web_search_field(settings: ChannelSettings, focus: SettingsField) -> Json:
    name = SettingsField.WEB_SEARCH
    labels = {"on": texts.WEB_SEARCH_ON, "off": texts.WEB_SEARCH_OFF}
    chosen = "off" if settings.web_search is False else "on"
    buttons = radio_buttons(name, labels, chosen=chosen, focus=focus is name)
    return input_field(name, texts.WEB_SEARCH_LABEL, buttons, hint=texts.WEB_SEARCH_HINT, optional=False)


def _mcp_servers_field(settings: ChannelSettings, defaults: DefaultSettings, focus: SettingsField) -> Json:
    name = SettingsField.MCP_SERVERS
    labels = {server: server for server in defaults.mcp_servers}
    boxes = checkboxes(name, labels, chosen=settings.mcp_servers, focus=focus is name)
    return input_field(name, texts.MCP_SERVERS_LABEL, boxes, hint=texts.MCP_SERVERS_HINT, optional=True)


def _allowed_tools_field(allowed_tools: Sequence[str]) -> Json:
    name = SettingsField.ALLOWED_TOOLS
    menu = multi_static_select(name, {tool: label_of(tool) for tool in allowed_tools[:MAX_REVOCABLE]})
    return input_field(name, texts.ALLOWED_TOOLS_LABEL, menu, hint=texts.ALLOWED_TOOLS_HINT, optional=True)


def revoked_tools(view: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the always allowed tools that a person has removed. One that the modal didn't list isn't removed."""
    name = SettingsField.ALLOWED_TOOLS
    fields = [block for block in view.get("blocks") or () if block.get("block_id") == name]
    listed = [str(option["value"]) for block in fields for option in block["element"]["options"]]
    kept = _checked(view, name)
    return tuple(tool for tool in listed if tool not in kept)


def _checked(view: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the options of a field that are chosen; none if the modal has no such field."""
    elements = view["state"]["values"].get(name, {}).values()
    return tuple(str(option["value"]) for element in elements for option in element.get("selected_options") or ())


def _values(view: Mapping[str, Any]) -> dict[str, str]:
    """The fields that are not empty, by name."""
    values = {}
    for name, elements in view["state"]["values"].items():
        for element in elements.values():
            value = (element.get("selected_option") or {}).get("value") or element.get("value")
            if isinstance(value, str) and value:
                values[name] = value
    return values


def arguments_modal(ask: Ask, place: ApprovalPlace | None, *, as_json: bool) -> Json:
    """Returns the modal with all arguments of a call, and with a button that approves it if there is a place."""
    blocks = approval_blocks.in_modal(ask, as_json=as_json)
    if place is None:
        return modal_to_read(texts.ARGUMENTS_TITLE, blocks, close=texts.CLOSE_DETAILS)
    return modal(
        ARGUMENTS,
        texts.ARGUMENTS_TITLE,
        blocks,
        submit=texts.APPROVE,
        close=texts.CLOSE_DETAILS,
        private_metadata=json.dumps(asdict(place)),
    )


def approval_in(view: Mapping[str, Any]) -> ApprovalPlace:
    """Returns which call a person approves in the modal with its arguments."""
    return ApprovalPlace(**json.loads(view["private_metadata"]))
