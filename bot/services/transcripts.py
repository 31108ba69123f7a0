"""Transcribes each recording in a conversation once. A recording is read only if a person had Slack transcribe it or if
BOT_TRANSCRIBE is set. A model's transcript is recorded at once, with its cost. If transcribing fails, the answer
continues without the transcript.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.clock import keep_trying
from bot.core.conversation import File
from bot.core.files import is_recording
from bot.core.job import End, Job
from bot.core.texts.files import Unread
from bot.errors import EndReason, ProviderError, StoreError
from bot.models.events import Usage
from bot.models.prompt import Sound
from bot.services.ports import Activity, PlainActivity
from bot.services.quota import Quota
from bot.store import Stores

if TYPE_CHECKING:
    from bot.models.transcription import Transcriber

log = logging.getLogger(__name__)

TRANSCRIPTION_TIMEOUT_S = 45.0
"""Time limit for transcribing a recording, less than the limit for all files of a question (slack/files.py)."""


@dataclass(frozen=True)
class Transcription:
    """Transcribes recordings. A transcript is recorded before it is shown, so retries and later questions use the same
    transcript. A recording can contain anyone's words, so transcripts are treated like file contents."""

    stores: Stores
    transcriber: "Transcriber | None"
    quota: Quota

    async def with_known_transcripts(self, job: Job, files: Sequence[File]) -> list[File]:
        if not any(map(is_recording, files)):
            return list(files)
        known = await self.stores.transcripts.of_thread(job.question.thread)
        return [replace(file, transcript=known.get(file.id, file.transcript)) for file in files]

    async def record(self, job: Job, files: Sequence[File]) -> None:
        """Records the files' transcripts for the job, whose answer shows them. Raises StoreError."""
        if new := [file for file in files if file.id not in job.transcripts]:
            await self.stores.transcripts.record(job, new)

    async def transcribe(self, job: Job, show: Callable[[Activity], None], file: File, sound: Sound) -> str | Unread:
        """Returns a model's transcript of a recording, or why there is none. Calls `show` before and after."""
        assert self.transcriber is not None, "without one, nothing is heard"
        if not await keep_trying(lambda: self.quota.is_below_caps(job.question), self.stores.clock, "caps not checked"):
            # A used-up cap will also end the answer.
            return Unread.NOT_HEARD
        show(PlainActivity.LISTENING)
        try:
            async with asyncio.timeout(TRANSCRIPTION_TIMEOUT_S):
                heard = await self.transcriber.transcribe(sound)
        except TimeoutError:
            log.warning("file %s not transcribed within %.0f s", file.id, TRANSCRIPTION_TIMEOUT_S)
            # The vendor bills the recording anyway.
            await self._record(job, [], Usage(audio_s=file.seconds))
            return Unread.NOT_HEARD
        except asyncio.CancelledError:
            # Canceled by a stop, an edit or the time limit for all files. The vendor bills the recording, but recording
            # the cost must not delay the end.
            with suppress(StoreError):
                await self.stores.transcripts.record(job, [], self._build_end(Usage(audio_s=file.seconds)))
            raise
        except ProviderError as error:
            log.warning("file %s not transcribed: %s: %s %s", file.id, error.model, error.reason, error.detail)
            return Unread.NOT_HEARD
        finally:
            show(PlainActivity.THINKING)
        usage = heard.usage or Usage(audio_s=file.seconds)
        is_ours = await self._record(job, [replace(file, transcript=heard.text)], usage)
        return heard.text if is_ours else Unread.NOT_HEARD

    async def _record(self, job: Job, files: Sequence[File], usage: Usage) -> bool:
        """Records transcripts and usage, however long the database is unavailable. Returns False if the job is lost."""
        end = self._build_end(usage)
        return await keep_trying(
            lambda: self.stores.transcripts.record(job, files, end), self.stores.clock, "transcript not recorded"
        )

    def _build_end(self, usage: Usage) -> End:
        assert self.transcriber is not None, "it was asked"
        return End(EndReason.TRANSCRIBED, model=self.transcriber.model, usage=usage)
