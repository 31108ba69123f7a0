"""Calls of a reply that are sent and have an outcome at once."""

from bot.errors import Refusal, Refused
from bot.reply.carriers import METHODS
from bot.reply.messages import Call
from bot.reply.outcomes import CallDone, CallFound, CallLost, CallRefused, Outcome
from bot.reply.reply import Reply


def send(reply: Reply, call: Call, outcome: Outcome) -> None:
    reply.on_send(call)
    reply.on_outcome(call, outcome)


def done(reply: Reply, call: Call, ts: str) -> None:
    send(reply, call, CallDone(ts))


def found(reply: Reply, call: Call, ts: str) -> None:
    """Has an earlier post of the call's page turn out to have arrived."""
    send(reply, call, CallFound(ts))


def refused(reply: Reply, call: Call, reason: Refusal, ts: str = "") -> None:
    """Has Slack refuse a call for a reason, or leave open whether it did it."""
    send(reply, call, refusal(call, reason, ts))


def refusal(call: Call, reason: Refusal, ts: str = "") -> CallRefused | CallLost:
    error = Refused(METHODS[type(call)], reason, reason, ts)
    return CallLost(error) if reason.is_temporary else CallRefused(error)
