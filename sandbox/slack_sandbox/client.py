"""One person's Slack client: buttons, modals, commands, shortcuts and tabs. Tests use it to act as that person."""

from collections.abc import Mapping
from dataclasses import dataclass

from slack_sandbox.blocks.choices import Choice
from slack_sandbox.blocks.elements import interactive
from slack_sandbox.commands import Commands
from slack_sandbox.interactivity import Interactivity, MenuQuery, Press
from slack_sandbox.modals import Modals, Values, ViewPress
from slack_sandbox.panes import Panes, Tab
from slack_sandbox.views import View
from slack_sandbox.workspace import Json, SlackError, Workspace


@dataclass(frozen=True, slots=True)
class Surfaces:
    workspace: Workspace
    interactivity: Interactivity
    commands: Commands
    modals: Modals
    panes: Panes


@dataclass(frozen=True, slots=True)
class Client:
    """One person's Slack client. Methods raise SlackError if Slack would reject the action.

    Methods that return a bool return whether the app acknowledged the action.
    """

    user_id: str
    surfaces: Surfaces

    async def press(self, channel: str, ts: str, action_id: str, value: Choice = None) -> bool:
        """Clicks a button in a message, or makes a choice in another element of it.

        `value` is a button's value, an option's value, an ID or typed text, or a list of these for multi-select
        elements. Without a `value`, the button's own value is sent. With a `value`, neither the value nor the element
        is checked, because a real client can forge both.
        """
        press = Press(self.user_id, action_id, value, forged=value is not None)
        return await self.surfaces.interactivity.press(self._channel(channel), ts, press)

    async def suggest(self, channel: str, ts: str, action_id: str, text: str) -> list[Json]:
        """Types into an external menu of a message and returns the app's options."""
        query = MenuQuery(self.user_id, action_id, text)
        return await self.surfaces.interactivity.suggest(self._channel(channel), ts, query)

    async def suggest_in_view(self, view: View, action_id: str, text: str) -> list[Json]:
        """Types into an external menu of a modal or the Home tab and returns the app's options."""
        return await self.surfaces.modals.suggest(view.id, MenuQuery(self.user_id, action_id, text))

    @property
    def modal(self) -> View | None:
        """The open modal at the top of the stack, or None."""
        return self.surfaces.modals.views.modal(self.user_id)

    @property
    def home(self) -> View | None:
        """The Home tab's view that the app published for this person, or None."""
        return self.surfaces.modals.views.home(self.user_id)

    async def submit(self, values: Mapping[str, Choice]) -> dict[str, str]:
        view = self._open_modal()
        return await self.surfaces.modals.submit(self.user_id, view.id, _group_by_block(view, values))

    async def close(self, *, whole_stack: bool = False) -> None:
        """Closes the open modal or, with `whole_stack`, all open modals."""
        await self.surfaces.modals.close(self.user_id, whole_stack=whole_stack)

    async def press_in_view(
        self, view: View, action_id: str, value: Choice = None, values: Mapping[str, Choice] | None = None
    ) -> bool:
        """Clicks a button, or makes a choice, in a modal or the Home tab. `values`: the view's field values when the
        button is clicked, by action_id."""
        press = ViewPress(action_id, None, value, _group_by_block(view, values or {}))
        return await self.surfaces.modals.press(self.user_id, view.id, press)

    async def command(self, channel: str, typed: str) -> None:
        await self.surfaces.commands.run(self.user_id, self._channel(channel), typed)

    async def use_message_shortcut(self, channel: str, ts: str, callback_id: str) -> bool:
        return await self.surfaces.commands.use_message_shortcut(self.user_id, callback_id, self._channel(channel), ts)

    async def use_global_shortcut(self, callback_id: str) -> bool:
        return await self.surfaces.commands.use_global_shortcut(self.user_id, callback_id)

    def open_tab(self, tab: Tab) -> None:
        self.surfaces.panes.open_tab(self.user_id, tab)

    def start_thread(self) -> str:
        return self.surfaces.panes.start_thread(self.user_id)

    def look_at(self, channel: str, message_ts: str | None = None, canvas_id: str | None = None) -> None:
        """Opens a channel, or a message or a canvas in it, next to the assistant pane."""
        self.surfaces.panes.look_at(self.user_id, self._channel(channel), message_ts, canvas_id)

    def stop(self, channel: str, thread_ts: str) -> None:
        self.surfaces.panes.stop(self.user_id, self._channel(channel), thread_ts)

    def rename(self, channel: str, thread_ts: str, title: str) -> None:
        self.surfaces.panes.rename(self.user_id, self._channel(channel), thread_ts, title)

    def _channel(self, name_or_id: str) -> str:
        return self.surfaces.workspace.channel(name_or_id).id

    def _open_modal(self) -> View:
        if self.modal is None:
            raise SlackError("not_found")
        return self.modal


def _group_by_block(view: View, values: Mapping[str, Choice]) -> Values:
    block_ids = {element["action_id"]: block["block_id"] for block, element in interactive(view.blocks)}
    return {(block_ids[action_id], action_id): value for action_id, value in values.items()}
