"""The settings of models, as data: bot.settings creates it, and the registry builds models from it.

This module and the registry import no vendor's module and no SDK, so that reading the settings stays cheap.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bot.models.optional_parameters import OptionalParameter
from bot.models.stream import THINKING_TOKENS


class Moderation(StrEnum):
    """What becomes of a question or an answer that the vendor's moderation flags."""

    OFF = "off"
    """Nothing is moderated."""
    SCORE = "score"
    """It is shown, and the log has a line."""
    BLOCK = "block"
    """The answer is not shown."""


@dataclass(frozen=True, slots=True)
class VendorSettings:
    """How to reach one vendor, or a server that is compatible with it."""

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    """Empty: the vendor's own."""
    api: str = ""
    """Which of the vendor's APIs to use, by its name in the registry. Empty: the vendor's module decides."""
    region: str = ""
    """The cloud's region, and in project its project, for a vendor that needs them."""
    project: str = ""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options of every request to a model."""

    max_output_tokens: int
    """For the answer's text."""
    moderation: Moderation = Moderation.OFF

    def output_tokens(self, parameters: Collection[OptionalParameter]) -> int:
        """Returns the limit to send to the vendor, which counts thinking as well as text."""
        return self.max_output_tokens + (THINKING_TOKENS if OptionalParameter.ROOM_TO_THINK in parameters else 0)


@dataclass(frozen=True, slots=True)
class ModelSetup:
    """The models in use and all that is needed to build them."""

    models: tuple[str, ...]
    """In the order in which they are asked; each is written vendor/name."""
    vendors: Mapping[str, VendorSettings]
    """By the vendor's name. A vendor that is not in here has no key and its own base URL."""
    options: RequestOptions
    stall_timeout_s: float
