"""The page's view of modals, the Home tab, panes, commands and shortcuts. Changes are sent to open pages."""

from dataclasses import dataclass

from slack_sandbox.client import Surfaces
from slack_sandbox.page.render import Renderer
from slack_sandbox.page.updates import PageUpdates
from slack_sandbox.panes import Suggestions
from slack_sandbox.views import View
from slack_sandbox.workspace import Json


@dataclass
class PageSurfaces:
    surfaces: Surfaces
    updates: PageUpdates
    renderer: Renderer

    def __post_init__(self) -> None:
        self._active_tabs: dict[str, str] = {}
        self._modal_tabs: dict[str, tuple[str, str | None]] = {}
        self._views = self.surfaces.modals.views
        self._panes = self.surfaces.panes
        self._views.on_changed.append(self._send_views)
        self._panes.on_changed.append(lambda channel: self.updates.send("pane", self._pane_json(channel)))

    def record_tab(self, user_id: str, tab: str) -> None:
        """Records the browser tab in which a person acts. Modals open in this tab."""
        self._active_tabs[user_id] = tab

    def state(self) -> Json:
        config = self._panes.config
        people = [user.id for user in self.surfaces.workspace.users.values() if user.bot_id is None]
        return {
            "app": {
                "commands": [
                    {"command": c.command, "description": c.description, "usage_hint": c.usage_hint}
                    for c in config.commands
                ],
                "shortcuts": [
                    {"name": s.name, "type": s.type, "callback_id": s.callback_id, "description": s.description}
                    for s in config.shortcuts
                ],
                "home_tab": config.home_tab,
                "pane": config.pane,
                "can_stop": "agent_session_stopped" in config.events,
            },
            "views": [self._views_json(user_id) for user_id in people],
            # For all channels, because agents can also have sessions in channel threads.
            "panes": [self._pane_json(channel) for channel in self._channels_with_pane()],
        }

    def _channels_with_pane(self) -> list[str]:
        """Returns the channels, except those of an export that don't have agent sessions."""
        workspace = self.surfaces.workspace
        return [
            channel
            for channel in workspace.channels
            if not workspace.log(channel).is_long or self._panes.sessions(channel)
        ]

    def _send_views(self, user_id: str) -> None:
        self.updates.send("views", self._views_json(user_id))

    def _views_json(self, user_id: str) -> Json:
        modal, home = self._views.modal(user_id), self._views.home(user_id)
        return {
            "user_id": user_id,
            "modal": self._modal_json(modal) if modal else None,
            "home": {"id": home.id, "html": self.renderer.blocks(home.blocks)} if home else None,
        }

    def _modal_json(self, view: View) -> Json:
        return {
            "id": view.id,
            "tab": self._tab_of(view),
            "title": view.title,
            "submit": (view.content.get("submit") or {}).get("text"),
            "close": (view.content.get("close") or {"text": "Cancel"})["text"],
            "html": self.renderer.blocks(view.blocks),
        }

    def _tab_of(self, view: View) -> str | None:
        """Returns the tab in which a modal's stack was opened, or None if no page opened it."""
        root_id, tab = self._modal_tabs.get(view.user_id, ("", None))
        if root_id != view.root_id:
            tab = self._active_tabs.get(view.user_id)
            self._modal_tabs[view.user_id] = view.root_id, tab
        return tab

    def _pane_json(self, channel: str) -> Json:
        user_id = self.surfaces.workspace.channels[channel].user_id
        thread_ts = self._panes.thread(user_id) if user_id else None
        sessions = self._panes.sessions(channel)
        return {
            "channel": channel,
            "thread_ts": thread_ts,
            "suggestions": _suggestions_json(self._panes.suggestions(channel, thread_ts)),
            "sessions": {ts: {"status": session.status, "title": session.title} for ts, session in sessions.items()},
        }


def _suggestions_json(suggestions: Suggestions) -> Json:
    prompts = [{"title": prompt.title, "message": prompt.message} for prompt in suggestions.prompts]
    return {"title": suggestions.title, "prompts": prompts}
