"""Files on the page: what it shows of them, and the bytes that its people send and see."""

from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from sandbox.files import MAX_BYTES, Files, Upload
from sandbox.workspace import Json, Message, SlackError, Workspace

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a browser may show from here; all else is only saved, as text or as bytes."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """Behind the page's guard, as all that the page talks to."""

    workspace: Workspace
    files: Files

    def of(self, message: Message) -> list[Json]:
        """A message's files as the page shows them, those of a message that it forwards among them."""
        holders = ({"files": message.files}, *message.attachments)
        return [_shown(file) for holder in holders for file in holder.get("files", ())]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """One file of a person, as raw bytes: another site's form can't send those without asking first."""
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
        return web.json_response({"ok": True, "id": self.files.add(person.id, Upload(name, content)).id})

    async def give(self, request: web.Request) -> web.StreamResponse:
        """A file's bytes, made harmless: nothing in it runs, whatever it says it is."""
        file = self.files.get(request.match_info["file_id"])
        mimetype, disposition = file.type.mimetype, "inline"
        if mimetype not in _IMAGES:
            mimetype = "text/plain" if file.type.is_text else "application/octet-stream"
            disposition = "attachment"
        headers = {
            "Content-Type": f"{mimetype}; charset=utf-8" if mimetype == "text/plain" else mimetype,
            "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(file.name, safe='')}",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return web.Response(body=file.content, headers=headers)


def _shown(file: Json) -> Json:
    if file["mode"] == "tombstone":
        return {"id": file["id"], "deleted": True}
    kept = ("id", "name", "title", "pretty_type", "size", "alt_txt", "preview", "preview_is_truncated", "lines_more")
    said = {key: file[key] for key in kept if key in file}
    return said | {"url": f"/sandbox/files/{file['id']}", "is_image": file["mimetype"] in _IMAGES}
