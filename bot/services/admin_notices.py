"""Sends direct messages to Typist's admins, each notice once across all processes and restarts.

Periodic checks compare the current state with the notices that were sent, and the outbox sends new ones.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from bot.clock import Clock
from bot.core import texts
from bot.core.caps import HOUR_S, day_of
from bot.core.notifications import Notification
from bot.errors import EndReason, TypistError, trace_of
from bot.models.events import Completion
from bot.models.prompt import TokenEstimate
from bot.slack.notices import notification
from bot.slack.socket import CONNECTIONS
from bot.store.notifications import Notifications

LOOK_S = 5.0
CALM_S = 300.0
"""Minimum time after a refusal before a model counts as answering again."""
CONFIRM_S = 180.0
"""Minimum duration of too many connections before a warning. Slack counts a killed process's connections for a while.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdminNotices:
    """Sends each Typist admin a notice once, and another message when the notice no longer applies."""

    notifications: Notifications
    team_id: str
    admins: Collection[str]

    async def send(self, notice: str, sentence: str) -> None:
        """Sends `notice` to the admins who haven't received it yet. Raises StoreError."""
        message = notification(sentence)
        await self.notifications.add(self.team_id, *(Notification(one, notice, message) for one in sorted(self.admins)))

    async def send_end(self, notice: str, sentence: str) -> bool:
        """Tells the admins who received `notice` that it no longer applies. Raises StoreError. Returns False, and must
        be called again, if an admin might be receiving `notice` right now."""
        message = notification(sentence)
        over = [Notification(admin, notice, message) for admin in sorted(self.admins)]
        return all([await self.notifications.queue_end(self.team_id, one) for one in over])

    async def withdraw(self, notice: str) -> None:
        """Lets the next `send` of `notice` reach the admins again, without a message that it no longer applied."""
        for admin in sorted(self.admins):
            await self.notifications.withdraw(self.team_id, admin, notice)

    async def has_sent(self, notice: str) -> bool:
        return all([await self.notifications.is_known(self.team_id, admin, notice) for admin in self.admins])


@dataclass(eq=False)
class ModelNotices:
    """Notifies admins about models: refused keys, used-up credit, stopped answers, and other models that answer.

    A refusal is reported once, and again when the vendor works: a vendor can refuse only some models, so none in use
    may be refused. Stopped answers are reported once a day, and a server that cuts prompts once. Another model that
    answers for one in use is reported once per process, because gateways can choose a different model for each request.
    """

    admins: AdminNotices
    models: Sequence[str]
    clock: Clock
    estimate: TokenEstimate
    _last_results: dict[str, EndReason | None] = field(default_factory=dict, init=False)
    """Each asked model's last refusal, or None if the model has answered since."""
    _refused_at: dict[str, float] = field(default_factory=dict, init=False)
    _unreported: set[str] = field(default_factory=set, init=False)
    _stopped: set[str] = field(default_factory=set, init=False)
    """Models with an unreported stop by their vendor."""
    _others: dict[str, Completion] = field(default_factory=dict, init=False)
    """By model in use: the end of the first answer by another model."""
    _reported: set[str] = field(default_factory=set, init=False)

    def on_result(self, model: str, result: EndReason | Completion | None) -> None:
        """Records that a model or another model in its place began to answer, or that the key or credit was refused."""
        if isinstance(result, Completion):
            if result.other_model:
                self._others.setdefault(model, result)
            return
        failure = result
        if failure is EndReason.MISALIGNED:
            self._stopped.add(model)
        if failure in texts.models.REFUSALS:
            self._refused_at[model] = self.clock.monotonic()
        elif failure is not None:
            return
        if model not in self._last_results or self._last_results[model] is not failure:
            self._last_results[model] = failure
            self._unreported.add(model)

    async def check(self) -> None:
        for model in sorted(self._unreported):
            last = self._last_results[model]
            is_told = await (self._report_recovery(model) if last is None else self._report_refusal(model, last))
            if is_told and self._last_results[model] is last:
                self._unreported.discard(model)
        for model in sorted(self._stopped):
            notice = f"{EndReason.MISALIGNED} {model} {day_of(self.clock.now())}"
            await self.admins.send(notice, texts.models.actions_stopped(model))
            self._stopped.discard(model)
        for model, done in [*self._others.items()]:
            sentence = texts.models.another_model_answers(model, done.other_model, done.model)
            notice = f"{model} is answered by {done.other_model}"
            await self._report_once(notice, f"{sentence} {texts.models.CHOOSE_ANOTHER}")
        for model, tokens in [*self.estimate.cut_prompts.items()]:
            await self._report_once(f"cut {model}", texts.models.prompts_cut(model, *tokens))

    async def _report_once(self, notice: str, sentence: str) -> None:
        if notice not in self._reported:
            await self.admins.send(notice, sentence)
            self._reported.add(notice)

    async def _report_refusal(self, model: str, failure: EndReason) -> bool:
        vendor = model.partition("/")[0]
        await self.admins.notifications.claim(self.admins.team_id, "", f"refused {model}")
        for other in texts.models.REFUSALS.keys() - {failure}:
            await self.admins.withdraw(f"{other} {vendor}")
        await self.admins.send(f"{failure} {vendor}", texts.models.model_refused(failure, model))
        return True

    async def _report_recovery(self, model: str) -> bool:
        if self.clock.monotonic() - self._refused_at.get(model, -math.inf) < CALM_S:
            return False
        vendor, known, team_id = model.partition("/")[0], self.admins.notifications, self.admins.team_id
        await known.withdraw(team_id, "", f"refused {model}")
        others = [other for other in self.models if other != model and other.partition("/")[0] == vendor]
        if any([await known.is_known(team_id, "", f"refused {other}") for other in others]):
            return True
        sentence = texts.models.answers_again(model)
        return all([await self.admins.send_end(f"{failure} {vendor}", sentence) for failure in texts.models.REFUSALS])


@dataclass(eq=False)
class OtherConnections:
    """Warns if the app has more Slack connections than this database has processes, because Slack sends events to all.
    Slack's hello reports the number of connections, including renewed ones and, for a while, those of killed processes.
    A fault is only reported if a new connection's hello still reports too many after CONFIRM_S."""

    app_connections: Callable[[], tuple[int, float]]
    recount: Callable[[], None]
    """`app_connections` and `recount`: see Sockets."""
    live_processes: Callable[[], Awaitable[Sequence[str]]]
    admins: AdminNotices
    clock: Clock
    _suspected_at: float = field(default=math.inf, init=False)
    _asked_at: float = field(default=-math.inf, init=False)

    async def check(self) -> None:
        """Compares the numbers of connections and processes. Reports a fault once a day. Raises StoreError."""
        now, (count, counted_at) = self.clock.monotonic(), self.app_connections()
        if count <= CONNECTIONS or count <= CONNECTIONS * len(await self.live_processes()):
            self._suspected_at = math.inf
            return
        self._suspected_at = min(self._suspected_at, now)
        is_confirmed = counted_at >= self._suspected_at + CONFIRM_S
        if is_confirmed:
            notice = f"other connections {day_of(self.clock.now())}"
            if await self.admins.notifications.claim(self.admins.team_id, "", notice):
                log.warning("%s", texts.quotas.OTHER_CONNECTIONS)
            await self.admins.send(notice, texts.quotas.OTHER_CONNECTIONS)
        if now - max(counted_at, self._suspected_at, self._asked_at) >= (HOUR_S if is_confirmed else CONFIRM_S):
            self._asked_at = now
            self.recount()


async def run_checks(checks: Sequence[Callable[[], Awaitable[None]]], clock: Clock) -> None:
    while True:
        await clock.sleep(LOOK_S)
        for check in checks:
            try:
                await check()
            except Exception as error:
                log.error("admins not told, retrying: %s", error if isinstance(error, TypistError) else trace_of(error))
