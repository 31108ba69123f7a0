"""What the page's people do with the app's controls, for page_api."""

from dataclasses import dataclass

from aiohttp import web

from sandbox.choices import Chosen
from sandbox.client import Surfaces
from sandbox.interactivity import Press
from sandbox.page_guard import body, done, guarded, strings
from sandbox.workspace import Json, SlackError


@dataclass
class PageActions:
    """Each answer waits for the app's acknowledgement; without one the page warns."""

    surfaces: Surfaces

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/sandbox/press", guarded(self._press))]

    async def _press(self, request: web.Request) -> web.StreamResponse:
        said = await body(request)
        user, channel, ts, block_id, action_id = strings(said, "user_id", "channel", "ts", "block_id", "action_id")
        press = Press(user, action_id, chosen_of(said), block_id)
        return acknowledged(await self.surfaces.interactivity.press(channel, ts, press))


def chosen_of(said: Json) -> Chosen:
    """What was chosen, as the page says it."""
    chosen = said.get("value")
    return [str(each) for each in chosen] if isinstance(chosen, list) else None if chosen is None else str(chosen)


def acknowledged(was: bool) -> web.Response:
    """The answer to the page. Raises SlackError("app_not_responding")."""
    if not was:
        raise SlackError("app_not_responding")
    return done()
