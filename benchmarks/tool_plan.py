"""Plans the model's tool calls for each question in a chaos run, and how its answer reports their outcomes. Pure.

Each call's arguments carry a token that names its question and its place. A model that is asked the same again makes
the same calls with the same tokens, so a call that was made twice is found by its token.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

SERVER = "counter"
"""The name of the MCP server in BOT_MCP_CONFIG."""
READ, WRITE, ASKED_WRITE = "read", "write", "write_asked"
"""The server's tools: an admin declared `read` read-only, allows `write`, and has a person decide about the last."""
DURATIONS_S = (0.0, 0.5, 4.0, 12.0)
"""How long calls take. The long ones are under way when processes are killed, paused and replaced."""
STEP_SHARE = 12
"""Before the calls of each step, the model writes one twelfth of its answer."""

_STEPS = (
    ((WRITE,),),
    ((READ, WRITE),),
    ((WRITE, READ), (READ,)),
    ((ASKED_WRITE,),),
    # The model has read a result, so a person is asked about the write.
    ((READ,), (WRITE,)),
    ((WRITE, WRITE, READ), (READ, READ)),
)
TOKEN = re.compile(r"\bq(\d+)s\d+c\d+\b")
"""A token; its group is the question's number."""
SEEN = re.compile(r"(q\d+s\d+c\d+)=([a-z-]+)")
"""A word of an answer that says what became of a call."""

DONE, UNKNOWN, NOT_MADE = "done", "unknown", "not-made"
"""What the model read of a call that it asked for."""
MADE_BEFORE, NOT_OFFERED = "made-before", "not-offered"
"""Why the model did not ask for a call."""


@dataclass(frozen=True)
class PlannedCall:
    """A call that the model asks for."""

    token: str
    tool: str
    takes_s: float

    @property
    def is_write(self) -> bool:
        return self.tool != READ


def steps_of(number: int) -> list[list[PlannedCall]]:
    """Returns the calls for the answer to a question, in steps."""
    steps = _STEPS[number % len(_STEPS)]
    return [
        [_planned(f"q{number}s{step_no}c{index}", tool) for index, tool in enumerate(tools)]
        for step_no, tools in enumerate(steps)
    ]


def _planned(token: str, tool: str) -> PlannedCall:
    return PlannedCall(token, tool, random.Random(token).choice(DURATIONS_S))


def tokens_of(number: int) -> list[str]:
    """Returns the tokens of all calls for the answer to a question."""
    return [call.token for calls in steps_of(number) for call in calls]


def words_before(step_no: int, words: int) -> int:
    """Returns how many words of an answer are written before a step's calls."""
    return (step_no + 1) * words // STEP_SHARE


def result_text(token: str) -> str:
    """Returns what the server says of a call that it made."""
    return f"{token}: made"


def what_became_of(token: str, result: str) -> str:
    """Returns what a model reads in a call's result."""
    if result_text(token) in result:
        return DONE
    return UNKNOWN if "isn't known whether this call was made" in result else NOT_MADE


def seen_words(seen: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the end of an answer: a word for each call, such as q3s0c0=done."""
    return [f"{token}={what} " for token, what in seen]


def seen_in(text: str) -> list[tuple[str, str]]:
    """Returns the tokens of the calls that an answer names, and what became of each."""
    return SEEN.findall(text)
