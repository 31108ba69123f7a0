"""Renders Block Kit elements as native HTML controls. Data attributes hold their block_id and action_id."""

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape

from slack_sandbox.blocks.choices import Choice, initial_choice
from slack_sandbox.blocks.elements import EXTERNAL_SELECTS, PICKERS, TEXT_INPUTS
from slack_sandbox.workspace import Json

_THUMBS = {"positive_button": "👍", "negative_button": "👎"}
_ICONS = {"trash": "🗑"}
_INPUT_TYPES = {
    "datepicker": "date",
    "timepicker": "time",
    "datetimepicker": "datetime-local",
}
_PREFIXES: Mapping[str, tuple[str, ...]] = {"users": ("U",), "channels": ("C",), "conversations": ("C", "D")}


class ElementRenderer:
    """Renders elements. `text` renders text objects; `names` returns the names of users and channels by ID."""

    def __init__(self, text: Callable[[Json], str], names: Callable[[], Mapping[str, str]]) -> None:
        self._text = text
        self._names = names

    def block(self, block: Json) -> str:
        if block["type"] == "input":
            return self._input_block(block)
        html = "".join(self._html(element, block.get("block_id", "")) for element in block["elements"])
        return f'<div class="actions {block["type"]}">{html}</div>'

    def section(self, html: str, section: Json) -> str:
        """Returns a section's rendered text with its accessory, if it has one."""
        if "accessory" not in section:
            return html
        accessory = self._html(section["accessory"], section.get("block_id", ""))
        return f'<div class="with-accessory"><div>{html}</div>{accessory}</div>'

    def _html(self, element: Json, block_id: str, label: str = "") -> str:
        attributes, kind = _attributes(element, block_id), element["type"]
        if kind in _BUTTONS:
            return _BUTTONS[kind](self, element, attributes)
        if kind in ("checkboxes", "radio_buttons"):
            return self._group(element, attributes, label)
        if kind == "image":
            # The page doesn't load anything from other hosts, so it shows an image's alt text.
            return f'<span class="image">{escape(str(element.get("alt_text", "")))}</span>'
        if kind in TEXT_INPUTS | PICKERS:
            return self._input(element, attributes, label)
        return (
            self._multi_select(element, attributes, label)
            if kind.startswith("multi_")
            else self._select(element, attributes, label)
        )

    def _input_block(self, block: Json) -> str:
        label = self._text(block["label"])
        element = block["element"]
        optional = ' <span class="optional">(optional)</span>' if block.get("optional") else ""
        hint = f'<p class="hint-text">{self._text(block["hint"])}</p>' if "hint" in block else ""
        dispatch = ' data-dispatch=""' if block.get("dispatch_action") else ""
        required = "" if block.get("optional") else ' data-required=""'
        focus = ' data-focus=""' if element.get("focus_on_load") is True else ""
        block_id = escape(block["block_id"])
        return (
            f'<div class="input" data-input="{block_id}"{dispatch}{required}{focus}>'
            f'<label class="label" for="{_field_id(element)}">{label}{optional}</label>'
            f"{self._html(element, block['block_id'], label)}{hint}"
            f'<p class="problem" role="alert" hidden></p></div>'
        )

    def _button(self, element: Json, attributes: str) -> str:
        style = escape(element.get("style", ""))
        label, name = self._text(element["text"]), _accessible_name(element, only_label=True)
        if str(element.get("url", "")).startswith(("http://", "https://")):
            url = escape(element["url"])
            return (
                f'<a class="button {style}" href="{url}" target="_blank" rel="noopener noreferrer"{name} {attributes}>'
                f"{label}</a>"
            )
        visible_to = _visible_to(element)
        return f'<button type="button" class="button {style}"{name}{visible_to} {attributes}>{label}</button>'

    def _icon(self, element: Json, attributes: str) -> str:
        icon, visible_to = _ICONS[element["icon"]], _visible_to(element)
        return (
            f'<button type="button" class="icon" {_accessible_name(element)}{visible_to} {attributes}>{icon}</button>'
        )

    def _feedback(self, element: Json, attributes: str) -> str:
        buttons = "".join(
            f'<button type="button" class="icon" aria-pressed="false" {_accessible_name(element[key])} '
            f'data-value="{escape(element[key]["value"])}" {attributes}>{thumb}</button>'
            for key, thumb in _THUMBS.items()
        )
        return f'<span class="feedback" role="group" aria-label="Feedback">{buttons}</span>'

    def _overflow(self, element: Json, attributes: str) -> str:
        items = "".join(
            f'<li role="none"><button type="button" role="menuitem" tabindex="-1" '
            f'data-value="{escape(option["value"])}" {attributes}>{self._text(option["text"])}</button></li>'
            for option in element["options"]
        )
        return (
            '<span class="overflow"><button type="button" class="icon" data-menu="" aria-haspopup="menu" '
            'aria-expanded="false" aria-label="More actions">⋯</button>'
            f'<ul role="menu" popover="manual">{items}</ul></span>'
        )

    def _group(self, element: Json, attributes: str, label: str) -> str:
        kind = "checkbox" if element["type"] == "checkboxes" else "radio"
        chosen = _values(initial_choice(element))
        options = [(o["value"], self._option_label(o)) for o in element["options"]]
        return _boxes(kind, options, chosen, f'class="group" aria-label="{label or "Choices"}" {attributes}')

    def _multi_select(self, element: Json, attributes: str, label: str) -> str:
        chosen = _values(initial_choice(element))
        placeholder = self._placeholder(element) or "Choose"
        boxes = _boxes("checkbox", self._options(element), chosen, f'aria-label="{label or placeholder}" {attributes}')
        return f'<details class="many"><summary>{placeholder}</summary>{_query_box(element)}{boxes}</details>'

    def _select(self, element: Json, attributes: str, label: str) -> str:
        chosen = _values(initial_choice(element))
        placeholder = self._placeholder(element) or "Choose"
        options = "".join(
            f'<option value="{escape(value)}"{" selected" if value in chosen else ""}>{text}</option>'
            for value, text in self._options(element)
        )
        name = self._name(element, label, placeholder)
        menu = f'<select {name} {attributes}><option value="">{placeholder}</option>{options}</select>'
        query_box = _query_box(element)
        return f'<span class="external">{query_box}{menu}</span>' if query_box else menu

    def _input(self, element: Json, attributes: str, label: str) -> str:
        value = escape("".join(_values(initial_choice(element))))
        placeholder = self._placeholder(element)
        shared = f'{self._name(element, label, placeholder)} placeholder="{placeholder}" {attributes}'
        if element["type"] == "plain_text_input" and element.get("multiline"):
            return f'<textarea rows="4" {shared}>{value}</textarea>'
        kind = _INPUT_TYPES.get(element["type"], "text")
        return f'<input type="{kind}" value="{value}" autocomplete="off" {shared}>'

    def _name(self, element: Json, label: str, placeholder: str) -> str:
        # In an input block, the <label> names the element. Elsewhere, its placeholder does.
        return f'id="{_field_id(element)}"' if label else f'aria-label="{placeholder}"'

    def _options(self, element: Json) -> list[tuple[str, str]]:
        kind = element["type"].removeprefix("multi_").removesuffix("_select")
        if kind in _PREFIXES:
            prefixes = tuple(prefix for prefix in _PREFIXES[kind] if _is_included(element, prefix))
            return [(i, escape(name)) for i, name in self._names().items() if i.startswith(prefixes)]
        if element["type"] in EXTERNAL_SELECTS:
            initial = element.get("initial_options") or [element.get("initial_option")]
            return [(o["value"], self._text(o["text"])) for o in initial if o]
        groups = element.get("option_groups") or [element]
        return [(o["value"], self._text(o["text"])) for group in groups for o in group.get("options", ())]

    def _option_label(self, option: Json) -> str:
        description = f" <small>{self._text(option['description'])}</small>" if "description" in option else ""
        return self._text(option["text"]) + description

    def _placeholder(self, element: Json) -> str:
        return self._text(element["placeholder"]) if "placeholder" in element else ""


def _query_box(element: Json) -> str:
    """Returns the input for a query to the app, or "" for a menu that has all its options."""
    if element["type"] not in EXTERNAL_SELECTS:
        return ""
    return '<input type="search" data-query="" autocomplete="off" placeholder="Search" aria-label="Search">'


def _boxes(kind: str, options: Sequence[tuple[str, str]], chosen: Sequence[str], attributes: str) -> str:
    boxes = "".join(
        f'<label><input type="{kind}" name="choice" value="{escape(value)}"{" checked" if value in chosen else ""}> '
        f"<span>{text}</span></label>"
        for value, text in options
    )
    # Radio buttons of different forms are separate groups, although all have the same name.
    return f'<form role="group" {attributes}>{boxes}</form>'


def _is_included(element: Json, prefix: str) -> bool:
    """Returns whether a menu's filter includes direct messages or channels, the only types in the workspace."""
    include = (element.get("filter") or {}).get("include")
    return include is None or ("im" in include if prefix == "D" else bool({"public", "private"} & {*include}))


def _attributes(element: Json, block_id: str) -> str:
    result = f'data-block="{escape(block_id)}" data-action="{escape(element.get("action_id", ""))}"'
    if "confirm" in element:
        confirm = {key: element["confirm"][key]["text"] for key in ("title", "text", "confirm", "deny")}
        confirm["style"] = element["confirm"].get("style", "primary")
        result += f' data-confirm="{escape(json.dumps(confirm))}"'
    return result


def _field_id(element: Json) -> str:
    return escape(f"field-{element['action_id']}")


def _accessible_name(element: Json, *, only_label: bool = False) -> str:
    label = element.get("accessibility_label") or ("" if only_label else element["text"]["text"])
    tip = "" if only_label else f' title="{escape(element["text"]["text"])}"'
    return f' aria-label="{escape(label)}"{tip}' if label else ""


def _visible_to(element: Json) -> str:
    """Returns the HTML attribute that lists the people who can see a button, or "" if everybody can."""
    ids = element.get("visible_to_user_ids")
    return f' data-visible-to="{escape(",".join(ids))}"' if ids else ""


def _values(chosen: Choice) -> list[str]:
    return [chosen] if isinstance(chosen, str) else list(chosen or ())


_BUTTONS: Mapping[str, Callable[[ElementRenderer, Json, str], str]] = {
    "button": ElementRenderer._button,
    "icon_button": ElementRenderer._icon,
    "feedback_buttons": ElementRenderer._feedback,
    "overflow": ElementRenderer._overflow,
}
