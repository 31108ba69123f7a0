"""Questions about a message, asked in a modal: each is written into the message's thread once, and answered there.

Slack waits three seconds for a submitted modal. chat.postMessage may take as long, and its answer may be lost. So the
work outlives the request: a modal that is not done in time is closed, and the person alone is told what fails later.

The view's id makes it happen once: it is claimed in the Store before anything is posted, and it stands in the posted
message, where a later try finds it.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.core.conversation import Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.ports import Clock, Store
from bot.ports.surfaces import Surfaces
from bot.services.intake import Intake
from bot.slack.format import command_answers, modals, shortcut_question
from bot.slack.format.modals import AskAbout

TRY_AGAIN = "Slack does not let me do that just now. Please try again in a minute."
MESSAGE_DELETED = "The message that you ask about was deleted."
NOT_ON_RECORD = "I can't reach my records just now. Please try again in a minute."
STILL_ASKING = "I am already asking this. If it does not show up within two minutes, please ask again."
CLAIMED_S = 120.0
"""For how long one process alone may ask a view's question."""
WITHIN_S = 90.0
LOOK_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""How long to wait before each further look for a post whose answer was lost."""
LOOK_BACK_S = 1800.0
"""A modal that was opened longer ago was submitted for the first time just now, as far as we look."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class MessageShortcut:
    """Those of one process."""

    store: Store
    surfaces: Surfaces
    intake: Intake
    clock: Clock
    me: Identity
    _under_way: dict[str, asyncio.Task[str]] = field(default_factory=dict, init=False)
    _late: set[str] = field(default_factory=set, init=False)
    """Views whose modal is closed: what comes of them is told in another way."""

    async def ask(self, user_id: str, view: Mapping[str, Any]) -> str:
        """Returns "" once the question is asked, else why it is not. A caller that is cancelled ends nothing."""
        view_id = str(view["id"])
        task = self._under_way.get(view_id)
        if task is None:
            task = self._under_way[view_id] = asyncio.create_task(self._see_to(user_id, view_id, view))
            task.add_done_callback(lambda _: self._under_way.pop(view_id, None))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._late.add(view_id)
            raise

    async def end(self, within_s: float) -> None:
        """Lets those under way end."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=within_s)

    async def _see_to(self, user_id: str, view_id: str, view: Mapping[str, Any]) -> str:
        about, words = modals.question_of(view)
        sentence = TRY_AGAIN
        try:
            async with asyncio.timeout(WITHIN_S):
                sentence = await self._asked(user_id, view_id, about, words)
        except (TimeoutError, StoreError, RateLimited, Refused) as error:
            log.warning("a question about %s is not asked: %s", about.ts, error or "it took too long")
            sentence = _sentence(error)
        finally:
            late = view_id in self._late
            self._late.discard(view_id)
        if late and sentence:
            await self._tell(about.response_url, sentence)
        return sentence

    async def _asked(self, user_id: str, view_id: str, about: AskAbout, words: str) -> str:
        team_id = self.me.team_id
        first = await self.store.tell_once(team_id, user_id, f"ask {view_id}")
        if not await self.store.tell_once(team_id, user_id, f"asking {view_id}", CLAIMED_S):
            return STILL_ASKING
        question = None
        try:
            question = await self._written(user_id, view_id, about, words, first=first)
            await self.intake.enqueue(f"view {view_id}", question)
        except StoreError:
            await self._take_back(question)
            raise
        finally:
            await self._free(user_id, view_id)
        return ""

    async def _written(self, user_id: str, view_id: str, about: AskAbout, words: str, *, first: bool) -> Question:
        """Where we are not in the channel it goes to the person's direct message, with the message quoted."""
        message = shortcut_question.message(
            user_id, f"<@{user_id}> asks about this message:", shortcut_question.reminder(about), words
        )
        message = shortcut_question.marked(message, view_id)
        if not first and (ts := await self._found(about, view_id)):
            return self._question(user_id, about.channel_id, about.thread_ts, ts, message)
        try:
            channel_id, ts = await self.surfaces.post(about.channel_id, about.thread_ts, message)
            return self._question(user_id, channel_id, about.thread_ts, ts, message)
        except Refused as refused:
            if refused.reason in (Refusal.CHANNEL_GONE, Refusal.FORBIDDEN):
                return await self._written_elsewhere(user_id, about, words)
            if not refused.reason.may_pass:
                raise
            log.info("whether a question about %s was posted is looked for: %s", about.ts, refused)
            found = await self._found(about, view_id)
            if found is None:
                raise
        return self._question(user_id, about.channel_id, about.thread_ts, found, message)

    async def _written_elsewhere(self, user_id: str, about: AskAbout, words: str) -> Question:
        intro = f"<@{user_id}> asks about a message in <#{about.channel_id}>, where I can't write:"
        message = shortcut_question.message(user_id, intro, about.quote, words)
        channel_id, ts = await self.surfaces.post(user_id, None, message)
        await self._tell(about.response_url, command_answers.ELSEWHERE)
        return self._question(user_id, channel_id, ts if self.me.has_pane else None, ts, message)

    async def _found(self, about: AskAbout, view_id: str) -> str | None:
        """The message of an earlier try; None where Slack says twice that there is none.

        Raises RateLimited and Refused where Slack does not say: then nothing may be posted again.
        """
        since = self.clock.now() - LOOK_BACK_S
        looks = 0
        for delay_s in (*LOOK_AGAIN_S, None):
            try:
                ts = await self.surfaces.find(
                    about.channel_id, about.thread_ts, shortcut_question.mark_of(view_id), since
                )
                looks += 1
                if ts is not None or looks > 1:
                    return ts
            except (RateLimited, Refused) as error:
                if delay_s is None or (isinstance(error, Refused) and not error.reason.may_pass):
                    raise
            await self.clock.sleep(delay_s or 0)
        return None

    def _question(
        self, user_id: str, channel_id: str, thread_ts: str | None, ts: str, message: Mapping[str, Any]
    ) -> Question:
        said = shortcut_question.asked_in(message)
        assert said is not None, "what we write for somebody is read as theirs"
        return Question(ThreadKey(self.me.team_id, channel_id, thread_ts), ts, user_id, said[1])

    async def _take_back(self, question: Question | None) -> None:
        """A question that is not on record would stand there without an answer."""
        if question is None:
            return
        try:
            await self.surfaces.delete(question.thread.channel_id, question.ts)
        except (RateLimited, Refused) as error:
            log.error("question %s in %s gets no answer: %s", question.ts, question.thread.channel_id, error)

    async def _free(self, user_id: str, view_id: str) -> None:
        """Lets the person submit again at once; else in CLAIMED_S."""
        try:
            await self.store.untell(self.me.team_id, user_id, f"asking {view_id}")
        except StoreError as error:
            log.warning("a question can be asked again only in %.0f s: %s", CLAIMED_S, error)

    async def _tell(self, response_url: str, sentence: str) -> None:
        """What is done is done, whether or not its person hears of it."""
        try:
            await self.surfaces.respond(response_url, command_answers.said(sentence))
        except Refused as refused:
            log.warning("somebody is not told of what they asked: %s", refused)


def _sentence(error: Exception) -> str:
    if isinstance(error, StoreError):
        return NOT_ON_RECORD
    return MESSAGE_DELETED if isinstance(error, Refused) and error.reason is Refusal.ASTRAY else TRY_AGAIN
