"""The page's files: their descriptions, uploads and downloads."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from slack_sandbox.files import MAX_BYTES, Files, UploadedFile, canvas_link
from slack_sandbox.page.render import Renderer
from slack_sandbox.text.translation import translate
from slack_sandbox.workspace import Json, Message, SlackError, Workspace

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The types that a browser can display safely. All others are only offered as downloads."""
_CANVAS_LINK = re.compile(re.escape(canvas_link("")) + r"(\w+)")
_CANVAS_LINES = 12
_CANVAS_CHARS = 1_500
"""The length of a canvas's beginning, which messages show. The page loads the rest on demand."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """Handles the page's uploads and downloads. Its routes must be wrapped in `for_page`."""

    workspace: Workspace
    files: Files
    renderer: Renderer

    def message_files(self, message: Message) -> list[Json]:
        """Returns the descriptions of a message's files for the page, including those of a forwarded message."""
        holders = ({"files": message.files}, *message.attachments)
        shared = [_file_json(file) for holder in holders for file in holder.get("files", ())]
        return [self._with_content(file) for file in (*shared, *self._linked_canvases(message))]

    def _linked_canvases(self, message: Message) -> Iterator[Json]:
        """Yields the canvases that a message links to. Slack shows them below the message, regardless of
        unfurl_links."""
        shared = {file["id"] for file in message.files}
        for canvas_id in dict.fromkeys(_CANVAS_LINK.findall(json.dumps(message.blocks))):
            with suppress(SlackError):
                canvas = self.files.get(canvas_id)
                if canvas_id not in shared and canvas.is_canvas:
                    yield _file_json(self.files.file_json(canvas))

    def _with_content(self, file: Json) -> Json:
        """Adds a clip's complete transcript, or the beginning of a canvas."""
        try:
            stored = self.files.get(file["id"])
        except SlackError:
            return file
        if not stored.is_canvas:
            return file | ({"transcript": stored.transcript} if stored.transcript else {})
        text = stored.content.decode(errors="replace")
        lines = text.split("\n")
        shown = "\n".join(lines[:_CANVAS_LINES])[:_CANVAS_CHARS]
        more = {"preview_is_truncated": shown != text, "lines_more": len(lines[_CANVAS_LINES:])}
        return (
            {key: value for key, value in file.items() if key != "preview"} | more | {"html": self._content_html(shown)}
        )

    def _content_html(self, markdown: str) -> str:
        return self.renderer.blocks(translate(markdown))

    async def canvas(self, request: web.Request) -> web.StreamResponse:
        canvas = self.files.get(request.match_info["file_id"])
        if not canvas.is_canvas:
            raise SlackError("canvas_not_found")
        return web.json_response({"ok": True, "html": self._content_html(canvas.content.decode(errors="replace"))})

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Stores a person's file from a request's raw body. For a clip, the query can contain a transcript.

        Other sites' forms can't send this content type without a preflight request.
        """
        if request.content_type != "application/octet-stream":
            raise web.HTTPUnsupportedMediaType(text="Send application/octet-stream.")
        person = self.workspace.user(request.query.get("user_id", ""))
        name = request.query.get("name", "").strip()
        if not name:
            raise SlackError("invalid_arguments")
        try:
            content = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise SlackError(f"file_too_large (at most {MAX_BYTES >> 20} MB)") from None
        if not content:
            raise SlackError("file_is_empty")
        upload = UploadedFile(name, content, transcript=request.query.get("transcript"))
        return web.json_response({"ok": True, "id": self.files.add(person.id, upload).id})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Serves a file's content in a way that keeps browsers from running it."""
        file = self.files.get(request.match_info["file_id"])
        mimetype, disposition = file.type.mimetype, "inline"
        if mimetype not in _IMAGES:
            mimetype = "text/plain" if file.type.is_text or file.is_canvas else "application/octet-stream"
            disposition = "attachment"
        headers = {
            "Content-Type": f"{mimetype}; charset=utf-8" if mimetype == "text/plain" else mimetype,
            "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.name, safe='')}",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return web.Response(body=file.content, headers=headers)


def _file_json(file: Json) -> Json:
    if file["mode"] in ("tombstone", "hidden_by_limit"):
        return {"id": file["id"], "deleted": True}
    keys = ("id", "name", "title", "pretty_type", "size", "alt_txt", "preview", "preview_is_truncated", "lines_more")
    fields = {key: file[key] for key in keys if key in file}
    fields["is_clip"] = "transcription" in file
    if file.get("file_access") == "access_denied":
        # A file in an export, which only has a name.
        return fields | {"is_absent": True, "is_image": False, "url": ""}
    return fields | {"url": f"/sandbox/files/{file['id']}", "is_image": file["mimetype"] in _IMAGES}
