"""The vendors' levels of effort, and which of them a model takes, as far as that is known. Pure.

Vendors share the names of the levels, but not each model takes each level, and new models change that. So there is no
list of models. What a model takes comes from its vendor's description of it, where there is one, or from a refusal,
most of which list the values that are taken. The level that is sent is the nearest one to what the asker wants. A model
that refuses an effort and lists nothing answers with its own default.

Refusals of an effort also say "reasoning" or "thinking", as refusals of summaries do (optional_parameters.py). So the
effort is looked for first, and nothing else is given up for it.
"""

import re
from dataclasses import dataclass, replace

from bot.models.failures import error_response
from bot.models.prompt import Effort

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most thinking."""
_WANTED = {Effort.FAST: "low", Effort.THOROUGH: "high"}
"""Not `none` or `max`: without any thinking answers get worse, and above `high` they cost more than they improve."""
_NAMES_EFFORT = re.compile(r"effort|output_config|reasoning value|support (?:thinking|reasoning)", re.IGNORECASE)
_MAY_MEAN_EFFORT = re.compile(
    r"reasoning|thinking|template|unknown|unrecogni[sz]ed|unexpected|unsupported|not supported|extra", re.IGNORECASE
)
_LISTS = re.compile(
    r"(?:supported|allowed|valid|possible|permitted) values|one of|(?:should|must) be|expected|\buse\b", re.IGNORECASE
)
_LEVEL = re.compile(rf"\b(?:{'|'.join(LEVELS)})\b")
_BAD_REQUEST = (400, 422)


@dataclass(frozen=True, slots=True)
class EffortLevels:
    """The levels that a model takes."""

    listed: frozenset[str] | None = None
    """Those that the model or its vendor has named; None: it has named none."""
    refused: frozenset[str] = frozenset()

    def level(self, effort: Effort) -> str:
        """Returns the level to send; "" leaves the effort to the model."""
        wanted = _WANTED.get(effort)
        if wanted is None:
            return ""
        if self.listed is None:
            return "" if wanted in self.refused else wanted
        place = LEVELS.index(wanted)
        # Of two levels that are as near, the cheaper one.
        return min(
            sorted(self.listed - self.refused, key=LEVELS.index),
            key=lambda level: abs(LEVELS.index(level) - place),
            default="",
        )

    def without(self, level: str, error: Exception) -> "EffortLevels":
        """Returns what is known once a request with this level was refused."""
        listed = _listed_in(_words(error)) or self.listed
        return replace(self, listed=listed, refused=self.refused | {level})


def names_effort(error: Exception) -> bool:
    """Returns whether an error of a request refuses its effort."""
    return bool(_NAMES_EFFORT.search(_words(error)))


def may_mean_effort(error: Exception) -> bool:
    """Returns whether an error may refuse the effort, which only a request without it can show."""
    return bool(_MAY_MEAN_EFFORT.search(_words(error)))


def _words(error: Exception) -> str:
    """Returns what a server says of a bad request; "" for any other error."""
    response = error_response(error)
    return str(response.body) if response and response.status in _BAD_REQUEST else ""


def _listed_in(words: str) -> frozenset[str] | None:
    """Returns the levels that a refusal lists; None if it lists none."""
    begin = _LISTS.search(words)
    return frozenset(_LEVEL.findall(words, begin.end())) or None if begin else None
