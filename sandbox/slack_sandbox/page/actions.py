"""The page's HTTP routes for buttons, modals, commands, shortcuts and the assistant pane."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from slack_sandbox.blocks.choices import Choice
from slack_sandbox.client import Surfaces
from slack_sandbox.interactivity import MenuQuery, Press
from slack_sandbox.modals import Values, ViewPress
from slack_sandbox.page.guard import body, done, for_page, strings
from slack_sandbox.workspace import Json, SlackError


@dataclass
class PageActions:
    """Handles the page's actions. The response is sent after the app's acknowledgment. Without one, it is
    app_not_responding.
    """

    surfaces: Surfaces
    record_tab: Callable[[str, str], None]

    def routes(self) -> list[web.RouteDef]:
        handlers = {
            "press": self._on_press,
            "press_in_view": self._on_press_in_view,
            "suggest": self._on_suggest,
            "suggest_in_view": self._on_suggest_in_view,
            "submit": self._on_submit,
            "close": self._on_close,
            "command": self._on_command,
            "shortcut": self._on_shortcut,
            "open_tab": self._on_open_tab,
            "start_thread": self._on_start_thread,
            "look_at": self._on_look_at,
            "stop": self._on_stop,
        }
        return [web.post(f"/sandbox/{name}", for_page(handler)) for name, handler in handlers.items()]

    async def _body(self, request: web.Request) -> Json:
        data = await body(request)
        user_id, tab = data.get("user_id"), data.get("tab_id")
        if isinstance(user_id, str) and isinstance(tab, str):
            self.record_tab(user_id, tab)
        return data

    async def _on_press(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        user, channel, ts, block_id, action_id = strings(data, "user_id", "channel", "ts", "block_id", "action_id")
        press = Press(user, action_id, _choice(data.get("value")), block_id)
        return _acknowledgment_response(await self.surfaces.interactivity.press(channel, ts, press))

    async def _on_press_in_view(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        user, view_id, block_id, action_id = strings(data, "user_id", "view_id", "block_id", "action_id")
        press = ViewPress(action_id, block_id, _choice(data.get("value")), _values(data))
        return _acknowledgment_response(await self.surfaces.modals.press(user, view_id, press))

    async def _on_suggest(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        channel, ts = strings(data, "channel", "ts")
        return _options_response(await self.surfaces.interactivity.suggest(channel, ts, _menu_query(data)))

    async def _on_suggest_in_view(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        (view_id,) = strings(data, "view_id")
        return _options_response(await self.surfaces.modals.suggest(view_id, _menu_query(data)))

    async def _on_submit(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        user, view_id = strings(data, "user_id", "view_id")
        return web.json_response(
            {"ok": True, "errors": await self.surfaces.modals.submit(user, view_id, _values(data))}
        )

    async def _on_close(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        (user,) = strings(data, "user_id")
        await self.surfaces.modals.close(user, whole_stack=bool(data.get("everything")))
        return done()

    async def _on_command(self, request: web.Request) -> web.StreamResponse:
        await self.surfaces.commands.run(*strings(await self._body(request), "user_id", "channel", "text"))
        return done()

    async def _on_shortcut(self, request: web.Request) -> web.StreamResponse:
        data = await self._body(request)
        user, callback_id = strings(data, "user_id", "callback_id")
        if not data.get("ts"):
            return _acknowledgment_response(await self.surfaces.commands.use_global_shortcut(user, callback_id))
        channel, ts = strings(data, "channel", "ts")
        return _acknowledgment_response(
            await self.surfaces.commands.use_message_shortcut(user, callback_id, channel, ts)
        )

    async def _on_open_tab(self, request: web.Request) -> web.StreamResponse:
        user, tab = strings(await self._body(request), "user_id", "tab")
        self.surfaces.panes.open_tab(user, "home" if tab == "home" else "messages")
        return done()

    async def _on_start_thread(self, request: web.Request) -> web.StreamResponse:
        (user,) = strings(await self._body(request), "user_id")
        return done(ts=self.surfaces.panes.start_thread(user))

    async def _on_look_at(self, request: web.Request) -> web.StreamResponse:
        self.surfaces.panes.look_at(*strings(await self._body(request), "user_id", "channel"))
        return done()

    async def _on_stop(self, request: web.Request) -> web.StreamResponse:
        self.surfaces.panes.stop(*strings(await self._body(request), "user_id", "channel", "thread_ts"))
        return done()


def _menu_query(data: Json) -> MenuQuery:
    user, block_id, action_id = strings(data, "user_id", "block_id", "action_id")
    return MenuQuery(user, action_id, str(data.get("query", "")), block_id)


def _options_response(options: Sequence[Json]) -> web.Response:
    shown = [{"value": option["value"], "text": option["text"]["text"]} for option in options]
    return web.json_response({"ok": True, "options": shown})


def _acknowledgment_response(acknowledged: bool) -> web.Response:
    if not acknowledged:
        raise SlackError("app_not_responding")
    return done()


def _values(data: Json) -> Values:
    values: Any = data.get("values")
    if not isinstance(values, Mapping):
        return {}
    return {(block, action): _choice(value) for block, fields in values.items() for action, value in fields.items()}


def _choice(value: Any) -> Choice:
    if value is None:
        return None
    return [str(item) for item in value] if isinstance(value, list) else str(value)
