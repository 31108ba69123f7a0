"""What the cards, their answers and README.md say about calls to Slack is what happens, whatever carries an answer."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from bot.core import texts
from bot.core.triage import Engagement
from demo.models import GO_ON, cards_model
from demo.scenes import SCENES, Scene
from demo.scripted_model import TOKENS_PER_S, ScriptedModel
from slack_pacing.carriers import CarrierName
from slack_sandbox.faults import SHOWING
from slack_sandbox.page.guide import Reply
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import FLOORS
from slack_sandbox.web_api.http import CallRecord
from tests.scenarios.conftest import Stage, manifest, running, says, settings_of, shown
from tests.streams.server import VendorServer

README = re.sub(r"\s+", " ", (Path(__file__).parents[2] / "README.md").read_text())
STREAMING, LONG, _, _, SHARING, BUSY = SCENES[:6]
CARRIERS = ("edit", pytest.param("stream", marks=pytest.mark.long))
WORDS_PER_S = 3 * TOKENS_PER_S
FOOTER = f"['\"]text['\"]: ?['\"]{ScriptedModel.model}['\" ]"
PEOPLE = ("ada", "grace", "alan")
IN_THE_STAGES_LOOP = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Watched:
    """An answer and the calls that it took."""

    text: str
    calls: Sequence[CallRecord]

    def named(self, *methods: str) -> list[CallRecord]:
        return [call for call in self.calls if call.method in methods]


@asynccontextmanager
async def showcase_stage(carrier: CarrierName, engagement: Engagement = Engagement.FOLLOW_UPS) -> AsyncIterator[Stage]:
    async with (
        AsyncExitStack() as stack,
        VendorServer() as vendor,
        ScriptedModel(GO_ON, WORDS_PER_S) as scripted,
        Sandbox(manifest=manifest()) as sandbox,
    ):
        vendor.script(says("The model's own words."))
        settings = replace(settings_of(sandbox, vendor), carrier=carrier, engagement=engagement)
        async with running(settings, wrap_models=await cards_model(settings, scripted, stack)):
            yield Stage(sandbox, vendor)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CARRIERS)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with showcase_stage(request.param) as stage:
        yield stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(stage: Stage) -> dict[str, list[Watched]]:
    """The answers of two scenes, by the scene's title. The questions of a scene are asked at once."""
    return {scene.title: await asked_at_once(stage, scene) for scene in (STREAMING, SHARING)}


async def asked_at_once(stage: Stage, scene: Scene) -> list[Watched]:
    begun = len(stage.sandbox.calls)
    asked = [await stage.mention(text, user=person) for person, text in zip(PEOPLE, scene.scripts, strict=False)]
    answers = [(await stage.answers("general", ts))[-1] for ts in asked]
    calls = list(stage.sandbox.calls)[begun:]
    return [Watched(text, of_thread(calls, ts)) for ts, text in zip(asked, answers, strict=True)]


def of_thread(calls: Sequence[CallRecord], thread_ts: str) -> list[CallRecord]:
    posted = {call.ts for call in calls if call.arguments.get("thread_ts") == thread_ts}
    return [call for call in calls if call.ts in posted and call.method.startswith("chat.")]


def shown_in(call: CallRecord) -> str:
    """The words of a call, without marks: a growing table or code block is closed, and opened again."""
    arguments = {key: value for key, value in call.arguments.items() if key in ("blocks", "chunks", "markdown_text")}
    return " ".join(re.findall(r"\w{4,}", str(arguments)))


def placeholder_comes_at_once(answer: Watched) -> None:
    posted = [call.arguments["text"] for call in answer.named("chat.postMessage")]
    if answer.named("chat.startStream"):
        # Where edits are scarce, a status stands for the placeholder.
        assert posted == []
    else:
        assert posted == [texts.answers.THINKING]
    # It doesn't wait for words.
    assert answer.calls[0].method in ("chat.postMessage", "chat.startStream")


def words_follow_while_the_model_writes(answer: Watched) -> None:
    growing = answer.named(*SHOWING)
    assert len(growing) >= 2, "a busy machine leaves out edits, and not all of them"
    last_words = " ".join(re.findall(r"\w{4,}", answer.text)[-3:])
    assert last_words not in shown_in(growing[0])


def each_call_carries_what_was_written_since_the_one_before(answer: Watched) -> None:
    assert len(answer.named(*SHOWING)) < len(answer.text.split()) / 5, "calls are fewer than words"
    edits = answer.named("chat.update")
    if answer.named("chat.startStream"):
        carried = " ".join(map(shown_in, answer.named("chat.startStream", "chat.appendStream", "chat.stopStream")))
        assert "Regenerate" in carried
    else:
        assert "Regenerate" in shown_in(edits[-1])
        sizes = [len(shown_in(call)) for call in edits[:-1]]
        assert sizes == sorted(sizes)


def last_call_adds_buttons_and_footer(answer: Watched) -> None:
    *earlier, last = answer.named(*SHOWING)
    assert re.search(FOOTER, str(last.arguments))
    assert not any(re.search(FOOTER, str(call.arguments)) for call in earlier)


def no_limit_is_reached(answer: Watched) -> None:
    assert [call.error for call in answer.calls if not call.ok] == []


def edits_are_50_a_minute(_: Watched) -> None:
    assert FLOORS["chat.update"] == 50


CLAIMS: Sequence[tuple[str, str, Callable[[Watched], None]]] = (
    ("A placeholder appears at once", README, placeholder_comes_at_once),
    ("the text follows while the model writes", README, words_follow_while_the_model_writes),
    ("Slack allows about 50 edits a minute, which all live answers share", README, edits_are_50_a_minute),
    ("Typist shows the words while the model writes.", STREAMING.note, words_follow_while_the_model_writes),
    ("Slack allows about 50 edits a minute in a workspace", STREAMING.note, edits_are_50_a_minute),
    (
        "each call carries everything that was written since the one before.",
        STREAMING.note,
        each_call_carries_what_was_written_since_the_one_before,
    ),
    ("The last call adds the buttons and the footer.", STREAMING.note, last_call_adds_buttons_and_footer),
    ("Three answers stay within Slack's limits.", SHARING.detail, no_limit_is_reached),
)


@IN_THE_STAGES_LOOP
@pytest.mark.parametrize(("claim", "place", "check"), CLAIMS, ids=[claim for claim, _, _ in CLAIMS])
async def test_claim_is_made_and_holds(
    watched: dict[str, list[Watched]], claim: str, place: str, check: Callable[[Watched], None]
) -> None:
    assert claim in place
    scenes = [scene for scene in (STREAMING, SHARING) if claim in scene.note + scene.detail] or [STREAMING, SHARING]
    for scene in scenes:
        for answer in watched[scene.title]:
            check(answer)


@pytest.mark.parametrize("text", [README, *(scene.note for scene in SCENES), *(scene.detail for scene in SCENES)])
def test_nothing_is_said_that_holds_for_edits_alone(text: str) -> None:
    said = re.findall(r"editing one message|meter of `?chat\.update|for each edit|grows? in it|lower left", text)
    assert said == []


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("fault", [pytest.param("rate_limit", marks=pytest.mark.long), "drop_request", "lose_response"])
async def test_answer_recovers_once_a_failure_is_turned_off(carrier: CarrierName, fault: str) -> None:
    """The long answer's note: "Turn one on while an answer grows, turn it off, and the answer recovers.".

    Each case has a sandbox of its own: once edits are scarce, an answer's end is posted, which no failure touches.
    """
    assert "Turn one on while an answer grows, turn it off, and the answer recovers." in LONG.note
    async with showcase_stage(carrier) as stage:
        sandbox = stage.sandbox

        async def next_shown() -> CallRecord:
            begun = len(sandbox.calls)
            calls = await sandbox.wait_for(lambda: [c for c in list(sandbox.calls)[begun:] if c.method in SHOWING])
            return calls[0]

        asked = await stage.mention(next(iter(STREAMING.scripts)))
        await next_shown()
        sandbox.faults.start(fault, retry_after_s=1)
        hit = await next_shown()
        sandbox.faults.stop(fault)
        assert hit.ok is (fault == "lose_response"), "a call whose response is lost takes effect"
        await sandbox.wait_for(lambda: "with the same load." in shown(stage.bots("general", asked)[-1]))
        assert "with the same load." in (await stage.answers("general", asked))[-1]


STAYED_OUT = {
    Engagement.MENTIONS: [
        "The disk has room. And then?",
        "I restarted the export an hour ago.",
        "Thanks! Is it faster now?",
        "So we can rule out the disk?",
        "I'll look at its plan tomorrow.",
    ],
    Engagement.FOLLOW_UPS: [
        "I restarted the export an hour ago.",
        "Thanks! Is it faster now?",
        "I'll look at its plan tomorrow.",
    ],
    Engagement.EVERYONE: ["Thanks! Is it faster now?"],
}
"""The messages of the busy thread that aren't answered."""


def words_to(reply: Reply) -> str:
    """Returns a reply as the page sends it."""
    name = PEOPLE[reply.to] if isinstance(reply.to, int) else reply.to and "typist"
    return f"@{name} {reply.words}" if name else reply.words


async def unanswered_in(stage: Stage, root: str) -> list[str]:
    """Returns the messages of a thread that no answer belongs to, once the bot has taken all of them."""
    deliveries = stage.sandbox.deliveries
    await stage.sandbox.wait_for(lambda: all(delivery.acked_at_s for delivery in deliveries))
    asked = {str((answer.metadata or {})["event_payload"]["question_ts"]) for answer in stage.bots("general", root)}
    messages = stage.sandbox.messages("general", root)
    return [message.text for message in messages if message.client_msg_id and message.ts not in asked]


@pytest.mark.parametrize("engagement", Engagement)
@pytest.mark.long(after_row=1)
async def test_busy_thread_is_answered_as_the_channels_mode_says(engagement: Engagement) -> None:
    stayed_out = STAYED_OUT[engagement]
    async with showcase_stage("edit", engagement) as stage:
        root = await stage.mention(next(iter(BUSY.scripts)))
        answers = await stage.answers("general", root)
        for reply in BUSY.replies:
            await stage.sandbox.say(PEOPLE[reply.person], "general", words_to(reply), root)
            if reply.words not in stayed_out:
                answers = await stage.answers("general", root, count=len(answers) + 1)
        unanswered = await unanswered_in(stage, root)
    assert [text.rpartition("> ")[2] for text in unanswered] == stayed_out
    assert any("Grace restarted the export an hour ago." in answer for answer in answers)
