"""What one attempt notes of a model's stream, step by step, and what it has used."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.beginnings import BuiltPrompt
from bot.core.calls import NO_SUCH_TOOL, PROPOSALS, REMEMBER, SCHEDULE, CallState, Decision, RecordedCall, Step
from bot.core.conversation import File
from bot.core.files import OpenedFile, unread_notice
from bot.core.job import End, Job, Notice, NoticeKind, StepEstimate, sentence_notice
from bot.errors import EndReason, ProviderError
from bot.models.events import (
    THINKING_TOKENS,
    Answering,
    Citation,
    Completion,
    FinishReason,
    Opaque,
    Retrying,
    StreamEvent,
    TextPart,
    Thinking,
    ToolCall,
    Usage,
)
from bot.models.prices import ModelPrices
from bot.models.prompt import WEB, Effort, Media, Prompt
from bot.reply.answer import CHARS_PER_TOKEN, HIDDEN_TOKENS_PER_S, Answer, CurrentStep
from bot.services.answer_attempt import AnswerAttempt, UsageTotal, total_usd
from tests.services.answering import MODEL, QUESTION
from tests.services.answering import MODEL_NAME as NAME

CALL = ToolCall(0, "call_1", "notes__list", {})
OPAQUE = Opaque("openai", {"type": "reasoning"})
SEARCHED: dict[str, object] = {"type": "opaque", "vendor": "openai", "item": {"type": "web_search_call"}}
END = End(EndReason.WHOLE)
NOW = 1_790_000_000.0


def new_attempt(*steps: Step) -> AnswerAttempt:
    return AnswerAttempt(Answer(Job(1, QUESTION, 1, steps=steps, version=3)), claimed_at=10.0)


def asked(*steps: Step) -> AnswerAttempt:
    attempt = new_attempt(*steps)
    attempt.step = CurrentStep(MODEL, 30)
    return attempt


def step(number: int = 0, *items: dict[str, object]) -> Step:
    return Step(number, 0, items, MODEL)


def completion(web_searches: int = 0) -> Completion:
    return Completion(MODEL, FinishReason.TOOLS, Usage(20, 2, web_searches=web_searches))


def test_first_token_is_the_first_text() -> None:
    attempt = asked()
    for event, now in ((Thinking(5), 12.0), ("Because", 13.0), (" it is.", 14.0)):
        attempt.receive(event, now)
    assert attempt.first_token_s == 3.0


def test_answer_keeps_the_origins_of_all_that_it_was_written_from() -> None:
    so_far = Job(1, QUESTION, 2, continued_text="Be", continued_origins=WEB)
    attempt = AnswerAttempt(Answer(so_far), claimed_at=10.0)
    attempt.step = CurrentStep(MODEL, 30)
    assert attempt.answer.origins == WEB


def test_step_consists_of_its_text_calls_and_opaque_items() -> None:
    step = CurrentStep(MODEL, 30)
    for event in ("Let me", " see.", TextPart("Let me see."), CALL, OPAQUE, completion()):
        step.receive(event, 12.0)
    assert step.parts == [TextPart("Let me see."), CALL, OPAQUE]
    assert step.calls == [CALL]
    assert step.completion == completion()


def test_text_is_the_only_event_that_is_shown() -> None:
    attempt, source = asked(), Citation("https://docs.example/", "The docs")
    shown = [attempt.receive(event, 12.0) for event in ("Because", Thinking(5), source, OPAQUE, CALL, completion())]
    assert shown == ["Because", "", "", "", "", ""]
    assert list(attempt.answer.sources) == [source]


def test_searches_are_those_of_all_steps() -> None:
    attempt = asked(step(0, SEARCHED), step(1, SEARCHED))
    assert attempt.searches == 2
    attempt.receive(completion(web_searches=3), 12.0)
    assert attempt.searches == 2 + 3
    attempt.on_step_recorded(step(2, SEARCHED, SEARCHED, SEARCHED), Usage(20, 2, web_searches=3), None)
    assert attempt.searches == 2 + 3
    attempt.step = CurrentStep(MODEL, 30)
    attempt.receive(Completion(MODEL, FinishReason.STOP, None), 14.0)
    assert attempt.searches == 2 + 3


def test_recorded_step_no_longer_counts_as_spent() -> None:
    attempt = new_attempt()
    assert attempt.spent == StepEstimate()
    attempt.step = CurrentStep(MODEL, 30)
    attempt.receive("Because it is.", 12.0)
    assert attempt.spent == StepEstimate(30, int(14 / CHARS_PER_TOKEN), MODEL, step_no=0)
    attempt.on_step_recorded(step(), Usage(20, 2), 0.5)
    assert (attempt.spent, attempt.answer.steps, attempt.used) == (
        StepEstimate(step_no=1),
        [step()],
        UsageTotal(Usage(20, 2), 0.5),
    )
    attempt.on_step_recorded(step(1), None, None)
    attempt.step = CurrentStep(MODEL, 40)
    assert (attempt.spent, attempt.used) == (StepEstimate(40, 0, MODEL, step_no=2), UsageTotal(Usage(20, 2), None))
    attempt.on_step_recorded(step(2), Usage(5, 1), 0.5)
    assert attempt.used == UsageTotal(Usage(25, 3), None)


@pytest.mark.parametrize(
    ("events", "until", "hidden_s"),
    [
        ([(Thinking(), 12.0)], 20.0, 8.0),
        ([(Thinking(), 12.0), (Thinking(), 15.0), (Thinking(), 19.0)], 20.0, 8.0),
        ([(Thinking(), 12.0), ("Because", 13.0)], 20.0, 1.0),
        ([(Thinking(), 12.0), (Thinking(ended=True), 13.0)], 20.0, 1.0),
        ([(Thinking(), 12.0), (Thinking(7), 13.0)], 20.0, 1.0),
        ([("Because", 12.0)], 20.0, 0.0),
        ([(Thinking(7), 12.0), (Thinking(), 13.0)], 20.0, 0.0),
        ([(Thinking(), 12.0)], 10_000.0, THINKING_TOKENS / HIDDEN_TOKENS_PER_S),
    ],
    ids=["silent", "pings", "then text", "ended", "then its words", "text alone", "after words", "for hours"],
)
def test_hidden_thinking_is_estimated_by_its_time(
    events: list[tuple[StreamEvent, float]], until: float, hidden_s: float
) -> None:
    attempt = asked()
    for event, now in events:
        attempt.receive(event, now)
    attempt.count_thinking_until(until)
    attempt.count_thinking_until(until + 5.0)
    assert attempt.spent.output_tokens == int(
        7 / CHARS_PER_TOKEN * any(event in ("Because", Thinking(7)) for event, _ in events)
        + hidden_s * HIDDEN_TOKENS_PER_S
    )


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (None, Usage(30, 2)),
        (Usage(), Usage(30, 2)),
        (Usage(0, 9, web_searches=1), Usage(30, 9, web_searches=1)),
        (Usage(20, 0, cached_input_tokens=5), Usage(20, 2, cached_input_tokens=5)),
        (Usage(20, 9), Usage(20, 9)),
        (Usage(20, 9) + Usage(21, 8), Usage(41, 17)),
    ],
    ids=["no usage", "no tokens", "no input", "no output", "all", "of two requests"],
)
def test_estimate_counts_in_place_of_tokens_that_the_vendor_did_not_report(
    reported: Usage | None, counted: Usage
) -> None:
    attempt = asked()
    attempt.receive("Because.", 12.0)
    end = attempt.with_usage(End(EndReason.WHOLE, usage=reported))
    assert end.usage == counted
    assert (end.estimated_step is None) == (reported == counted)


@pytest.mark.parametrize(
    ("recorded_usd", "last_usd", "whole_usd"),
    [([], 0.5, 0.5), ([0.25, 0.5], 1.0, 1.75), ([], None, None), ([None], 0.5, None), ([0.5], None, None)],
)
def test_whole_cost_is_known_if_all_steps_have_a_price(
    recorded_usd: list[float | None], last_usd: float | None, whole_usd: float | None
) -> None:
    attempt = new_attempt()
    for number, cost_usd in enumerate(recorded_usd):
        attempt.on_step_recorded(step(number), Usage(20, 2), cost_usd)
    assert attempt.used.plus(Usage(5, 1), last_usd).usd == whole_usd


def test_estimate_counts_for_the_step_that_has_no_reported_usage() -> None:
    attempt = new_attempt(step())
    assert attempt.with_usage(END).usage is None, "no model was asked"
    attempt.step = CurrentStep(MODEL, 30)
    attempt.receive("Because.", 12.0)
    counted = attempt.with_usage(END)
    assert (counted.model, counted.usage, counted.estimated_step) == (MODEL, Usage(30, 2), 1)
    reported = attempt.with_usage(End(EndReason.WHOLE, model="openai/other", usage=Usage(7, 1)))
    assert (reported.model, reported.usage, reported.estimated_step) == ("openai/other", Usage(7, 1), None)
    assert counted.first_token_s == 2.0


@pytest.mark.parametrize(
    ("events", "charged"),
    [
        (["Because"], MODEL),
        ([Answering("openai/other"), "Because"], "openai/other"),
        ([Retrying(model="openai/next"), Answering("openai/other"), "Because"], "openai/other"),
        ([Answering("openai/other"), Retrying(model="openai/next"), "Because"], "openai/next"),
        ([Answering("openai/other"), Retrying(), "Because"], MODEL),
    ],
)
def test_answer_that_stops_or_fails_costs_what_the_model_that_was_answering_costs(
    events: list[StreamEvent], charged: str
) -> None:
    attempt = new_attempt()
    attempt.step = CurrentStep(MODEL, 30)
    for event in events:
        attempt.receive(event, 12.0)
    failed = attempt.end_after_error(ProviderError(EndReason.CUT, MODEL), texts.models.OWN_NAMES)
    assert [attempt.with_usage(end).model for end in (End(EndReason.STOPPED), failed)] == [charged, charged]
    assert attempt.spent.model == charged


BIG = Completion(MODEL, FinishReason.STOP, Usage(250_000, 50_000))
SMALL = Completion(MODEL, FinishReason.STOP, Usage(10, 2))


@pytest.mark.parametrize(
    ("effort", "completion", "spent_usd", "footer"),
    [
        (Effort.THOROUGH, replace(BIG, effort="high"), 0.0, f"{NAME} · thorough (high effort), $0.05"),
        (Effort.THOROUGH, replace(BIG, effort="medium"), 0.1, f"{NAME} · thorough (medium effort), $0.15"),
        (Effort.THOROUGH, replace(BIG, effort="high"), None, f"{NAME} · thorough (high effort)"),
        (
            Effort.THOROUGH,
            replace(SMALL, effort="high"),
            0.0,
            f"{NAME} · thorough (high effort), less than $0.01",
        ),
        (
            Effort.THOROUGH,
            replace(BIG, refused=("thinking longer",)),
            0.0,
            f"{NAME} · answered without thinking longer, which this model doesn't support",
        ),
        (
            Effort.THOROUGH,
            replace(BIG, model="openai/of-our-own", effort="high"),
            0.0,
            "fell back to of-our-own · thorough (high effort)",
        ),
        (
            Effort.NORMAL,
            replace(BIG, model="openai/of-our-own", asked_model=MODEL, substitute_model="openai/of-our-own"),
            0.0,
            "answered by of-our-own",
        ),
        (Effort.NORMAL, replace(BIG, asked_model=MODEL, substitute_model="openai/of-our-own"), 0.0, NAME),
        (
            Effort.THOROUGH,
            replace(BIG, usage=None, effort="high"),
            0.1,
            f"{NAME} · thorough (high effort), about $0.15",
        ),
        (
            Effort.THOROUGH,
            replace(BIG, effort="high", unlisted_terms=("inference_geo=us",)),
            0.0,
            f"{NAME} · thorough (high effort), $0.05 at the standard price",
        ),
        (Effort.NORMAL, BIG, 0.0, NAME),
        (Effort.FAST, replace(BIG, effort="low"), 0.0, NAME),
    ],
)
def test_footer_of_a_thorough_answer_has_its_effort_and_its_cost(
    effort: Effort, completion: Completion, spent_usd: float | None, footer: str
) -> None:
    built = BuiltPrompt(Prompt("", (), effort=effort), None)
    attempt = AnswerAttempt(Answer(Job(1, QUESTION, 1)), 0.0, built=built)
    attempt.step = CurrentStep(MODEL, 10)
    attempt.receive("Because.", 0.0)
    attempt.receive(completion, 0.0)
    usage = completion.usage or BIG.usage
    assert usage is not None
    usd = ModelPrices().cost_usd(completion.model, usage, NOW)
    end = End(EndReason.WHOLE, model=completion.model, usage=completion.usage)
    assert attempt.finish(end, NOW, total_usd(usd, spent_usd)).footer == footer


@pytest.mark.parametrize("can_think_longer", [True, False])
def test_model_that_thinks_as_long_as_it_can_is_offered_no_longer_thought(can_think_longer: bool) -> None:
    attempt = AnswerAttempt(Answer(Job(1, QUESTION, 1)), 0.0, built=BuiltPrompt(Prompt("", ()), None))
    attempt.step = CurrentStep(MODEL, 10)
    attempt.receive("Because.", 0.0)
    attempt.receive(replace(BIG, can_think_longer=can_think_longer), 0.0)
    assert attempt.finish(End(EndReason.WHOLE, model=MODEL), NOW).effort == (
        "" if can_think_longer else Effort.THOROUGH
    )


def agreed(tool: str, made: int, state: CallState = CallState.DONE) -> RecordedCall:
    return RecordedCall(
        0, 0, "", tool, {}, "", state, result="Changed schedule 7: daily.", item_no=made, decision=Decision.APPROVED
    )


CHANGED = "Changed schedule 7: daily."


@pytest.mark.parametrize(
    ("calls", "notes"),
    [
        ([agreed(REMEMBER, 4)], [Notice(NoticeKind.REMEMBERED, CHANGED)]),
        ([agreed(REMEMBER, 0)], [Notice(NoticeKind.SENTENCE, CHANGED)]),
        ([agreed(SCHEDULE, 3)], [Notice(NoticeKind.SCHEDULED, CHANGED, 3)]),
        ([agreed(SCHEDULE, 0)], [Notice(NoticeKind.SENTENCE, CHANGED)]),
        (
            [agreed(SCHEDULE, 3), agreed(REMEMBER, 4)],
            [Notice(NoticeKind.SCHEDULED, CHANGED, 3), Notice(NoticeKind.REMEMBERED, CHANGED)],
        ),
        # What was agreed to, and couldn't be done.
        *(([agreed(tool, 0, CallState.FAILED)], list(sentence_notice(CHANGED))) for tool in PROPOSALS),
        *(
            ([agreed(tool, 0, state)], list(sentence_notice(texts.answers.NOT_CARRIED_OUT)))
            for tool in PROPOSALS
            for state in (CallState.DENIED, CallState.UNKNOWN)
        ),
        (
            [replace(agreed(SCHEDULE, 0, CallState.FAILED), result=NO_SUCH_TOOL)],
            list(sentence_notice(texts.answers.NOT_CARRIED_OUT)),
        ),
        ([agreed(SCHEDULE, 0, CallState.READY), agreed(REMEMBER, 0, CallState.BEGUN)], []),
        ([replace(agreed(SCHEDULE, 0, CallState.FAILED), decision=Decision.DENIED)], []),
        ([replace(agreed(SCHEDULE, 3), decision=None)], []),
        ([agreed("notes__add", 3)], []),
    ],
)
def test_answer_says_what_its_calls_have_made_whatever_their_sentences_say(
    calls: list[RecordedCall], notes: list[Notice]
) -> None:
    attempt = new_attempt(Step(0, 0, (), MODEL, tuple(calls)))
    assert list(attempt.finish(END, NOW).notices) == notes


def test_files_that_were_not_read_are_named_below_the_answer() -> None:
    opened = (OpenedFile(File("F1", "chart.png", "image/png"), Media("chart.png", "image/png", "")),)
    attempt = asked()
    attempt.built = BuiltPrompt(Prompt("", ()), None, new_files=opened)
    attempt.receive(Completion(MODEL, FinishReason.LENGTH, None, left_out=("chart.png",)), 12.0)
    notes = attempt.finish(End(EndReason.LENGTH_LIMIT, sentence_notice("Cut.")), NOW).notices
    assert notes == (*sentence_notice("Cut."), Notice(NoticeKind.UNREAD, unread_notice(opened, ("chart.png",))))
