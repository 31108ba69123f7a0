"""Recordings that a model doesn't write down: whether they are billed, with a real record."""

import asyncio
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from bot.core.conversation import File
from bot.core.texts.files import Unread
from bot.errors import EndReason, ProviderError
from bot.models.prompt import Sound
from bot.models.transcription import Transcriber, TranscriptionResult
from bot.services.ports import Activity, PlainActivity
from bot.services.transcripts import Transcription
from bot.store import Stores
from bot.store.schema import charges
from tests.clocks import InstantClock
from tests.services.answering import QUESTION, AnsweringStage

MODEL = "openai/gpt-transcribe"


@dataclass
class UnheardModel(Transcriber):
    """Fails, or never answers."""

    error: ProviderError | None
    model: str = MODEL

    async def transcribe(self, sound: Sound) -> TranscriptionResult:
        if self.error:
            raise self.error
        await asyncio.Event().wait()
        raise AssertionError("nothing sets the event")


@pytest.mark.parametrize(
    ("error", "charged"),
    [(None, 1), (ProviderError(EndReason.OVERLOADED, MODEL), 0)],
    ids=["no answer in time", "a failure"],
)
async def test_recording_that_is_not_heard_in_time_is_billed_and_one_that_fails_is_not(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, error: ProviderError | None, charged: int
) -> None:
    monkeypatch.setattr("bot.services.transcripts.TRANSCRIPTION_TIMEOUT_S", 0.01)
    await stores.question_queue.enqueue("Ev1", QUESTION)
    [job] = await stores.worker_queue.claim(1)
    quota = AnsweringStage(stores, InstantClock()).answering.quota
    told = list[Activity]()
    transcription = Transcription(stores, UnheardModel(error), quota)
    clip = File("F1", "clip.m4a", seconds=60.0)
    heard = await transcription.transcribe(job, told.append, clip, Sound("clip.m4a", "audio/mp4", b"sound"))
    assert (heard, told) == (Unread.NOT_HEARD, [PlainActivity.LISTENING, PlainActivity.THINKING])
    async with stores.database.engine.connect() as connection:
        models = (await connection.scalars(sa.select(charges.c.model).where(charges.c.model.is_not(None)))).all()
    assert list(models) == [MODEL] * charged
