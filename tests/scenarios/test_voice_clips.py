"""Voice clips: Slack's transcript, or a model's, is what a person asked, and stands above the answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import Message as Part

import pytest

from bot.cli.command_line import run_command
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.caps import CapWindow, Period, Scope, ScopeIds, parse_caps
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID, Json, Message
from tests.marked import unmarked
from tests.scenarios.conftest import Stage, growing, running
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer, refusal

HEAR = "/v1/audio/transcriptions"
MODEL = "openai/gpt-transcribe"
pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]
LISTENING = pytest.mark.bot(transcribe=MODEL)
NAME = "Audio clip (2026-10-09 10:35:15).m4a"
M4A = b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(64)
SAID = "What day is it today?"
LONG = " ".join(f"Point {number} is that <b> & co. matter." for number in range(200))
PRICE_USD = 0.0045


def heard(text: str = SAID, seconds: float = 60.0, **options: object) -> VendorResponse:
    """Returns a response of the documented form."""
    body = {"text": text, "languages": [{"code": "en"}], "usage": {"type": "duration", "seconds": seconds}}
    return VendorResponse([json.dumps(body).encode()], content_type="application/json", **options)  # type: ignore[arg-type]


def clip(transcript: str | None = None, content: bytes = M4A, name: str = NAME) -> UploadedFile:
    return UploadedFile(name, content, transcript=transcript)


def form(request: VendorRequest) -> dict[str, Part]:
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = message_from_bytes(head + request.content).get_payload()
    assert isinstance(parts, list)
    return {str(part.get_param("name", header="content-disposition")): part for part in parts if isinstance(part, Part)}


class Speaker:
    """A vendor that answers questions and transcribes."""

    def __init__(self, vendor: VendorServer, transcription: VendorResponse) -> None:
        self.vendor = vendor
        self.transcription = transcription
        vendor.script(self._respond)

    def _respond(self, request: VendorRequest) -> VendorResponse:
        return self.transcription if request.path == HEAR else VendorResponse(speech.chat(["Friday."]))

    @property
    def hearings(self) -> list[VendorRequest]:
        return [request for request in self.vendor.requests if request.path == HEAR]

    @property
    def questions(self) -> list[str]:
        """What the model read last, in each request for an answer."""
        return [
            unmarked(request.body["messages"][-1]["content"])
            for request in self.vendor.requests
            if request.path != HEAR
        ]


@asynccontextmanager
async def asked(
    settings: Settings, sandbox: Sandbox, *uploads: UploadedFile, text: str = ""
) -> AsyncIterator[tuple[Stage, Message]]:
    """Asks in a direct message, with clips and most often without words; yields the answer's message."""
    async with running(settings):
        stage = Stage(sandbox, VendorServer())
        place = sandbox.dm("ada")
        await sandbox.share("ada", place, text, uploads)
        await stage.answers(place, None)
        yield stage, stage.bots(place)[-1]


def quoted(message: Message) -> str:
    """Returns the transcript above an answer, "" if there is none."""
    first: Json = message.sent_blocks[0]
    return str(first["text"]["text"]) if first["type"] == "section" else ""


async def test_slacks_transcript_is_the_question(settings: Settings, sandbox: Sandbox, vendor: VendorServer) -> None:
    speaker = Speaker(vendor, refusal(500, {}))
    async with asked(settings, sandbox, clip(SAID)) as (_, answer):
        assert quoted(answer) == texts.answers.transcript_line(SAID)
        assert answer.sent_blocks[1] == {"type": "markdown", "text": "Friday."}
    [question] = speaker.questions
    assert question.endswith(f"This is said in it:)\n{SAID}")
    assert not speaker.hearings
    assert not sandbox.files.downloads, "the transcript comes with the message"


async def test_transcript_that_slack_cut_is_read_whole(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer
) -> None:
    speaker = Speaker(vendor, refusal(500, {}))
    async with asked(settings, sandbox, clip(LONG)) as (_, answer):
        shown = quoted(answer)
        assert shown.startswith(texts.answers.transcript_line(LONG[:1_000])[:-1])
        assert shown.endswith("…”")
        assert len(shown) < 3_000
    assert LONG in speaker.questions[0]


async def test_transcript_that_slack_made_since_is_read_by_regenerate(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer
) -> None:
    speaker = Speaker(vendor, refusal(500, {}))
    async with asked(settings, sandbox, clip()) as (stage, answer):
        place = sandbox.dm("ada")
        [question] = [message for message in sandbox.messages(place) if message.files]
        await sandbox.transcribe(question.files[0]["id"], SAID)
        assert await sandbox.client("ada").press(place, answer.ts, ReplyAction.REGENERATE.value, "")
        await sandbox.wait_for(lambda: len(speaker.questions) == 2 and not growing(stage.bots(place)[-1]))
        assert quoted(stage.bots(place)[-1]) == texts.answers.transcript_line(SAID)
    assert [SAID in question for question in speaker.questions] == [False, True]


@LISTENING
async def test_model_hears_a_clip_and_its_cost_counts(
    settings: Settings,
    sandbox: Sandbox,
    vendor: VendorServer,
    another_process: Stores,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    speaker = Speaker(vendor, heard())
    async with asked(settings, sandbox, clip(), text="Please answer this.") as (_, answer):
        assert quoted(answer) == texts.answers.transcript_line(SAID)
    [request] = speaker.hearings
    sent = form(request)
    assert sent["model"].get_payload(decode=True) == b"gpt-transcribe"
    assert sent["file"].get_payload(decode=True) == M4A
    assert (sent["file"].get_filename(), sent["file"].get_content_type()) == ("clip.m4a", "audio/mp4")
    assert speaker.questions[0].startswith("Please answer this.")
    assert speaker.questions[0].endswith(SAID)
    month = CapWindow(Scope.USER, Period.MONTH)
    used = (await another_process.usage.usage_by_window(ScopeIds(TEAM_ID, "U0ADA", ""), {month}))[month]
    assert used.cost_usd == pytest.approx(PRICE_USD)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    assert await asyncio.to_thread(run_command, ["usage", "--by", "model", "--csv"]) == 0
    assert f"{MODEL},0,0,0,0,{PRICE_USD:.6f}," in capsys.readouterr().out


@LISTENING
async def test_clip_is_heard_once(settings: Settings, sandbox: Sandbox, vendor: VendorServer) -> None:
    speaker = Speaker(vendor, heard())
    async with asked(settings, sandbox, clip()) as (stage, answer):
        place = sandbox.dm("ada")
        assert await sandbox.client("ada").press(place, answer.ts, ReplyAction.REGENERATE.value, "")
        await sandbox.wait_for(lambda: len(speaker.questions) == 2 and not growing(stage.bots(place)[-1]))
        assert quoted(stage.bots(place)[-1]) == texts.answers.transcript_line(SAID)
        await sandbox.say("ada", place, "And tomorrow?")
        await stage.answers(place, None, count=2)
        assert quoted(stage.bots(place)[-1]) == "", "it stands above the answer that it came with"
    assert len(speaker.hearings) == 1
    transcripts = [SAID in str(request.body) for request in vendor.requests if request.path != HEAR]
    assert transcripts == [True, True, True]


SILENT = VendorResponse([b" "], content_type="application/json", ending=ResponseEnd.HANG, ping=b" ")


@LISTENING
async def test_answer_goes_on_if_the_transcription_fails(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.services.transcripts.TRANSCRIPTION_TIMEOUT_S", 1.0)
    speaker = Speaker(vendor, SILENT)
    notes = UploadedFile("notes.md", b"All is well.")
    async with asked(settings, sandbox, clip(), notes, text="What is it?") as (stage, _):
        [answer] = await stage.answers(sandbox.dm("ada"), None)
        assert answer == f"Friday.\nNot read: {NAME} ({texts.files.Unread.NOT_HEARD.value})."
    assert "All is well." in speaker.questions[0]


@LISTENING
async def test_stop_does_not_save_the_cost_of_what_is_being_heard(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer, another_process: Stores
) -> None:
    Speaker(vendor, SILENT)
    place = sandbox.dm("ada")
    stage = Stage(sandbox, vendor)
    async with running(settings):
        await sandbox.share("ada", place, "", [clip()])
        await vendor.request(0)
        [answer] = stage.bots(place)
        assert await sandbox.client("ada").press(place, answer.ts, ReplyAction.STOP.value, "")
        assert (await stage.answers(place, None))[0].startswith(texts.answers.STOPPED)
    month = CapWindow(Scope.USER, Period.MONTH)
    used = (await another_process.usage.usage_by_window(ScopeIds(TEAM_ID, "U0ADA", ""), {month}))[month]
    assert used.cost_usd > 0


@LISTENING
async def test_file_that_is_no_sound_is_not_sent(settings: Settings, sandbox: Sandbox, vendor: VendorServer) -> None:
    speaker = Speaker(vendor, heard())
    async with asked(settings, sandbox, clip(content=b"\0\1\2 no sound")) as (stage, _):
        [answer] = await stage.answers(sandbox.dm("ada"), None)
        assert answer.endswith(f"Not read: {NAME} ({texts.files.Unread.KIND.value}).")
    assert not speaker.hearings


@LISTENING
async def test_no_clip_is_heard_once_a_cap_is_used_up(
    settings: Settings, sandbox: Sandbox, vendor: VendorServer
) -> None:
    speaker = Speaker(vendor, heard(seconds=60_000.0))
    capped = replace(settings, models=("openai/gpt-6-luna",), caps=parse_caps("user/day=1usd"))
    async with asked(capped, sandbox, clip()) as (stage, _):
        place = sandbox.dm("ada")
        assert "quota" in (await stage.answers(place, None))[-1], "what was heard has used it up"
        await sandbox.share("ada", place, "", [clip()])
        assert "quota" in (await stage.answers(place, None, count=2))[-1]
    assert len(speaker.hearings) == 1
    assert not speaker.questions


async def test_clip_among_people_is_no_question(stage: Stage) -> None:
    root = await stage.sandbox.share("grace", "general", "", [clip(SAID)])
    thread = await stage.mention("what is it?")
    await stage.answers("general", thread)
    await stage.sandbox.say("grace", "general", "I wonder, too.", thread)
    await stage.delivered()
    await stage.sandbox.share("ada", "general", "", [clip(SAID)], thread)
    await stage.answers("random", await stage.mention("still there?", channel="random"))
    assert (stage.bots("general", root), len(stage.bots("general", thread))) == ([], 1)
