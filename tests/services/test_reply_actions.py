"""A press before the message that shows the button is on record, with a real database and a manual clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot.core import texts
from bot.core.conversation import ThreadKey
from bot.core.job import Spent
from bot.core.reply.actions import ActionResponse, ReplyAction
from bot.core.reply.approvals import ApprovalPlace, Ask
from bot.services.reply_actions import LOOK_AGAIN_S, Press, ReplyActions
from bot.slack.surfaces import Surfaces
from bot.store import Stores
from tests.clocks import InstantClock
from tests.services.test_answering import QUESTION, AnsweringStage, LoneQuestion

PAGE_TS = "999991.000000"
STOP = Press(ReplyAction.STOP, QUESTION.thread, PAGE_TS, QUESTION.user_id)


class NoSurfaces(Surfaces):
    """Slack's surfaces, none of which is needed."""

    def __init__(self) -> None:
        """Needs nothing of Slack."""

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        raise AssertionError("the response is returned")

    async def delete_ephemeral(self, response_url: str) -> None:
        raise AssertionError("nothing ephemeral is shown")

    async def open_arguments_modal(self, trigger_id: str, ask: Ask, place: ApprovalPlace | None) -> None:
        raise AssertionError("there are no arguments")


@dataclass
class BusyClock(InstantClock):
    """A clock whose sleeps last until something else is done."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        if self.meanwhile:
            await self.meanwhile()


@pytest.fixture
async def stores() -> AsyncIterator[Stores]:
    stores = await Stores.open("sqlite://", "w1", InstantClock())
    await stores.queue.enqueue("Ev1", QUESTION)
    yield stores
    await stores.close()


def actions_of(stores: Stores, clock: BusyClock) -> ReplyActions:
    stage, surfaces = AnsweringStage(stores, clock), NoSurfaces()
    return ReplyActions(
        jobs=stores.queue,
        answers=stores.recorded_answers,
        worker=stage.worker,
        access_control=stage.answering.access_control,
        admins=(),
        surfaces=surfaces,
        approvals=stores.approvals,
        history=LoneQuestion(),
        clock=clock,
    )


async def test_press_waits_for_the_record_of_its_message(stores: Stores) -> None:
    [job] = await stores.worker_queue.claim(1)
    clock = BusyClock(meanwhile=lambda: stores.worker_queue.record_pages(job.id, [PAGE_TS]))
    assert await actions_of(stores, clock).press(STOP) is None
    assert (await stores.worker_queue.heartbeat({job: Spent()})).to_stop == {job.id}


async def test_message_that_is_not_on_record_a_second_later_is_unknown(stores: Stores) -> None:
    clock = BusyClock()
    assert await actions_of(stores, clock).press(STOP) == ActionResponse(texts.ANSWER_UNKNOWN)
    assert clock.sleeps == [LOOK_AGAIN_S]
