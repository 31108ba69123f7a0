"""Block Kit's elements as HTML for the page: native controls that say in data attributes whose they are."""

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape

from sandbox.block_elements import PICKERS, TEXT_INPUTS
from sandbox.choices import Choice, initial
from sandbox.workspace import Json

_THUMBS = {"positive_button": "👍", "negative_button": "👎"}
_ICONS = {"trash": "🗑"}
_INPUT_TYPES = {
    "datepicker": "date",
    "timepicker": "time",
}
_PREFIXES: Mapping[str, tuple[str, ...]] = {"users": ("U",), "channels": ("C",), "conversations": ("C", "D")}


class ElementRenderer:
    """`text` renders text objects, `names` tells how users and channels are called, by id."""

    def __init__(self, text: Callable[[Json], str], names: Callable[[], Mapping[str, str]]) -> None:
        self._text = text
        self._names = names

    def block(self, block: Json) -> str:
        """A block that is there for its elements."""
        if block["type"] == "input":
            return self._input_block(block)
        shown = "".join(self._html(element, block.get("block_id", "")) for element in block["elements"])
        return f'<div class="actions {block["type"]}">{shown}</div>'

    def section(self, shown: str, section: Json) -> str:
        """A section's text, with its accessory where it has one."""
        if "accessory" not in section:
            return shown
        accessory = self._html(section["accessory"], section.get("block_id", ""))
        return f'<div class="with-accessory"><div>{shown}</div>{accessory}</div>'

    def _html(self, element: Json, block_id: str, label: str = "") -> str:
        held, kind = _attributes(element, block_id), element["type"]
        if kind in _BUTTONS:
            return _BUTTONS[kind](self, element, held)
        if kind in ("checkboxes", "radio_buttons"):
            return self._group(element, held, label)
        if kind == "image":
            # Nothing is fetched for a page of this machine: an image is what it says it is.
            return f'<span class="image">{escape(str(element.get("alt_text", "")))}</span>'
        if kind in TEXT_INPUTS | PICKERS:
            return self._input(element, held, label)
        return self._many(element, held, label) if kind.startswith("multi_") else self._select(element, held, label)

    def _input_block(self, block: Json) -> str:
        label = self._text(block["label"])
        element = block["element"]
        optional = ' <span class="optional">(optional)</span>' if block.get("optional") else ""
        hint = f'<p class="hint-text">{self._text(block["hint"])}</p>' if "hint" in block else ""
        dispatch = ' data-dispatch=""' if block.get("dispatch_action") else ""
        required = "" if block.get("optional") else ' data-required=""'
        focus = ' data-focus=""' if element.get("focus_on_load") is True else ""
        held = escape(block["block_id"])
        return (
            f'<div class="input" data-input="{held}"{dispatch}{required}{focus}>'
            f'<label class="label" for="{_field_id(element)}">{label}{optional}</label>'
            f"{self._html(element, block['block_id'], label)}{hint}"
            f'<p class="problem" role="alert" hidden></p></div>'
        )

    def _button(self, element: Json, held: str) -> str:
        style = escape(element.get("style", ""))
        shown, named = self._text(element["text"]), _named(element, only_label=True)
        if str(element.get("url", "")).startswith(("http://", "https://")):
            url = escape(element["url"])
            return (
                f'<a class="button {style}" href="{url}" target="_blank" rel="noopener noreferrer"{named} {held}>'
                f"{shown}</a>"
            )
        return f'<button type="button" class="button {style}"{named} {held}>{shown}</button>'

    def _icon(self, element: Json, held: str) -> str:
        seen_by = "".join(f' data-visible-to="{escape(",".join(ids))}"' for ids in _visible(element))
        shown = _ICONS[element["icon"]]
        return f'<button type="button" class="icon" {_named(element)}{seen_by} {held}>{shown}</button>'

    def _feedback(self, element: Json, held: str) -> str:
        buttons = "".join(
            f'<button type="button" class="icon" aria-pressed="false" {_named(element[key])} '
            f'data-value="{escape(element[key]["value"])}" {held}>{thumb}</button>'
            for key, thumb in _THUMBS.items()
        )
        return f'<span class="feedback" role="group" aria-label="Feedback">{buttons}</span>'

    def _overflow(self, element: Json, held: str) -> str:
        items = "".join(
            f'<li role="none"><button type="button" role="menuitem" tabindex="-1" '
            f'data-value="{escape(option["value"])}" {held}>{self._text(option["text"])}</button></li>'
            for option in element["options"]
        )
        return (
            '<span class="overflow"><button type="button" class="icon" data-menu="" aria-haspopup="menu" '
            f'aria-expanded="false" aria-label="More actions">⋯</button><ul role="menu" hidden>{items}</ul></span>'
        )

    def _group(self, element: Json, held: str, label: str) -> str:
        kind = "checkbox" if element["type"] == "checkboxes" else "radio"
        chosen = _several(initial(element))
        options = [(o["value"], self._described(o)) for o in element["options"]]
        return _boxes(kind, options, chosen, f'class="group" aria-label="{label or "Choices"}" {held}')

    def _many(self, element: Json, held: str, label: str) -> str:
        chosen = _several(initial(element))
        shown = self._placeholder(element) or "Choose"
        boxes = _boxes("checkbox", self._offers(element), chosen, f'aria-label="{label or shown}" {held}')
        return f'<details class="many"><summary>{shown}</summary>{boxes}</details>'

    def _select(self, element: Json, held: str, label: str) -> str:
        chosen = _several(initial(element))
        shown = self._placeholder(element) or "Choose"
        options = "".join(
            f'<option value="{escape(value)}"{" selected" if value in chosen else ""}>{text}</option>'
            for value, text in self._offers(element)
        )
        return f'<select {self._name(element, label, shown)} {held}><option value="">{shown}</option>{options}</select>'

    def _input(self, element: Json, held: str, label: str) -> str:
        value = escape("".join(_several(initial(element))))
        placeholder = self._placeholder(element)
        shared = f'{self._name(element, label, placeholder)} placeholder="{placeholder}" {held}'
        if element["type"] == "plain_text_input" and element.get("multiline"):
            return f'<textarea rows="4" {shared}>{value}</textarea>'
        kind = _INPUT_TYPES.get(element["type"], "text")
        return f'<input type="{kind}" value="{value}" autocomplete="off" {shared}>'

    def _name(self, element: Json, label: str, shown: str) -> str:
        # An input block's label is a <label>; elsewhere an element is called by what stands in it.
        return f'id="{_field_id(element)}"' if label else f'aria-label="{shown}"'

    def _offers(self, element: Json) -> list[tuple[str, str]]:
        kind = element["type"].removeprefix("multi_").removesuffix("_select")
        if kind in _PREFIXES:
            return [(i, escape(name)) for i, name in self._names().items() if i.startswith(_PREFIXES[kind])]
        groups = element.get("option_groups") or [element]
        return [(o["value"], self._text(o["text"])) for group in groups for o in group.get("options", ())]

    def _described(self, option: Json) -> str:
        described = f" <small>{self._text(option['description'])}</small>" if "description" in option else ""
        return self._text(option["text"]) + described

    def _placeholder(self, element: Json) -> str:
        return self._text(element["placeholder"]) if "placeholder" in element else ""


def _boxes(kind: str, options: Sequence[tuple[str, str]], chosen: Sequence[str], attributes: str) -> str:
    boxes = "".join(
        f'<label><input type="{kind}" name="choice" value="{escape(value)}"{" checked" if value in chosen else ""}> '
        f"<span>{text}</span></label>"
        for value, text in options
    )
    # A form of its own keeps one group's radio buttons apart from another's.
    return f'<form role="group" {attributes}>{boxes}</form>'


def _attributes(element: Json, block_id: str) -> str:
    said = f'data-block="{escape(block_id)}" data-action="{escape(element.get("action_id", ""))}"'
    if "confirm" in element:
        confirm = {key: element["confirm"][key]["text"] for key in ("title", "text", "confirm", "deny")}
        confirm["style"] = element["confirm"].get("style", "primary")
        said += f' data-confirm="{escape(json.dumps(confirm))}"'
    return said


def _field_id(element: Json) -> str:
    return escape(f"field-{element['action_id']}")


def _named(element: Json, *, only_label: bool = False) -> str:
    label = element.get("accessibility_label") or ("" if only_label else element["text"]["text"])
    tip = "" if only_label else f' title="{escape(element["text"]["text"])}"'
    return f' aria-label="{escape(label)}"{tip}' if label else ""


def _visible(element: Json) -> list[list[str]]:
    return [element["visible_to_user_ids"]] if element.get("visible_to_user_ids") else []


def _several(chosen: Choice) -> list[str]:
    return [chosen] if isinstance(chosen, str) else list(chosen or ())


_BUTTONS: Mapping[str, Callable[[ElementRenderer, Json, str], str]] = {
    "button": ElementRenderer._button,
    "icon_button": ElementRenderer._icon,
    "feedback_buttons": ElementRenderer._feedback,
    "overflow": ElementRenderer._overflow,
}
