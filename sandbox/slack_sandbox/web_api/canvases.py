"""canvases.*: creating a canvas, reading its text, setting access to it, and deleting it."""

import re
from collections.abc import Iterator

from slack_sandbox.files import File, UploadedFile
from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.workspace import Json, SlackError

CONTENT_CHARS = 1_048_576
MAX_GRANTED = 20
_LEVELS = ("read", "write", "owner")
_CONTENT_TYPES = ("markdown", "html")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_DELIMITER_ROW = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
_NARROW_CELL = re.compile(r"(?:^|\|)\s*:?-{1,2}:?\s*(?:\||$)")
_HEADING = re.compile(r"\s{0,3}#{4,6}\s")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,9}[.)])\s+(>?)")


def create(app: App, args: Json) -> Json:
    content = args.get("document_content")
    markdown = content.get("markdown") if isinstance(content, dict) else None
    if content is not None and (not isinstance(markdown, str) or content.get("type") != "markdown"):
        messages = ["[ERROR] failed to match exactly one allowed schema [json-pointer:/document_content]"]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    if problem := next(problems(markdown or ""), None):
        line, what = problem
        raise SlackError("canvas_creation_failed", detail=f"'content' error: line {line}: {what}")
    channel = app.joined_channel(args, "channel_id") if args.get("channel_id") else None
    title = str(args.get("title") or "Untitled")
    canvas = app.files.add(app.workspace.bot.id, UploadedFile(f"{title}.canvas", (markdown or "").encode()))
    if channel is not None:
        app.files.add_tab(canvas, channel)
    return {"canvas_id": canvas.id}


def get_content(app: App, args: Json) -> Json:
    if str(args.get("content_type") or "markdown") not in _CONTENT_TYPES:
        raise SlackError("invalid_arguments")
    canvas = _canvas(app, args)
    if not app.files.is_visible(canvas):
        raise SlackError("canvas_not_found")
    as_html = args.get("content_type") == "html"
    return {"content": app.files.canvas_page(canvas) if as_html else canvas.content.decode()}


def set_access(app: App, args: Json) -> Json:
    level, channel_ids, user_ids = (
        required(args, "access_level"),
        _parse_ids(args, "channel_ids"),
        _parse_ids(args, "user_ids"),
    )
    if bool(channel_ids) == bool(user_ids):
        raise SlackError("invalid_parameters")
    if level not in _LEVELS or (level == "owner" and channel_ids) or len(channel_ids + user_ids) > MAX_GRANTED:
        raise SlackError("invalid_arguments")
    canvas = _own_canvas(app, args)
    for channel_id in channel_ids:
        if app.readable_channel({"channel": channel_id}).type in ("im", "mpim"):
            raise SlackError("channel_not_found")
    for user_id in user_ids:
        if user_id not in app.workspace.users:
            raise SlackError("user_not_found")
    canvas.readers |= dict.fromkeys(channel_ids + user_ids, level)
    return {}


def delete(app: App, args: Json) -> Json:
    app.files.delete(_own_canvas(app, args))
    return {}


def problems(markdown: str) -> Iterator[tuple[int, str]]:
    """Yields the problems that Slack reports in a canvas: line number and reason."""
    if len(markdown) > CONTENT_CHARS:
        yield 1, "Content is too long"
    fence = ""
    in_table = False
    kinds: dict[int, str] = {}
    for number, line in enumerate(markdown.split("\n"), start=1):
        if opened := _FENCE.match(line):
            # A fence followed by words can only open code.
            closes = opened[1].startswith(fence) and not line[opened.end() :].strip()
            fence = "" if fence and closes else fence or opened[1]
        if fence or not line.strip():
            continue
        is_delimiter = "|" in line and not in_table and _DELIMITER_ROW.fullmatch(line) is not None
        in_table = "|" in line and (in_table or is_delimiter)
        if is_delimiter and _NARROW_CELL.search(line):
            yield number, "Unsupported table type"
        if _HEADING.match(line):
            yield number, "Unsupported heading level"
        item = _ITEM.match(line)
        if item is None:
            kinds = kinds if line.startswith((" ", "\t")) else {}
            if kinds and line.lstrip().startswith(">"):
                yield number, "Unsupported blockquote in a list"
            continue
        kinds = {indent: kind for indent, kind in kinds.items() if indent < len(item[1])}
        kind = "ordered" if item[2][0].isdigit() else "bullet"
        if item[3] or any(other != kind for other in kinds.values()):
            yield number, "Unsupported blockquote in a list" if item[3] else "Unsupported nested list"
        kinds[len(item[1])] = kind


def _canvas(app: App, args: Json) -> File:
    try:
        canvas = app.files.get(required(args, "canvas_id"))
    except SlackError as error:
        known = ("file_not_found", "file_deleted")
        raise SlackError("canvas_not_found") if error.error in known else error from None
    if not canvas.is_canvas:
        raise SlackError("canvas_not_found")
    return canvas


def _own_canvas(app: App, args: Json) -> File:
    canvas = _canvas(app, args)
    if canvas.user_id != app.workspace.bot.id:
        raise SlackError("canvas_not_found")
    return canvas


def _parse_ids(args: Json, key: str) -> list[str]:
    """Returns IDs that are sent as a JSON list, or joined by commas as slack_sdk does."""
    value = args.get(key) or []
    return [str(one) for one in value] if isinstance(value, list) else re.findall(r"\w+", str(value))


METHODS = {
    "canvases.create": Method(create, ("canvases:write",)),
    "canvases.getContent": Method(get_content, ("canvases:read",)),
    "canvases.access.set": Method(set_access, ("canvases:write",)),
    "canvases.delete": Method(delete, ("canvases:write",)),
}
