"""Converts a message's blocks to plain text for its `text`. Pure.

Screen readers and phone notifications use a message's `text`, not its blocks
(docs.slack.dev/reference/methods/chat.postmessage). The text is therefore generated from the blocks, including the
labels of their buttons. If the text is too long, its longest part is shortened first, so that dates, notices and
buttons are kept.
"""

from collections.abc import Iterable, Sequence

from bot.core import texts
from bot.core.conversation import escape
from bot.slack.blockkit import Json
from slack_markdown.escaping import JOINER
from slack_markdown.render import QUOTED, mrkdwn, plain_words

PLAIN_BYTES = 3_800
"""Maximum size in UTF-8. chat.update accepts 4,000 bytes of text."""
_MIN_PART_BYTES = 100
_FENCE = "```"


def message(blocks: Sequence[Json]) -> Json:
    return {"text": text_of(blocks), "blocks": list(blocks)}


def text_of(blocks: Iterable[Json]) -> str:
    parts = list(filter(None, map(_block_text, blocks)))
    room = PLAIN_BYTES - utf8_bytes(f"\n\n{texts.answers.REST_IN_MESSAGE}")
    is_whole = utf8_bytes("\n\n".join(parts)) <= PLAIN_BYTES
    while not is_whole and (excess := utf8_bytes("\n\n".join(parts)) - room) > 0:
        at = max(range(len(parts)), key=lambda number: utf8_bytes(parts[number]))
        size = utf8_bytes(parts[at])
        if size <= _MIN_PART_BYTES:
            parts = [_shorten_text("\n\n".join(parts), room)]
            break
        parts[at] = _shorten_text(parts[at], max(size - excess, _MIN_PART_BYTES))
    return "\n\n".join(parts if is_whole else [*parts, texts.answers.REST_IN_MESSAGE])


def _shorten_text(text: str, max_bytes: int) -> str:
    """Shortens mrkdwn. Cuts it between words if possible, and never inside a mention or date."""
    head = text.encode("utf-8", "replace")[: max_bytes - len("…".encode())].decode("utf-8", "ignore")
    at = max(head.rfind(" "), head.rfind("\n"))
    head = head[:at] if at > len(head) // 2 else head
    if head.rfind("<") > head.rfind(">"):
        head = head[: head.rfind("<")]
    return f"{head.rstrip()}…"


def _block_text(block: Json) -> str:
    match block["type"]:
        case "markdown":
            return mrkdwn(plain_words(block["text"]))
        case "rich_text":
            return "\n".join(map(_part_text, block["elements"]))
        case "section" | "header":
            accessory = [block["accessory"]] if "accessory" in block else []
            return "\n".join(filter(None, (_element_text(block["text"]), _button_text(accessory))))
        case "context":
            return " ".join(map(_element_text, block["elements"]))
        case "actions":
            return _button_text(block["elements"])
        case "data_visualization":
            return mrkdwn(texts.answers.chart_in_words(block["title"]))
    return ""


def _part_text(part: Json) -> str:
    if part["type"] == "rich_text_list":
        is_numbered = part["style"] == "ordered"
        lines = (_part_text(line) for line in part["elements"])
        return "\n".join(f"{f'{number}.' if is_numbered else '-'} {line}" for number, line in enumerate(lines, start=1))
    text = "".join(map(_element_text, part["elements"]))
    match part["type"]:
        case "rich_text_quote":
            # Each line has the word, so that none looks like a line of ours.
            return "\n".join(f"{QUOTED}{line}" for line in text.splitlines())
        case "rich_text_preformatted":
            # Quoted content must not look like the end of the code block.
            return f"```\n{text.replace(_FENCE, JOINER.join(_FENCE))}\n```"
    return text


def _element_text(element: Json) -> str:
    match element["type"]:
        case "mrkdwn":
            return str(element["text"])
        case "date":
            return f"<!date^{element['timestamp']}^{element['format']}|{element['fallback']}>"
        case "link":
            return mrkdwn(f"{element['text']} ({element['url']})")
    return mrkdwn(element["text"])


def _button_text(elements: Iterable[Json]) -> str:
    labels = [element["text"]["text"] for element in elements if element["type"] == "button"]
    return escape(texts.actions.button_list_text(labels)) if labels else ""


def utf8_bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
