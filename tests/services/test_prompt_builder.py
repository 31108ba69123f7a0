"""What a prompt holds while the database is away: a part is read four times, then the prompt does without it."""

from dataclasses import dataclass
from typing import Any

import pytest

from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question, ThreadKey
from bot.errors import StoreError
from bot.models.prompt import TokenEstimate
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.transcripts import Transcription
from tests.clocks import InstantClock
from tests.services.parts import ME, stores_of, workspace_of

BARE = Question(ThreadKey("T1", "C1", "1.0"), "1.0", "U1", f"<@{ME.user_id}>")


@dataclass
class Away:
    """The settings of a channel that lets nobody read it, in a database that is away for some reads."""

    failures: int
    reads: int = 0

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        self.reads += 1
        if self.reads <= self.failures:
            raise StoreError("away")
        return ChannelSettings(read_channel=False)


@pytest.mark.parametrize(
    ("failures", "reads", "as_set"), [(0, 1, True), (1, 2, True), (3, 4, True), (4, 4, False)], ids=str
)
async def test_settings_are_read_four_times_before_the_prompt_does_without(
    failures: int, reads: int, as_set: bool
) -> None:
    away, nobody = Away(failures), Any
    stores = stores_of(channel_settings=away, clock=InstantClock())
    settings = PromptSettings("", 8_000, reads_channel=True)
    transcription = Transcription(stores, None, nobody)  # type: ignore[arg-type]
    builder = PromptBuilder(stores, workspace_of(), settings, TokenEstimate(("openai/m",)), transcription)
    assert await builder.reads_posts_before(BARE) is not as_set
    assert away.reads == reads
