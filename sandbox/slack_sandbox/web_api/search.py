"""assistant.search.*: searches messages in public channels on behalf of the person whose message the app received.

The search is by keywords, regardless of assistant.search.info. In an export, the search finds more than Slack's search:
see export/report.py.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape

from slack_sandbox.text.words import full_text, words_of
from slack_sandbox.web_api.method import App, Method, flag, paginate, required
from slack_sandbox.wire import permalink
from slack_sandbox.workspace import TEAM_ID, Channel, Json, Message, SlackError

MAX_RESULTS = 20
CONTEXT_MESSAGES = 3
INDEX_DELAY_S = 5.0
"""The age at which search finds a message in a sandbox that was started from the command line. In Slack, one message
took 12 hours."""
_SEARCHED = frozenset({None, "thread_broadcast", "file_share"})


@dataclass(frozen=True, slots=True)
class _Place:
    channel: Channel
    ts: str
    score: float
    """If all hits have every word, the newest has the highest score."""


_MAX_RANKED = 1_000
_SORTS: dict[str, Callable[[_Place], tuple[float, str]]] = {
    "score": lambda place: (place.score, place.ts),
    "timestamp": lambda place: (0.0, place.ts),
}
_PRIVATE = {"private_channel": "search:read.private", "mpim": "search:read.mpim", "im": "search:read.im"}
"""The scopes of other channel types, which only user tokens have."""
_OTHER_CONTENT = {"files": "search:read.files", "channels": "search:read.public", "users": "search:read.users"}


def search(app: App, args: Json) -> Json:
    query = required(args, "query")
    app.action_tokens.holder(str(args.get("action_token") or ""))
    _check_types(app, args)
    after, before = _time_range(args)
    public = {channel.id: channel for channel in app.workspace.channels.values() if channel.type == "channel"}
    found = (
        _with_all_words(app, args, query, public) if app.export is None else _ranked_places(app, args, query, public)
    )
    places = [place for place in found if after < float(place.ts) < before]
    sort = _SORTS.get(str(args.get("sort") or "score"))
    if sort is None or args.get("sort_dir") not in (None, "asc", "desc"):
        raise SlackError("invalid_arguments")
    places.sort(key=sort, reverse=args.get("sort_dir") != "asc")
    page, metadata = paginate(args, places, MAX_RESULTS, MAX_RESULTS)
    hits = [(place.channel, app.workspace.message(place.channel.id, place.ts)) for place in page]
    matches = [
        _hit(app, *hit) | (_context(app, hit[1]) if flag(args, "include_context_messages") else {}) for hit in hits
    ]
    return {"results": {"messages": matches}, "response_metadata": {"next_cursor": ""}, **metadata}


def _with_all_words(app: App, args: Json, query: str, public: Mapping[str, Channel]) -> list[_Place]:
    """Returns the messages whose text has every word, as with Slack's search for apps."""
    words = query.lower().split()
    return [
        _Place(channel, message.ts, 0.0)
        for channel in public.values()
        for message in app.workspace.messages(channel.id)
        if _is_searchable(app, args, message) and all(word in unescape(message.text).lower() for word in words)
    ]


def _ranked_places(app: App, args: Json, query: str, public: Mapping[str, Channel]) -> list[_Place]:
    """Returns the messages of an export, and newer messages, that contain any of the words."""
    export = app.export
    assert export is not None
    words, index = words_of(query), export.words
    scores = index.scores(words, lambda number: export.channel_at(number) in public)
    named = sorted(scores, key=lambda number: (scores[number], number))[-_MAX_RANKED:]
    places: dict[tuple[str, str], float] = {}
    for number in named:
        channel_id, ts = export.place_of(number)
        if app.workspace.log(channel_id).has(ts):
            places[channel_id, ts] = scores[number]
    for channel_id in public:
        for message in app.workspace.log(channel_id).posted():
            score = index.score_of(full_text(message), words) if _is_searchable(app, args, message) else 0.0
            if score:
                places[channel_id, message.ts] = score
    return [_Place(public[channel_id], ts, score) for (channel_id, ts), score in places.items()]


def _time_range(args: Json) -> tuple[float, float]:
    try:
        return float(args.get("after") or 0), float(args.get("before") or "inf")
    except ValueError:
        raise SlackError("invalid_arguments") from None


def _check_types(app: App, args: Json) -> None:
    for channel_type in _parse_names(args, "channel_types", "public_channel"):
        if channel_type in _PRIVATE:
            app.require_scope(_PRIVATE[channel_type])
        if channel_type != "public_channel":
            raise SlackError("invalid_arguments")
    for content_type in _parse_names(args, "content_types", "messages"):
        if content_type in _OTHER_CONTENT:
            app.require_scope(_OTHER_CONTENT[content_type])
        if content_type != "messages":
            raise SlackError("invalid_arguments")


def _parse_names(args: Json, key: str, default: str) -> list[str]:
    """Returns a list that is sent as JSON or separated by commas."""
    value = args.get(key) or default
    names = value if isinstance(value, list) else str(value).strip("[]").replace('"', "").split(",")
    return [str(name).strip() for name in names]


def _is_searchable(app: App, args: Json, message: Message) -> bool:
    if message.ephemeral_to is not None or message.subtype not in _SEARCHED:
        return False
    author = app.workspace.users.get(message.user_id)
    if author is not None and author.bot_id and not flag(args, "include_bots"):
        return False
    return app.index_delay_s == 0 or float(message.ts) + app.index_delay_s <= time.time()


def _hit(app: App, channel: Channel, message: Message) -> Json:
    author = app.workspace.user(message.user_id)
    replies = 0 if message.thread_ts else len(app.workspace.log(channel.id).replies(message.ts))
    return {
        "author_name": message.username or author.real_name,
        **({"author_email": author.email} if author.email else {}),
        "author_user_id": author.id,
        "team_id": TEAM_ID,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "message_ts": message.ts,
        "content": full_text(message),
        "is_author_bot": author.bot_id is not None,
        "permalink": permalink(message, message.ts if replies > 0 else None),
        **({"reply_count": replies} if replies > 0 else {}),
    }


def _context(app: App, message: Message) -> Json:
    """Returns the messages around a hit, in its thread for a reply, otherwise in the channel."""
    log = app.workspace.log(message.channel)
    beside = list(log.replies(message.thread_ts) if message.thread_ts else log.in_channel())
    at = beside.index(message.ts)
    around = {
        "before": beside[max(0, at - CONTEXT_MESSAGES) : at],
        "after": beside[at + 1 : at + 1 + CONTEXT_MESSAGES],
    }
    return {
        "context_messages": {
            side: [_surrounding_messages(app, message.channel, ts) for ts in all_ts] for side, all_ts in around.items()
        }
    }


def _surrounding_messages(app: App, channel: str, ts: str) -> Json:
    other = app.workspace.message(channel, ts)
    return {"user_id": other.user_id, "ts": other.ts, "text": full_text(other)}


def info(app: App, args: Json) -> Json:
    return {"is_ai_search_enabled": app.setup.has_ai_search}


METHODS = {
    "assistant.search.context": Method(search, ("search:read.public",)),
    "assistant.search.info": Method(info, ("search:read.public",)),
}
