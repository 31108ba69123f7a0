"""Files: their content, their JSON descriptions, and the routes for uploads and downloads."""

import asyncio
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any
from urllib.parse import quote

from aiohttp import web

from slack_sandbox.faults import Faults
from slack_sandbox.filetypes import SNIPPET_BYTES, FileType, file_type
from slack_sandbox.workspace import TEAM_ID, Channel, Json, Message, SlackError, Workspace

MAX_BYTES = 64 * 1024 * 1024
"""The maximum size of a request. Slack accepts a gigabyte; the sandbox keeps files in memory."""
SHARE_DELAY_S = 3.0
"""The delay between files.completeUploadExternal and the message. In Slack, it is 1.8 to 5.4 s, and longer for large
files."""
_CHUNK_BYTES = 64 * 1024
_CLIP = re.compile(r"Audio clip\b.*\.m4a")
"""Matches the names of audio clips that people record in Slack."""
_CLIP_MS = 5_000
_PREVIEWED_TRANSCRIPT_CHARS = 500
_CAPTIONS = "file.vtt"
_CAPTIONS_VERSION = "0000000000"
_FILE_CHANGES = 4
_CHANNEL_ADDRESS = "general-aaaa@sandbox.slack.example"
_MAIL_FILES = "https://files-origin.slack.com/files-email-priv/"
_MAIL = FileType("text/html", "email", "Email")
_PREVIEW_LINES = 5
_PREVIEW_CHARS = 500
_SIGN_IN = (
    '<!DOCTYPE html><html lang="en-US"><head><title>Sign in | Slack</title></head>'
    "<body><h1>Sign in to your workspace</h1></body></html>"
)
"""The page that Slack redirects to when a download lacks a valid token or files:read."""


@dataclass(frozen=True, slots=True)
class Mail:
    """An email sent to a channel's address, or forwarded to Slack by a person."""

    sender: str
    """The sender, such as `Grace Hopper <grace@mail.example>`."""
    subject: str
    text: str = field(repr=False)
    """"" for an email that only has HTML."""
    date: str = "Mon, 16 Nov 2026 09:30:00 +0100"
    page: str = field(default="", repr=False)
    attachments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that a person uploads. Without a mimetype, the type depends on the file's name. The name `Audio clip
    ….m4a` is for a clip recorded in Slack, and `….canvas` is for a canvas whose content is Markdown."""

    name: str
    content: bytes = field(repr=False)
    mimetype: str = ""
    title: str = ""
    transcript: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Share:
    channel: str
    ts: str
    thread_ts: str | None


@dataclass(slots=True)
class File:
    id: str
    user_id: str
    name: str
    title: str
    type: FileType
    content: bytes = field(repr=False)
    alt_txt: str = ""
    created_s: int = field(default_factory=lambda: int(time.time()))
    shares: list[Share] = field(default_factory=list)
    transcript: str | None = field(default=None, repr=False)
    """Slack's transcript of an audio clip, or None until a person requests it."""
    mail: Mail | None = field(default=None, repr=False)
    readers: dict[str, str] = field(default_factory=dict)
    """Access to a canvas for channels and people, by ID, in addition to the channels where it is shared."""
    linked_channel_id: str = ""
    """The ID of the channel that has the canvas in a tab, or "" if there is none."""

    @property
    def is_snippet(self) -> bool:
        return self.type.is_text and len(self.content) <= SNIPPET_BYTES

    @property
    def is_canvas(self) -> bool:
        return self.type.filetype == "quip"

    @property
    def is_clip(self) -> bool:
        return _CLIP.fullmatch(self.name) is not None


@dataclass(slots=True)
class PendingUpload:
    """An upload that files.getUploadURLExternal opened. `content` is None until the bytes arrive."""

    file_id: str
    filename: str
    length_bytes: int
    snippet_type: str
    alt_txt: str
    content: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Download:
    file_id: str
    status: int
    authorized: bool
    sent_bytes: int = 0


@dataclass
class Files:
    """Stores files and serves their content. `url` returns the server's URL; `granted` are the bot's scopes."""

    workspace: Workspace
    faults: Faults
    url: Callable[[], str]
    bot_token: str = field(repr=False)
    granted: AbstractSet[str]
    share_delay_s: float = SHARE_DELAY_S
    emit: Callable[[Json], None] = lambda event: None
    downloads: deque[Download] = field(default_factory=lambda: deque(maxlen=1_000))
    _files: dict[str, File] = field(default_factory=dict)
    _deleted: set[str] = field(default_factory=set)
    _pending: dict[str, PendingUpload] = field(default_factory=dict)
    _sharing: set[asyncio.TimerHandle] = field(default_factory=set)

    def close(self) -> None:
        for timer in self._sharing:
            timer.cancel()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/upload/v1/{file_id}", self._receive),
            web.get("/signin", _sign_in),
            web.get(f"/files-pri/{TEAM_ID}-{{file_id}}/{{name}}", self._serve),
            web.get(f"/files-pri/{TEAM_ID}-{{file_id}}/download/{{name}}", self._serve),
            web.get(f"/files-tmb/{TEAM_ID}-{{file_id}}-{{version}}/{{name}}", self._serve),
        ]

    def get(self, file_id: str) -> File:
        """Returns a file. Raises SlackError: file_deleted, file_not_found."""
        if file_id in self._deleted:
            raise SlackError("file_deleted")
        if file_id not in self._files:
            raise SlackError("file_not_found")
        return self._files[file_id]

    def is_visible(self, file: File) -> bool:
        """Returns whether the bot owns a file, has access to it, or is in a channel that has access."""
        bot_id = self.workspace.bot.id
        places = (*(share.channel for share in file.shares), *file.readers, file.linked_channel_id)
        channels = (self.workspace.channels[place] for place in places if place in self.workspace.channels)
        return bot_id in (file.user_id, *file.readers) or any(bot_id in channel.members for channel in channels)

    def all_files(self) -> list[File]:
        return list(self._files.values())

    def add(self, user_id: str, upload: UploadedFile) -> File:
        kind = file_type(upload.name, upload.mimetype)
        name = upload.name.removesuffix(".canvas")
        title = upload.title or name
        return self._add(File(_new_id(), user_id, name, title, kind, upload.content, transcript=upload.transcript))

    def add_mail(self, user_id: str, mail: Mail) -> File:
        """Stores an email. Nobody sees the email until it is shared."""
        page = mail.page or f"<html><body><pre>{escape(mail.text)}</pre></body></html>"
        return self._add(File(_new_id(), user_id, mail.subject, mail.subject, _MAIL, page.encode(), mail=mail))

    def add_tab(self, canvas: File, channel: Channel) -> None:
        canvas.linked_channel_id = channel.id
        channel.tabs[canvas.id] = self.workspace.next_ts()

    def share_linked(self, message: Message) -> None:
        """Shares the app's own files that its new message links, as Slack does regardless of the unfurl flags."""
        for url in links_in(message.blocks):
            file = self._files.get(url.rpartition("/")[2])
            if file is not None and file.user_id == message.user_id and url == self.file_json(file)["permalink"]:
                file.shares.append(Share(message.channel, message.ts, message.thread_ts))

    def open_upload(self, filename: str, length_bytes: int, snippet_type: str, alt_txt: str) -> Json:
        pending = PendingUpload(_new_id(), filename, length_bytes, snippet_type, alt_txt)
        self._pending[pending.file_id] = pending
        return {"upload_url": f"{self.url()}/upload/v1/{pending.file_id}", "file_id": pending.file_id}

    def pending_upload(self, file_id: str) -> PendingUpload:
        """Returns a pending upload whose bytes have arrived. Raises SlackError("file_not_found")."""
        pending = self._pending.get(file_id)
        if pending is None or pending.content is None:
            raise SlackError("file_not_found")
        return pending

    def complete(self, pending: PendingUpload, title: str) -> File:
        """Turns the bot's upload into a file. An upload can be completed once."""
        del self._pending[pending.file_id]
        kind = file_type(pending.filename, snippet_type=pending.snippet_type)
        return self._add(
            File(
                pending.file_id,
                self.workspace.bot.id,
                pending.filename,
                title or pending.filename,
                kind,
                pending.content or b"",
                pending.alt_txt,
            )
        )

    def share(self, draft: Message, files: Sequence[File], *, subtype: str | None = "file_share") -> Message:
        for file in files:
            file.shares.append(Share(draft.channel, draft.ts, draft.thread_ts))
        fields = tuple(self.file_json(file) for file in files)
        return self.workspace.post(replace(draft, subtype=subtype, files=fields))

    def schedule_share(self, draft: Message, files: Sequence[File]) -> None:
        """Posts a message with these files shortly after the current call's response."""

        def share() -> None:
            self._sharing.discard(timer)
            self.share(replace(draft, ts=self.workspace.next_ts()), files)

        timer = asyncio.get_running_loop().call_later(self.share_delay_s, share)
        self._sharing.add(timer)

    def transcribe(self, file: File, text: str) -> None:
        """Transcribes an audio clip, as if a person had requested it, with four file_change events."""
        file.transcript = text
        self._update_messages(file, self.file_json(file), announced=False)
        for _ in range(_FILE_CHANGES):
            changed = {"type": "file_change", "file_id": file.id, "file": {"id": file.id}}
            self.emit({**changed, "event_ts": self.workspace.next_ts()})

    def delete(self, file: File) -> None:
        """Deletes a file. Messages that contain it show a tombstone instead."""
        del self._files[file.id]
        self._deleted.add(file.id)
        self._update_messages(file, {"id": file.id, "mode": "tombstone"}, announced=True)

    def _update_messages(self, file: File, fields: Json, *, announced: bool) -> None:
        for share in file.shares:
            try:
                message = self.workspace.message(share.channel, share.ts)
            except SlackError:
                # The message was deleted.
                continue
            files = tuple(fields if f["id"] == file.id else f for f in message.files)
            self.workspace.change(replace(message, files=files), announced=announced)

    def file_json(self, file: File) -> Json:
        address = f"{self.url()}/files-pri/{TEAM_ID}-{file.id}"
        name = re.sub(r"[^\w.-]+", "_", file.name.lower())
        fields: Json = {
            "id": file.id,
            "created": file.created_s,
            "timestamp": file.created_s,
            "name": file.name,
            "title": file.title,
            "mimetype": file.type.mimetype,
            "filetype": file.type.filetype,
            "pretty_type": file.type.pretty_type,
            "user": file.user_id,
            "user_team": TEAM_ID,
            "editable": file.is_snippet,
            "size": len(file.content),
            "mode": "snippet" if file.is_snippet else "quip" if file.is_canvas else "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": any(self.workspace.channel(s.channel).type == "channel" for s in file.shares),
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "url_private": f"{address}/{name}",
            "url_private_download": f"{address}/download/{name}",
            "permalink": canvas_link(file.id)
            if file.is_canvas
            else f"{self.url()}/files/{file.user_id}/{file.id}/{name}",
            "permalink_public": f"{self.url()}/files/public/{file.id}",
            "is_starred": False,
            "has_rich_preview": False,
            "file_access": "visible",
        }
        fields |= {"alt_txt": file.alt_txt} if file.alt_txt else {}
        if file.mail:
            return fields | _mail_fields(file.mail)
        if file.is_clip:
            captions = f"{self.url()}/files-tmb/{TEAM_ID}-{file.id}-{_CAPTIONS_VERSION}/{_CAPTIONS}?_xcb=00000"
            return fields | _clip_fields(file, captions)
        if not file.is_snippet:
            return fields | {"media_display_type": "unknown"}
        return fields | {"edit_link": f"{fields['permalink']}/edit"} | _preview(file)

    def info_json(self, file: File) -> Json:
        places: Json = {"channels": [], "groups": [], "ims": []}
        for channel_id in file.readers.keys() & self.workspace.channels.keys():
            places["channels" if self.workspace.channel(channel_id).type == "channel" else "groups"].append(channel_id)
        shares: Json = {}
        for share in file.shares:
            channel = self.workspace.channel(share.channel)
            kind = {"channel": "channels", "im": "ims"}.get(channel.type, "groups")
            places[kind].append(channel.id)
            share_fields = {"ts": share.ts, "channel_name": channel.name, "team_id": TEAM_ID}
            share_fields |= {"thread_ts": share.thread_ts} if share.thread_ts else {}
            group = shares.setdefault("public" if channel.type == "channel" else "private", {})
            group.setdefault(channel.id, []).append(share_fields)
        counts = {"comments_count": 0, "has_more_shares": False}
        linked = {"linked_channel_id": file.linked_channel_id} if file.linked_channel_id else {}
        return self.file_json(file) | places | counts | linked | {"shares": shares}

    def canvas_page(self, file: File) -> str:
        """Returns a canvas as HTML. Slack's HTML has the canvas's structure; the sandbox's HTML contains the
        Markdown."""
        title, text = escape(file.title), escape(file.content.decode())
        return f"<html><head><title>{title}</title></head><body><pre>{text}</pre></body></html>"

    def completed_json(self, file: File) -> Json:
        """Returns a file's description in the response of files.completeUploadExternal, before Slack has analyzed its
        content."""
        analyzed_keys = {"edit_link", *_preview(file)}
        fields = {key: value for key, value in self.info_json(file).items() if key not in analyzed_keys}
        unknown = {"mimetype": "", "filetype": "", "pretty_type": "", "mode": "hosted", "editable": False}
        return fields | unknown | {"media_display_type": "unknown"}

    def _add(self, file: File) -> File:
        self._files[file.id] = file
        return file

    async def _receive(self, request: web.Request) -> web.Response:
        """Receives an upload's bytes, as the raw body or as a form's file. Slack doesn't require a token here."""
        pending = self._pending.get(request.match_info["file_id"])
        if pending is None:
            return web.Response(status=404, text="Not found")
        content = await _body(request)
        if len(content) != pending.length_bytes:
            return web.Response(status=400, text=f"Expected {pending.length_bytes} bytes, got {len(content)}")
        pending.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["file_id"]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        download = Download(file_id, 200, token == self.bot_token and "files:read" in self.granted)
        self.downloads.append(download)
        if redirect := self.faults.take("file_redirect"):
            download.status = 302
            return web.Response(status=302, headers={"Location": redirect.location})
        if refused := self.faults.take("file_refused"):
            download.status = refused.status
            return web.Response(status=refused.status)
        if not download.authorized:
            download.status = 302
            return web.Response(status=302, headers={"Location": f"{self.url()}/signin?redir={quote(request.path)}"})
        file = self._files.get(file_id)
        if file is None:
            download.status = 404
            return web.Response(status=404)
        return await self._stream(request, file, download)

    async def _stream(self, request: web.Request, file: File, download: Download) -> web.StreamResponse:
        slow, larger = self.faults.take("file_slow"), self.faults.take("file_larger")
        # A canvas is served as HTML, despite its mimetype.
        mimetype = "text/html; charset=utf-8" if file.is_canvas else file.type.mimetype
        content = self.canvas_page(file).encode() if file.is_canvas else file.content
        if request.match_info["name"] == _CAPTIONS and file.transcript is not None:
            mimetype, content = "text/vtt", _captions(file.transcript)
        response = web.StreamResponse(headers={"Content-Type": mimetype})
        if larger is None:
            response.content_length = len(content)
        await response.prepare(request)
        for chunk in _chunks(content, larger.more_bytes if larger else 0):
            if slow is not None:
                await asyncio.sleep(slow.delay_s)
            try:
                await response.write(chunk)
            except ConnectionError:
                # The client closed the connection.
                return response
            download.sent_bytes += len(chunk)
        return response


def links_in(node: Any) -> Iterator[str]:
    """Yields the URLs of the links in stored blocks."""
    if isinstance(node, dict):
        if node.get("type") == "link":
            yield str(node.get("url"))
        for child in node.values():
            yield from links_in(child)
    elif isinstance(node, list | tuple):
        for child in node:
            yield from links_in(child)


def canvas_of(url: str) -> str | None:
    """Returns the ID of the canvas that a URL leads to, or None for other URLs."""
    canvas_id = url.removeprefix(canvas_link(""))
    return canvas_id if canvas_id != url and canvas_id.isalnum() else None


def canvas_link(canvas_id: str) -> str:
    return f"https://sandbox.slack.com/docs/{TEAM_ID}/{canvas_id}"


async def _sign_in(request: web.Request) -> web.Response:
    del request
    return web.Response(text=_SIGN_IN, content_type="text/html")


async def _body(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    for value in (await request.post()).values():
        if isinstance(value, web.FileField):
            return value.file.read()
    return b""


def _chunks(content: bytes, more_bytes: int) -> Iterator[bytes]:
    for at in range(0, len(content), _CHUNK_BYTES):
        yield content[at : at + _CHUNK_BYTES]
    for at in range(0, more_bytes, _CHUNK_BYTES):
        yield bytes(min(_CHUNK_BYTES, more_bytes - at))


def _new_id() -> str:
    return f"F{uuid.uuid4().hex[:10].upper()}"


def _mail_fields(mail: Mail) -> Json:
    name, _, address = mail.sender.rpartition("<")
    sender = {"address": address.rstrip(">"), "name": name.strip(), "original": mail.sender}
    kind = {"size": 1_000, "mimetype": "application/pdf", "metadata": None}
    attachments = [{"filename": name, "url": f"{_MAIL_FILES}{name}", **kind} for name in mail.attachments]
    return {
        "mode": "email",
        "editable": True,
        "subject": mail.subject,
        "from": [sender],
        "to": [{"address": _CHANNEL_ADDRESS, "name": "", "original": _CHANNEL_ADDRESS}],
        "cc": [],
        "headers": {"date": mail.date, "in_reply_to": None, "reply_to": None, "message_id": "<1@mail.example>"},
        "attachments": attachments,
        "original_attachment_count": len(attachments),
        "plain_text": mail.text,
        "preview": mail.page[:_PREVIEW_CHARS],
        "preview_plain_text": mail.text[:_PREVIEW_CHARS],
        "has_more": len(mail.text) > _PREVIEW_CHARS,
        "sent_to_self": False,
    }


def _clip_fields(file: File, vtt_url: str) -> Json:
    fields: Json = {
        "subtype": "slack_audio",
        "is_transcription_region_supported": True,
        "transcription": {"status": "none"},
        "duration_ms": _CLIP_MS,
        "audio_wave_samples": [0, 1, 4, 9, 4, 1, 0],
        "media_display_type": "audio",
    }
    if file.transcript is None:
        return fields
    text = file.transcript
    preview = {"content": text[:_PREVIEWED_TRANSCRIPT_CHARS], "has_more": len(text) > _PREVIEWED_TRANSCRIPT_CHARS}
    return fields | {"transcription": {"status": "complete", "locale": "en-US", "preview": preview}, "vtt": vtt_url}


def _captions(transcript: str) -> bytes:
    """Returns a transcript as WebVTT. No recording shows how Slack divides a transcript into cues."""
    cue = transcript.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"WEBVTT\n\n1\n00:00:00.000 --> 00:00:{_CLIP_MS // 1_000:02d}.000\n{cue}\n".encode()


def _preview(file: File) -> Json:
    text = file.content.decode(errors="replace")
    lines = text.splitlines()
    preview = "\n".join(lines[:_PREVIEW_LINES])[:_PREVIEW_CHARS]
    return {
        "preview": preview,
        "preview_is_truncated": len(preview) < len(text.rstrip("\n")),
        "lines": len(lines),
        "lines_more": max(0, len(lines) - _PREVIEW_LINES),
    }
