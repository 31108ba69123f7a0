"""Sends notices to Typist's admins as direct messages, each once across all processes and restarts.

Periodic checks compare the current state with the notices already sent, and the outbox sends the new ones.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.clock import Clock
from bot.core import texts
from bot.core.caps import HOUR_S, day_of
from bot.core.notifications import Notification
from bot.errors import EndReason, TypistError, trace_of
from bot.mcp.config import ServerConfig
from bot.mcp.remedies import down_sentences
from bot.mcp.sentences import REFUSALS
from bot.models.events import Completion
from bot.models.prompt import TokenEstimate
from bot.slack.notices import notification
from bot.slack.socket import CONNECTIONS
from bot.store.notifications import Notifications

CHECK_INTERVAL_S = 5.0
RECOVERY_DELAY_S = 300.0
"""Minimum time after a model's or server's last failure before it counts as working again."""
DOWN_NOTICE_S = 3600.0
"""Time that an MCP server must be down before admins are notified. Most servers recover sooner."""
CONFIRM_S = 180.0
"""Minimum duration of too many connections before a warning, because Slack counts a killed process's connections for a
while.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdminNotices:
    notifications: Notifications
    team_id: str
    admins: Collection[str]

    async def send(self, notice: str, sentence: str) -> None:
        """Sends `notice` to the admins who haven't received it. Raises StoreError."""
        message = notification(sentence)
        await self.notifications.add(self.team_id, *(Notification(one, notice, message) for one in sorted(self.admins)))

    async def send_end(self, notice: str, sentence: str) -> bool:
        """Tells the admins who received `notice` that it no longer applies. Raises StoreError. Returns False if an
        admin might be receiving `notice` right now; the caller must then try again."""
        message = notification(sentence)
        over = [Notification(admin, notice, message) for admin in sorted(self.admins)]
        return all([await self.notifications.queue_end(self.team_id, one) for one in over])

    async def withdraw(self, notice: str) -> None:
        """Lets the next `send` of `notice` reach the admins again, without telling them that it no longer applies."""
        for admin in sorted(self.admins):
            await self.notifications.withdraw(self.team_id, admin, notice)

    async def has_sent(self, notice: str) -> bool:
        return all([await self.notifications.is_known(self.team_id, admin, notice) for admin in self.admins])


@dataclass(frozen=True, slots=True)
class Outage:
    type: str
    sentence: str
    """The notice for admins."""
    after_s: float = 0.0
    """Time that the outage must last before admins are notified."""


DOWN = "down"
_OUTAGE_TYPES = (*texts.models.REFUSALS, DOWN)
SERVER = "mcp "
"""Prefix that distinguishes MCP servers from vendors."""


@dataclass(eq=False)
class Outages:
    """Notifies admins once when something outside Typist fails, such as a vendor, and once when it works again.

    Because a vendor can reject only some models, it counts as recovered only once every model in use works again.
    """

    admins: AdminNotices
    clock: Clock
    models: Sequence[str]
    """The models in use, written as vendor/model. A "part" is one of these models or an MCP server."""
    _last: dict[str, Outage | None] = field(default_factory=dict, init=False)
    """The last report on each part, or None if the part works."""
    _failed_at: dict[str, float] = field(default_factory=dict, init=False)
    _unreported: set[str] = field(default_factory=set, init=False)

    def on_report(self, part: str, outage: Outage | None) -> None:
        if outage is not None:
            self._failed_at[part] = self.clock.monotonic()
        last = self._last.get(part)
        if part not in self._last or (last and last.type) != (outage and outage.type):
            self._unreported.add(part)
        self._last[part] = outage

    async def check(self) -> None:
        for part in sorted(self._unreported):
            last = self._last[part]
            is_told = await (self._report_outage(part, last) if last else self._report_recovery(part))
            now = self._last[part]
            if is_told and (now and now.type) == (last and last.type):
                self._unreported.discard(part)

    async def _report_outage(self, part: str, outage: Outage) -> bool:
        known, team_id, whole = self.admins.notifications, self.admins.team_id, part.partition("/")[0]
        if (since := await known.known_since(team_id, "", f"refused {part}")) is None:
            await known.claim(team_id, "", f"refused {part}")
            since = self.clock.now()
        if self.clock.now() - since < outage.after_s:
            return False
        for other in _OUTAGE_TYPES:
            if other != outage.type:
                await self.admins.withdraw(f"{other} {whole}")
        await self.admins.send(f"{outage.type} {whole}", outage.sentence)
        return True

    async def _report_recovery(self, part: str) -> bool:
        if self.clock.monotonic() - self._failed_at.get(part, -math.inf) < RECOVERY_DELAY_S:
            return False
        known, team_id, whole = self.admins.notifications, self.admins.team_id, part.partition("/")[0]
        await known.withdraw(team_id, "", f"refused {part}")
        others = [other for other in self.models if other != part and other.partition("/")[0] == whole]
        if any([await known.is_known(team_id, "", f"refused {other}") for other in others]):
            return True
        sentence = texts.models.answers_again(part.removeprefix(SERVER))
        return all([await self.admins.send_end(f"{one} {whole}", sentence) for one in _OUTAGE_TYPES])


@dataclass(eq=False)
class ModelNotices:
    """Reports rejected keys, used-up credit, and facts about a model's answers that admins should know.

    Notices about answers that a vendor stopped because of the model's behavior are sent once a day, and all others only
    once. Gateways can choose a different model for each request, so a process reports only the first such model.
    """

    admins: AdminNotices
    outages: Outages
    estimate: TokenEstimate
    clock: Clock
    _unsent: dict[str, str] = field(default_factory=dict, init=False)
    """Sentences to send, by notice."""
    _reported: set[str] = field(default_factory=set, init=False)

    def on_result(self, model: str, result: EndReason | Completion | None) -> None:
        """Records that a model began to answer, that a different model answered, or how a request failed."""
        if isinstance(result, Completion):
            if result.substitute_model and f"other {model}" not in self._reported:
                self._reported.add(f"other {model}")
                sentence = texts.models.another_model_answers(model, result.substitute_model, result.model)
                notice = f"{model} is answered by {result.substitute_model}"
                self._unsent[notice] = f"{sentence} {texts.models.CHOOSE_ANOTHER}"
        elif result is EndReason.MISALIGNED:
            self._unsent[f"{result} {model} {day_of(self.clock.now())}"] = texts.models.actions_stopped(model)
        elif result is None:
            self.outages.on_report(model, None)
        elif result in texts.models.REFUSALS:
            self.outages.on_report(model, Outage(result, texts.models.model_refused(result, model)))

    async def check(self) -> None:
        for model, (sent_tokens, counted_tokens) in [*self.estimate.cut_prompts.items()]:
            if f"cut {model}" not in self._reported:
                self._reported.add(f"cut {model}")
                self._unsent[f"cut {model}"] = texts.models.prompt_truncated_text(model, sent_tokens, counted_tokens)
        for notice, sentence in [*self._unsent.items()]:
            await self.admins.send(notice, sentence)
            self._unsent.pop(notice, None)


class Servers(Protocol):
    async def problems(self) -> Mapping[str, str]: ...
    def retry(self, server: str, every_s: float) -> None: ...


@dataclass(eq=False)
class ServerNotices:
    """Reports failing MCP servers, and retries their connections, because days might pass before a question needs such
    a server."""

    outages: Outages
    servers: Servers
    configs: Sequence[ServerConfig]
    states: Mapping[str, bool] = field(default_factory=dict, init=False)
    """Whether each server that this process has used works."""

    async def check(self) -> None:
        problems = await self.servers.problems()
        self.states = {name: not problem for name, problem in problems.items()}
        for config in self.configs:
            problem, outage = problems.get(config.name), None
            if problem:
                type_, after_s = (EndReason.BAD_KEY, 0.0) if problem in REFUSALS else (DOWN, DOWN_NOTICE_S)
                outage = Outage(type_, " ".join(down_sentences(config, problem)), after_s)
                self.servers.retry(config.name, RECOVERY_DELAY_S)
            if problem is not None:
                self.outages.on_report(f"{SERVER}{config.name}", outage)


@dataclass(eq=False)
class OtherConnections:
    """Warns if the app has more Slack connections than this database has processes, because Slack distributes events
    among all connections. Slack's hello reports the number of connections, including renewed connections and, for a
    while, connections of killed processes. A fault is reported only if a new connection's hello still reports too many
    after CONFIRM_S."""

    app_connections: Callable[[], tuple[int, float]]
    recount: Callable[[], None]
    """`app_connections` and `recount`: see Sockets."""
    live_processes: Callable[[], Awaitable[Sequence[str]]]
    admins: AdminNotices
    clock: Clock
    _suspected_at: float = field(default=math.inf, init=False)
    _recounted_at: float = field(default=-math.inf, init=False)

    async def check(self) -> None:
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
        if now - max(counted_at, self._suspected_at, self._recounted_at) >= (HOUR_S if is_confirmed else CONFIRM_S):
            self._recounted_at = now
            self.recount()


async def run_checks(checks: Sequence[Callable[[], Awaitable[None]]], clock: Clock) -> None:
    while True:
        await clock.sleep(CHECK_INTERVAL_S)
        for check in checks:
            try:
                await check()
            except Exception as error:
                log.error("admins not told, retrying: %s", error if isinstance(error, TypistError) else trace_of(error))
