"""Converts one entry of a day to a message, and determines whether Slack would show it and who wrote it. No I/O.

File URLs in an export contain a token for the whole workspace. So files keep their names but not their URLs, and tokens
are removed from text.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from slack_sandbox.text.words import message_words
from slack_sandbox.workspace import SLACKBOT, Json, Message

UNKNOWN_WRITER = "U0UNKNOWN"
"""The author's ID for a message without an author. If the author has only a name, a hash of the name follows."""
MISSING_ROOT = "The first message of this thread isn't in the export."
NOT_A_MESSAGE = frozenset({"message_changed", "message_deleted", "message_replied"})
"""Subtypes of records in workspaces that keep edits and deletions. Slack doesn't show these records."""
_NOTICES = frozenset({"bot_add", "bot_remove", "bot_enable", "bot_disable", "tombstone"})
_NOTICES_BEGIN = ("channel_", "group_", "pinned_", "unpinned_", "reminder_", "sh_room_", "joiner_notification")
_NOTICES_END = "_conversation_join"
"""The subtypes of Slack's own notices, which search doesn't find."""
MAX_TEXT_CHARS = 40_000
MAX_ENTRY_CHARS = 400_000
"""The maximum total length of all strings in a message's blocks, or in its attachments."""
_MAX_ID_CHARS = 40
_MAX_DEPTH = 24
_MAX_ENTRIES = 5_000
_TS = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?")
_MAX_TS_S = 10**10
_TS_CHARS = len("1791190000.000001")
"""The length of today's timestamps. Fixed, because two million are parsed."""
_TOKEN = re.compile(r"(?:[?&](?:t|token|pub_secret)=)?(?:xox[a-z]|xapp)-[\w.-]*", re.IGNORECASE)
_FILE_ADDRESS = re.compile(r"https?://files(?:-origin|-edge)?\.slack\.com/[^\s|>\"]*", re.IGNORECASE)
_OWN_LINK = re.compile(r"https://[a-z0-9-]{1,63}(?:\.enterprise)?\.slack\.com/archives/(?=[CDG][A-Z0-9]{6,20}/p\d)")
_SANDBOX_LINK = "https://sandbox.slack.com/archives/"
_SURROGATE = re.compile("[\ud800-\udfff]")
_GONE_MODES = frozenset({"tombstone", "hidden_by_limit"})
_MAX_PREVIEW_CHARS = 40_000


def ts_of(entry: Mapping[str, Any], key: str = "ts") -> int:
    """Returns a timestamp in microseconds, or 0 if it is missing or invalid. Slack writes strings. Other programs can
    also write numbers, which are precise enough for microseconds."""
    value = entry.get(key)
    if not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MAX_TS_S:
            return round(value * 1_000_000)
        return 0
    if (
        len(value) == _TS_CHARS
        and value[10] == "."
        and value.isascii()
        and (digits := value[:10] + value[11:]).isdigit()
    ):
        return int(digits)
    if not _TS.fullmatch(value):
        return 0
    seconds, _, fraction = value.partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def ts_text(ts_us: int) -> str:
    return f"{ts_us // 1_000_000}.{ts_us % 1_000_000:06d}"


def is_shown(entry: Mapping[str, Any]) -> bool:
    """Returns whether Slack shows an entry. Records of edits and deletions are hidden."""
    subtype = entry.get("subtype")
    return subtype not in NOT_A_MESSAGE and (not entry.get("hidden") or subtype == "tombstone")


def is_searchable(entry: Mapping[str, Any]) -> bool:
    """Returns whether search finds an entry. Search doesn't find most of Slack's notices."""
    subtype = entry.get("subtype")
    if not isinstance(subtype, str) or not subtype:
        return True
    return subtype not in _NOTICES and not subtype.startswith(_NOTICES_BEGIN) and not subtype.endswith(_NOTICES_END)


def writer_of(entry: Mapping[str, Any]) -> str:
    """Returns the ID of the author: a person if there is one, otherwise a bot. A file comment's author is its
    commenter."""
    comment, files = entry.get("comment"), entry.get("files")
    file = files[0] if isinstance(files, list) and files else entry.get("file")
    # Anybody can share another person's file. Only an upload is by the file's owner.
    uploaded = file if entry.get("subtype") == "file_share" and not entry.get("username") else None
    holders: tuple[tuple[Any, str], ...] = ((entry, "user"), (comment, "user"), (entry, "bot_id"), (uploaded, "user"))
    for holder, key in holders:
        if isinstance(holder, dict) and _is_id(writer := holder.get(key)):
            return str(writer)
    name = writer_name(entry).encode("utf-8", "replace")
    return UNKNOWN_WRITER + (hashlib.sha256(name).hexdigest()[:16].upper() if name else "")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MAX_ID_CHARS and not value.startswith(UNKNOWN_WRITER)


def writer_name(entry: Mapping[str, Any]) -> str:
    """Returns the author's name as stated in an entry, or ""."""
    profiles = (entry.get(key) for key in ("bot_profile", "user_profile"))
    names = [
        profile.get(key)
        for profile in profiles
        if isinstance(profile, dict)
        for key in ("display_name", "real_name", "name")
    ]
    return next((name[:80] for name in (*names, entry.get("username")) if isinstance(name, str) and name), "")


def entry_words(entry: Mapping[str, Any]) -> str:
    """Returns the words of an entry that hasn't been converted to a message."""
    return message_words(_text(entry), *(_objects(entry.get(key)) for key in ("blocks", "attachments", "files")))


def message_of(entry: Mapping[str, Any], channel: str, root_us: int, clean: Callable[[Any], Any]) -> Message:
    """Converts an entry to a message. `root_us`: the thread's root, or 0 for a root. `clean`: see `clean_value`."""
    subtype = entry.get("subtype") if isinstance(entry.get("subtype"), str) else None
    text = clean(_text(entry))[:MAX_TEXT_CHARS]
    edited = entry.get("edited")
    reactions = _objects(entry.get("reactions"))
    return Message(
        channel,
        ts_text(ts_of(entry)),
        writer_of(entry),
        text,
        tuple(_objects(clean(entry.get("blocks")))),
        thread_ts=ts_text(root_us) if root_us else None,
        subtype=subtype,
        client_msg_id=str(entry["client_msg_id"])[:40] if entry.get("client_msg_id") else None,
        username=clean(str(entry["username"]))[:80] if entry.get("username") else None,
        files=tuple(file_of(file, clean) for file in _objects(entry.get("files")) if isinstance(file.get("id"), str)),
        attachments=tuple(_objects(clean(entry.get("attachments")))),
        edited_ts=ts_text(ts_of(edited)) if isinstance(edited, dict) and ts_of(edited) else None,
        reactions=tuple(_reaction(reaction) for reaction in reactions if isinstance(reaction.get("name"), str | int)),
    )


def missing_root(channel: str, ts_us: int) -> Message:
    """Returns the placeholder for a thread root that is missing from the export."""
    return Message(channel, ts_text(ts_us), SLACKBOT, MISSING_ROOT)


def file_of(file: Json, clean: Callable[[Any], Any]) -> Json:
    """Returns a file's description. An export doesn't have the content of files, only the preview of snippets."""
    if (mode := file.get("mode")) in _GONE_MODES:
        return {"id": file["id"], "mode": mode}
    name = str(clean(file.get("name") or file.get("title") or "file"))[:255]
    kept: Json = {"id": file["id"], "name": name, "title": str(clean(file.get("title") or name))[:255]}
    for key, default in (("mimetype", ""), ("filetype", ""), ("pretty_type", ""), ("user", "")):
        kept[key] = str(clean(file.get(key) or default))[:120]
    size = file.get("size")
    kept["size"] = size if isinstance(size, int) and 0 <= size < 2**50 else 0
    kept |= {"mode": "external" if mode == "external" else "hosted", "file_access": "access_denied"}
    if mode == "snippet" and isinstance(preview := file.get("preview"), str):
        is_cut = bool(file.get("preview_is_truncated")) or len(preview) > _MAX_PREVIEW_CHARS
        kept |= {"preview": clean(preview)[:_MAX_PREVIEW_CHARS], "preview_is_truncated": is_cut, "lines_more": 0}
    return kept


def clean_value(value: Any, is_known: Callable[[str], bool]) -> Any:
    """Removes tokens and file URLs from a JSON value, and limits its size.

    Links to the workspace's own channels lead into the sandbox. `is_known`: whether the export has a channel's ID.
    """
    room = [MAX_ENTRY_CHARS, _MAX_ENTRIES]

    def text(part: str) -> str:
        part = part[: max(0, room[0])]
        room[0] -= len(part)
        if "xox" in (lower := part.lower()) or "xapp-" in lower:
            part = _TOKEN.sub("", part)
        if ".slack.com/" in part:
            part = _FILE_ADDRESS.sub("", part)
            part = _OWN_LINK.sub(lambda own: _SANDBOX_LINK if is_known(_id_after(part, own.end())) else own[0], part)
        return part if part.isascii() else _SURROGATE.sub("\ufffd", part)

    def walk(value: Any, depth: int) -> Any:
        room[1] -= 1
        if room[1] < 0 or depth > _MAX_DEPTH:
            return None
        match value:
            case str():
                return text(value)
            case dict():
                return {text(name): walk(part, depth + 1) for name, part in value.items() if name not in _ADDRESSES}
            case list():
                return [walk(part, depth + 1) for part in value[: max(0, room[1])]]
            case float():
                return value if math.isfinite(value) else None
        return value

    return walk(value, 0)


_ADDRESSES = frozenset({"image_url", "thumb_url", "author_icon", "service_icon", "footer_icon", "files", "slack_file"})
"""Keys in blocks and attachments whose values are image URLs or files."""


def _id_after(text: str, at: int) -> str:
    return text[at : text.find("/", at)]


def _text(entry: Mapping[str, Any]) -> str:
    text = entry.get("text")
    room = entry.get("room")
    if not text and entry.get("subtype") == "huddle_thread" and isinstance(room, dict):
        people = ", ".join(f"<@{one}>" for one in _strings(room.get("participant_history"))[:20])
        return f"A huddle with {people}" if people else "A huddle"
    return str(text)[:MAX_TEXT_CHARS] if isinstance(text, str | int | float) else ""


def _objects(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _reaction(reaction: Json) -> tuple[str, tuple[str, ...]]:
    return str(reaction["name"])[:100], tuple(_strings(reaction.get("users"))[:1_000])
