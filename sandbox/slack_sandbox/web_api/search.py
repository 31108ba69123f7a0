"""assistant.search.*: searches messages in public channels on behalf of the person whose message the app got.

The search is by keywords, whatever assistant.search.info says.
"""

import time
from collections.abc import Callable
from html import unescape

from slack_sandbox.web_api.method import App, Method, flag, paginate, required
from slack_sandbox.wire import permalink
from slack_sandbox.workspace import TEAM_ID, Channel, Json, Message, SlackError

MAX_RESULTS = 20
CONTEXT_MESSAGES = 3
INDEX_DELAY_S = 5.0
"""How long a message isn't found where the command starts the sandbox. In Slack, one was not found for 12 hours."""
_SEARCHED = frozenset({None, "thread_broadcast", "file_share"})
_SORTS: dict[str, Callable[[Message], str]] = {
    "score": lambda message: message.ts,
    "timestamp": lambda message: message.ts,
}
"""Every hit has all words, so the newest has the highest score."""
_PRIVATE = {"private_channel": "search:read.private", "mpim": "search:read.mpim", "im": "search:read.im"}
"""The scopes of other channel types, which only user tokens have."""
_OTHER_CONTENT = {"files": "search:read.files", "channels": "search:read.public", "users": "search:read.users"}


def search(app: App, args: Json) -> Json:
    query = required(args, "query")
    app.action_tokens.holder(str(args.get("action_token") or ""))
    _check_types(app, args)
    words = query.lower().split()
    hits = [
        (channel, message)
        for channel in app.workspace.channels.values()
        if channel.type == "channel"
        for message in app.workspace.messages(channel.id)
        if _is_searched(app, args, message) and all(word in unescape(message.text).lower() for word in words)
    ]
    sort = _SORTS.get(str(args.get("sort") or "score"))
    if sort is None or args.get("sort_dir") not in (None, "asc", "desc"):
        raise SlackError("invalid_arguments")
    hits.sort(key=lambda hit: sort(hit[1]), reverse=args.get("sort_dir") != "asc")
    page, metadata = paginate(args, hits, MAX_RESULTS, MAX_RESULTS)
    matches = [
        _hit(app, *hit) | (_context(app, hit[1]) if flag(args, "include_context_messages") else {}) for hit in page
    ]
    return {"results": {"messages": matches}, "response_metadata": {"next_cursor": ""}, **metadata}


def _check_types(app: App, args: Json) -> None:
    for channel_type in _names(args, "channel_types", "public_channel"):
        if channel_type in _PRIVATE:
            app.need(_PRIVATE[channel_type])
        if channel_type != "public_channel":
            raise SlackError("invalid_arguments")
    for content_type in _names(args, "content_types", "messages"):
        if content_type in _OTHER_CONTENT:
            app.need(_OTHER_CONTENT[content_type])
        if content_type != "messages":
            raise SlackError("invalid_arguments")


def _names(args: Json, key: str, default: str) -> list[str]:
    """Returns a list that may come as JSON or separated by commas."""
    value = args.get(key) or default
    names = value if isinstance(value, list) else str(value).strip("[]").replace('"', "").split(",")
    return [str(name).strip() for name in names]


def _is_searched(app: App, args: Json, message: Message) -> bool:
    if message.ephemeral_to is not None or message.subtype not in _SEARCHED:
        return False
    if app.workspace.user(message.user_id).bot_id and not flag(args, "include_bots"):
        return False
    try:
        after, before = float(args.get("after") or 0), float(args.get("before") or "inf")
    except ValueError:
        raise SlackError("invalid_arguments") from None
    ts = float(message.ts)
    is_indexed = app.index_delay_s == 0 or ts + app.index_delay_s <= time.time()
    return is_indexed and after < ts < before


def _hit(app: App, channel: Channel, message: Message) -> Json:
    author = app.workspace.user(message.user_id)
    replies = 0 if message.thread_ts else len(app.workspace.replies(channel.id, message.ts))
    return {
        "author_name": author.real_name,
        **({"author_email": author.email} if author.email else {}),
        "author_user_id": author.id,
        "team_id": TEAM_ID,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "message_ts": message.ts,
        "content": message.text,
        "is_author_bot": author.bot_id is not None,
        "permalink": permalink(message, message.ts if replies > 0 else None),
        **({"reply_count": replies} if replies > 0 else {}),
    }


def _context(app: App, message: Message) -> Json:
    """Returns the messages around a hit: of its thread for a reply, else of the channel's root."""
    messages = [other for other in app.workspace.messages(message.channel) if other.thread_ts == message.thread_ts]
    at = messages.index(message)
    around = {
        "before": messages[max(0, at - CONTEXT_MESSAGES) : at],
        "after": messages[at + 1 : at + 1 + CONTEXT_MESSAGES],
    }
    return {
        "context_messages": {
            side: [{"user_id": other.user_id, "ts": other.ts, "text": other.text} for other in others]
            for side, others in around.items()
        }
    }


def info(app: App, args: Json) -> Json:
    return {"is_ai_search_enabled": app.setup.has_ai_search}


METHODS = {
    "assistant.search.context": Method(search, ("search:read.public",)),
    "assistant.search.info": Method(info, ("search:read.public",)),
}
