"""The modals that people fill in, as Slack takes them, and what they filled in. A field's block_id is its name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.inbound.channel_settings import ChannelSettings, Usual, is_direct
from bot.core.message_question import AskAbout
from bot.core.reply.preview import beginning

Json = dict[str, Any]

SETTINGS = "settings"
ASK_ABOUT = "ask_about"
"""Callback ids: the modal's, and that of the shortcut in manifest.json."""
MODEL, SYSTEM_PROMPT, MENTION_ONLY, QUESTION = "model", "system_prompt", "mention_only", "question"
AS_USUAL = "as_usual"
_OPTION_CHARS = 75
_PLACEHOLDER_CHARS = 150
_QUOTE_CHARS = 2_500
_SHOWN_QUOTE_CHARS = 300
_MENTIONS = {AS_USUAL: None, "on": True, "off": False}


@dataclass(frozen=True, slots=True)
class SettingsFor:
    """Whose settings a modal holds, and where its saving is told."""

    channel_id: str
    response_url: str


def settings_modal(place: SettingsFor, settings: ChannelSettings, usual: Usual, focus: str) -> Json:
    """All that a channel may have for itself; `focus` is the field to begin with."""
    where = texts.THIS_DIRECT_MESSAGE if is_direct(place.channel_id) else f"<#{place.channel_id}>"
    blocks: list[Json] = [
        {"type": "context", "elements": [_mrkdwn(texts.settings_apply_to(where))]},
        _model(settings, usual, focus),
        _system_prompt(settings, usual, focus),
    ]
    if not is_direct(place.channel_id):
        blocks.append(_mention_only(settings, usual, focus))
    return _modal(SETTINGS, texts.SETTINGS_TITLE, texts.SAVE, place, blocks)


def ask_modal(about: AskAbout, writer: str) -> Json:
    """One question about a message; `writer` is its writer in Slack's markup."""
    question = {
        "type": "plain_text_input",
        "action_id": QUESTION,
        "multiline": True,
        "focus_on_load": True,
        "placeholder": _plain(texts.EXPLAIN),
    }
    blocks: list[Json] = [
        {"type": "context", "elements": [_mrkdwn(texts.message_from(writer))]},
        {"type": "section", "text": _plain(beginning(about.quote, _SHOWN_QUOTE_CHARS) or texts.NO_TEXT)},
        _input(QUESTION, texts.QUESTION_LABEL, question, texts.QUESTION_HINT),
    ]
    return _modal(ASK_ABOUT, texts.ASK_TITLE, texts.ASK, about, blocks)


def quoted(text: str) -> str:
    """As much of a message as Slack keeps with a modal, with what JSON adds to it."""
    quote = text.strip()
    while len(json.dumps(quote, ensure_ascii=False)) > _QUOTE_CHARS:
        quote = quote[: len(quote) * 3 // 4].rstrip("\u200d") + "…"
    return quote


def settings_of(view: Mapping[str, Any]) -> tuple[SettingsFor, ChannelSettings]:
    """What a settings modal holds as it is submitted."""
    held = _values(view)
    place = SettingsFor(**json.loads(view["private_metadata"]))
    model = held.get(MODEL, AS_USUAL)
    settings = ChannelSettings(
        None if model == AS_USUAL else model,
        held.get(SYSTEM_PROMPT, "").strip(),
        _MENTIONS.get(held.get(MENTION_ONLY, AS_USUAL)),
    )
    return place, settings


def question_of(view: Mapping[str, Any]) -> tuple[AskAbout, str]:
    """What is asked about which message."""
    return AskAbout(**json.loads(view["private_metadata"])), _values(view).get(QUESTION, "").strip() or texts.EXPLAIN


def _model(settings: ChannelSettings, usual: Usual, focus: str) -> Json:
    first = next(iter(usual.models), "")
    choices = {AS_USUAL: texts.default_model(first), **{model: model for model in usual.models}}
    select = _choice("static_select", MODEL, choices, settings.model or AS_USUAL, focus)
    return _input(MODEL, texts.MODEL_LABEL, select, texts.MODEL_HINT)


def _system_prompt(settings: ChannelSettings, usual: Usual, focus: str) -> Json:
    written: Json = {
        "type": "plain_text_input",
        "action_id": SYSTEM_PROMPT,
        "multiline": True,
        "focus_on_load": focus == SYSTEM_PROMPT,
        "placeholder": _plain(beginning(usual.system_prompt, _PLACEHOLDER_CHARS)),
    }
    if settings.system_prompt:
        written["initial_value"] = settings.system_prompt
    return _input(SYSTEM_PROMPT, texts.SYSTEM_PROMPT_LABEL, written, texts.SYSTEM_PROMPT_HINT)


def _mention_only(settings: ChannelSettings, usual: Usual, focus: str) -> Json:
    choices = {
        AS_USUAL: texts.default_mentions(usual.mention_only),
        "on": texts.MENTIONS_REQUIRED,
        "off": texts.MENTIONS_OPTIONAL,
    }
    now = next(value for value, setting in _MENTIONS.items() if setting is settings.mention_only)
    return _input(MENTION_ONLY, texts.MENTIONS_LABEL, _choice("radio_buttons", MENTION_ONLY, choices, now, focus), "")


def _choice(kind: str, name: str, choices: Mapping[str, str], chosen: str, focus: str) -> Json:
    """A choice that is not there any more is as none."""
    options = {value: {"text": _plain(text[:_OPTION_CHARS]), "value": value} for value, text in choices.items()}
    initial = options.get(chosen, options[AS_USUAL])
    element = {"type": kind, "action_id": name, "options": list(options.values()), "initial_option": initial}
    return {**element, "focus_on_load": focus == name}


def _input(name: str, label: str, element: Json, hint: str) -> Json:
    # A choice has always one made, and what is typed may be left out.
    optional = element["type"] == "plain_text_input"
    block = {"type": "input", "block_id": name, "optional": optional, "label": _plain(label), "element": element}
    return {**block, "hint": _plain(hint)} if hint else block


def _modal(callback_id: str, title: str, submit: str, held: SettingsFor | AskAbout, blocks: Sequence[Json]) -> Json:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "title": _plain(title),
        "submit": _plain(submit),
        "close": _plain(texts.CANCEL),
        "private_metadata": json.dumps(asdict(held), ensure_ascii=False),
        "blocks": list(blocks),
    }


def _values(view: Mapping[str, Any]) -> dict[str, str]:
    """By block_id; without what is empty."""
    found = {}
    for name, elements in view["state"]["values"].items():
        for element in elements.values():
            value = (element.get("selected_option") or {}).get("value") or element.get("value")
            if value:
                found[name] = str(value)
    return found


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def _mrkdwn(text: str) -> Json:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
