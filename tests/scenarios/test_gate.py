"""Follow-ups in doubt, where a channel has a model decide: what it takes, and what failure, slowness and cost do."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.caps import CapWindow, Period, Scope, ScopeIds
from bot.core.channel_settings import ChannelSettings
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import TEAM_ID
from tests.clocks import until_read
from tests.scenarios.conftest import Stage, running
from tests.scenarios.surfaces import ephemerals
from tests.streams import speech
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer, refusal

pytestmark = [pytest.mark.skips_waits, pytest.mark.bot(on_disk=True)]

GENERAL = "C0GENERAL"
DECISIONS = "/v1/decisions"
INPUT_TOKENS = 90
QUESTION = "and for me?"
USAGE = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 1,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT_TOKENS + 1,
}


def decision(*answers: dict[str, Any], **options: Any) -> VendorResponse:
    body = {"answers": list(answers), "model": "gpt-6-luna", "usage": USAGE}
    return VendorResponse([json.dumps(body).encode()], content_type="application/json", **options)


def probable(probability: float, **options: Any) -> VendorResponse:
    return decision({"type": "predicate", "name": "is_true", "probability": probability}, **options)


SILENT = {
    "unsure": probable(0.79),
    "refused": decision({"type": "refusal", "name": "is_true"}),
    "no answer": decision(),
    "HTTP 500": refusal(500, {"error": {"message": "oops", "code": "server_error"}}),
    "HTTP 404": refusal(404, {"error": {"message": "no such path"}}),
    "a list": VendorResponse([b"[]"], content_type="application/json"),
    "no JSON": VendorResponse([b"<html>"], content_type="text/html"),
    "cut": VendorResponse([b'{"answers": ['], content_type="application/json", ending=ResponseEnd.CUT),
    "closed": VendorResponse(ending=ResponseEnd.NOTHING),
}


@pytest.fixture
def settings(settings: Settings, vendor: VendorServer) -> Settings:
    vendors = {"openai": VendorSettings("key", f"{vendor.url}/v1", "responses")}
    return replace(settings, vendors=vendors)


@dataclass
class Started:
    """The bot, which Ada has asked in a thread where Grace has written since."""

    stage: Stage
    asked: str = ""
    shown_at_decisions: list[int] = field(default_factory=list)
    """How many messages the bot had posted in the thread whenever a decision was requested."""

    def respond(self, request: VendorRequest, decided: VendorResponse) -> VendorResponse:
        if request.path != DECISIONS:
            return VendorResponse(speech.responses(["Yes."]))
        self.shown_at_decisions.append(len(self.stage.bots("general", self.asked)))
        return decided


Start = Callable[..., AbstractAsyncContextManager[Started]]


@pytest.fixture
def start(sandbox: Sandbox, vendor: VendorServer, settings: Settings, another_process: Stores) -> Start:
    @asynccontextmanager
    async def start(decided: VendorResponse, *, gate: bool = True, **changes: Any) -> AsyncIterator[Started]:
        started = Started(Stage(sandbox, vendor))
        vendor.script(lambda request: started.respond(request, decided))
        await another_process.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings(gate=gate))
        async with running(replace(settings, **changes)):
            started.asked = await started.stage.mention("what is it?")
            await started.stage.answers("general", started.asked)
            await sandbox.say("grace", "general", QUESTION, started.asked)
            yield started

    return start


async def decision_request(started: Started) -> VendorRequest:
    """Returns the request for the decision, which follows that for Ada's answer."""
    request = await started.stage.vendor.request(1)
    assert request.path == DECISIONS
    return request


async def unanswered(started: Started) -> None:
    """Checks that the thread gets no second answer."""
    await started.stage.settled()
    assert len(started.stage.bots("general", started.asked)) == 1


async def test_message_is_answered_if_the_model_is_sure_and_nothing_shows_before(start: Start) -> None:
    async with start(probable(0.8)) as started:
        assert await started.stage.answers("general", started.asked, count=2) == ["Yes.", "Yes."]
        request = await decision_request(started)
        assert ephemerals(started.stage) == [
            ("U0ADA", f"{texts.access.SOMEBODY_JOINED_IN_DOUBT}\n\nButton: {texts.access.STAY_QUIET}.")
        ]
    assert started.shown_at_decisions == [1]
    assert request.body["model"] == "gpt-6-luna"
    lines = request.body["input"].splitlines()
    assert lines == ["[person 1] @typist what is it?", "[typist] Yes.", f"[person 2] {QUESTION}"]
    assert "typist, the bot" in request.body["questions"][0]["instructions"]


@pytest.mark.parametrize("decided", SILENT.values(), ids=SILENT.keys())
@pytest.mark.long(after_row=2)
async def test_message_stays_unanswered_if_the_model_is_not_sure_or_fails(
    start: Start, decided: VendorResponse
) -> None:
    async with start(decided) as started:
        await decision_request(started)
        await unanswered(started)
        assert started.shown_at_decisions == [1]
        await started.stage.sandbox.say("grace", "general", f"@typist {QUESTION}", started.asked)
        await started.stage.answers("general", started.asked, count=2)


async def test_message_that_is_deleted_while_the_model_decides_stays_unanswered(start: Start) -> None:
    async def delete() -> None:
        sandbox = stage.sandbox
        [written] = [message for message in sandbox.messages("general", started.asked) if message.text == QUESTION]
        await sandbox.delete("general", written.ts)

    async with start(probable(1.0, gates={0: delete})) as started:
        stage = started.stage
        await decision_request(started)
        await unanswered(started)


async def test_no_model_is_asked_about_a_guests_message_and_the_guest_is_not_told(start: Start) -> None:
    """Slack has not said yet who the guest is."""
    async with start(probable(0.1)) as started:
        await decision_request(started)
        started.stage.sandbox.people.add_person("gia", guest=True)
        await started.stage.sandbox.say("gia", "general", QUESTION, started.asked)
        await unanswered(started)
        assert started.shown_at_decisions == [1]
        assert {user_id for user_id, _ in ephemerals(started.stage)} == {"U0ADA"}


async def counted(store: Stores, user_id: str) -> int:
    """Waits until a person has used tokens, and returns how many."""
    window = CapWindow(Scope.USER, Period.DAY)
    scope_ids = ScopeIds(TEAM_ID, user_id, GENERAL)

    async def tokens() -> int:
        return (await store.usage.usage_by_window(scope_ids, [window]))[window].tokens

    return await until_read(tokens, "usage on record")


async def test_decision_counts_as_the_writers_usage_whatever_it_says(start: Start, another_process: Stores) -> None:
    async with start(probable(0.1)):
        assert await counted(another_process, "U0GRACE") == INPUT_TOKENS


async def test_decision_that_takes_too_long_is_given_up_and_counted(start: Start, another_process: Stores) -> None:
    async with start(VendorResponse(ending=ResponseEnd.HANG)) as started:
        await (await decision_request(started)).hung_up.wait()
        assert await counted(another_process, "U0GRACE") > 10
        await unanswered(started)
