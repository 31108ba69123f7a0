"""Converts a message to the text that readers see in Slack. Pure.

The text consists of the message's blocks and the attachments below them. Parts are joined as mrkdwn, but structure
(lists, quotes, code, emphasis) is written as Markdown. The result is then converted to the format that
core/conversation.py describes. mrkdwn uses `<…>` for users, channels, links and dates, and has its own markup for
emphasis. Sources: docs.slack.dev, "Formatting message text" and "Rich text block".
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from bot.core.canvases import canvas_mention
from bot.core.conversation import SLACK_USER_IDS, escape, named_mention, unescape
from bot.core.prompt import one_line
from bot.slack.blockkit import NOTE_LINE
from bot.slack.file_objects import is_mail, mail_headers, mail_of
from bot.slack.forms import MIN_TIME_S, UNREAD, FormReader
from bot.slack.json_values import Payload, count, json_object, json_objects, string, strings, utc_text
from slack_markdown.escaping import fence_code, longest_ticks

_NON_ANSWER_TYPES = ("actions", "context_actions", "context")


def answer_of(message: Mapping[str, Any]) -> Payload:
    """Returns a reply's message with only the answer's blocks, in the form to which Slack converted them."""
    answers = [
        block
        for block in json_objects(message, "blocks")
        if block.get("type") not in _NON_ANSWER_TYPES and not str(block.get("block_id", "")).startswith(NOTE_LINE)
    ]
    return {"text": "" if message.get("blocks") else message.get("text", ""), "blocks": answers}


MAX_ATTACHED_CHARS = 40_000
"""Maximum total length of attachments, which is that of a Slack message. Attachments beyond this length are left out
entirely."""
MAX_COST = 12_000
"""Maximum cost of reading blocks. Blocks that cost more count as empty, because the message's text contains the same
words and can be read faster."""
ELEMENT_COST = 8
"""The cost of an object or list item. In table cells, it is 1, because Slack limits the amount of text in tables."""
FREE_KEYS = 6
"""The number of an object's keys that cost nothing. Each additional key costs 1. Hardly any element has more keys."""
MAX_DEPTH = 4
MAX_TIME_S = 100_000_000_000
"""Larger numbers are times in milliseconds, not seconds."""
TOO_MUCH = "(This message has more parts than can be shown to you.)"
MAX_QUOTED_CHARS = 1_500
"""Maximum length of a message that is quoted in a tool's result."""
INDENT = "    "
MAX_INDENT = 8
"""Maximum number of indentation levels in Slack."""
MORE_ATTACHED = "(More is attached.)"
CUSTOM_EMOJI = "emoji"
"""The target in `<!emoji^name>`, which represents a custom emoji without a Unicode character."""
CANVAS = "canvas"
"""The target in `<!canvas^F…|label>`, which represents the title of a canvas."""

_AUTHORS_BLOCK_TYPES = (
    *("rich_text", "markdown", "header", "section", "context", "actions", "context_actions", "image", "divider"),
    *("table", "data_table", "data_visualization", "container", "card", "carousel", "alert", "task_card", "plan"),
)
_PARTS = ("blocks", "elements", "message_blocks", "attachments")
_LISTED = ("fields", "actions", "files")
_SEQUENCE = re.compile(
    # The first of several `<` begins the sequence. The search is fast because it starts with one plain character.
    r"<(?<!<<)<*+(?:(?P<mark>[@#!])(?P<target>[^<>|]*)(?:\|(?P<name>[^<>]*))?"
    r"|(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]+)(?:\|(?P<label>[^<>]*))?)>"
)
_MENTION_ID = re.compile(r"[A-Z0-9]+")
_LABELED_MENTION = re.compile(r"<(?:[@#]|!subteam\^)([A-Z0-9]+)\|@?([^<>]+)>")
_CODE_OR_MARKUP = r"```.*?```|`[^`\n]+`|<[^<>\n]*>"
_EMPHASIS = [
    (
        re.compile(
            rf"(?P<kept>{_CODE_OR_MARKUP})|(?<!{mark})(?<![^\W_]){mark}(?=\S)"
            rf"(?P<words>(?:`[^`\n]+`|<[^<>\n]*>|[^{mark}<`\n])+?)(?<=\S){mark}(?!{mark})(?![^\W_])",
            re.DOTALL,
        ),
        marks,
    )
    for mark, marks in ((r"\*", "**"), ("~", "~~"))
]
_REST_QUOTED = re.compile(r"```.*?```|^(?P<mark>(?:>|&gt;){3})", re.DOTALL | re.MULTILINE)
_OMITTED_SCHEMES = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)
_REFERENCES = {
    "user": ("@", "user_id"),
    "channel": ("#", "channel_id"),
    "usergroup": ("!subteam^", "usergroup_id"),
    "broadcast": ("!", "range"),
}
_CODE_POINT = re.compile(r"[0-9a-c][0-9a-f]{1,3}|[ef][0-9a-f]{3}|[1-9a-f][0-9a-f]{4}", re.IGNORECASE)
"""Any valid code point, in hexadecimal."""
_WORD_ID = re.compile(r"\w+\Z")
_MARKS = (("strike", "~~"), ("italic", "_"), ("bold", "**"))
_STYLES = ("code", *(style for style, _ in _MARKS))
_INLINE = (
    *("text", "link", "emoji", "color", "date", "canvas", "user", "usergroup", "channel", "broadcast", "team"),
    *("workflow_mention", "attachment_mention", "work_object_mention"),
)
_BUTTONS = ("button", "workflow_button", "icon_button", "feedback_buttons")
_CELLS = ("raw_text", "raw_number", "rich_text", "rich_text_section", *_INLINE)
_AXES = ("x_label", "y_label")
_TABLE_HEADS = ("header", "headers", "header_row", "columns")
"""Keys that contain a table's header if the header isn't the first row."""


def body_of(message: Payload) -> str:
    """Returns the text of the author's blocks, or `text` if there are none, followed by the attachments that an app
    posted (as alerts do)."""
    text = string(message, "text")
    written = [block for block in json_objects(message, "blocks") if not _might_quote_others(message, block)]
    posted = [one for one in json_objects(message, "attachments") if _is_posted_by_app(message, one)]
    body = _blocks(written, names_in(text), MAX_DEPTH, text) or (TOO_MUCH if _cost(written) > MAX_COST else "")
    below = _attachments(posted, MAX_DEPTH, is_own=True) if posted else ""
    return message_text("\n\n".join(filter(None, (body, below))))


def attachments_text(message: Payload) -> str:
    """Returns the text that is shown below a message: emails, forwarded and quoted messages, link previews, and other
    attachments."""
    unknown = [block for block in json_objects(message, "blocks") if _might_quote_others(message, block)]
    others = [one for one in json_objects(message, "attachments") if not _is_posted_by_app(message, one)]
    if not (unknown or others or message.get("files")):
        return ""
    unread = _blocks(unknown, names_in(string(message, "text")), MAX_DEPTH) if unknown else ""
    below = (*_quoted_emails(message), quote_lines(unread) if unread else "", _attachments(others, MAX_DEPTH))
    return message_text("\n\n".join(filter(None, below)))


def _might_quote_others(message: Payload, block: Payload) -> bool:
    """Returns whether a block might quote other people. In a user's message, any block of an unknown type might."""
    is_by_user = bool(string(message, "user")) and not string(message, "bot_id") and not is_by_app(message)
    return is_by_user and block.get("type") not in _AUTHORS_BLOCK_TYPES


def _is_posted_by_app(message: Payload, attachment: Payload) -> bool:
    """Returns whether an app posted an attachment with its message. Slack adds others, such as link previews, and sets
    their from_url."""
    return bool(string(message, "bot_id")) and not (attachment.get("from_url") or _is_message(attachment))


def app_name(message: Payload) -> str | None:
    if not message.get("bot_id"):
        return None
    named = string(json_object(message, "bot_profile"), "name")
    by_slack = "Slackbot" if string(message, "user") in SLACK_USER_IDS else ""
    return unescape(string(message, "username") or named) or by_slack or None


def is_by_app(message: Payload) -> bool:
    """Returns whether an app wrote the message. Only the Slack clients that people use set client_msg_id."""
    return "app_id" in message and "client_msg_id" not in message


def _quoted_emails(holder: Payload) -> list[str]:
    """Returns a message's emails. Each is quoted in full, so that no part of an email can be mistaken for a member's
    words."""
    mails = [file for file in json_objects(holder, "files") if is_mail(file)]
    return [f"Mail:\n{quote_lines(escape(mail_of(mail) or mail_headers(mail)))}" for mail in mails]


def _attachments(attachments: Iterable[Payload], depth: int, *, is_own: bool = False) -> str:
    """Returns the text of attachments. Quotes it unless the message's author wrote the attachments (`is_own`)."""
    parts: list[str] = []
    size_chars = cost = 0
    for attachment in attachments:
        cost += _cost(attachment) if cost <= MAX_COST else 0
        if cost > MAX_COST:
            attachment = {
                key: v for key, v in attachment.items() if key in _LISTED or not isinstance(v, Mapping | list)
            }
        if not (part := _attachment_text(attachment, depth, is_own)):
            continue
        size_chars += len(part)
        if size_chars > MAX_ATTACHED_CHARS:
            parts.append(MORE_ATTACHED)
            break
        parts.append(part)
    return "\n\n".join(parts)


def _is_message(attachment: Payload) -> bool:
    return bool(attachment.get("is_share") or attachment.get("is_msg_unfurl") or attachment.get("message_blocks"))


def _attachment_text(attachment: Payload, depth: int, is_own: bool) -> str:
    if depth == 0:
        return ""
    if _is_message(attachment):
        return _forwarded_text(attachment, depth)
    service = _linked_label(attachment, "service_name", "service_url")
    author = _linked_label(attachment, "author_name", "author_link")
    title, url = string(attachment, "title"), string(attachment, "title_link")
    head = link(url, unescape(title)) if title and url else title
    body = _blocks(json_objects(attachment, "blocks"), {}, depth, string(attachment, "text"))
    pretext = _from_mrkdwn(attachment, "pretext")
    footer = " | ".join(filter(None, (string(attachment, "footer"), _time_of(attachment))))
    fields = [
        ": ".join(filter(None, (string(field, "title"), _from_mrkdwn(field, "value"))))
        for field in json_objects(attachment, "fields")
    ]
    buttons = map(_button_link, json_objects(attachment, "actions"))
    inner = "\n".join(part for part in (pretext, service, author, head, body, *fields, *buttons) if part)
    whole = "\n".join(filter(None, ((inner if inner.strip() else _fallback_text(attachment)).strip("\n"), footer)))
    if not whole.strip():
        return ""
    # Text is quoted unless the author wrote it, so that an app's text can't pass for a forwarded message.
    return whole if is_own else quote_lines(whole)


def _fallback_text(attachment: Payload) -> str:
    """Returns the text of an attachment that lacks the usual keys, either from objects that another app added or from
    its fallback."""
    unusual = {
        key: value
        for key, value in attachment.items()
        if key not in (*_PARTS, *_LISTED) and (isinstance(value, Mapping) or json_objects(attachment, key))
    }
    said = "".join(_BlockReader({}).texts([unusual]))
    return said if said and not said.startswith(UNREAD) else string(attachment, "fallback") or said


def _linked_label(attachment: Payload, name_key: str, url_key: str) -> str:
    name, url = unescape(string(attachment, name_key)), string(attachment, url_key)
    return link(url, name) if name.strip() and url else escape(name)


def _forwarded_text(attachment: Payload, depth: int) -> str:
    """Returns the text of a message that a user forwarded (`is_share`), or for which Slack unfurled a link."""
    labels = names_in(string(attachment, "text"))
    messages = [json_object(block, "message") for block in json_objects(attachment, "message_blocks")]
    fallback_text = string(attachment, "text") if len(messages) == 1 else ""
    parts = [_blocks(json_objects(message, "blocks"), labels, depth - 1, fallback_text) for message in messages]
    written = "\n\n".join(part for part in parts if part)
    text = written or _from_mrkdwn(attachment, "text") or _blocks(json_objects(attachment, "blocks"), {}, depth - 1)
    below = (*_quoted_emails(attachment), _attachments(json_objects(attachment, "attachments"), depth - 1))
    text = "\n\n".join(part for part in (text, *below) if part.strip()).strip("\n") or string(attachment, "fallback")
    head = f"{'Forwarded' if attachment.get('is_share') else 'Quoted'} from {_author(attachment)}:"
    return f"{head}\n{quote_lines(text)}" if len(text.splitlines()) > 1 else f"{head} {text}".rstrip()


def _time_of(attachment: Payload) -> str:
    try:
        seconds = float(attachment.get("ts") or 0)
    except (TypeError, ValueError, OverflowError):
        return ""
    seconds = seconds / 1_000 if seconds > MAX_TIME_S else seconds
    return utc_text(str(seconds)) if seconds >= MIN_TIME_S else ""


def _author(attachment: Payload) -> str:
    name = unescape(string(attachment, "author_name") or string(attachment, "author_subname"))
    if name := one_line(name).replace(":", ""):
        return escape(name)
    author_id = string(attachment, "author_id")
    return f"<@{author_id}>" if author_id.isalnum() else "somebody"


def _blocks(blocks: Sequence[Payload], labels: Mapping[str, str], depth: int, fallback_text: str = "") -> str:
    """Returns the text of blocks as mrkdwn, or `fallback_text` if they have no text. `labels`: names in the message,
    keyed by ID."""
    parts = [] if depth == 0 or _cost(blocks) > MAX_COST else _BlockReader(labels).texts(blocks)
    if all(part.startswith(UNREAD) for part in parts):
        parts = [*filter(None, [markdown_emphasis(fallback_text)]), *parts]
    return "\n\n".join(parts)


def _cost(holder: Any) -> int:
    """Estimates how long it takes to read a message or a part of one. Stops counting once the estimate exceeds
    MAX_COST."""
    left, cost = [(holder, ELEMENT_COST)], 0
    while left and cost <= MAX_COST:
        node, each = left.pop()
        if isinstance(node, Mapping):
            inner = [(value, 1 if key == "rows" else each) for key, value in node.items() if key != "style"]
            cost += each * sum(isinstance(value, Mapping) for value, _ in inner) + max(0, len(inner) - FREE_KEYS)
        else:
            # Rows and items of known types cost less in a table and in its cells.
            inner = [
                (item, each if not isinstance(item, Mapping) or item.get("type") in _CELLS else ELEMENT_COST)
                for item in node[: MAX_COST // each + 1]
            ]
            cost += sum(weight for _, weight in inner)
        left += [(value, weight) for value, weight in inner if isinstance(value, Mapping | list)]
    return cost


class _BlockReader:
    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._forms = FormReader(self._read_known, self._line_text, lambda url, label: link(url, unescape(label)))
        self._readers: Mapping[str, Callable[[Payload, int], str | None]] = {
            "rich_text": self._rich_text_of,
            "table": self._table_text,
            "data_table": self._table_text,
            "data_visualization": self._chart_text,
            "section": self._section_text,
            **dict.fromkeys(("context", "actions", "context_actions"), self._elements_text),
        }

    def texts(self, blocks: Sequence[Payload]) -> list[str]:
        parts = (self._forms.read(block).strip("\n") for block in blocks)
        return [part for part in parts if part.strip()]

    def _read_known(self, node: Payload, level: int) -> str | None:
        kind = string(node, "type")
        if read := self._readers.get(kind):
            return read(node, level)
        if read_plain := _PLAIN.get(kind):
            return read_plain(node)
        if kind.startswith("rich_text_"):
            return self._rich_text_of({"elements": [node]}, level)
        if kind in _INLINE:
            return _inline_text([node], self._labels) or None
        if "action_id" in node and (options := _option_lines(node)):
            return f"{_text_of(node, 'placeholder') or 'Options'}: {', '.join(options)}"
        return _button_link(node) if kind in _BUTTONS else None

    def _section_text(self, block: Payload, level: int) -> str:
        parts = [block.get("text"), *json_objects(block, "fields"), block.get("accessory")]
        return "\n".join(self._read_each(parts, level))

    def _elements_text(self, block: Payload, level: int) -> str:
        return " ".join(self._read_each(json_objects(block, "elements"), level))

    def _read_each(self, nodes: Iterable[Any], level: int) -> list[str]:
        parts = (self._forms.read(node, level + 1) for node in nodes if isinstance(node, Mapping))
        return [part for part in parts if part]

    def _line_text(self, nodes: Sequence[Any]) -> str | None:
        is_line = nodes and all(isinstance(node, Mapping) and node.get("type") in _INLINE for node in nodes)
        return _inline_text(nodes, self._labels) if is_line else None

    def _table_text(self, block: Payload, level: int) -> str | None:
        rows = block.get("rows")
        if not isinstance(rows, list):
            return None
        heads = [block[key] for key in _TABLE_HEADS if isinstance(block.get(key), list | Mapping)][:1]
        table = self._forms.table([*heads, *rows], level)
        caption = _string_or_text(block, "caption") or _string_or_text(block, "title")
        return f"{caption}\n\n{table}" if caption and table else caption or table

    def _chart_text(self, block: Payload, level: int) -> str | None:
        """Returns a chart's numbers as a table, with a row for each segment, or for each label of the series."""
        chart = json_object(block, "chart")
        axes = json_object(chart, "axis_config")
        series = json_objects(chart, "series") or [{"name": "", "data": chart.get("segments")}]
        points = [_chart_points(one, axes) for one in series]
        labels = list(dict.fromkeys(label for one in points for label in one))
        if not labels:
            return None
        names = [_string_or_text(one, "name") or _string_or_text(one, "label") for one in series]
        said = ((name, _string_or_text(axes, name)) for name in _AXES)
        above = [_string_or_text(block, "title"), *(f"{name[0]}: {words}" for name, words in said if words)]
        rows = [[label, *(one.get(label, "") for one in points)] for label in labels]
        return "\n".join(filter(None, above)) + "\n\n" + self._forms.table([["", *names], *rows], level)

    def _rich_text_of(self, block: Payload, level: int) -> str:
        text = ""
        previous_kind = ""
        for element in json_objects(block, "elements"):
            kind = string(element, "type")
            part = self._rich_part_text(kind, element, level).strip("\n")
            if not part.strip():
                continue
            text += ("\n" if kind == previous_kind == "rich_text_list" else "\n\n") if text else ""
            text += part
            previous_kind = kind
        return text

    def _rich_part_text(self, kind: str, element: Payload, level: int) -> str:
        inner = json_objects(element, "elements")
        match kind:
            case "rich_text_list":
                part = "\n".join(self._list_lines(element, inner, level))
            case "rich_text_preformatted":
                part = _code_block(element, inner, self._labels)
            case "rich_text_quote":
                return quote_lines(self._flow_text(inner, level).strip("\n"))
            case "rich_text_section":
                part = self._flow_text(inner, level)
            case _:
                part = self._flow_text(inner, level) if inner else _inline_text([element], self._labels)
        # A border on any other element means that the element is inside a quote.
        return quote_lines(part) if part and element.get("border") == 1 else part

    def _flow_text(self, elements: Sequence[Payload], level: int) -> str:
        is_line = all("elements" not in element for element in elements)
        return _inline_text(elements, self._labels) if is_line else self._forms.read_all(elements, level + 1)

    def _list_lines(self, element: Payload, items: Iterable[Payload], level: int) -> Iterator[str]:
        indent = INDENT * min(count(element, "indent"), MAX_INDENT)
        for number, item in enumerate(items, start=count(element, "offset") + 1):
            sign = f"{number}. " if element.get("style") == "ordered" else "- "
            text = self._forms.read(item, level + 1) if "type" in item else self._flow_text([item], level)
            yield indent + sign + text.strip("\n").replace("\n", f"\n{indent}{' ' * len(sign)}")


def _header_text(block: Payload) -> str:
    heading = " ".join(_text_of(block, "text").split())
    return f"**{heading}**" if heading else ""


def _image_text(block: Payload) -> str:
    return "\n".join(dict.fromkeys(filter(None, (_text_of(block, "title"), string(block, "alt_text")))))


def _remote_file_link(block: Payload) -> str | None:
    file = json_object(block, "file")
    title, url = string(file, "title") or string(file, "name"), string(file, "permalink")
    return (link(url, title) if url else escape(title)) or None


def _button_link(element: Payload) -> str:
    """Returns a link if a button has a URL. Returns "" for other buttons, because a model can't click them."""
    url = string(element, "url") or string(json_object(json_object(element, "workflow"), "trigger"), "url")
    return link(url, unescape(_text_of(element, "text") or string(element, "text"))) if url else ""


def _option_lines(menu: Payload) -> list[str]:
    groups = [menu, *json_objects(menu, "option_groups")]
    chosen = [json_object(menu, "initial_option"), *json_objects(menu, "initial_options")]
    values = {string(one, "value") for one in chosen if one}
    return [
        text + (" (chosen)" if string(one, "value") in values else "")
        for group in groups
        for one in json_objects(group, "options")
        if (text := _option_text(one))
    ]


def _option_text(option: Payload) -> str:
    label, url, about = _text_of(option, "text"), string(option, "url"), _text_of(option, "description")
    return ": ".join(filter(None, (link(url, unescape(label)) if url else label, about)))


def _chart_points(series: Payload, axes: Payload) -> dict[str, str]:
    """Returns a series' numbers, keyed by label. The label is a category, or the point's position on the axis."""
    data = series.get("data")
    categories = strings(axes, "categories")
    points: dict[str, str] = {}
    for number, point in enumerate(data if isinstance(data, list) else []):
        if isinstance(point, Mapping):
            label = _string_or_text(point, "label") or _string_or_text(point, "name") or _number_text(point, "x")
            value = _number_text(point) or _number_text(point, "y")
        else:
            label, value = categories[number] if number < len(categories) else "", _number_text({"value": point})
        if label and value:
            points[label] = value
    return points


def _number_text(node: Payload, key: str = "value") -> str:
    value = node.get(key)
    shown = string(node, "text" if key == "value" else key)
    if shown or isinstance(value, bool) or not isinstance(value, int | float):
        return shown
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _string_or_text(holder: Payload, key: str) -> str:
    return string(holder, key) or _text_of(holder, key)


def _text_of(holder: Payload, key: str) -> str:
    return _text_object(json_object(holder, key))


def _text_object(text_object: Payload) -> str:
    return _from_mrkdwn(text_object, "text") if text_object.get("type") == "mrkdwn" else string(text_object, "text")


def _from_mrkdwn(payload: Payload, key: str) -> str:
    return markdown_emphasis(string(payload, key))


_PLAIN: Mapping[str, Callable[[Payload], str | None]] = {
    **dict.fromkeys(("plain_text", "mrkdwn", "raw_text"), _text_object),
    "raw_number": _number_text,
    "markdown": lambda block: string(block, "text"),
    "header": _header_text,
    "image": _image_text,
    "file": _remote_file_link,
    "divider": lambda block: "",
}


def block_text(block: Payload) -> str:
    """Returns the text of a block that the bot posted, as mrkdwn. Slack has turned its emoji and links into
    elements."""
    lines = [map(_as_text_element, json_objects(element, "elements")) for element in json_objects(block, "elements")]
    return "\n".join(_inline_text(line, {}) for line in lines)


def quote_lines(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines() or [""])


def quoted_for_model(text: str) -> str:
    """Returns a message found by a tool as a quote, so that no part of it can be mistaken for another message."""
    return quote_lines(f"{text[:MAX_QUOTED_CHARS]} […]" if len(text) > MAX_QUOTED_CHARS else text)


def _code_block(element: Payload, inner: Sequence[Payload], labels: Mapping[str, str]) -> str:
    """Returns a code block. The labels of links are followed by their URLs, because code can't contain markup."""
    words = []
    for one in inner:
        text, url = string(one, "text"), string(one, "url")
        shown = f"{text} ({url})" if _has_own_label(url, text) else text or url
        words.append(escape(shown) if shown else _element_text(one, labels, as_code=True))
    language = string(element, "language")
    code = "".join(words).strip("\n")
    return fence_code(code, language if re.fullmatch(r"[\w+#.-]{1,30}", language) else "")


def _inline_text(elements: Iterable[Payload], labels: Mapping[str, str]) -> str:
    """Returns elements as a single line. Adjacent elements with the same style share their markup."""
    parts = []
    for styles, group in groupby(elements, key=_styles_of):
        text = "".join(_element_text(element, labels, "code" in styles) for element in group)
        parts.append("\n".join(_with_styles(line, styles) for line in text.split("\n")))
    return "".join(parts)


def _styles_of(element: Payload) -> frozenset[str]:
    """Returns an element's styles. Mentions have no styles, so that the text of a message that begins with a mention
    begins with it, too."""
    if element.get("type") not in ("text", "link", "emoji"):
        return frozenset()
    style = json_object(element, "style")
    styles = frozenset(name for name in _STYLES if style.get(name) is True)
    # A link in code would lose its URL.
    return styles - {"code"} if _has_own_label(string(element, "url"), string(element, "text")) else styles


def _with_styles(line: str, styles: frozenset[str]) -> str:
    """Adds the markup of styles to the text between any leading and trailing spaces, because Markdown doesn't allow
    spaces next to its markup."""
    words = line.strip()
    if not words or not styles:
        return line
    before, after = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
    if "code" in styles:
        ticks = "`" * (longest_ticks(words) + 1)
        words = f"{ticks} {words} {ticks}" if "`" in words[:1] + words[-1:] else f"{ticks}{words}{ticks}"
    for style, mark in _MARKS:
        words = f"{mark}{words}{mark}" if style in styles else words
    return before + words + after


def _element_text(element: Payload, labels: Mapping[str, str], as_code: bool) -> str:
    kind = str(element.get("type"))
    if kind in _REFERENCES:
        mark, key = _REFERENCES[kind]
        id_ = string(element, key)
        named = f"|{labels[id_]}" if id_ in labels else ""
        return f"<{mark}{id_}{named}>" if _WORD_ID.match(id_) else ""
    text = string(element, "text")
    match kind:
        case "link":
            url = string(element, "url")
            return escape(text or url) if as_code or not url else link(url, text)
        case "emoji":
            name = string(element, "name")
            return f":{escape(name)}:" if element.get("unicode") or "|" in name else f"<!{CUSTOM_EMOJI}^{escape(name)}>"
        case "canvas":
            title, file_id = string(element, "label") or text, string(element, "file_id")
            mention = canvas_mention(file_id) if _WORD_ID.match(file_id) else ""
            titled = link(f"!{CANVAS}^{file_id}", title) if mention else escape(title)
            return " ".join(filter(None, (titled if title.strip() else "", mention)))
        case "color":
            return escape(string(element, "value"))
        case "date":
            date = string(element, "fallback")
            if date and (url := string(element, "url")):
                return link(url, date)
            return escape(date) or f"<!date^{count(element, 'timestamp')}>"
    return escape(text) if kind == "text" else _mention_text(element)


def _mention_text(element: Payload) -> str:
    text, url = string(element, "text") or string(element, "fallback"), string(element, "url")
    if text or url:
        return link(url, text) if url else escape(text)
    return " ".join(FormReader(lambda node, level: None, lambda nodes: None, link).read(element).split("\n"))


def _as_text_element(element: Payload) -> Payload:
    if element.get("type") != "emoji":
        return element
    code_points = string(element, "unicode").split("-")
    if not all(_CODE_POINT.fullmatch(code_point) for code_point in code_points):
        return {"type": "text", "text": f":{string(element, 'name')}:"}
    return {"type": "text", "text": "".join(chr(int(code_point, 16)) for code_point in code_points)}


def link(url: str, label: str) -> str:
    """Returns a link in mrkdwn. The URL and the label must not be escaped."""
    target = escape(url.translate({ord(mark): f"%{ord(mark):02X}" for mark in "<>| \n\t"}))
    label = escape(" ".join(label.split()))
    return f"<{target}|{label}>" if label and label != target else f"<{target}>"


def _has_own_label(url: str, label: str) -> bool:
    """Returns whether a link's label adds information to its URL. Labels that Slack sets itself only repeat the URL."""
    bare = _OMITTED_SCHEMES.sub("", url)
    return bool(url) and label.strip() not in ("", url, bare, bare.rstrip("/"))


def markdown_emphasis(mrkdwn: str) -> str:
    """Converts emphasis in mrkdwn to Markdown. `**bold**` and `~~gone~~` need two characters on each side, whereas
    `_this_` needs one. `>>>` quotes everything that follows. Markdown has no equivalent, so each line is quoted
    separately."""
    marked = mrkdwn
    for pattern, marks in _EMPHASIS:
        marked = pattern.sub(partial(_with_marks, marks), marked)
    rest = next((found for found in _REST_QUOTED.finditer(marked) if found["mark"]), None)
    return f"{marked[: rest.start()]}{quote_lines(marked[rest.end() :].strip())}" if rest else marked


def _with_marks(marks: str, match: re.Match[str]) -> str:
    return match["kept"] or f"{marks}{match['words']}{marks}"


def names_in(mrkdwn: str) -> dict[str, str]:
    """Returns the names of users, channels and groups that the mrkdwn itself contains, keyed by ID."""
    return dict(_LABELED_MENTION.findall(mrkdwn))


def message_text(mrkdwn: str) -> str:
    """Converts mrkdwn to a message's text (core/conversation.py). Mentions keep their IDs, and other markup becomes
    Markdown."""
    parts, end = [], 0
    for sequence in _SEQUENCE.finditer(mrkdwn):
        parts += [_escape_stray_angle_brackets(mrkdwn[end : sequence.start()]), _convert_sequence(sequence)]
        end = sequence.end()
    return "".join([*parts, _escape_stray_angle_brackets(mrkdwn[end:])])


def _escape_stray_angle_brackets(text: str) -> str:
    """Escapes each `<` in text without markup. Apps send text with an unescaped `<`."""
    return text.replace("<", "&lt;")


def _convert_sequence(match: re.Match[str]) -> str:
    if match["url"] is not None:
        url, label = unescape(match["url"]), unescape(match["label"] or "").strip()
        target = url if "://" in url else _OMITTED_SCHEMES.sub("", url)
        return escape(f"[{label}]({target})" if _has_own_label(url, label) else target)
    mark = match["mark"]
    target = match["target"]
    name = unescape(match["name"] or "").strip()
    if mark == "!":
        kind, _, id_ = target.partition("^")
        if kind == "subteam" and (named := named_mention(id_, "@" + (name or id_).removeprefix("@"))):
            return named
        if kind == CUSTOM_EMOJI:
            return named_mention("EMOJI", f":{unescape(id_)}:")
        if kind == CANVAS:
            return named_mention(id_, name) or escape(name)
        return escape(_special_mention(target, name))
    if not _MENTION_ID.fullmatch(target):
        return escape(mark + (name or target).removeprefix(mark))
    return f"<{mark}{target}|{escape(name)}>" if name else f"<{mark}{target}>"


def _special_mention(target: str, label: str) -> str:
    """Returns the form in which readers see mentions such as `<!here>`, and `<!date^seconds^format^link|fallback>`."""
    kind, _, rest = target.partition("^")
    if kind == "date":
        seconds, _, how = rest.partition("^")
        url = unescape(how.partition("^")[2])
        if label:
            return f"[{label}]({url})" if url else label
        return utc_text(seconds) or seconds
    return "@" + (label or rest or kind).removeprefix("@")
