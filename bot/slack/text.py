"""What Slack's JSON holds: values by type, and a message's text as a reader in Slack sees it, and its files. Pure.

**Values**: what is missing or of another type counts as empty, because payloads change without notice. Where a payload
is of no use without a value, handlers/payloads.py raises instead.

**Texts**: the text of a message is that of its blocks, and of the attachments below them. All parts are put together as
mrkdwn, with its structure (lists, quotes, code, emphasis) as Markdown. Only the whole is turned into the text of a
message as core/conversation.py describes it.

mrkdwn has `<…>` for people, channels, links and dates, and its own marks for emphasis. docs.slack.dev, "Formatting
message text" and "Rich text block".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Any

from bot.core import texts
from bot.core.conversation import File, ThreadKey, escape, named_by_others, unescape
from bot.core.files import CHECK_FILE_INFO, canvas_mention, is_canvas
from bot.core.prompt import one_line
from bot.markdown.escaping import fenced, longest_ticks
from bot.slack.blockkit import NOTE_LINE

Payload = Mapping[str, Any]


def string(holder: Payload, key: str) -> str:
    """Returns the text under a key; "" if there is none."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def strings(holder: Payload, key: str) -> list[str]:
    """Returns the texts in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def count(holder: Payload, key: str) -> int:
    """Returns the number under a key; 0 if there is none, or a negative one."""
    value = holder.get(key)
    return max(0, value) if isinstance(value, int) else 0


def json_object(holder: Payload, key: str) -> Payload:
    """Returns the object under a key; {} if there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def json_objects(holder: Payload, key: str) -> list[Payload]:
    """Returns the objects in the list under a key; none if there is no list."""
    value = holder.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, Sequence) else []


def in_utc(seconds: str) -> str:
    """Returns a time such as "2026-11-23 09:00 UTC" of its seconds since the epoch; "" if they are none."""
    try:
        return f"{datetime.fromtimestamp(float(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return ""


def next_cursor(page: Payload) -> str:
    """Returns the cursor of the page behind this one; "" if this is the last."""
    return string(json_object(page, "response_metadata"), "next_cursor")


_NOT_ANSWER = ("actions", "context_actions", "context")
"""Blocks that are no part of the answer."""


def answer_of(message: Mapping[str, Any]) -> Payload:
    """Returns a message of a reply with only the answer's blocks, in the blocks that Slack made of them."""
    answers = [
        block
        for block in json_objects(message, "blocks")
        if block.get("type") not in _NOT_ANSWER and not str(block.get("block_id", "")).startswith(NOTE_LINE)
    ]
    return {"text": "" if message.get("blocks") else message.get("text", ""), "blocks": answers}


MAX_ATTACHED_CHARS = 40_000
"""The length of the longest Slack message; attachments beyond it are left out whole."""
MAX_ELEMENTS = 1_500
"""Blocks with more elements count as empty: the text beside them has the same words, and is read in less time."""
MAX_DEPTH = 4
"""Forwarded messages and unknown blocks may be nested."""
MAX_QUOTED_CHARS = 1_500
"""What a tool shows of one message."""
INDENT = "    "
MAX_INDENT = 8
"""Slack's own limit."""
MORE = "(More is attached.)"
OWN_EMOJI = "emoji"
"""`<!emoji^name>` stands for an emoji of the workspace: one that has no character."""
CANVAS = "canvas"
"""`<!canvas^F…|label>` stands for a canvas's title."""

_WRITTEN = ("rich_text", "table", "markdown", "header", "section", "context", "actions", "context_actions", "image")
"""The kinds of blocks that hold nothing but what the message's writer put there."""
_PARTS = ("blocks", "elements", "message_blocks", "attachments")
_BAR = re.compile(r"<[^<>]*>|\|")
_SEQUENCE = re.compile(
    # The first of several `<` begins the sequence. The search stays fast because it starts with one plain character.
    r"<(?<!<<)<*+(?:(?P<mark>[@#!])(?P<target>[^<>|]*)(?:\|(?P<name>[^<>]*))?"
    r"|(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]+)(?:\|(?P<label>[^<>]*))?)>"
)
_MENTION_ID = re.compile(r"[A-Z0-9]+")
_NAMED = re.compile(r"<(?:[@#]|!subteam\^)([A-Z0-9]+)\|@?([^<>]+)>")
_KEPT = r"```.*?```|`[^`\n]+`|<[^<>\n]*>"
_EMPHASIS = [
    (
        re.compile(
            rf"(?P<kept>{_KEPT})|(?<!{mark})(?<![^\W_]){mark}(?=\S)"
            rf"(?P<words>(?:`[^`\n]+`|<[^<>\n]*>|[^{mark}<`\n])+?)(?<=\S){mark}(?!{mark})(?![^\W_])",
            re.DOTALL,
        ),
        marks,
    )
    for mark, marks in ((r"\*", "**"), ("~", "~~"))
]
_QUIET_SCHEMES = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)
_REFERENCES = {
    "user": ("@", "user_id"),
    "channel": ("#", "channel_id"),
    "usergroup": ("!subteam^", "usergroup_id"),
    "broadcast": ("!", "range"),
}
_CODE_POINT = re.compile(r"[0-9a-c][0-9a-f]{1,3}|[ef][0-9a-f]{3}|[1-9a-f][0-9a-f]{4}", re.IGNORECASE)
"""Any code point that text can hold, in hexadecimal."""
_ID = re.compile(r"\w+\Z")
_MARKS = (("strike", "~~"), ("italic", "_"), ("bold", "**"))
_STYLES = ("code", *(style for style, _ in _MARKS))
_SHARED_IN = ("channels", "groups", "ims")
"""The lists of a file's channels."""
_CLIPS = ("slack_audio", "slack_video")
"""The subtypes of what people record in Slack."""


def messages_in(answer: Payload) -> list[Payload]:
    """Returns the messages in an answer of Slack's. What has no ts is no message."""
    return [message for message in json_objects(answer, "messages") if string(message, "ts")]


def body_of(message: Payload) -> str:
    """Returns the writer's text: the message's blocks, or its text if the blocks are empty or too many to read."""
    text = string(message, "text")
    written = [block for block in json_objects(message, "blocks") if block.get("type") in _WRITTEN]
    body = _blocks(written, names_in(text), MAX_DEPTH) or emphasized(text)
    return message_text(body)


def attached_to(message: Payload) -> str:
    """Returns the text below the message: forwarded and quoted messages, link previews, attachments of apps.

    Blocks of unknown kinds may quote others as well, so they are not the writer's words either.
    """
    unknown = [block for block in json_objects(message, "blocks") if block.get("type") not in _WRITTEN]
    others = _blocks(unknown, names_in(string(message, "text")), MAX_DEPTH)
    below = _attachments(message, MAX_DEPTH)
    return message_text("\n\n".join(filter(None, (quoted(others) if others else "", below))))


def app_name(message: Payload) -> str | None:
    """Returns the name of the app that wrote the message, None for a person."""
    if not message.get("bot_id"):
        return None
    named = string(json_object(message, "bot_profile"), "name")
    return unescape(string(message, "username") or named) or None


def is_by_app(message: Payload) -> bool:
    """Returns whether an app wrote the message: only people's own clients give messages an id."""
    return "app_id" in message and "client_msg_id" not in message


def files_of(message: Mapping[str, Any]) -> tuple[File, ...]:
    """Returns the files of a message and of the messages that it forwards.

    Slack lets whoever reads a forwarded message open its files, but not its canvases. So a canvas has no name before
    its access is checked: its title may be as private as its content.
    """
    shared = [file_of(file) for file in json_objects(message, "files")]
    forwarded = [
        file_of(file) for holder in json_objects(message, "attachments") for file in json_objects(holder, "files")
    ]
    checked = [
        replace(file, name=texts.CANVAS_UNNAMED, access=CHECK_FILE_INFO) if is_canvas(file) else file
        for file in forwarded
    ]
    return (*shared, *checked)


def file_of(file: Mapping[str, Any]) -> File:
    """Returns a file object as our file. https://docs.slack.dev/reference/objects/file-object"""
    transcription = json_object(file, "transcription")
    has_transcript, preview = transcription.get("status") == "complete", json_object(transcription, "preview")
    duration_ms, size = file.get("duration_ms"), file.get("size")
    return File(
        id=string(file, "id"),
        name=string(file, "name") or string(file, "title") or texts.FILE_UNNAMED,
        mimetype=string(file, "mimetype"),
        filetype=string(file, "filetype"),
        mode=string(file, "mode"),
        access=string(file, "file_access"),
        url=string(file, "url_private_download") or string(file, "url_private"),
        size_bytes=size if isinstance(size, int) and size > 0 else 0,
        user_id=string(file, "user"),
        # The names of clips are translated.
        is_clip=string(file, "subtype") in _CLIPS,
        # Slack may show only a transcript's beginning.
        transcript=string(preview, "content") if has_transcript and preview.get("has_more") is False else None,
        captions_url=string(file, "vtt") if has_transcript else "",
        seconds=duration_ms / 1_000 if isinstance(duration_ms, int | float) else 0.0,
    )


def is_for_readers(file: Mapping[str, Any], thread: ThreadKey, asker: str) -> bool:
    """Whether all who read a thread may read a file, by its description from files.info.

    It is shared in the thread's channel, or the asker owns it and nobody else reads the thread.
    """
    # A channel's own canvas is shared nowhere else.
    channels = {string(file, "linked_channel_id"), *(id_ for key in _SHARED_IN for id_ in strings(file, key))}
    shares = [share for share in json_object(file, "shares").values() if isinstance(share, Mapping)]
    if any(thread.channel_id in place for place in (channels, *shares)):
        return True
    return thread.in_direct_message and bool(asker) and string(file, "user") == asker


def _attachments(message: Payload, depth: int) -> str:
    parts: list[str] = []
    size_chars = elements = 0
    for attachment in json_objects(message, "attachments"):
        elements += _element_count(attachment) if elements <= MAX_ELEMENTS else 0
        if elements > MAX_ELEMENTS:
            attachment = {key: value for key, value in attachment.items() if key not in _PARTS}
        if not (part := _attachment(attachment, depth)):
            continue
        size_chars += len(part)
        if size_chars > MAX_ATTACHED_CHARS:
            parts.append(MORE)
            break
        parts.append(part)
    return "\n\n".join(parts)


def _attachment(attachment: Payload, depth: int) -> str:
    if depth == 0:
        return ""
    if attachment.get("is_share") or attachment.get("is_msg_unfurl") or attachment.get("message_blocks"):
        return _forwarded(attachment, depth)
    author = escape(unescape(string(attachment, "author_name") or string(attachment, "service_name")))
    title, url = string(attachment, "title"), string(attachment, "title_link")
    head = link(url, unescape(title)) if title and url else title
    body = _blocks(json_objects(attachment, "blocks"), {}, depth) or _mrkdwn(attachment, "text")
    pretext, footer = _mrkdwn(attachment, "pretext"), string(attachment, "footer")
    fields = [
        ": ".join(filter(None, (string(field, "title"), _mrkdwn(field, "value"))))
        for field in json_objects(attachment, "fields")
    ]
    inner = "\n".join(part for part in (pretext, author, head, body, *fields, footer) if part)
    whole = (inner if inner.strip() else string(attachment, "fallback")).strip("\n")
    # Only our own words stand outside quotes: none of an app's can pass for a message that somebody forwarded.
    return quoted(whole) if whole.strip() else ""


def _forwarded(attachment: Payload, depth: int) -> str:
    """Returns a message that a person forwarded (`is_share`), or whose link Slack unfurled."""
    labels = names_in(string(attachment, "text"))
    messages = [json_object(block, "message") for block in json_objects(attachment, "message_blocks")]
    parts = [_blocks(json_objects(message, "blocks"), labels, depth - 1) for message in messages]
    written = "\n\n".join(part for part in parts if part)
    text = written or _mrkdwn(attachment, "text") or _blocks(json_objects(attachment, "blocks"), {}, depth - 1)
    below = _attachments(attachment, depth - 1)
    text = "\n\n".join(part for part in (text, below) if part.strip()).strip("\n") or string(attachment, "fallback")
    head = f"{'Forwarded' if attachment.get('is_share') else 'Quoted'} from {_author(attachment)}:"
    return f"{head}\n{quoted(text)}" if len(text.splitlines()) > 1 else f"{head} {text}".rstrip()


def _author(attachment: Payload) -> str:
    name = unescape(string(attachment, "author_name") or string(attachment, "author_subname"))
    if name := one_line(name).replace(":", ""):
        return escape(name)
    author_id = string(attachment, "author_id")
    return f"<@{author_id}>" if author_id.isalnum() else "somebody"


def _blocks(blocks: Sequence[Payload], labels: Mapping[str, str], depth: int) -> str:
    if _element_count({"blocks": blocks}) > MAX_ELEMENTS:
        return ""
    parts = [_block(block, labels, depth).strip("\n") for block in blocks]
    return "\n\n".join(part for part in parts if part.strip())


def _element_count(holder: Payload) -> int:
    """Returns how many elements and other parts are in a message or attachment; counts no farther than needed."""
    left, count = [holder], 0
    while left and count <= MAX_ELEMENTS:
        node = left.pop()
        message = node.get("message")
        left += [message] if isinstance(message, Mapping) else []
        for key in _PARTS:
            parts = node.get(key)
            if isinstance(parts, Sequence):
                count += len(parts)
                left += [part for part in parts[:MAX_ELEMENTS] if isinstance(part, Mapping)]
    return count


def _block(block: Payload, labels: Mapping[str, str], depth: int) -> str:
    match block.get("type"):
        case "rich_text":
            return _markup_of(block, labels)
        case "table":
            return _table(block, labels)
        case "markdown":
            return string(block, "text")
        case "header":
            heading = " ".join(_text_of(block, "text").split())
            return f"**{heading}**" if heading else ""
        case "section":
            fields = map(_text_object, json_objects(block, "fields"))
            return "\n".join(filter(None, (_text_of(block, "text"), *fields, _button(json_object(block, "accessory")))))
        case "context" | "actions" | "context_actions":
            elements = json_objects(block, "elements")
            # Of an image its description, of a button its link.
            words = (_text_object(one) or string(one, "alt_text") or _button(one) for one in elements)
            return " ".join(filter(None, words))
    return "\n".join(_any_texts(block, labels, depth))


def _button(element: Payload) -> str:
    """Returns a button with an address as a link, "" for others: a model can't press them."""
    url = string(element, "url")
    return link(url, unescape(_text_of(element, "text"))) if url else ""


def _table(block: Payload, labels: Mapping[str, str]) -> str:
    rows = block.get("rows")
    lines = []
    for row in rows if isinstance(rows, list) else []:
        # An empty cell is null.
        cells = (
            [_cell(cell, labels) if isinstance(cell, Mapping) else "" for cell in row] if isinstance(row, list) else []
        )
        lines.append(f"| {' | '.join(cells)} |")
        if len(lines) == 1:
            lines.append("|" + " --- |" * len(cells))
    return "\n".join(lines)


def _cell(cell: Payload, labels: Mapping[str, str]) -> str:
    match cell:
        case {"type": "rich_text"}:
            text = _markup_of(cell, labels)
        case {"type": "raw_number", "value": int() | float() as number}:
            text = f"{number:.15g}" if isinstance(number, float) else str(number)
        case _:
            text = str(cell.get("text", ""))
    return _BAR.sub(lambda bar: bar[0] if bar[0] != "|" else "\\|", " ".join(text.split()))


def _any_texts(node: Any, labels: Mapping[str, str], depth: int) -> Iterator[str]:
    """Yields the titles, texts and image descriptions of a block of unknown type."""
    if depth < 0:
        return
    if isinstance(node, Mapping):
        if node.get("type") == "rich_text":
            yield _markup_of(node, labels)
            return
        for key, value in node.items():
            if key in ("title", "text", "alt_text", "description") and isinstance(value, str) and value:
                yield value
            elif isinstance(value, Mapping | list):
                yield from _any_texts(value, labels, depth - 1)
    elif isinstance(node, list):
        for child in node:
            yield from _any_texts(child, labels, depth - 1)


def _text_of(holder: Payload, key: str) -> str:
    """Returns the text of the text object under a key."""
    return _text_object(json_object(holder, key))


def _text_object(text_object: Payload) -> str:
    return _mrkdwn(text_object, "text") if text_object.get("type") == "mrkdwn" else string(text_object, "text")


def _mrkdwn(holder: Payload, key: str) -> str:
    return emphasized(string(holder, key))


def _markup_of(block: Payload, labels: Mapping[str, str]) -> str:
    """Returns the block as mrkdwn; `labels` are the names in the message itself, by id."""
    text = ""
    previous_kind = ""
    for element in json_objects(block, "elements"):
        kind = str(element.get("type"))
        part = _part(kind, element, labels).strip("\n")
        if not part.strip():
            continue
        text += ("\n" if kind == previous_kind == "rich_text_list" else "\n\n") if text else ""
        text += part
        previous_kind = kind
    return text


def words_of(block: Payload) -> str:
    """Returns the text of a block that the bot posted, as mrkdwn; Slack turned its emoji and links into elements."""
    lines = [map(_typed, json_objects(element, "elements")) for element in json_objects(block, "elements")]
    return "\n".join(_inline(line, {}) for line in lines)


def quoted(text: str) -> str:
    """Returns the text as a quote in Markdown, in which each line is marked, whatever ends it."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines() or [""])


def quoted_for_model(text: str) -> str:
    """Returns a text that a tool found as a quote. Nothing that is said in one message reads as another one."""
    return quoted(f"{text[:MAX_QUOTED_CHARS]} […]" if len(text) > MAX_QUOTED_CHARS else text)


def _part(kind: str, element: Payload, labels: Mapping[str, str]) -> str:
    inner = json_objects(element, "elements")
    match kind:
        case "rich_text_list":
            part = "\n".join(_items(element, inner, labels))
        case "rich_text_preformatted":
            # Nothing is markup there: a link's address stands beside its label.
            linked = [(string(one, "text"), string(one, "url")) for one in inner]
            words = [f"{text} ({url})" if _tells_more(url, text) else text or url for text, url in linked]
            code = escape("".join(words).strip("\n"))
            language = string(element, "language")
            part = fenced(code, language if re.fullmatch(r"[\w+#.-]{1,30}", language) else "")
        case "rich_text_quote":
            return quoted(_inline(inner, labels).strip("\n"))
        case _:
            return _inline(inner, labels)
    # A border on anything else means that it is inside a quote.
    return quoted(part) if part and element.get("border") == 1 else part


def _items(element: Payload, items: Iterable[Payload], labels: Mapping[str, str]) -> Iterator[str]:
    indent = INDENT * min(count(element, "indent"), MAX_INDENT)
    for number, item in enumerate(items, start=count(element, "offset") + 1):
        sign = f"{number}. " if element.get("style") == "ordered" else "- "
        text = _inline(json_objects(item, "elements"), labels).strip("\n")
        yield indent + sign + text.replace("\n", f"\n{indent}{' ' * len(sign)}")


def _inline(elements: Iterable[Payload], labels: Mapping[str, str]) -> str:
    """Returns a line of elements; adjacent elements of one style are marked together."""
    parts = []
    for styles, group in groupby(elements, key=_styles):
        text = "".join(_piece(element, labels, "code" in styles) for element in group)
        parts.append("\n".join(_marked(line, styles) for line in text.split("\n")))
    return "".join(parts)


def _styles(element: Payload) -> frozenset[str]:
    """Returns an element's styles. Mentions have none, so that a message still begins with its mention."""
    if element.get("type") not in ("text", "link", "emoji"):
        return frozenset()
    style = json_object(element, "style")
    styles = frozenset(name for name in _STYLES if style.get(name) is True)
    # As code, a link would lose its address.
    return styles - {"code"} if _tells_more(string(element, "url"), string(element, "text")) else styles


def _marked(line: str, styles: frozenset[str]) -> str:
    """Puts a style's marks around the words without their outer spaces: Markdown allows no space inside marks."""
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


def _piece(element: Payload, labels: Mapping[str, str], as_code: bool) -> str:
    kind = str(element.get("type"))
    if kind in _REFERENCES:
        mark, key = _REFERENCES[kind]
        id_ = string(element, key)
        named = f"|{labels[id_]}" if id_ in labels else ""
        return f"<{mark}{id_}{named}>" if _ID.match(id_) else ""
    text = string(element, "text")
    match kind:
        case "link":
            url = string(element, "url")
            return escape(text or url) if as_code or not url else link(url, text)
        case "emoji":
            name = string(element, "name")
            return f":{escape(name)}:" if element.get("unicode") or "|" in name else f"<!{OWN_EMOJI}^{escape(name)}>"
        case "canvas":
            title, file_id = string(element, "label"), string(element, "file_id")
            mention = canvas_mention(file_id) if _ID.match(file_id) else ""
            titled = link(f"!{CANVAS}^{file_id}", title) if mention else escape(title)
            return " ".join(filter(None, (titled if title.strip() else "", mention)))
        case "color":
            return escape(string(element, "value"))
        case "date":
            date = string(element, "fallback")
            if date and (url := string(element, "url")):
                return link(url, date)
            return escape(date) or f"<!date^{count(element, 'timestamp')}>"
    return escape(text)


def _typed(element: Payload) -> Payload:
    """Returns an emoji as it was typed: as a character, or as its name if it is the workspace's own."""
    if element.get("type") != "emoji":
        return element
    code_points = string(element, "unicode").split("-")
    if not all(_CODE_POINT.fullmatch(code_point) for code_point in code_points):
        return {"type": "text", "text": f":{string(element, 'name')}:"}
    return {"type": "text", "text": "".join(chr(int(code_point, 16)) for code_point in code_points)}


def link(url: str, label: str) -> str:
    """Returns a link in mrkdwn; neither argument is escaped yet."""
    target = escape(url.translate({ord(mark): f"%{ord(mark):02X}" for mark in "<>| \n\t"}))
    label = escape(" ".join(label.split()))
    return f"<{target}|{label}>" if label and label != target else f"<{target}>"


def _tells_more(url: str, label: str) -> bool:
    """Whether the address says more than the label: Slack's own labels only repeat it."""
    bare = _QUIET_SCHEMES.sub("", url)
    return bool(url) and label.strip() not in ("", url, bare, bare.rstrip("/"))


def emphasized(mrkdwn: str) -> str:
    """Returns mrkdwn with its emphasis in Markdown: `**bold**` and `~~gone~~` take two marks there, `_this_` one."""
    for pattern, marks in _EMPHASIS:
        mrkdwn = pattern.sub(partial(_with_marks, marks), mrkdwn)
    return mrkdwn


def _with_marks(marks: str, match: re.Match[str]) -> str:
    return match["kept"] or f"{marks}{match['words']}{marks}"


def names_in(mrkdwn: str) -> dict[str, str]:
    """Returns the names of people, channels and groups in the mrkdwn itself, by id."""
    return dict(_NAMED.findall(mrkdwn))


def message_text(mrkdwn: str) -> str:
    """Returns mrkdwn as the text of a message (core/conversation.py).

    Links, dates, groups and broadcasts are written out in Markdown; mentions of people and channels keep their ids.
    """
    parts, end = [], 0
    for sequence in _SEQUENCE.finditer(mrkdwn):
        parts += [_without_markup(mrkdwn[end : sequence.start()]), _sequence(sequence)]
        end = sequence.end()
    return "".join([*parts, _without_markup(mrkdwn[end:])])


def _without_markup(text: str) -> str:
    """Escapes each `<` that begins no sequence; apps send such text."""
    return text.replace("<", "&lt;")


def _sequence(match: re.Match[str]) -> str:
    if match["url"] is not None:
        url, label = unescape(match["url"]), unescape(match["label"] or "").strip()
        target = url if "://" in url else _QUIET_SCHEMES.sub("", url)
        return escape(f"[{label}]({target})" if _tells_more(url, label) else target)
    mark = match["mark"]
    target = match["target"]
    name = unescape(match["name"] or "").strip()
    if mark == "!":
        kind, _, id_ = target.partition("^")
        if kind == "subteam" and (named := named_by_others(id_, "@" + (name or id_).removeprefix("@"))):
            return named
        if kind == OWN_EMOJI:
            return named_by_others("EMOJI", f":{unescape(id_)}:")
        if kind == CANVAS:
            return named_by_others(id_, name) or escape(name)
        return escape(_special(target, name))
    if not _MENTION_ID.fullmatch(target):
        return escape(mark + (name or target).removeprefix(mark))
    return f"<{mark}{target}|{escape(name)}>" if name else f"<{mark}{target}>"


def _special(target: str, label: str) -> str:
    """Returns what readers see of `<!here>` and the like, and of `<!date^seconds^format^link|fallback>`."""
    kind, _, rest = target.partition("^")
    if kind == "date":
        seconds, _, how = rest.partition("^")
        url = unescape(how.partition("^")[2])
        if label:
            return f"[{label}]({url})" if url else label
        return in_utc(seconds) or seconds
    return "@" + (label or rest or kind).removeprefix("@")
