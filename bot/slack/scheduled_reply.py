"""A live reply in the editor's hands, and how long its refused calls are tried again."""

import asyncio
import logging
import math
from dataclasses import dataclass, field

from bot.core.reply.draft import Draft
from bot.core.reply.state import Call, Ending, Reply, Upload
from bot.errors import trace_of

FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 8.0
GIVE_UP_S = 180.0
"""A reply whose calls are all refused for so long ends with what came, and the outbox shows the rest later."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ScheduledReply:
    """A live reply and where its calls stand."""

    job_id: int
    reply: Reply
    draft: Draft | None = None
    """Its text; None while it waits for its turn."""
    begun: bool = False
    """An earlier attempt may have posted what is not on record."""
    dirty: bool = True
    """Something may have to be sent."""
    in_flight: bool = False
    last_sent: float = -math.inf
    not_before: float = -math.inf
    quiet_until: float = -math.inf
    """Until then, or its first words, something else says that we are at work."""
    until: float = math.inf
    """After this nothing is sent for it."""
    failures: int = 0
    """Refusals in a row."""
    failing_since: float = math.inf
    """The first of them."""
    calls: int = 0
    lost_post: bool = False
    """Slack may have taken a post whose answer never came."""
    finds: int = 0
    """Searches for it that Slack refused."""
    staged: tuple[Upload, list[str]] | None = None
    """Files whose bytes Slack has, and their ids; whether it shows them is not known."""
    abandoned: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing more will be sent for it."""

    def worked(self) -> None:
        """Slack did a call."""
        self.failures, self.failing_since = 0, math.inf
        self.calls += 1

    def failed(self, now: float) -> bool:
        """Slack refused a call; returns whether it has refused all of them for so long that the reply is given up."""
        self.failures += 1
        self.failing_since = min(self.failing_since, now)
        return now >= self.failing_since + GIVE_UP_S

    def wait(self, now: float) -> None:
        """The next call waits the longer, the more were refused."""
        self.not_before = now + back_off_s(self.failures)

    def due(self, now: float) -> Call | None:
        """What is to be sent for it; None where nothing is."""
        self.abandoned = self.abandoned or now >= self.until
        call = None if self.abandoned else self.next_call()
        self.dirty = call is not None
        return call

    def next_call(self) -> Call | None:
        """What the reply needs; a text that can't be laid out ends this reply, and no other one."""
        try:
            return self.reply.next_call()
        except Exception as error:
            log.error("job %d: its reply can't be laid out: %s", self.job_id, trace_of(error))
            self.reply.unshown = True
            return None

    def finish(self, ending: Ending) -> None:
        """No more text will come."""
        try:
            self.reply.finish(ending)
        except Exception as error:
            log.error("job %d: its end can't be laid out: %s", self.job_id, trace_of(error))
            self.reply.unshown = True

    @property
    def is_over(self) -> bool:
        """Nothing more is to be sent for it."""
        return self.abandoned or self.reply.gone or self.reply.unshown or self.reply.announced or self._is_shown

    @property
    def _is_shown(self) -> bool:
        return self.reply.ended and self.next_call() is None


def back_off_s(failures: int) -> float:
    """Returns how long to wait after so many refusals in a row."""
    return min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2.0 ** min(failures, 10))
