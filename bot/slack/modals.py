"""The modals as Block Kit, the values that people submit, and the questions that the bot posts for people. Pure.

One modal has a channel's settings, with caps for an admin, one only caps, and one asks for a question. One shows a tool
call that a person decides about, as a reply does. A tool's title and description are the server's words, so they stand
beside the server's name and the tool's real name. Arguments are code, in which Slack makes no emoji, link or mention of
what is sent. Only plain names aren't. A field's block_id is its name.

A question that is asked in a modal, by an emoji, by a choice or by a suggested prompt is posted by the bot, because
nobody can post for another person. The block_id names the asker, so history attributes the question to them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import ApprovalPlace, ArgumentField, Ask, label_of
from bot.core.caps import CapField, CapOwner, Entered, OwnerCaps, Period, Scope, shown_number
from bot.core.channel_settings import ChannelSettings, DefaultSettings, Length, SettingsField, SettingsPlace, emoji_name
from bot.core.conversation import Message, escape, is_direct, link_of, unescape, with_names
from bot.core.job import MessageQuestion, QuotedMessage, emoji_of, is_suggested, quote_above
from bot.core.memory import Memory, from_typed
from bot.core.schedules import Run
from bot.core.triage import Engagement
from bot.markdown.escaping import unlinked
from bot.markdown.links import without_schemes
from bot.markdown.render import PREVIEW_CHARS, beginning
from bot.models.prompt import Effort
from bot.slack import blockkit, cards
from bot.slack.blockkit import (
    PIECE_CHARS,
    Json,
    actions,
    button,
    checkboxes,
    checked,
    context,
    header,
    input_field,
    line,
    modal,
    modal_to_read,
    mrkdwn,
    multi_static_select,
    number_input,
    plain_text,
    radio_buttons,
    rich_text_quote,
    section,
    static_select,
    text_area,
    text_line,
    untouched,
    values_of,
    words,
)
from bot.slack.cards import moment
from bot.slack.home import amount_text
from bot.slack.schedule_views import list_button, run_line
from bot.slack.text import json_objects, message_text, words_of
from bot.text import paired

SETTINGS = "settings"
ASK_ABOUT = "ask_about"
ARGUMENTS = "arguments"
CAPS = "caps"
MEMORY = "memory"
"""Callback ids: the modals', and that of the shortcut in the manifest (slack/manifest.py)."""
QUESTION = "question"
OPEN_MEMORY = "open_memory"
"""The action id of the button in a place's settings."""
KEEP_HIDDEN = "keep_hidden"
"""The field with which hidden memories are kept."""
DEFAULT = "default"
"""The option that leaves a setting to the environment."""
_PLACEHOLDER_CHARS = 150
_QUOTE_BYTES = 2_000
"""Of private_metadata, whose 3,000 may be characters or bytes. store/queue.py has the whole quote."""
_DISPLAYED_QUOTE_CHARS = 300
MAX_REVOCABLE = 50
"""Always allowed tools in the settings: more don't fit into a modal's text. `typist mcp` lists all."""

_TS = r"[0-9]{1,12}\.[0-9]{1,9}"
_FORMS = {
    "channel_id": re.compile("[CDG][A-Z0-9]{1,40}"),
    "ts": re.compile(_TS),
    "thread_ts": re.compile(f"(?:{_TS})?"),
    "message_ts": re.compile(_TS),
    "response_url": re.compile(r"(?:https?://\S{1,2000})?"),
    "id": re.compile("[A-Z0-9]{1,40}"),
}
"""The forms of what private_metadata names: Slack returns it as we wrote it, and a holder of the app's signing secret
or its socket could write anything."""

_MEMORY_FIELD = re.compile(rf"{MEMORY}-(\d{{1,18}})", re.ASCII)
"""The name of a memory's field, with its id."""

_Option = TypeVar("_Option", bound=StrEnum)
_SWITCH_VALUES = {"on": None, "off": False}
"""What is on by the settings can only be turned off."""


def settings_modal(
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
    channel = texts.THIS_DIRECT_MESSAGE if is_direct(place.channel_id) else f"<#{place.channel_id}>"
    prompt = text_area(
        SettingsField.SYSTEM_PROMPT,
        placeholder=beginning(defaults.system_prompt, _PLACEHOLDER_CHARS),
        initial=settings.system_prompt,
        focus=focus is SettingsField.SYSTEM_PROMPT,
    )
    blocks = [
        context(mrkdwn(texts.settings_apply_to(channel))),
        _model_field(settings, defaults, focus),
        _field(SettingsField.SYSTEM_PROMPT, prompt, optional=True),
        _menu_field(SettingsField.LENGTH, texts.LENGTH_OPTIONS, settings.length, focus),
        _menu_field(SettingsField.EFFORT, texts.EFFORT_OPTIONS, settings.effort, focus),
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
    blocks.append(actions([list_button(place.channel_id), button(OPEN_MEMORY, texts.SHOW_MEMORY)]))
    if caps:
        blocks += [header(texts.CHANNEL_QUOTAS), *_caps_blocks(caps)]
    return modal(
        SETTINGS,
        texts.SETTINGS_TITLE,
        blocks,
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(place), ensure_ascii=False),
    )


def _field(name: SettingsField, element: Json, *, optional: bool, has_hint: bool = True) -> Json:
    """Returns a setting's field, with its label and hint."""
    hint = texts.SETTING_HINTS.get(name, "") if has_hint else ""
    return input_field(name, texts.SETTING_LABELS[name], element, hint=hint, optional=optional)


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
    labels = _with_default(texts.ENGAGEMENTS, defaults.engagement, settings.engagement)
    buttons = radio_buttons(name, labels, chosen=settings.engagement or DEFAULT, focus=focus is name)
    fields = [
        _field(name, buttons, optional=False),
        _checkbox_field(SettingsField.NEW_POSTS, texts.NEW_POSTS_OPTION, settings.new_posts, focus),
    ]
    if defaults.gate:
        fields.append(_checkbox_field(SettingsField.GATE, texts.GATE_OPTION, settings.gate, focus))
    if defaults.reactions:
        name = SettingsField.REACTION
        emoji = text_line(name, placeholder=texts.REACTION_PLACEHOLDER, initial=settings.reaction, focus=focus is name)
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
    return {DEFAULT: texts.default_option(labels.get(default, default)), **others}


def _checkbox_field(name: SettingsField, option: str, is_checked: bool, focus: SettingsField) -> Json:
    box = checkboxes(name, {name: option}, chosen=(name,) if is_checked else (), focus=focus is name)
    return _field(name, box, optional=True)


def _switch_field(name: SettingsField, is_on: bool | None, focus: SettingsField) -> Json:
    buttons = radio_buttons(name, texts.SWITCH, chosen="off" if is_on is False else "on", focus=focus is name)
    return _field(name, buttons, optional=False)


def _metadata(view: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a modal carries. Raises ValueError for what isn't of the form that it was made with."""
    metadata = json.loads(view["private_metadata"])
    if not isinstance(metadata, dict):
        raise ValueError("no object")
    for name, form in _FORMS.items():
        if name in metadata and not form.fullmatch(metadata[name] or ""):
            raise ValueError(name)
    return metadata


def submitted_settings(view: Mapping[str, Any]) -> tuple[SettingsPlace, ChannelSettings]:
    """Returns the channel of a settings modal, and the settings that a person entered."""
    values = values_of(view)
    place = SettingsPlace(**_metadata(view))
    model = values.get(SettingsField.MODEL, DEFAULT)
    settings = ChannelSettings(
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
    return place, settings


def shown_settings(view: Mapping[str, Any]) -> ChannelSettings:
    """Returns the settings that a settings modal showed: those that an untouched one submits."""
    _, shown = submitted_settings(untouched(view))
    return shown


def revoked_tools(view: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the always allowed tools that a person has removed. One that the modal didn't list isn't removed."""
    name = SettingsField.ALLOWED_TOOLS
    fields = [block for block in view.get("blocks") or () if block.get("block_id") == name]
    listed = [str(option["value"]) for block in fields for option in block["element"]["options"]]
    kept = checked(view, name)
    return tuple(tool for tool in listed if tool not in kept)


def _chosen(options: type[_Option], value: str | None) -> _Option | None:
    """Returns the option that a menu stands at; None if it stands at the environment's default."""
    return next((option for option in options if option == value), None)


def memory_modal(place: SettingsPlace, memories: Sequence[Memory], base: str, *, is_private: bool) -> Json:
    """Returns the modal with the memories of a place, in which people change, remove and keep them.

    `base`: what links of the place's messages begin with; "" if that isn't known. `is_private`: as the place is now.
    """
    blocks = [context(mrkdwn(texts.MEMORY_EXPLAINED))]
    if hidden := sum(memory.is_private is not is_private for memory in memories):
        box = checkboxes(KEEP_HIDDEN, {KEEP_HIDDEN: texts.keep_hidden(hidden)}, chosen=(), focus=False)
        why = texts.MEMORIES_HIDDEN[is_private]
        blocks.append(input_field(KEEP_HIDDEN, texts.KEEP_HIDDEN, box, hint=why, optional=True))
    for memory in memories:
        name = f"{MEMORY}-{memory.id}"
        entry = text_area(name, placeholder=texts.MEMORY_EXPLAINED, initial=unescape(memory.text), focus=False)
        label = texts.memory_number(memory.number)
        blocks.append(input_field(name, label, entry, optional=True))
        blocks.append(
            context(mrkdwn(_said(memory, place.channel_id, base, is_hidden=memory.is_private is not is_private)))
        )
    return modal(
        MEMORY,
        texts.MEMORY_TITLE,
        blocks,
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(place), ensure_ascii=False),
    )


def _said(memory: Memory, channel_id: str, base: str, *, is_hidden: bool) -> str:
    """Returns who said a memory, when and where, in mrkdwn."""
    in_utc = texts.time_in_utc(datetime.fromtimestamp(memory.created_at, UTC))
    day = blockkit.moment_mrkdwn(memory.created_at, texts.TIME_FORMAT, in_utc)
    changed_by = f"<@{memory.changed_by}>" if memory.changed_by else ""
    said = texts.memory_said(f"<@{memory.user_id}>", day, changed_by, is_proposed=memory.is_proposed)
    link = link_of(base, channel_id, memory.ts, memory.thread_ts)
    where = f"<{link}|{texts.SAID_HERE}>" if link else ""
    return " · ".join(filter(None, (texts.HIDDEN if is_hidden else "", said, where)))


def place_in(view: Mapping[str, Any]) -> SettingsPlace:
    """Returns the place that a settings modal or a memory modal is about."""
    return SettingsPlace(**_metadata(view))


def submitted_memories(view: Mapping[str, Any]) -> tuple[SettingsPlace, dict[int, str], list[int], bool]:
    """Returns the place of a memory modal, the texts that a person changed, by id, and the ids that it showed.

    The last value says whether the person keeps the hidden memories.
    """
    typed, shown = values_of(view), values_of(untouched(view))
    ids = {name: int(found[1]) for name in view["state"]["values"] if (found := _MEMORY_FIELD.fullmatch(name))}
    if not ids:
        raise ValueError("memories")
    changed = {id_: from_typed(typed.get(name, "")) for name, id_ in ids.items() if typed.get(name) != shown.get(name)}
    return place_in(view), changed, list(ids.values()), KEEP_HIDDEN in checked(view, KEEP_HIDDEN)


def caps_modal(caps: OwnerCaps) -> Json:
    """Returns the modal with the caps of the workspace, a channel or a person."""
    owner = texts.quota_owner(caps.owner.scope, caps.owner.id)
    return modal(
        CAPS,
        texts.QUOTAS_TITLE,
        [section(mrkdwn(texts.quotas_apply_to(owner))), *_caps_blocks(caps)],
        submit=texts.SAVE,
        close=texts.CANCEL,
        private_metadata=json.dumps(asdict(caps.owner)),
    )


def _caps_blocks(caps: OwnerCaps) -> list[Json]:
    """Returns a field for each cap, below what is used."""
    used = "\n".join(texts.usage(period, amount_text(caps.spent[period])) for period in Period)
    blocks = [context(mrkdwn(used))]
    for field in CapField:
        own, default = caps.own.get(field), caps.defaults.get(field)
        placeholder = texts.default_option(default.limit_text) if default else texts.NO_QUOTA
        initial = shown_number(own.limit) if own else ""
        entry = number_input(field, placeholder=placeholder, initial=initial, decimals=field.in_dollars)
        blocks.append(input_field(field, texts.QUOTA_LABELS[field], entry, optional=True))
    return blocks


def submitted_caps(view: Mapping[str, Any]) -> tuple[CapOwner, Entered]:
    """Returns whose caps a person submitted, and what they changed."""
    owner = _metadata(view)
    return CapOwner(Scope(owner["scope"]), owner["id"]), entered_caps(view)


def entered_caps(view: Mapping[str, Any]) -> Entered:
    """Returns what a person entered in the fields that they changed; nothing if the modal has no such fields.

    Another admin may have changed the others since the modal was opened.
    """
    entered, shown = _cap_texts(view), _cap_texts(untouched(view))
    return tuple((field, text) for field, text in entered.items() if text != shown.get(field, ""))


def _cap_texts(view: Mapping[str, Any]) -> dict[CapField, str]:
    fields = {field: view["state"]["values"].get(field) for field in CapField}
    elements = {field: next(iter(states.values())) for field, states in fields.items() if states}
    return {field: str(element.get("value") or "").strip() for field, element in elements.items()}


def sentence_modal(sentence: str, title: str) -> Json:
    """Returns a modal that only says something, in mrkdwn."""
    return modal_to_read(title, [section(mrkdwn(sentence))], close=texts.CLOSE_DETAILS)


def question_modal(about: QuotedMessage, writer_id: str | None) -> Json:
    """Returns the modal for a question about a message, which `writer_id` wrote."""
    in_json = partial(json.dumps, ensure_ascii=False)
    about = replace(
        about, quote=_shortened(about.quote or "", lambda quote: len(in_json(quote).encode()), _QUOTE_BYTES)
    )
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
        private_metadata=in_json(asdict(about)),
    )


def _shortened(quote: str, size: Callable[[str], int], limit: int) -> str:
    """Cuts a quote until it is no larger than the limit."""
    while size(quote) > limit:
        quote = quote[: len(quote) * 9 // 10].rstrip("\u200d") + "…"
    return quote


def submitted_question(view: Mapping[str, Any]) -> tuple[QuotedMessage, str]:
    """Returns the question that a person entered, and the message that it is about, with the quote's beginning."""
    about = QuotedMessage(**_metadata(view))
    if about.offered_by is not None:
        raise ValueError("offered_by")
    return about, values_of(view).get(QUESTION, "").strip() or texts.EXPLAIN


def arguments_modal(ask: Ask, place: ApprovalPlace | None, *, as_json: bool) -> Json:
    """Returns the modal with all arguments of a call: as a person reads them, or as they are sent.

    It has a button that approves the call if there is a place.
    """
    arguments = map(blockkit.rich_text_preformatted, _pieces(ask.arguments)) if as_json else _fields(ask)
    terms = blockkit.rich_text([*_warnings(ask), _terms(ask)])
    blocks = [blockkit.rich_text(_heading(ask)), *arguments, terms]
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
    return ApprovalPlace(**_metadata(view))


def ask_in_reply(ask: Ask, block_id: str) -> list[Json]:
    """Returns a call in a reply: what would be done, by whom and until when, and its buttons or decision."""
    if ask.is_proposal:
        return cards.blocks_of(ask, block_id)
    parts = [*_heading(ask), *_arguments(ask.shown_fields), *_warnings(ask)]
    if ask.is_cut:
        parts.append(line(words(texts.arguments_cut(ask.room, ask.chars), "italic")))
    if ask.decision is not None:
        decided = line(words(texts.DECISIONS[ask.decision], "italic"))
        return [blockkit.rich_text([*parts, decided], block_id)]
    return [blockkit.rich_text([*parts, _terms(ask)], block_id), blockkit.actions(_buttons(ask), f"{block_id}-buttons")]


def _heading(ask: Ask) -> list[Json]:
    title = words(texts.ASKING_FOR), words(unlinked(ask.title), "bold"), words("? "), words(ask.tool, "code")
    said = words(texts.described_by(ask.server), "italic"), words(unlinked(ask.description))
    return [line(*title), *([blockkit.part("rich_text_quote", *said)] if ask.description else [])]


def _warnings(ask: Ask) -> list[Json]:
    return [line(words(unlinked(warning), "bold")) for warning in ask.warnings]


def _arguments(fields: Sequence[ArgumentField]) -> list[Json]:
    """Returns arguments in their order: short ones as a list, each longer one as a block of code."""
    parts: list[Json] = []
    for argument in fields:
        name = _name(argument, f"{argument.name}:")
        if argument.is_block:
            parts += [line(name), blockkit.code_block(argument.value)]
            continue
        if not (parts and parts[-1]["type"] == "rich_text_list"):
            parts.append(blockkit.bullets([]))
        parts[-1]["elements"].append(line(name, words(" "), words(argument.value, "code")))
    return parts or [line(words(texts.NO_ARGUMENTS, "italic"))]


def _name(argument: ArgumentField, text: str) -> Json:
    return words(text, "bold" if argument.has_plain_name else "code")


def _fields(ask: Ask) -> Iterator[Json]:
    """Yields all arguments in blocks of a size that Slack takes. Of a long value, each block has a piece."""
    together: list[ArgumentField] = []
    for argument in ask.fields:
        if sum(other.chars for other in together) + argument.chars > PIECE_CHARS and together:
            yield blockkit.rich_text(_arguments(together))
            together = []
        if argument.chars > PIECE_CHARS:
            for piece in _pieces(f"{argument.name}:"):
                yield blockkit.rich_text([line(_name(argument, piece))])
            yield from map(blockkit.rich_text_preformatted, _pieces(argument.value))
        else:
            together.append(argument)
    if together or not ask.fields:
        yield blockkit.rich_text(_arguments(together))


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def _terms(ask: Ask) -> Json:
    """Returns whose credentials act, and until when a person can decide."""
    elements = [words(texts.acts_as(ask.server), "italic")]
    if ask.until is not None:
        elements += [words(texts.WAITS_UNTIL, "italic"), moment(ask.until, "italic"), words(".", "italic")]
    return line(*elements)


def _buttons(ask: Ask) -> list[Json]:
    """Returns the buttons of a call. Nobody approves here what is not shown here in full: a modal has a button."""
    deny = blockkit.button(ReplyAction.DENY, texts.DENY, ask.value)
    as_json = blockkit.button(ReplyAction.ARGUMENTS_JSON, texts.SHOW_JSON, ask.value)
    if ask.is_cut:
        return [blockkit.button(ReplyAction.ARGUMENTS, texts.SHOW_ALL, ask.value, primary=True), deny, as_json]
    approve = blockkit.button(ReplyAction.APPROVE, texts.APPROVE, ask.value, primary=True)
    if not ask.may_allow_always:
        return [approve, deny, as_json]
    scope = texts.allow_always(ask.tool), texts.ALLOW_ALWAYS_SCOPE
    confirm = blockkit.confirm(*scope, yes=texts.ALLOW_ALWAYS, no=texts.CANCEL)
    always = blockkit.button(ReplyAction.ALLOW_ALWAYS, texts.ALLOW_ALWAYS, ask.value, confirm=confirm)
    return [approve, deny, always, as_json]


_BLOCK = "asked-by-"
_CHOICE = "chosen-by-"
_REACTION = "reacted-by-"
_RUN = "scheduled-by-"
_MARK = "asked-in-"
MAX_QUOTE_CHARS = 9_000
"""Of a quote, with entities counted. A message holds 13,200; the question in the modal has up to 3,000."""


def quoted(message: Message, response_url: str, names: Mapping[str, str]) -> QuotedMessage:
    """Returns a message as the one that a question is about; `names` are those of people and channels, by id."""
    thread_ts = message.thread_ts or message.ts
    whole = paired(with_names(message.whole, names).strip())
    quote = _shortened(whole, lambda quote: len(escape(quote)), MAX_QUOTE_CHARS)
    return QuotedMessage(message.channel_id, message.ts, thread_ts, quote, response_url)


def posted_question(question: MessageQuestion, *, elsewhere: bool) -> Json:
    """Returns the arguments of chat.postMessage; `elsewhere` is the asker's direct message.

    A question by an emoji shows the emoji: its words are for the model, and its asker never said them.
    Nothing in it opens a file in Slack: the asker may name one that the message's readers may not open. The intro's
    block_id is the modal's mark, so that a later try finds the message.
    """
    asker = f"<@{question.user_id}>"
    intro, block = texts.asks_about_this(asker), _BLOCK
    if is_suggested(question.view_id):
        intro = texts.asks(asker)
    elif elsewhere:
        intro = texts.asks_about_message_in(asker, f"<#{question.about.channel_id}>")
    elif question.about.offered_by is not None:
        intro, block = texts.chose(asker), _CHOICE
    blocks = [context(blockkit.mrkdwn(intro), f"{_MARK}{question.view_id}")]
    if quote := quote_above(question.about, elsewhere=elsewhere):
        parts = [plain_text(part) for part in _parts(without_schemes(quote))]
        blocks.append({**context(parts[0], f"{_BLOCK}{question.user_id}-about"), "elements": parts})
    if emoji := emoji_of(question.view_id):
        reaction = f":{emoji}:"
        blocks.append(context(blockkit.mrkdwn(reaction), f"{_REACTION}{question.user_id}"))
        return {"text": reaction, "blocks": blocks}
    text = without_schemes(question.text)
    blocks.append(rich_text_quote(text, f"{block}{question.user_id}"))
    return {"text": escape(beginning(text, PREVIEW_CHARS)), "blocks": blocks}


def posted_run(question: MessageQuestion, run: Run, creator: str, *, is_late: bool) -> Json:
    """Returns the arguments of chat.postMessage for a schedule's run; `creator` is a name.

    A model wrote the words, so nothing in them is markup. The line's block_id is the run's mark.
    """
    text = without_schemes(question.text)
    line = run_line(run.schedule, creator, is_late=is_late, block_id=f"{_MARK}{question.view_id}")
    quote = rich_text_quote(text, f"{_RUN}{question.user_id}")
    return {"text": escape(beginning(text, PREVIEW_CHARS)), "blocks": [quote, line]}


def _parts(quote: str) -> Iterator[str]:
    """Yields a quote in parts that text objects can hold, broken at ends of lines where there are some."""
    while len(quote) > PIECE_CHARS:
        at = quote.rfind("\n", PIECE_CHARS // 2, PIECE_CHARS)
        at = PIECE_CHARS if at < 0 else at
        yield quote[:at]
        quote = quote[at:].removeprefix("\n")
    yield quote


def view_of(message: Mapping[str, Any]) -> str | None:
    """Returns the id of the modal in which a message of ours was asked, None for any other message."""
    ids = (str(block.get("block_id", "")) for block in json_objects(message, "blocks"))
    return next((id_.removeprefix(_MARK) for id_ in ids if id_.startswith(_MARK)), None)


def asked_in(message: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Returns the asker of a question in a message of the bot, the asker's words, and what the message quotes.

    Both are texts as core/conversation.py describes them. None for any other message.
    """
    blocks = json_objects(message, "blocks")
    for mark, own_words in ((_CHOICE, texts.MY_CHOICE), (_RUN, texts.SCHEDULED_TASK)):
        if by_model := next((block for block in blocks if _is(block, mark)), None):
            return str(by_model["block_id"]).removeprefix(mark), own_words, message_text(_text(by_model))
    parts = [block for block in blocks if _is(block, _BLOCK)]
    if reaction := next((block for block in blocks if _is(block, _REACTION)), None):
        user_id, words = str(reaction["block_id"]).removeprefix(_REACTION), texts.REACTION_QUESTION
    elif parts:
        last = parts.pop()
        user_id, words = str(last["block_id"]).removeprefix(_BLOCK), message_text(_text(last))
    else:
        return None
    quoted = ["\n".join(f"&gt; {line}" for line in _text(part).splitlines()) for part in parts]
    return user_id, words, message_text("\n\n".join(quoted))


def _is(block: Mapping[str, Any], kind: str) -> bool:
    return str(block.get("block_id", "")).startswith(kind)


def _text(block: Mapping[str, Any]) -> str:
    """Returns a block's text. Of a rich_text, Slack makes emoji and addresses elements of their own."""
    if block.get("type") == "rich_text":
        return words_of(block)
    # It is not documented whether Slack returns plain text escaped: either way it is escaped once.
    elements = json_objects(block, "elements")
    return "\n".join(escape(unescape(str(element.get("text", "")))) for element in elements)
