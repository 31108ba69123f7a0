"""When statuses of threads are sent, where none are, and what stands for the placeholder, in simulated time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.core.conversation import Question, ThreadKey
from bot.core.surfaces import Visibility, thread_title
from bot.core.texts.statuses import STATUS_QUEUED, STATUS_THINKING
from bot.errors import RateLimited, Refusal, Refused
from bot.services.pane import (
    CALL_TIMEOUT_S,
    CHANGE_DELAY_S,
    FIRST_DELAY_S,
    PAUSE_S,
    REFRESH_S,
    SIGN_TIMEOUT_S,
    AssistantPane,
    Signs,
    ThreadStatuses,
)
from bot.slack.surfaces import Pane
from slack_pacing.tests.simulated_time import run_simulated
from tests.services.parts import ME, stores_of, workspace_of
from tests.simulated_time import SimulatedClock

THREAD, BESIDE, ELSEWHERE = ThreadKey("T1", "C1", "1.5"), ThreadKey("T1", "C1", "2.5"), ThreadKey("T1", "C2", "1.5")
METHOD = "assistant.threads.setStatus"


class Slack(Pane):
    """Slack, which answers calls in turn: by what is raised, or after so many seconds. Others it takes at once."""

    def __init__(self, *answers: Exception | float) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[float, ThreadKey, str]] = []
        self.has_sessions = True
        self.session: bool | Exception | None = None
        self.session_after_s = 0.0
        self.done: list[tuple[object, ...]] = []
        """What was called beside statuses."""

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        self.sent.append((round(asyncio.get_running_loop().time(), 3), thread, status))
        answer = self.answers.pop(0) if self.answers else 0.0
        if isinstance(answer, Exception):
            raise answer
        await asyncio.sleep(answer)

    async def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        self.done.append(("suggest", channel_id, thread_ts))

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        self.done.append(("title", thread, title))

    async def begin_session(self, thread: ThreadKey) -> bool | None:
        await asyncio.sleep(self.session_after_s)
        self.done.append(("begin", thread))
        if isinstance(self.session, Exception):
            raise self.session
        return self.session

    async def end_session(self, thread: ThreadKey, *, is_waiting: bool = False) -> None:
        self.done.append(("end", thread, is_waiting))


def statuses_in(slack: Slack, on_status_rejected: list[ThreadKey]) -> ThreadStatuses:
    return ThreadStatuses(slack, SimulatedClock(), on_status_rejected.append)


Act = tuple[float, Callable[[ThreadStatuses], object]]
"""What happens at a time."""


def shows(status: str, thread: ThreadKey = THREAD) -> Callable[[ThreadStatuses], object]:
    return lambda statuses: statuses.show(thread, status)


def changes(status: str) -> Callable[[ThreadStatuses], object]:
    return lambda statuses: statuses.change(THREAD, status)


def posts(*, is_stream: bool, thread_ts: str = "1.5") -> Callable[[ThreadStatuses], object]:
    return lambda statuses: statuses.on_posted("C1", thread_ts, is_stream)


def ends(statuses: ThreadStatuses) -> None:
    statuses.remove(THREAD)


@pytest.mark.parametrize(
    ("acts", "until_s", "sent"),
    [
        ([(0.0, shows("a"))], 1.0, [(FIRST_DELAY_S, "a")]),
        ([(0.0, shows("a")), (FIRST_DELAY_S / 2, ends)], 1.0, []),
        ([(0.0, shows("a")), (0.05, changes("b"))], 2.0, [(FIRST_DELAY_S, "b")]),
        (
            [(0.0, shows("a")), (1.0, changes("b")), (1.2, changes("c"))],
            2.0,
            [(FIRST_DELAY_S, "a"), (1.0 + CHANGE_DELAY_S, "c")],
        ),
        ([(0.0, shows("a")), (1.0, changes("a"))], 2.0, [(FIRST_DELAY_S, "a")]),
        (
            [(0.0, shows("a")), (200.0, ends)],
            900.0,
            [
                (FIRST_DELAY_S, "a"),
                (FIRST_DELAY_S + REFRESH_S, "a"),
                (FIRST_DELAY_S + 2 * REFRESH_S, "a"),
                (200.0, ""),
            ],
        ),
        ([(0.0, changes("a"))], 2.0, []),
        ([(0.0, shows("a")), (1.0, ends), (2.0, changes("b"))], 99.0, [(FIRST_DELAY_S, "a"), (1.0, "")]),
        ([(0.0, shows("a")), (1.0, ends), (1.0, shows("b"))], 2.0, [(FIRST_DELAY_S, "a"), (1.0, "b")]),
        # Slack removes a status with a post, and a message that is edited says more than a status.
        ([(0.0, shows("a")), (1.0, posts(is_stream=False)), (2.0, changes("b"))], 99.0, [(FIRST_DELAY_S, "a")]),
        (
            [(0.0, shows("a")), (1.0, posts(is_stream=True)), (2.0, posts(is_stream=False))],
            3.0,
            [(FIRST_DELAY_S, "a"), (1.0 + CHANGE_DELAY_S, "a"), (2.0 + CHANGE_DELAY_S, "a")],
        ),
        ([(0.0, shows("a")), (1.0, posts(is_stream=True, thread_ts="2.5"))], 3.0, [(FIRST_DELAY_S, "a")]),
    ],
)
def test_status_is_sent_soon_seldom_and_again_before_slack_forgets_it(
    acts: Sequence[Act], until_s: float, sent: Sequence[tuple[float, str]]
) -> None:
    async def run() -> None:
        slack = Slack()
        statuses = statuses_in(slack, [])
        for at_s, act in acts:
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            act(statuses)
        await asyncio.sleep(until_s - asyncio.get_running_loop().time())
        assert [(thread, status) for _, thread, status in slack.sent] == [(THREAD, status) for _, status in sent]
        assert [at_s for at_s, _, _ in slack.sent] == pytest.approx([at_s for at_s, _ in sent])

    run_simulated(run())


GONE = Refused(METHOD, "channel_not_found", Refusal.CHANNEL_GONE)
NO_SCOPE = Refused(METHOD, "missing_scope", Refusal.FORBIDDEN)
NO_METHOD = Refused(METHOD, "unknown_method", Refusal.FORBIDDEN)
WRONG = Refused(METHOD, "invalid_arguments", Refusal.UNREADABLE)
FAILED = Refused(METHOD, "fatal_error", Refusal.TRANSIENT)


@pytest.mark.parametrize(
    ("error", "refused", "tries_s"),
    [
        (GONE, [BESIDE], [FIRST_DELAY_S]),
        (NO_SCOPE, [BESIDE], [FIRST_DELAY_S]),
        (NO_METHOD, [BESIDE, ELSEWHERE], [FIRST_DELAY_S]),
        (WRONG, [], [FIRST_DELAY_S]),
        (FAILED, [], [FIRST_DELAY_S, FIRST_DELAY_S + REFRESH_S]),
        (RateLimited(METHOD, 1.0), [], [FIRST_DELAY_S, FIRST_DELAY_S + REFRESH_S]),
        (ValueError("a bug"), [], [FIRST_DELAY_S, FIRST_DELAY_S + REFRESH_S]),
        (CALL_TIMEOUT_S + 1, [], [FIRST_DELAY_S, FIRST_DELAY_S + CALL_TIMEOUT_S + REFRESH_S]),
    ],
    ids=str,
)
def test_refusal_is_remembered_where_it_holds_and_its_answer_is_told_otherwise_how_to_stop(
    error: Exception | float, refused: Sequence[ThreadKey], tries_s: Sequence[float]
) -> None:
    async def run() -> None:
        slack, on_status_rejected = Slack(error), list[ThreadKey]()
        statuses = statuses_in(slack, on_status_rejected)
        assert statuses.show(THREAD, "a")
        assert statuses.has_answer_status(THREAD), "until Slack has refused it"
        await asyncio.sleep(FIRST_DELAY_S + CALL_TIMEOUT_S + 0.1)
        assert (on_status_rejected, statuses.has_answer_status(THREAD)) == ([THREAD], False)
        assert [thread for thread in (BESIDE, ELSEWHERE) if not statuses.show(thread, "b")] == [*refused]
        for thread in (BESIDE, ELSEWHERE):
            statuses.remove(thread)
        await asyncio.sleep(REFRESH_S)
        assert [at_s for at_s, thread, _ in slack.sent if thread == THREAD] == [pytest.approx(at_s) for at_s in tries_s]
        statuses.remove(THREAD)
        for at_s, is_refused in (
            (FIRST_DELAY_S + PAUSE_S - 0.1, bool(refused)),
            (FIRST_DELAY_S + PAUSE_S + 0.1, False),
        ):
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            assert statuses.show(BESIDE, "c") is not is_refused
            statuses.remove(BESIDE)

    run_simulated(run())


@pytest.mark.parametrize(
    ("answer", "is_confirmed", "after_s"),
    [
        (0.0, True, 0.0),
        (SIGN_TIMEOUT_S - 0.1, True, SIGN_TIMEOUT_S - 0.1),
        (SIGN_TIMEOUT_S + 0.1, False, SIGN_TIMEOUT_S),
        (WRONG, False, 0.0),
        (GONE, False, 0.0),
    ],
    ids=str,
)
def test_status_that_people_wait_for_is_sent_at_once_and_counts_once_slack_took_it_in_time(
    answer: Exception | float, is_confirmed: bool, after_s: float
) -> None:
    async def run() -> None:
        slack = Slack(answer)
        statuses = statuses_in(slack, [])
        assert await statuses.show_and_confirm(THREAD, "a", SIGN_TIMEOUT_S) is is_confirmed
        assert asyncio.get_running_loop().time() == pytest.approx(after_s)
        assert slack.sent == [(0.0, THREAD, "a")]

    run_simulated(run())


def test_place_without_threads_has_no_status() -> None:
    async def run() -> None:
        slack = Slack()
        statuses = statuses_in(slack, [])
        assert not statuses.show(replace(THREAD, thread_ts=None), "a")
        assert not await statuses.show_and_confirm(replace(THREAD, thread_ts=None), "a", SIGN_TIMEOUT_S)
        await asyncio.sleep(1.0)
        assert slack.sent == []

    run_simulated(run())


IN_CHANNEL = Question(THREAD, "1.5", "UADA", "<@UBOT> why is it late?")
IN_PANE = Question(ThreadKey("T1", "D1", "1.5"), "1.5", "UADA", "Why?")
DIRECTLY = Question(ThreadKey("T1", "D1", None), "1.5", "UADA", "Why?")
SEEN, MAY_BE_SEEN = Signs(Visibility.SEEN), Signs(Visibility.MAY_BE_SEEN)
STOP = Signs(Visibility.SEEN, has_stop_button=True)
LATE_S = SIGN_TIMEOUT_S + 0.1


@dataclass
class Titles:
    claimed: list[tuple[str, str, str]] = field(default_factory=list)

    async def claim(self, *notice: str) -> bool:
        is_new = notice not in self.claimed
        self.claimed.append(notice)  # type: ignore[arg-type]
        return is_new


def on_stage(slack: Slack, run: Callable[[AssistantPane], Awaitable[None]], *, has_pane: bool = True) -> None:
    """Runs a test with a pane in simulated time."""

    async def with_pane() -> None:
        workspace = workspace_of(me=replace(ME, has_pane=has_pane), pane=slack)
        await run(AssistantPane(stores_of(notifications=Titles()), workspace, statuses_in(slack, [])))

    run_simulated(with_pane())


@pytest.mark.parametrize(
    ("question", "has_pane", "session", "after_s", "status", "has_message", "signs"),
    [
        (IN_CHANNEL, False, None, 0.0, 0.0, False, MAY_BE_SEEN),
        (IN_CHANNEL, False, None, 0.0, 0.0, True, Signs()),
        (DIRECTLY, False, None, 0.0, 0.0, False, Signs()),
        (DIRECTLY, True, None, 0.0, 0.0, False, Signs()),
        (IN_CHANNEL, True, None, 0.0, 0.0, False, MAY_BE_SEEN),
        (IN_PANE, True, None, 0.0, 0.0, False, SEEN),
        (IN_PANE, True, None, 0.0, 0.0, True, Signs()),
        (IN_PANE, True, None, 0.0, LATE_S, False, Signs()),
        (IN_PANE, True, None, 0.0, WRONG, False, Signs()),
        (IN_PANE, True, True, 0.0, 0.0, False, STOP),
        (IN_CHANNEL, True, True, 0.0, 0.0, True, STOP),
        (IN_PANE, True, True, LATE_S, 0.0, False, Signs()),
        (IN_PANE, True, False, 0.0, 0.0, False, SEEN),
        (IN_PANE, True, FAILED, 0.0, 0.0, False, SEEN),
        (IN_PANE, True, ValueError("a bug"), 0.0, 0.0, False, SEEN),
    ],
)
def test_sign_stands_for_the_placeholder_where_people_surely_see_it(
    question: Question,
    has_pane: bool,
    session: bool | Exception | None,
    after_s: float,
    status: Exception | float,
    has_message: bool,
    signs: Signs,
) -> None:
    slack = Slack(status)
    slack.session, slack.session_after_s = session, after_s

    async def run(pane: AssistantPane) -> None:
        assert await pane.begin(question, has_message=has_message) == signs
        assert asyncio.get_running_loop().time() <= 2 * SIGN_TIMEOUT_S
        await asyncio.sleep(1.0)
        expected = (
            [] if signs.has_stop_button or has_message or session is True or question is DIRECTLY else [STATUS_THINKING]
        )
        assert [text for _, _, text in slack.sent][: len(expected)] == expected
        assert pane.has_stop_hint(question) is (session is True or (bool(expected) and status is not WRONG))

    on_stage(slack, run, has_pane=has_pane)


@pytest.mark.parametrize(
    ("session", "is_first", "has_end"),
    [(True, True, True), (False, True, True), (FAILED, True, True), (None, True, False), (None, False, True)],
    ids=str,
)
@pytest.mark.parametrize("asks", [True, False])
def test_session_that_may_have_begun_is_ended(
    session: bool | Exception | None, is_first: bool, has_end: bool, asks: bool
) -> None:
    slack = Slack()
    slack.session = session

    async def run(pane: AssistantPane) -> None:
        await pane.begin(IN_CHANNEL, is_first=is_first)
        pane.end(IN_CHANNEL, asks=asks)
        await asyncio.sleep(1.0)
        assert slack.done == [("begin", THREAD), *([("end", THREAD, asks)] if has_end else [])]
        pane.end(IN_CHANNEL, asks=asks)
        await asyncio.sleep(1.0)
        assert len(slack.done) == 1 + has_end, "ended once"
        assert [text for _, _, text in slack.sent] == ([] if session is True else [STATUS_THINKING, ""])

    on_stage(slack, run)


def test_thread_in_the_pane_is_named_once_unless_a_person_has_named_it() -> None:
    slack, named = Slack(), replace(IN_PANE, thread=replace(IN_PANE.thread, thread_ts="9.5"))

    async def run(pane: AssistantPane) -> None:
        await pane.on_renamed(named.thread)
        for question in (IN_PANE, replace(IN_PANE, text="And then?"), named, IN_CHANNEL):
            await pane.begin(question)
            pane.end(question, asks=False)
            await asyncio.sleep(1.0)
        assert [done for done in slack.done if done[0] == "title"] == [("title", IN_PANE.thread, thread_title(IN_PANE))]

    on_stage(slack, run)


@pytest.mark.parametrize("has_pane", [True, False])
def test_prompts_are_suggested_where_there_is_a_pane(has_pane: bool) -> None:
    slack = Slack()

    async def run(pane: AssistantPane) -> None:
        pane.suggest("D1", "1.5")
        pane.suggest("D2", None)
        await asyncio.sleep(1.0)
        assert slack.done == ([("suggest", "D1", "1.5"), ("suggest", "D2", None)] if has_pane else [])

    on_stage(slack, run, has_pane=has_pane)


def test_queued_question_has_a_status_at_the_root_of_its_thread_until_it_is_answered() -> None:
    slack = Slack()

    async def run(pane: AssistantPane) -> None:
        pane.on_queued(replace(IN_CHANNEL, ts="3.5"))
        await asyncio.sleep(1.0)
        assert slack.sent == [], "an earlier question's answer has the status"
        pane.on_queued(IN_CHANNEL)
        await asyncio.sleep(1.0)
        pane.on_claimed(IN_CHANNEL)
        await asyncio.sleep(1.0)
        pane.on_queued(IN_CHANNEL)
        pane.statuses.show(THREAD, STATUS_THINKING)
        pane.on_claimed(IN_CHANNEL)
        await asyncio.sleep(1.0)
        assert [text for _, _, text in slack.sent] == [STATUS_QUEUED, "", STATUS_THINKING]

    on_stage(slack, run, has_pane=False)
