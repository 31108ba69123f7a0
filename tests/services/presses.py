"""Presses of buttons, at the stage of an answer."""

from dataclasses import dataclass, field

from bot.core.actions import ActionResponse
from bot.core.asks import ApprovalPlace
from bot.core.conversation import ThreadKey
from bot.services.decisions import Decisions
from bot.services.kept_tests import KeptTestModal
from bot.services.presses import PressChecker
from bot.services.reply_actions import ReplyActions
from bot.services.shortcut import MessageShortcut
from bot.services.sign_in import SignInModal
from bot.services.stops import AnswerStopper
from bot.slack.blockkit import Json
from bot.slack.surfaces import Surfaces
from bot.slack.views.modal import place_of_call
from tests.services.answering import AnsweringStage
from tests.services.parts import having


@dataclass
class MemorySurfaces(Surfaces):
    """Slack's surfaces, which keep what they show. `error` is raised by each."""

    responses: list[ActionResponse] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    modals: list[ApprovalPlace | None] = field(default_factory=list)
    reactions: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        self.responses.append(response)

    async def react(self, channel_id: str, ts: str, emoji: str) -> None:
        self.reactions.append((ts, emoji))

    async def delete_ephemeral(self, response_url: str) -> None:
        self.deleted.append(response_url)

    async def open(self, trigger_id: str, view: Json, *, in_modal: bool = False) -> str:
        self.modals.append(place_of_call(view) if "submit" in view else None)
        self._fail()
        return "V1"

    def _fail(self) -> None:
        if self.error:
            raise self.error


def actions_on(stage: AnsweringStage) -> ReplyActions:
    """Returns the reply actions beside a stage's worker. UADMIN is an admin."""
    stores = having(stage.stores, clock=stage.clock)
    workspace = having(stage.workspace, surfaces=MemorySurfaces())
    access, schedules = stage.answering.access_control, stage.answering.schedules
    presses, stops = PressChecker(stores, workspace, access), AnswerStopper(stores, workspace, stage.worker, access)
    shortcut = MessageShortcut(stores, workspace, access, lambda: None)
    decisions = Decisions(stores, workspace, stage.worker, presses, shortcut, schedules)
    keeping = KeptTestModal(stores, workspace, presses)
    return ReplyActions(stores, workspace, stage.worker, presses, decisions, SignInModal(decisions), stops, keeping)
