"""Action tokens are kept in the process that gets them and in those that it tells."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.services.shared_tokens import SharedTokens
from tests.services.answering import QUESTION


@dataclass
class Process:
    """One process: what it keeps, what it tells the others, and what it does with what they tell."""

    kept: list[tuple[str, ...]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    heard: Callable[[str], None] = field(init=False)

    def __post_init__(self) -> None:
        both: Any = self
        self.shared = SharedTokens(both, both)

    def keep(self, *named: str) -> None:
        self.kept.append(named)

    async def send(self, text: str) -> None:
        self.told.append(text)

    def on_message(self, heard: Callable[[str], None]) -> None:
        self.heard = heard


async def test_token_is_kept_in_all_processes_and_words_of_a_later_version_are_ignored() -> None:
    one, other = Process(), Process()
    await one.shared.keep(QUESTION, "a token")
    for text in ('["of a later version", 1]', *one.told):
        other.heard(text)
    assert one.kept == other.kept == [("C1", QUESTION.ts, "a token")]
    assert other.told == []
