"""Small Slack exports for tests, with a few people, channels and messages."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slack_sandbox.workspace import Json

TEAM = "T07SAMPLE01"
TOKEN = "xoxe-7000000000001-7000000000001-" + "0" * 32
DAY = "2026-10-05.json"
START_S = 1_791_190_000

ADA, GRACE, ALAN = "U07SAMPLE0A", "U07SAMPLE0G", "U07SAMPLE0L"
GENERAL, KOELN, PRIVATE, DIRECT = "C07SAMPLE01", "C07SAMPLE02", "C07SAMPLE03", "D07SAMPLE01"


def ts(number: int) -> str:
    return f"{START_S + number}.{number:06d}"


def said(number: int, user: str, text: str, **more: Any) -> Json:
    """Returns an entry that a person typed."""
    return {"type": "message", "user": user, "text": text, "ts": ts(number), "client_msg_id": f"{number:08d}"} | more


def person(user_id: str, name: str, **more: Any) -> Json:
    return {"id": user_id, "team_id": TEAM, "name": name, "profile": {"real_name": name.title()}} | more


def channel(channel_id: str, name: str, members: Sequence[str], **more: Any) -> Json:
    return {"id": channel_id, "name": name, "members": list(members)} | more


PEOPLE = [person(ADA, "ada", is_owner=True, is_admin=True), person(GRACE, "grace"), person(ALAN, "alan", deleted=True)]


def export(
    general: Iterable[Any] = (), *, files: Mapping[str, Any] | None = None, people: Sequence[Json] = PEOPLE
) -> dict[str, Any]:
    """Returns the files of an export whose channel #general has these entries. `files` are added or replaced."""
    return {
        "channels.json": [channel(GENERAL, "general", [ADA, GRACE]), channel(KOELN, "kunden-köln", [ADA])],
        "users.json": people,
        f"general/{DAY}": list(general),
    } | dict(files or {})


def packed(files: Mapping[str, Any]) -> io.BytesIO:
    """Returns files as a ZIP, with names as Slack writes them: UTF-8 without its flag."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).replace("/", "\\/").encode()
            info = zipfile.ZipInfo(name, (2026, 10, 26, 8, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    written = bytearray(out.getvalue())
    # zipfile sets the flag for every non-ASCII name.
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = written.find(signature)
        while at >= 0:
            written[at + offset + 1] &= ~0x08
            at = written.find(signature, at + 4)
    return io.BytesIO(bytes(written))
