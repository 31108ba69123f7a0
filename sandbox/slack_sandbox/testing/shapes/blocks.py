"""Blocks and attachments as Slack stores and returns them: never a `markdown` block, which it translates."""

import re

from slack_sandbox.testing.shapes.shape import ByType, Shape

BLOCK_ID = re.compile(r".{1,255}")
URL = re.compile(r"[a-z]+:\S+")

PLAIN_TEXT = {"type": "plain_text", "text": str, "emoji": bool}
MRKDWN = {"type": "mrkdwn", "text": str, "verbatim": bool}
TEXT = (PLAIN_TEXT, MRKDWN)
OPTION = {"text": TEXT, "value": str, "description?": TEXT}

# ---- rich_text; recorded: text, user; docs and a probe by others: the rest

STYLE = dict.fromkeys(("bold?", "italic?", "strike?", "code?", "underline?"), bool)
INLINE = ByType(
    {
        "text": {"text": str, "style?": STYLE},
        "user": {"user_id": str, "style?": STYLE},
        "channel": {"channel_id": str, "style?": STYLE},
        "usergroup": {"usergroup_id": str, "style?": STYLE},
        "broadcast": {"range": ("here", "channel", "everyone"), "style?": STYLE},
        "link": {"url": URL, "text?": str, "unsafe?": bool, "style?": STYLE},
        "emoji": {"name": str, "unicode?": str, "skin_tone?": int, "style?": STYLE},
        "date": {"timestamp": int, "format": str, "url?": URL, "fallback?": str},
        "color": {"value": str},
    }
)
_SECTION = {"elements": [INLINE]}
RICH_TEXT_ELEMENT = ByType(
    {
        "rich_text_section": _SECTION,
        "rich_text_quote": {**_SECTION, "border?": int},
        "rich_text_preformatted": {**_SECTION, "border?": int, "language?": str},
        "rich_text_list": {
            "elements": [{"type": "rich_text_section", **_SECTION}],
            "style": ("bullet", "ordered"),
            "indent?": int,
            "offset?": int,
            "border?": int,
        },
    }
)

# ---- interactive elements; recorded: button, static_select, plain_text_input; docs: the rest

_BUTTON = {"text": PLAIN_TEXT, "value?": str, "accessibility_label?": str}
_CHOOSER = {"action_id": str, "placeholder?": PLAIN_TEXT, "focus_on_load?": bool}
_TYPED = {**_CHOOSER, "initial_value?": str, "min_length?": int, "max_length?": int}
ELEMENT = ByType(
    {
        "button": {"action_id": str, **_BUTTON, "url?": URL, "style?": ("primary", "danger"), "confirm?": dict},
        "icon_button": {"action_id": str, **_BUTTON, "icon": "trash", "confirm?": dict},
        "feedback_buttons": {"action_id": str, "positive_button": _BUTTON, "negative_button": _BUTTON},
        "overflow": {"action_id": str, "options": [OPTION]},
        "static_select": {**_CHOOSER, "options": [OPTION], "initial_option?": OPTION},
        "external_select": {**_CHOOSER, "min_query_length?": int, "initial_option?": OPTION},
        "multi_external_select": {**_CHOOSER, "min_query_length?": int, "initial_options?": [OPTION]},
        "radio_buttons": {**_CHOOSER, "options": [OPTION], "initial_option?": OPTION},
        "checkboxes": {**_CHOOSER, "options": [OPTION], "initial_options?": [OPTION]},
        "users_select": {**_CHOOSER, "initial_user?": str},
        "plain_text_input": {**_TYPED, "multiline?": bool, "dispatch_action_config?": {"trigger_actions_on": [str]}},
        "number_input": {**_TYPED, "is_decimal_allowed": bool},
    }
)
_IMAGE = {"type": "image", "image_url": URL, "alt_text": str}

# ---- tables; recorded: a table that a person pasted

CELL = ByType(
    {
        "raw_text": {"text": str},
        "raw_number": {"value": (int, float), "text?": str},
        "rich_text": {"elements": [RICH_TEXT_ELEMENT], "block_id?": BLOCK_ID},
    }
)
_COLUMN = {"align?": ("left", "center", "right"), "is_wrapped?": bool}

# ---- tasks of native streams; docs

_TASK_TEXT = {"type": "rich_text", "elements": [RICH_TEXT_ELEMENT]}
_TASK: Shape = {
    "task_id": str,
    "title": str,
    "status": ("pending", "in_progress", "complete", "error"),
    "details?": _TASK_TEXT,
    "output?": _TASK_TEXT,
    "sources?": [{"type": "url", "url": URL, "text?": str}],
}

_ID = {"block_id": BLOCK_ID}
BLOCK = ByType(
    {
        "rich_text": {**_ID, "elements": [RICH_TEXT_ELEMENT]},
        "header": {**_ID, "text": PLAIN_TEXT, "level?": int},
        "divider": _ID,
        "section": {**_ID, "text?": TEXT, "fields?": [TEXT], "accessory?": (ELEMENT, _IMAGE), "expand?": bool},
        "context": {**_ID, "elements": [(PLAIN_TEXT, MRKDWN, _IMAGE)]},
        "actions": {**_ID, "elements": [ELEMENT]},
        "context_actions": {**_ID, "elements": [ELEMENT]},
        "table": {**_ID, "rows": [[(CELL, None)]], "column_settings?": [_COLUMN]},
        "task_card": {**_ID, **_TASK},
        "plan": {**_ID, "title": str, "tasks": [{"type": "task_card", **_ID, **_TASK}]},
        "input": {
            **_ID,
            "label": PLAIN_TEXT,
            "element": ELEMENT,
            "hint?": PLAIN_TEXT,
            "optional": bool,
            "dispatch_action": bool,
        },
    }
)

# ---- attachments; recorded: a pasted table; docs and others' reports: a forwarded message, apps' attachments

_PASTED: Shape = {"id": int, "fallback": str, "blocks": [BLOCK]}
_FORWARDED: Shape = {
    "id": int,
    "ts": str,
    "author_id": str,
    "author_name": str,
    "author_subname": str,
    "channel_id": str,
    "channel_team": str,
    "is_msg_unfurl": True,
    "is_share?": bool,
    "message_blocks": [{"team": str, "channel": str, "ts": str, "message": {"blocks": [BLOCK]}}],
    "text": str,
    "fallback": str,
    "from_url": URL,
    "mrkdwn_in": [str],
    "files?": list,
}
_CLASSIC: Shape = {
    "id?": int,
    "fallback?": str,
    "color?": str,
    "pretext?": str,
    "author_name?": str,
    "service_name?": str,
    "title?": str,
    "title_link?": URL,
    "text?": str,
    "footer?": str,
    "fields?": [{"title": str, "value": str, "short": bool}],
    "mrkdwn_in?": [str],
}
ATTACHMENT = (_PASTED, _FORWARDED, _CLASSIC)
