import logging
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clock import Clock
from bot.core.caps import Cap
from bot.errors import StoreError
from bot.models.prices import ModelPrices
from bot.store.account_kinds import AccountKinds
from bot.store.accounts import Accounts
from bot.store.answers import RecordedAnswers
from bot.store.audit import Audit
from bot.store.calls import Approvals, RecordedCalls, ToolPins
from bot.store.canvases import AnswerCanvases
from bot.store.channel_settings import ChannelSettingsStore
from bot.store.database import Database, create_engine, database_errors, database_time, limit_time
from bot.store.erasure import Erasure
from bot.store.kept_tests import KeptTests
from bot.store.listening import Listening
from bot.store.memories import Memories
from bot.store.migrate import migrate
from bot.store.notifications import Notifications
from bot.store.outbox_entries import OutboxEntries
from bot.store.pane import PaneContexts
from bot.store.queue import QuestionQueue
from bot.store.rate_ledger import RateLedger
from bot.store.schedules import ScheduleStore
from bot.store.threads import ThreadParticipants
from bot.store.transcripts import Transcripts
from bot.store.unposted import UnpostedQuestions
from bot.store.usage import CapStore, Meter, UsageLedger
from bot.store.worker_queue import WorkerQueue
from bot.store.workers import ProcessMessages, WorkerLiveness

NO_LIMIT = 1_000_000
CLOSE_WITHIN_S = 0.8
"""Time limit for closing the connections to a server. Closing a file has no limit. A process has 5 s in total to
exit."""
DROP_AFTER_S = 0.3

log = logging.getLogger(__name__)


class Stores:
    def __init__(
        self,
        engine: AsyncEngine,
        worker: str,
        clock: Clock,
        max_per_user: int = NO_LIMIT,
        prices: ModelPrices | None = None,
        caps: Sequence[Cap] = (),
    ) -> None:
        """Creates stores on an engine that can be shared.

        `worker`: identifies this process among the processes that share the database. Without `open`, this process
        doesn't hold a lock, so other processes can detect its death only by its silence. `max_per_user`: the limit for
        one person's running answers, across all processes. `prices`: for charging answers, or None if no jobs end in
        this process. `caps`: the caps in the settings, which apply unless admins have set other caps.
        """
        self.clock = clock
        """The clock for stored times. It is the server's clock, which all processes share, or this machine's clock for
        SQLite."""
        self.database = database = Database(engine, clock)
        self._worker = WorkerLiveness(database, worker, clock)
        self.question_queue = QuestionQueue(database, self._worker, max_per_user)
        meter = Meter(prices, caps)
        self.worker_queue = WorkerQueue(database, self._worker, meter, max_per_user)
        self.recorded_answers = RecordedAnswers(database)
        self.unposted_questions = UnpostedQuestions(database)
        self.recorded_calls = RecordedCalls(database, self._worker, meter)
        self.transcripts = Transcripts(database, self._worker, meter)
        self.approvals = Approvals(database, self._worker)
        self.answer_canvases = AnswerCanvases(database)
        self.process_messages = ProcessMessages(database, self._worker)
        self.outbox = OutboxEntries(database)
        self.usage = UsageLedger(database, self._worker)
        self.caps = CapStore(database)
        self.rate_ledger = RateLedger(database, self._worker)
        self.account_kinds = AccountKinds(database)
        self.accounts = Accounts(database)
        self.participants = ThreadParticipants(database)
        self.notifications = Notifications(database)
        self.listening = Listening(database, self._worker)
        self.channel_settings = ChannelSettingsStore(database)
        self.pane_context = PaneContexts(database)
        self.schedules = ScheduleStore(database)
        self.memories = Memories(database)
        self.kept_tests = KeptTests(database)
        self.tool_pins = ToolPins(database)
        self.erasure = Erasure(database, self._worker)
        self.audit = Audit(database)

    @classmethod
    async def open(
        cls,
        database_url: str,
        worker: str,
        clock: Clock,
        max_per_user: int = NO_LIMIT,
        prices: ModelPrices | None = None,
        caps: Sequence[Cap] = (),
    ) -> "Stores":
        """Connects, migrates, and registers this process as a worker. Raises StoreError."""
        engine = create_engine(database_url)
        try:
            with database_errors():
                await migrate(engine)
                clock = clock.anchored_at(await database_time(engine, clock))
        except BaseException:
            await engine.dispose()
            raise
        stores = cls(engine, worker, clock, max_per_user, prices, caps)
        try:
            with database_errors():
                await stores._worker.register()
        except BaseException:
            await stores.close()
            raise
        return stores

    async def close(self) -> None:
        self.database.refuse_new_operations()
        try:
            async with limit_time(CLOSE_WITHIN_S if self.database.on_server else None, DROP_AFTER_S):
                await self.database.wait_for_operations()
                with database_errors():
                    await self._worker.deregister()
        except (StoreError, TimeoutError) as error:
            log.warning(
                "shutdown: worker not deregistered, others take its jobs over later: %s",
                str(error) or "the database does not answer",
            )
            self.database.cancel_operations()
            self._worker.cancel()
        await self.database.dispose()
