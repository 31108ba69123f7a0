"""Builds Block Kit objects (https://docs.slack.dev/reference/block-kit). The caller must escape text that is used as
mrkdwn. Pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bot.core import texts
from bot.core.texts import times

Json = dict[str, Any]

OPTION_CHARS = 75
CONFIRM_TITLE_CHARS = 100
SECTION_CHARS = 3_000
PIECE_CHARS = 2_900
"""Maximum length of each block when text is split across several blocks. Slack's limit is SECTION_CHARS."""
_INITIAL_KEYS = {
    "value": "initial_value",
    "selected_option": "initial_option",
    "selected_options": "initial_options",
    "selected_time": "initial_time",
}
"""The keys under which a view contains initial values, keyed by the name of the submitted value in an element's
state."""

NOTE_LINE = "about-answer-"
"""The block_id prefix of notices and buttons below an answer. We don't set a block_id in the answer's own blocks."""


def plain_text(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Json:
    """Returns an mrkdwn text object in which Slack doesn't turn URLs or names into links (`verbatim`)."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def header(text: str) -> Json:
    return {"type": "header", "text": plain_text(text)}


def section(text: Json) -> Json:
    return {"type": "section", "text": {**text, "text": text["text"][:SECTION_CHARS]}}


def context(text: Json, block_id: str = "") -> Json:
    return _with_optional({"type": "context", "elements": [text]}, block_id=block_id)


def divider() -> Json:
    return {"type": "divider"}


def markdown(text: str) -> Json:
    """Returns a Markdown block, which Slack converts to other blocks."""
    return {"type": "markdown", "text": text}


def rich_text_line(text: str, block_id: str) -> Json:
    """Returns a line in italics. Time tokens (`times.token`) are shown in the reader's time zone."""
    parts = enumerate(times.TOKEN.split(text))
    elements = [time_element(int(part), "italic") if at % 2 else span(part, "italic") for at, part in parts if part]
    return rich_text([rich_text_section(*elements)], block_id)


def rich_text_links(heading: str, links: Sequence[tuple[str, str]], block_id: str) -> Json:
    items = [rich_text_section({"type": "link", "url": url, "text": label}) for url, label in links]
    numbered = {"type": "rich_text_list", "style": "ordered", "indent": 0, "elements": items}
    return rich_text([rich_text_section(span(heading, "bold")), numbered], block_id)


def rich_text_quote(text: str, block_id: str) -> Json:
    return rich_text([rich_text_element("rich_text_quote", span(text))], block_id)


def rich_text_preformatted(text: str) -> Json:
    return rich_text([code_block(text)])


def rich_text(parts: Sequence[Json], block_id: str = "") -> Json:
    return _with_optional({"type": "rich_text", "elements": list(parts)}, block_id=block_id)


def rich_text_element(kind: str, *elements: Json) -> Json:
    return {"type": kind, "elements": list(elements)}


def rich_text_section(*elements: Json) -> Json:
    return rich_text_element("rich_text_section", *elements)


def bullets(lines: Sequence[Json], indent: int = 0) -> Json:
    return {"type": "rich_text_list", "style": "bullet", "indent": indent, "elements": list(lines)}


def code_block(text: str) -> Json:
    return rich_text_element("rich_text_preformatted", span(text))


def span(text: str, *styles: str) -> Json:
    """Returns unformatted text for a rich_text element. `styles`: bold, italic, code."""
    return _with_optional({"type": "text", "text": text}, style=dict.fromkeys(styles, True))


def time_element(time_s: float, *styles: str) -> Json:
    """Returns a rich_text element that shows a time in the reader's time zone. `time_s`: seconds since the epoch."""
    element = {"type": "date", "timestamp": int(time_s), "format": times.TIME, "fallback": times.format_utc(time_s)}
    return _with_optional(element, style=dict.fromkeys(styles, True))


def chart(kind: str, title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]]) -> Json:
    """Returns a bar, line or area chart for a message. `series`: the values of each named series, one per label. Labels
    can have up to 20 characters."""
    drawn = [{"name": name, "data": _points(labels, values)} for name, values in series]
    chart = {"type": kind, "series": drawn, "axis_config": {"categories": list(labels)}}
    return {"type": "data_visualization", "title": title, "chart": chart}


def pie_chart(title: str, labels: Sequence[str], values: Sequence[float]) -> Json:
    return {"type": "data_visualization", "title": title, "chart": {"type": "pie", "segments": _points(labels, values)}}


def _points(labels: Sequence[str], values: Sequence[float]) -> list[Json]:
    return [{"label": label, "value": value} for label, value in zip(labels, values, strict=True)]


def actions(elements: Sequence[Json], block_id: str = "") -> Json:
    return _with_optional({"type": "actions", "elements": list(elements)}, block_id=block_id)


def button(
    action_id: str, label: str, value: str = "", *, primary: bool = False, confirm: Json | None = None, spoken: str = ""
) -> Json:
    """Returns a button. `spoken`: the label for screen readers if `label` is an emoji."""
    element = {"type": "button", "action_id": action_id, "text": plain_text(label)}
    style = "primary" if primary else ""
    return _with_optional(element, value=value, confirm=confirm, style=style, accessibility_label=spoken)


def overflow(action_id: str, labels: Mapping[str, str]) -> Json:
    """Returns a ⋯ button that opens a menu of up to five actions. `labels`: labels, keyed by the value that a click
    sends."""
    return {"type": "overflow", "action_id": action_id, "options": list(_options(labels).values())}


def confirm(title: str, text: str, *, yes: str, no: str) -> Json:
    return {
        "title": plain_text(title[:CONFIRM_TITLE_CHARS]),
        "text": plain_text(text),
        "confirm": plain_text(yes),
        "deny": plain_text(no),
        "style": "danger",
    }


def text_area(*, placeholder: str, initial: str = "", focus: bool = False) -> Json:
    element = {
        "type": "plain_text_input",
        "multiline": True,
        "focus_on_load": focus,
        "placeholder": plain_text(placeholder),
    }
    return _with_optional(element, initial_value=initial)


def text_line(*, placeholder: str, initial: str = "", focus: bool = False) -> Json:
    return {**text_area(placeholder=placeholder, initial=initial, focus=focus), "multiline": False}


def number_input(*, placeholder: str, initial: str, allows_decimals: bool) -> Json:
    element = {"type": "number_input", "is_decimal_allowed": allows_decimals, "placeholder": plain_text(placeholder)}
    return _with_optional(element, initial_value=initial)


def time_picker(initial: str) -> Json:
    return _with_optional({"type": "timepicker"}, initial_time=initial)


def users_select(action_id: str, placeholder: str) -> Json:
    return {"type": "users_select", "action_id": action_id, "placeholder": plain_text(placeholder)}


def channel_select(action_id: str, placeholder: str) -> Json:
    return {
        "type": "conversations_select",
        "action_id": action_id,
        "placeholder": plain_text(placeholder),
        "filter": {"include": ["public", "private"]},
    }


def static_select(labels: Mapping[str, str], *, chosen: str, focus: bool = False) -> Json:
    return _choice_element("static_select", labels, chosen, focus)


def radio_buttons(labels: Mapping[str, str], *, chosen: str, focus: bool = False) -> Json:
    return _choice_element("radio_buttons", labels, chosen, focus)


def checkboxes(labels: Mapping[str, str], *, chosen: Collection[str] = (), focus: bool = False) -> Json:
    options = _options(labels)
    element = {"type": "checkboxes", "options": list(options.values()), "focus_on_load": focus}
    return _with_optional(element, initial_options=[option for value, option in options.items() if value in chosen])


def multi_static_select(labels: Mapping[str, str]) -> Json:
    """Returns a menu in which every option is selected, so that users can remove some of them. `labels`: labels, keyed
    by value."""
    options = list(_options(labels).values())
    return {"type": "multi_static_select", "options": options, "initial_options": options}


def input_field(name: str, label: str, element: Json, *, hint: str = "", optional: bool = True) -> Json:
    """Returns a modal's field. `name`: its block_id, and the action_id of its element."""
    element = {**element, "action_id": name}
    block = {"type": "input", "block_id": name, "optional": optional, "label": plain_text(label), "element": element}
    return _with_optional(block, hint=plain_text(hint) if hint else None)


def initial_view(view: Mapping[str, Any]) -> Json:
    fields = {
        block.get("block_id"): {"": {of: (block.get("element") or {}).get(name) for of, name in _INITIAL_KEYS.items()}}
        for block in view.get("blocks") or ()
        if block.get("type") == "input"
    }
    return {**view, "state": {"values": fields}}


def checked_options(view: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the selected options of a field, or () if the modal doesn't have that field."""
    elements = view["state"]["values"].get(name, {}).values()
    return tuple(str(option["value"]) for element in elements for option in element.get("selected_options") or ())


def field_values(view: Mapping[str, Any]) -> dict[str, str]:
    values = {}
    for name, elements in view["state"]["values"].items():
        for element in elements.values():
            chosen = (element.get("selected_option") or {}).get("value") or element.get("selected_time")
            value = chosen or element.get("value")
            if isinstance(value, str) and value:
                values[name] = value
    return values


def read_only_modal(title: str, blocks: Sequence[Json]) -> Json:
    close = plain_text(texts.actions.CLOSE_DETAILS)
    return {"type": "modal", "title": plain_text(title), "close": close, "blocks": list(blocks)}


def modal(
    callback_id: str,
    title: str,
    blocks: Sequence[Json],
    metadata: Mapping[str, Any] | None = None,
    *,
    submit: str = texts.settings.SAVE,
    close: str = texts.settings.CANCEL,
) -> Json:
    """Returns a modal that people submit. `metadata`: data that Slack sends back with the submission
    (private_metadata)."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": plain_text(title),
        "submit": plain_text(submit),
        "close": plain_text(close),
        "private_metadata": "" if metadata is None else json.dumps(metadata, ensure_ascii=False),
        "blocks": list(blocks),
    }


def home(blocks: Sequence[Json]) -> Json:
    return {"type": "home", "blocks": list(blocks)}


def remark(sentence: str) -> list[Json]:
    """Returns the blocks for a sentence (mrkdwn) that isn't part of an answer."""
    return [{**section(mrkdwn(sentence)), "block_id": f"{NOTE_LINE}remark"}]


def _choice_element(kind: str, labels: Mapping[str, str], chosen: str, focus: bool) -> Json:
    options = _options(labels)
    return {
        "type": kind,
        "options": list(options.values()),
        "initial_option": options[chosen],
        "focus_on_load": focus,
    }


def _options(labels: Mapping[str, str]) -> dict[str, Json]:
    return {value: {"text": plain_text(label[:OPTION_CHARS]), "value": value} for value, label in labels.items()}


def _with_optional(block: Json, **optional: Any) -> Json:
    return block | {name: value for name, value in optional.items() if value}
