"""All stores of one process, over one database."""

import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clock import Clock
from bot.errors import StoreError
from bot.prices import ModelPrices
from bot.store.channel_settings import SqlChannelSettings
from bot.store.database import Database
from bot.store.engine import answered_within, create_engine, database_errors, time_of
from bot.store.erasure import SqlErasure
from bot.store.liveness.workers import WorkerLiveness
from bot.store.message_questions import SqlMessageQuestions
from bot.store.migrate import migrate
from bot.store.notices import SqlBotQuestions, SqlNotices
from bot.store.outbox_entries import SqlOutbox
from bot.store.pane_context import SqlPaneContext
from bot.store.participants import SqlParticipants
from bot.store.process_messages import SqlProcessMessages
from bot.store.queue.producers import SqlQueue
from bot.store.queue.worker import SqlWorkerQueue
from bot.store.rate_ledger import SqlRateLedger
from bot.store.recorded_answers import SqlRecordedAnswers
from bot.store.tool_pins import SqlToolPins
from bot.store.tool_steps import SqlToolSteps
from bot.store.usage_ledger import SqlUsage

NO_LIMIT = 1_000_000
CLOSE_WITHIN_S = 0.8
"""The limit for a server; there is none for a file. A process that ends has 5 s for everything."""
LET_GO_S = 0.3

log = logging.getLogger(__name__)


class Stores:
    """Holds the store of each port, and opens and closes their shared parts."""

    def __init__(
        self,
        engine: AsyncEngine,
        worker: str,
        clock: Clock,
        most_per_user: int = NO_LIMIT,
        prices: ModelPrices | None = None,
    ) -> None:
        """Builds stores on an engine that others may use as well.

        `worker` names this process among all that share the database. Stores that were not made by `open` hold no
        lock: others detect the worker's death only by its silence.
        `most_per_user`: how many answers one person may have under way at once, over all processes.
        `prices`: for the usage of answers; None if no job is ended here.
        """
        self.clock = clock
        """The time of stored times: on a server it is the server's, the same for all processes."""
        self.database = database = Database(engine, clock)
        self._worker = WorkerLiveness(database, worker, clock)
        self.queue = SqlQueue(database, self._worker, clock, most_per_user)
        self.worker_queue = SqlWorkerQueue(database, self._worker, clock, most_per_user, prices)
        self.recorded_answers = SqlRecordedAnswers(database, clock)
        self.message_questions = SqlMessageQuestions(database, clock)
        self.tool_steps = SqlToolSteps(database, self._worker, clock, prices)
        self.process_messages = SqlProcessMessages(database, self._worker)
        self.outbox = SqlOutbox(database, clock)
        self.usage = SqlUsage(database, self._worker, clock)
        self.rate_ledger = SqlRateLedger(database, self._worker, clock)
        self.participants = SqlParticipants(database)
        self.notices = SqlNotices(database, clock)
        self.bot_questions = SqlBotQuestions(database, clock)
        self.channel_settings = SqlChannelSettings(database)
        self.pane_context = SqlPaneContext(database, clock)
        self.tool_pins = SqlToolPins(database, clock)
        self.erasure = SqlErasure(database, self._worker, clock)

    @classmethod
    async def open(
        cls,
        database_url: str,
        worker: str,
        clock: Clock,
        most_per_user: int = NO_LIMIT,
        prices: ModelPrices | None = None,
    ) -> "Stores":
        """Connects, migrates, and shows the other workers that this one lives. Raises StoreError."""
        engine = create_engine(database_url)
        try:
            with database_errors():
                await migrate(engine)
                clock = clock.anchored(await time_of(engine, clock))
        except BaseException:
            await engine.dispose()
            raise
        stores = cls(engine, worker, clock, most_per_user, prices)
        try:
            with database_errors():
                await stores._worker.register()
        except BaseException:
            await stores.close()
            raise
        return stores

    async def close(self) -> None:
        """Lets operations end, disconnects, and frees the worker's lock; other workers take over its jobs.

        A server or an operation that hangs is not waited for.
        """
        self.database.refuse_new()
        try:
            async with answered_within(CLOSE_WITHIN_S if self.database.on_server else None, LET_GO_S):
                await self.database.ended()
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
