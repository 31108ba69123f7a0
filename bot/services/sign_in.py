"""Signs people in to servers with a modal, and continues the call or schedule that was waiting for the sign-in.

Submissions are checked again, because modals can stay open for hours and values can be forged.
"""

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from bot.core import texts
from bot.core.actions import ActionResponse, Press, ReplyAction
from bot.core.asks import ApprovalPlace
from bot.core.awaited import AwaitedCall
from bot.core.calls import Decision
from bot.core.schedules import AwaitedSignIn
from bot.services.decisions import Decisions
from bot.slack.views.schedules import schedule_id_in_button
from bot.slack.views.sign_in import SIGN_IN_MODAL, SubmittedSignIn
from bot.store.accounts import Owner

if TYPE_CHECKING:
    from bot.accounts.sign_ins import SignIns

SignInTarget = AwaitedCall | AwaitedSignIn


@dataclass(frozen=True)
class SignInModal:
    decisions: Decisions

    async def open(self, press: Press) -> ActionResponse | None:
        found = await self._awaited_sign_in(press)
        if isinstance(found, str):
            return ActionResponse(found) if found else None
        sign_ins, awaited = found
        # Imported here, because it needs the SDK, which must not be imported unless people can sign in.
        from bot.accounts.oauth import SignInFailed

        try:
            links = await sign_ins.begin(self._owner(awaited), awaited.name, awaited.scope)
        except SignInFailed as error:
            return ActionResponse(texts.accounts.cannot_sign_in(awaited.server, str(error)))
        place = ApprovalPlace(press.thread.channel_id, press.thread.thread_ts, press.message_ts, press.value)
        with_code = sign_ins.has_code_page(awaited.server)
        view = SIGN_IN_MODAL.build(awaited.server, place=place, with_code=with_code, **asdict(links))
        await self.decisions.workspace.surfaces.open(press.trigger_id, view)
        return None

    async def check_url(self, user_id: str, pasted: SubmittedSignIn) -> str:
        """Returns why a pasted URL can't be used to sign in, or "" if it might work. Raises StoreError."""
        if pasted.entry is None:
            # The server is asked later, because its response can take longer than Slack waits.
            return ""
        press = self.decisions.presses.from_modal(ReplyAction.SIGN_IN, user_id, pasted.place)
        found = await self._awaited_sign_in(press)
        if isinstance(found, str):
            return await self.decisions.presses.access_control.with_admin_names(found)
        sign_ins, awaited = found
        return await sign_ins.entry_problem(self._owner(awaited), awaited.name, pasted.entry)

    async def sign_in(self, user_id: str, pasted: SubmittedSignIn) -> None:
        """Signs a person in with a pasted URL and continues the call or schedule, or explains to the person why that
        isn't possible."""
        press = self.decisions.presses.from_modal(ReplyAction.SIGN_IN, user_id, pasted.place)
        await self.decisions.presses.respond(press, self._sign_in(press, pasted.entry))

    async def _sign_in(self, press: Press, address: str | None) -> ActionResponse | None:
        found = await self._awaited_sign_in(press)
        if isinstance(found, str):
            return ActionResponse(found) if found else None
        sign_ins, awaited = found
        owner = self._owner(awaited)
        # Only the database can guarantee that a URL is used only once.
        problem = await sign_ins.complete(owner, awaited.name, address, partial(self._is_still_awaited, awaited))
        if problem:
            problem = problem if await self._is_still_awaited(awaited) else texts.accounts.NOTHING_WAITS
        else:
            problem = await self.decisions.proceed(awaited, Decision.APPROVED, press.user_id)
            if problem and isinstance(awaited, AwaitedCall):
                await sign_ins.sign_out(owner)
                problem = texts.accounts.NOTHING_WAITS
        return ActionResponse(problem) if problem else None

    async def _awaited_sign_in(self, press: Press) -> tuple["SignIns", SignInTarget] | str:
        """Returns the sign-ins and the call or schedule that is waiting for the person, or a sentence about why nothing
        is waiting. The sentence is "" for a schedule that has already resumed. Raises StoreError."""
        schedule_id, sign_ins = schedule_id_in_button(press.value), self.decisions.schedules.sign_ins
        awaited: SignInTarget | str
        if schedule_id is not None:
            awaited = await self.decisions.schedules.awaited_sign_in(schedule_id, press.user_id)
        else:
            pressed = await self.decisions.presses.check(press)
            awaited = pressed if isinstance(pressed, str) else pressed.call
        if isinstance(awaited, str):
            return awaited
        if sign_ins is None or awaited.server not in sign_ins.servers.transports:
            return texts.accounts.cannot_sign_in(awaited.server, texts.accounts.NOT_SET_UP)
        return sign_ins, awaited

    async def _is_still_awaited(self, awaited: SignInTarget) -> bool:
        if isinstance(awaited, AwaitedSignIn):
            return await self.decisions.schedules.is_signed_out(awaited.schedule)
        before = awaited.answer
        answer = await self.decisions.stores.recorded_answers.answer_of_job(before.question.thread, before.job_id)
        if answer is None or answer.is_deleted or not answer.state.is_live or answer.version != before.version:
            return False
        return awaited.call in answer.calls

    def _owner(self, awaited: SignInTarget) -> Owner:
        return Owner(self.decisions.workspace.me.team_id, awaited.person, awaited.server)
