"""A person's Slack client: what they do with the app's surfaces. The page and the tests act through it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.block_elements import interactive
from sandbox.choices import Choice
from sandbox.commands import Commands
from sandbox.interactivity import Interactivity, Press
from sandbox.modals import Modals, Values, ViewPress
from sandbox.panes import Panes, Tab
from sandbox.views import View
from sandbox.workspace import SlackError, Workspace


@dataclass(frozen=True, slots=True)
class Surfaces:
    """All that an app can show besides messages."""

    workspace: Workspace
    interactivity: Interactivity
    commands: Commands
    modals: Modals
    panes: Panes


@dataclass(frozen=True, slots=True)
class Client:
    """One person's. Methods raise SlackError where Slack would not let them; `bool`: whether the app acknowledged."""

    user_id: str
    surfaces: Surfaces

    async def press(self, channel: str, ts: str, action_id: str, value: Choice = None) -> bool:
        """Uses a message's element.

        `value`: a button's, an option's, an id or a text; several for elements that take several. A button's own where
        none is given. It is passed on whatever it is, and where one is given the element need not be there: what
        clients send can be forged.
        """
        press = Press(self.user_id, action_id, value, forged=value is not None)
        return await self.surfaces.interactivity.press(self._channel(channel), ts, press)

    @property
    def modal(self) -> View | None:
        """The modal that is open, the topmost of its stack."""
        return self.surfaces.modals.views.modal(self.user_id)

    @property
    def home(self) -> View | None:
        """The app's Home as it was published for this person."""
        return self.surfaces.modals.views.home(self.user_id)

    async def submit(self, values: Mapping[str, Choice]) -> dict[str, str]:
        """Fills the open modal's fields, by action_id, and submits it; what is wrong, by block_id, if anything is."""
        view = self._open_modal()
        return await self.surfaces.modals.submit(self.user_id, view.id, _by_block(view, values))

    async def close(self, *, everything: bool = False) -> None:
        """Closes the open modal, or the whole stack."""
        await self.surfaces.modals.close(self.user_id, everything=everything)

    async def press_in_view(
        self, view: View, action_id: str, value: Choice = None, values: Mapping[str, Choice] | None = None
    ) -> bool:
        """Uses an element of a modal or of the Home; `values`: what its fields hold by then, by action_id."""
        press = ViewPress(action_id, None, value, _by_block(view, values or {}))
        return await self.surfaces.modals.press(self.user_id, view.id, press)

    async def command(self, channel: str, typed: str) -> None:
        """Types `/command text` in a channel."""
        await self.surfaces.commands.run(self.user_id, self._channel(channel), typed)

    async def use_message_shortcut(self, channel: str, ts: str, callback_id: str) -> bool:
        """Uses a message shortcut."""
        return await self.surfaces.commands.use_message_shortcut(self.user_id, callback_id, self._channel(channel), ts)

    async def use_global_shortcut(self, callback_id: str) -> bool:
        """Uses a global shortcut."""
        return await self.surfaces.commands.use_global_shortcut(self.user_id, callback_id)

    def open_tab(self, tab: Tab) -> None:
        """Opens the app's Home or Messages tab."""
        self.surfaces.panes.open_tab(self.user_id, tab)

    def start_thread(self) -> str:
        """Starts a thread in the assistant's pane; its ts."""
        return self.surfaces.panes.start_thread(self.user_id)

    def look_at(self, channel: str, message_ts: str | None = None) -> None:
        """Goes to a channel, or to a message in it, with the app open beside it."""
        self.surfaces.panes.look_at(self.user_id, self._channel(channel), message_ts)

    def stop(self, channel: str, thread_ts: str) -> None:
        """Presses Slack's own Stop button of an agent's session."""
        self.surfaces.panes.stop(self.user_id, self._channel(channel), thread_ts)

    def _channel(self, name_or_id: str) -> str:
        return self.surfaces.workspace.channel(name_or_id).id

    def _open_modal(self) -> View:
        if self.modal is None:
            raise SlackError("not_found")
        return self.modal


def _by_block(view: View, values: Mapping[str, Choice]) -> Values:
    placed = {element["action_id"]: block["block_id"] for block, element in interactive(view.blocks)}
    return {(placed[action_id], action_id): value for action_id, value in values.items()}
