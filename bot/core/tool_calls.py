"""The calls that a model asks for while it answers, and the rule that each is made at most once. Pure.

A model's answer takes one or more steps. A step is one request: the model writes text, and may ask for tools. Then its
items and its calls go on record, the calls are decided and made, and their results go into the next step's request. An
attempt that takes over uses the recorded steps again rather than asking the model a second time.

The life of a call
------------------
- READY calls may be made now: a rule allows the tool, or a person approved this call.
- ASKED calls wait for a person. Meanwhile the job is AWAITING_APPROVAL (core/job.py) and belongs to no worker.
- BEGUN is committed before the call leaves. So an attempt that finds a BEGUN call doesn't know whether it was made: it
  makes a call again only if an admin declared its tool read-only, and calls every other one UNKNOWN.
- DONE, FAILED, DENIED and UNKNOWN calls are over, and have a result for the model.

No call goes back to READY from any other state than ASKED, so an approval works once. It is bound to `binding`: the
tool, the arguments and the definition that the person saw.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.core.tools import NO_CLAIMS, Claims
from bot.core.trust import UNKNOWN, Origins

Item = Mapping[str, Any]
"""An item of a model's output as JSON."""

APPROVAL_S = 4 * 3600.0
"""How long a person has to decide. Long enough for a meeting, and short enough that the question still stands."""


class CallState(StrEnum):
    """Where a call is in its life; the module's docstring explains each."""

    READY = "ready"
    ASKED = "asked"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    UNKNOWN = "unknown"

    @property
    def is_over(self) -> bool:
        """Whether the call has a result for the model."""
        return self in (CallState.DONE, CallState.FAILED, CallState.DENIED, CallState.UNKNOWN)


class Decision(StrEnum):
    """What became of a call that a person was asked about."""

    APPROVED = "approved"
    DENIED = "denied"
    REPLIED = "replied"
    """The person wrote in the thread instead, which denies the call."""
    EXPIRED = "expired"
    """Nobody decided in time, which denies the call."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call that a model asked for."""

    step_no: int
    """The number of the model's step, from 0."""
    index: int
    """The call's place among those of its step."""
    call_id: str
    """The vendor's id. It may repeat or be empty on compatible servers, so it is no key."""
    tool: str
    arguments: Mapping[str, Any] = field(repr=False)
    definition_hash: str
    state: CallState
    read_only: bool = False
    """Whether an admin declared the tool to change nothing, so that the call may be repeated."""
    result: str = field(default="", repr=False)
    """What the tool returned, or why the call was not made."""
    result_is_error: bool = False
    """Whether the tool itself reports an error."""
    decision: Decision | None = None
    decided_by: str = ""
    """The person who decided; "" if nobody was asked, or nobody decided."""
    claims: Claims = field(default=NO_CLAIMS, compare=False)
    """What the server says about the tool, in the definition that an approval is for."""
    repeats: bool = field(default=False, compare=False)
    """Whether the same call was made for an earlier version of the answer, or may have been."""

    @property
    def key(self) -> tuple[int, int]:
        """Names the call within its version of the answer."""
        return self.step_no, self.index

    @property
    def binding(self) -> str:
        """The hash of all that an approval is for: the tool, the arguments and the definition."""
        return binding_of(self.tool, self.arguments, self.definition_hash)


@dataclass(frozen=True, slots=True)
class Decided:
    """What one person decided about calls of an answer."""

    decision: Decision
    by: str
    """The person's id; "" once they are erased."""
    calls: int
    """About how many calls."""
    name: str = field(default="", compare=False, repr=False)
    """The person's name or id, for the reply; "" until it is looked up. A mention would notify them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a model that asked for tools, as it is on record."""

    step_no: int
    text: str = field(repr=False)
    """What the step added to the answer."""
    items: tuple[Item, ...] = field(repr=False)
    """The model's output as it must be sent back: text, calls, and items that belong to one vendor."""
    model: str
    """The model that wrote it: other vendors can't read its items."""
    calls: tuple[RecordedCall, ...] = ()
    origins: Origins = UNKNOWN
    """What the model had read when it asked for the calls."""


def decided_about(calls: Iterable[RecordedCall]) -> tuple[Decided, ...]:
    """Returns who decided what about calls, in the order of the calls. Nobody decided about those that expired."""
    decisions = ((call.decision, call.decided_by) for call in calls)
    counts = Counter((decision, by) for decision, by in decisions if decision and decision is not Decision.EXPIRED)
    return tuple(Decided(decision, by, count) for (decision, by), count in counts.items())


def binding_of(tool: str, arguments: Mapping[str, Any], definition_hash: str) -> str:
    """Returns the hash of a call's tool, arguments and definition. The order of keys doesn't matter."""
    whole = json.dumps([tool, arguments, definition_hash], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()
