"""response_url: URLs with which an app can respond to a person's action up to 5 times within 30 minutes."""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from aiohttp import web

from slack_sandbox.blocks import rules
from slack_sandbox.blocks.stored import stored_text
from slack_sandbox.workspace import Json, Message, SlackError, Workspace

LIFE_S = 1_800.0
USES = 5


@dataclass(slots=True)
class ResponseUrl:
    channel: str
    user_id: str
    message: Message | None
    """The message whose button was clicked, for replace_original and delete_original."""
    until_s: float
    uses: int = USES


@dataclass
class Responses:
    workspace: Workspace
    monotonic: Callable[[], float]
    base_url: Callable[[], str]
    received: deque[Json] = field(default_factory=lambda: deque(maxlen=1_000))
    """The app's posts to response_urls, oldest first."""
    _response_urls: dict[str, ResponseUrl] = field(default_factory=dict)

    def issue_url(self, channel: str, user_id: str, message: Message | None = None) -> str:
        token = secrets.token_urlsafe(18)
        self._response_urls[token] = ResponseUrl(channel, user_id, message, self.monotonic() + LIFE_S)
        return f"{self.base_url()}/response/{token}"

    def show(self, channel: str, user_id: str, content: Json) -> None:
        self.respond(ResponseUrl(channel, user_id, None, 0.0), content)

    async def handle(self, request: web.Request) -> web.Response:
        """Handles a POST to a response_url. Responds `ok`, or 404 with the error's name.

        A `markdown` block gets HTTP 500 with an empty body, as with incoming webhooks.
        """
        try:
            body = await request.json()
            content = body if isinstance(body, dict) else {}
            self.received.append(content)
            response_url = self._use(request.match_info["token"])
            if _has_markdown(content.get("blocks")):
                return web.Response(status=500)
            self.respond(response_url, content)
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        except SlackError as refused:
            return web.json_response({"ok": False, "error": refused.error}, status=404)
        return web.Response(text="ok")

    def respond(self, response_url: ResponseUrl, content: Json) -> None:
        """Posts, replaces or deletes a message, as the app requests. Raises SlackError."""
        original = self._original(response_url) if response_url.message else None
        if content.get("delete_original"):
            if original is not None:
                self.workspace.delete(original)
            return
        text = str(content.get("text") or "")
        blocks = (
            rules.check_blocks(content["blocks"]) if content.get("blocks") else stored_text(text[: rules.POST_TEXT])
        )
        sent = tuple(content.get("blocks") or ())
        if not text.strip() and not blocks:
            raise SlackError("no_text")
        # A command or a shortcut doesn't have an original message, so its response is a new message.
        if content.get("replace_original") and response_url.message:
            if original is not None:
                self.workspace.change(replace(original, text=text, blocks=blocks, sent_blocks=sent))
            return
        message = Message(
            response_url.channel,
            self.workspace.next_ts(),
            self.workspace.bot.id,
            text[: rules.POST_TEXT],
            blocks,
            sent_blocks=sent,
            thread_ts=content.get("thread_ts"),
            ephemeral_to=None if content.get("response_type") == "in_channel" else response_url.user_id,
        )
        self.workspace.post(message)

    def _use(self, token: str) -> ResponseUrl:
        response_url = self._response_urls.get(token)
        if response_url is None or self.monotonic() > response_url.until_s:
            raise SlackError("expired_url")
        if not response_url.uses:
            raise SlackError("used_url")
        response_url.uses -= 1
        return response_url

    def _original(self, response_url: ResponseUrl) -> Message | None:
        assert response_url.message is not None
        try:
            return self.workspace.message_or_ephemeral(response_url.channel, response_url.message.ts)
        except SlackError:
            return None


def _has_markdown(blocks: object) -> bool:
    return isinstance(blocks, list) and any(
        isinstance(block, dict) and block.get("type") == "markdown" for block in blocks
    )
