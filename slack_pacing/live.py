"""Shows growing text in messages, with edits from a budget that all live messages of a workspace share.

Nothing is queued. A live message knows its newest text and the text that Slack shows. While these differ, it asks the
budget for a call, which carries whatever text is newest when the call is sent. The text of a failed call doesn't count
as shown, so the next call carries the newest text.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Self

from slack_pacing.budget import REPLIES, RateBudget, retry_after_s
from slack_pacing.pacer import Urgency

MAX_FAILURES = 6
"""The number of consecutive failed calls, not counting rate limits, after which a message is given up."""
FIRST_WAIT_S = 0.5
"""The wait after the first failed call. It doubles after each further failure, which adds up to 15.5 s."""

FINAL_WITHIN_S = 180.0
"""The longest time to wait for the last text to be shown, for example while Slack refuses all edits with 429s."""

Show = Callable[[str, bool], Awaitable[object]]
"""Edits the message so that Slack shows the text. The second argument is whether the text can still grow, so that the
function can complete markup or show that the model is still writing. The function can raise the Slack client's own
errors (`retry_after_s`)."""

log = logging.getLogger(__name__)


class LiveMessage:
    """A message whose text grows, as an async context manager. On exit, it waits until the last text is shown.

    `show`: edits the message. `method`: the Slack method that `show` calls. On exit, it raises the last error from
    `show` if that failed MAX_FAILURES times in a row, or TimeoutError if the last text isn't shown within
    FINAL_WITHIN_S.
    """

    def __init__(self, budget: RateBudget, show: Show, *, method: str = REPLIES) -> None:
        self._budget = budget
        self._show = show
        self._method = method
        self._text = ""
        self._shown: tuple[str, bool] | None = None
        self._is_final = False
        self._changed = asyncio.Event()

    def write(self, text: str) -> None:
        """Sets the whole text so far. Never waits, because the text is shown once the budget allows an edit.

        `show` is called only with texts that will be shown, so convert or render the text there.
        """
        self._text = text
        self._changed.set()

    async def __aenter__(self) -> Self:
        self._budget.on_reply_opened(self)
        self._showing = asyncio.create_task(self._keep_shown())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_final = True
        self._changed.set()
        try:
            async with asyncio.timeout(FINAL_WITHIN_S):
                await self._showing
        finally:
            self._showing.cancel()
            self._budget.on_reply_closed(self)

    def _urgency(self) -> Urgency:
        if self._is_final:
            return Urgency.FINAL
        return Urgency.PROGRESS if self._shown else Urgency.FIRST

    async def _keep_shown(self) -> None:
        failures = 0
        while True:
            if not self._text or self._shown == (self._text, not self._is_final):
                if self._is_final:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                async with self._budget.paced_call(self._method, key=self, urgency=self._urgency):
                    text, is_growing = self._text, not self._is_final
                    await self._show(text, is_growing)
                self._shown, failures = (text, is_growing), 0
            except Exception as error:
                # The budget waits after a 429, too, unless the method has no budget.
                wait_s = retry_after_s(error)
                if wait_s is None:
                    failures += 1
                    log.warning("%s failed %d times: %s", self._method, failures, type(error).__name__)
                    if failures >= MAX_FAILURES:
                        raise
                    wait_s = FIRST_WAIT_S * 2.0 ** (failures - 1)
                await asyncio.sleep(max(wait_s, FIRST_WAIT_S))
