"""The message shortcut finds a post whose answer was lost, also one that shows late, and never posts twice."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.inbound.triage import Identity
from bot.core.limits.access import Denial, UserKind
from bot.core.message_question import QUESTION_HOLD_S, MessageQuestion, QuotedMessage
from bot.core.reply.actions import ActionResponse
from bot.core.slash_command import CommandResponse
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.services.message_shortcut import AT_ONCE, MAX_TRIES, POST_WITHIN_S, SKEW_S, MessageShortcut
from bot.slack.retry_policy import LOOKS, MAX_LOOKS
from tests.clocks import WITHIN_S, InstantClock

ABOUT = QuotedMessage("C1", "1.000100", "1.000100", "Deploys are frozen.", "https://hooks.example/1")
REACTED_TO = QuotedMessage("C1", "1.000100", "", None, "")
LOST = Refused("chat.postMessage", "timeout", Refusal.TRANSIENT)
LIMITED = RateLimited("conversations.replies", 1.0)
FORBIDDEN = Refused("chat.postMessage", "not_in_channel", Refusal.FORBIDDEN)
GONE = Refused("chat.postMessage", "channel_not_found", Refusal.CHANNEL_GONE)
NO_MESSAGE = Refused("conversations.replies", "thread_not_found", Refusal.MESSAGE_GONE)
DELETED = Refused("chat.postMessage", "thread_not_found", Refusal.OUTSIDE_THREAD)
NO_TOKEN = Refused("chat.postMessage", "token_revoked", Refusal.TOKEN_GONE)
ME = Identity("T1", "U0BOT", "B0BOT", "typist")
AWAY = StoreError("the database is away")
NOTICE = ("https://hooks.example/1", texts.ASKED_IN_DIRECT_MESSAGE)


@dataclass
class Records:
    """One question, which this process holds unless a test says otherwise."""

    clock: InstantClock
    tries: int = 1
    elsewhere: bool = False
    posted: tuple[str, str] | None = None
    done: bool = False
    first: tuple[str, str] | None = None
    """Who asked what before, if that is on record."""
    begins: bool | Exception = True
    """Whether `begin` returns the question, or what it raises."""
    ours: bool = True
    completed: list[str] = field(default_factory=list)
    postponed: list[float | None] = field(default_factory=list)
    direct: list[bool] = field(default_factory=list)
    """What was recorded of a direct message: that it begins, that it was not made."""
    seen: list[tuple[str, str, str, str]] = field(default_factory=list)
    left: list[list[MessageQuestion] | Exception] = field(default_factory=list)
    """What each `take` finds."""

    async def begin(
        self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str
    ) -> MessageQuestion | None:
        if isinstance(self.begins, Exception):
            raise self.begins
        asker, words = self.first or (user_id, text)
        return self.question(team_id, view_id, asker, about, words) if self.begins else None

    def question(self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str) -> MessageQuestion:
        now = self.clock.now()
        times = now, now + QUESTION_HOLD_S, self.tries
        return MessageQuestion(team_id, view_id, user_id, about, text, *times, self.elsewhere, self.posted, self.done)

    async def take(self, limit: int) -> list[MessageQuestion]:
        assert limit == AT_ONCE
        if not self.left:
            await asyncio.Event().wait()
        found = self.left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def complete(self, question: MessageQuestion) -> None:
        self.completed.append(question.view_id)

    async def postpone(self, question: MessageQuestion, delay_s: float | None) -> None:
        assert question.view_id == "V1"
        self.postponed.append(delay_s)

    async def record_direct_post(self, question: MessageQuestion, *, begun: bool) -> bool:
        self.direct.append(begun)
        return self.ours

    async def record_post(self, team_id: str, view_id: str, channel_id: str, ts: str) -> None:
        self.seen.append((team_id, view_id, channel_id, ts))


@dataclass
class Posts:
    """Slack, whose answers to a post and to each look are given."""

    answer: tuple[str, str] | Exception
    looks: list[str | Exception | None] = field(default_factory=list)
    direct_answer: tuple[str, str] | Exception = ("D1", "4.000400")
    told: list[tuple[str, str]] = field(default_factory=list)
    """The responses, with their response_url."""
    deaf: bool = False
    """Whether Slack takes no response."""
    made: int = 0
    since: float = 0.0
    still: Callable[[], bool] = bool
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        assert question.view_id == "V1"
        self.made += 1
        self.still = still
        self.begun.set()
        await self.may_answer.wait()
        answer = self.direct_answer if elsewhere else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find_question(self, question: MessageQuestion, since: float) -> str | None:
        self.since = since
        seen = self.looks.pop(0)
        if isinstance(seen, Exception):
            raise seen
        return seen

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        self.told.append((f"{user_id} at {thread}{response_url}", response.sentence))

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        self.told.append((response_url, str(response.content)))
        if self.deaf:
            raise GONE


@dataclass
class Asked:
    """An intake that keeps what it is given."""

    questions: list[Question] = field(default_factory=list)
    error: Exception | None = None

    async def enqueue(self, event_id: str, question: Question) -> None:
        if self.error:
            raise self.error
        assert event_id == "view V1"
        self.questions.append(question)


@dataclass
class Askers:
    """People of one kind, who have access or not."""

    kind_: UserKind = UserKind.MEMBER
    denied: Denial | None = None
    told: list[Denial] = field(default_factory=list)

    async def kind(self, user_id: str) -> UserKind:
        return self.kind_

    async def denial(self, question: Question) -> Denial | None:
        return self.denied

    def naming_admins(self, refusal: str) -> str:
        return refusal

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {}

    def tell(self, question: Question, denial: Denial) -> None:
        self.told.append(denial)


@dataclass
class Read:
    """A channel with one message, or without."""

    found: Message | Exception | None = None

    async def message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclass
class Stage:
    """A message shortcut with its doubles."""

    posts: Posts
    records: Records
    intake: Asked = field(default_factory=Asked)
    askers: Askers = field(default_factory=Askers)
    history: Read = field(default_factory=Read)
    me: Identity = ME

    def __post_init__(self) -> None:
        doubles: Any = (self.records, self.posts, self.intake, self.history, self.askers, self.askers)
        rest: Any = (self.records.clock, self.me)
        self.shortcut = MessageShortcut(*doubles + rest)

    async def ask(self) -> str:
        return await self.shortcut.ask("U1", "V1", ABOUT, "Until when?")

    async def ask_and_close(self) -> None:
        """Asks, and closes the modal before Slack has answered the post; returns when the question is over."""
        self.posts.may_answer.clear()
        asking = asyncio.create_task(self.ask())
        await self.posts.begun.wait()
        asking.cancel()
        await asyncio.wait((asking,))
        self.posts.may_answer.set()
        await self.shortcut.end(WITHIN_S)

    @property
    def queued(self) -> list[str]:
        return [question.ts for question in self.intake.questions]


def staged(answer: tuple[str, str] | Exception = ("C1", "3.000300"), **of_record: Any) -> Stage:
    """Returns a stage on which Slack answers a post in the message's thread like this."""
    return Stage(Posts(answer), Records(InstantClock(), **of_record))


async def asked(
    tries: int, answer: tuple[str, str] | Exception, looks: Sequence[str | Exception | None]
) -> tuple[Posts, list[str], Records, InstantClock]:
    """Asks a question; returns Slack, the ts of what was queued, the records and the clock."""
    stage = staged(answer, tries=tries)
    stage.posts.looks = list(looks)
    await stage.ask()
    return stage.posts, stage.queued, stage.records, stage.records.clock


@pytest.mark.parametrize(
    ("looks", "sleeps_s"),
    [
        (["2.000200"], []),
        ([None, "2.000200"], [LOOKS.wait_s(1)]),
        ([LIMITED, "2.000200"], [LOOKS.wait_s(1)]),
        ([LIMITED, None, LIMITED, "2.000200"], [LOOKS.wait_s(1), LOOKS.wait_s(2), LOOKS.wait_s(3)]),
    ],
    ids=["at once", "late", "after a refusal", "late, between refusals"],
)
@pytest.mark.parametrize(
    ("tries", "posts_made"), [(1, 1), (2, 0)], ids=["its answer was lost", "by an earlier process"]
)
async def test_post_that_is_found_is_queued_and_not_made_again(
    looks: Sequence[str | Exception | None], sleeps_s: Sequence[float], tries: int, posts_made: int
) -> None:
    posts, queued, records, clock = await asked(tries, LOST, looks)
    assert (posts.made, queued, records.completed, records.postponed) == (posts_made, ["2.000200"], ["V1"], [])
    assert (clock.sleeps, posts.looks) == (list(sleeps_s), [])


async def test_post_is_made_again_only_once_slack_has_said_twice_that_there_is_none() -> None:
    posts, queued, _, _ = await asked(2, ("C1", "3.000300"), [LIMITED, None, None])
    assert (posts.made, queued, posts.looks) == (1, ["3.000300"], [])


@pytest.mark.parametrize("last", [LIMITED, None], ids=["refused", "says once that there is none"])
async def test_post_is_not_made_again_while_slack_does_not_say(last: Exception | None) -> None:
    posts, queued, records, _ = await asked(2, ("C1", "3.000300"), [*[LIMITED] * (MAX_LOOKS - 1), last])
    assert (posts.made, queued, records.completed) == (0, [], [])
    assert records.postponed == [8.0]


@pytest.mark.parametrize("error", [GONE, NO_MESSAGE], ids=["its channel", "its message"])
async def test_post_is_made_again_at_once_if_its_place_was_gone(error: Refused) -> None:
    posts, queued, _, clock = await asked(2, ("C1", "3.000300"), [error])
    assert (posts.made, queued, clock.sleeps) == (1, ["3.000300"], [])


async def test_looks_reach_back_before_the_modal_by_what_slacks_clock_may_be_behind() -> None:
    posts, _, _, clock = await asked(2, LOST, ["2.000200"])
    assert posts.since == clock.now() - SKEW_S


async def test_question_is_posted_and_queued_as_its_askers_words() -> None:
    stage = staged()
    assert await stage.ask() == ""
    [question] = stage.intake.questions
    assert question == Question(ThreadKey("T1", "C1", "1.000100"), "3.000300", "U1", "Until when?")
    assert (stage.records.completed, stage.records.postponed) == (["V1"], [])
    assert stage.posts.told == [("https://hooks.example/1", texts.ASKED_IN_THREAD)]


@pytest.mark.parametrize(
    ("thread_ts", "where"), [("1.000100", "T1/C1/root"), ("0.000100", "T1/C1/0.000100")], ids=["post", "reply"]
)
async def test_asker_by_a_reaction_is_told_of_a_failure_where_they_see_it(thread_ts: str, where: str) -> None:
    stage = staged(DELETED)
    about = replace(ABOUT, thread_ts=thread_ts, response_url="")
    await stage.shortcut.ask_once("U1", "V1", about, "Until when?")
    await stage.shortcut.end(WITHIN_S)
    assert stage.posts.told == [(f"U1 at {where}", texts.MESSAGE_DELETED)]


@pytest.mark.parametrize(
    ("about", "sentence", "told"), [(ABOUT, Denial.GUEST, []), (REACTED_TO, "", [Denial.GUEST])], ids=["modal", "emoji"]
)
async def test_question_of_a_person_without_access_is_not_posted(
    about: QuotedMessage, sentence: str, told: list[Denial]
) -> None:
    stage = staged()
    stage.askers.denied = Denial.GUEST
    assert await stage.shortcut.ask("U1", "V1", about, "Until when?") == sentence
    assert (stage.posts.made, stage.records.postponed, stage.askers.told) == (0, [None], told)


async def test_bots_emoji_asks_nothing() -> None:
    stage = staged()
    stage.askers.kind_ = UserKind.BOT
    assert await stage.shortcut.ask("U1", "V1", REACTED_TO, "Until when?") == ""
    assert (stage.posts.made, stage.records.postponed) == (0, [None])


async def test_message_under_an_emoji_is_read_before_the_question_is_posted_in_its_thread() -> None:
    stage = staged()
    stage.history.found = Message("T1", "C1", "1.000100", "Frozen?", thread_ts="0.000100", user_id="U2")
    assert await stage.shortcut.ask("U1", "V1", REACTED_TO, "Until when?") == ""
    [question] = stage.intake.questions
    assert (question.thread.thread_ts, question.text) == ("0.000100", "Until when?\n\n&gt; Frozen?")


@pytest.mark.parametrize(("found", "postponed"), [(None, None), (LIMITED, 4.0)], ids=["gone", "rate limited"])
async def test_message_under_an_emoji_that_cannot_be_read_is_not_asked_about_now(
    found: Exception | None, postponed: float | None
) -> None:
    stage = staged()
    stage.history.found = found
    await stage.shortcut.ask_once("U1", "V1", REACTED_TO, "Until when?")
    await stage.shortcut.end(WITHIN_S)
    assert (stage.posts.made, stage.records.postponed, stage.posts.told) == (0, [postponed], [])


async def test_post_leaves_only_while_nobody_else_may_take_the_question() -> None:
    stage = staged()
    await stage.ask()
    assert stage.posts.still()
    stage.records.clock.now_s += POST_WITHIN_S - 0.1
    assert stage.posts.still()
    stage.records.clock.now_s += 0.1
    assert not stage.posts.still()


@pytest.mark.parametrize(
    ("of_record", "is_asked", "posts"),
    [
        ({}, True, 1),
        ({"begins": False}, False, 0),
        ({"done": True}, False, 0),
        ({"first": ("U2", "Until when?")}, False, 1),
        ({"first": ("U1", "Why?")}, False, 1),
    ],
    ids=["first", "another process has it", "it is a job already", "somebody else's", "other words"],
)
async def test_question_that_is_asked_once_is_that_of_who_asked_first(
    of_record: dict[str, Any], is_asked: bool, posts: int
) -> None:
    stage = staged(**of_record)
    assert await stage.shortcut.ask_once("U1", "V1", ABOUT, "Until when?") is is_asked
    assert not await stage.shortcut.ask_once("U3", "V1", ABOUT, "Since when?"), "while it is being posted, too"
    await stage.shortcut.end(WITHIN_S)
    assert stage.posts.made == posts


# Why a question isn't asked.


@pytest.mark.parametrize(
    ("of_record", "sentence"),
    [
        ({"begins": AWAY}, texts.QUESTION_NOT_SAVED),
        ({"begins": False}, texts.QUESTION_IN_PROGRESS),
        ({"done": True}, ""),
    ],
    ids=["the database is away", "another process has it", "it is a job already"],
)
async def test_question_that_this_process_does_not_hold_is_not_posted(of_record: dict[str, Any], sentence: str) -> None:
    stage = staged(**of_record)
    assert await stage.ask() == sentence
    assert (stage.posts.made, stage.queued, stage.posts.told) == (0, [], [])


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (DELETED, texts.MESSAGE_DELETED),
        (Refused("chat.postMessage", "restricted_action", Refusal.TOO_LONG), texts.QUESTION_REFUSED),
        (NO_TOKEN, texts.QUESTION_REFUSED),
        (LIMITED, texts.QUESTION_REFUSED),
    ],
    ids=["deleted", "refused", "no token", "rate limited"],
)
async def test_refused_question_is_given_up_while_the_modal_can_say_so(answer: Exception, sentence: str) -> None:
    stage = staged(answer)
    assert await stage.ask() == sentence
    assert (stage.records.postponed, stage.queued, stage.posts.told) == ([None], [], [])


@pytest.mark.parametrize(
    ("answer", "tries", "postponed", "sentence"),
    [
        (LIMITED, 1, 4.0, None),
        (NO_TOKEN, 2, 8.0, None),
        (LIMITED, 5, QUESTION_HOLD_S, None),
        (LIMITED, MAX_TRIES - 1, QUESTION_HOLD_S, None),
        (LIMITED, MAX_TRIES, None, texts.QUESTION_REFUSED),
        (DELETED, 1, None, texts.MESSAGE_DELETED),
    ],
)
async def test_refused_question_whose_modal_is_closed_is_repeated_or_its_asker_told(
    answer: Exception, tries: int, postponed: float | None, sentence: str | None
) -> None:
    stage = staged(answer, tries=tries)
    stage.posts.looks = [None, None]
    await stage.ask_and_close()
    assert stage.records.postponed == [postponed]
    assert stage.posts.told == ([(ABOUT.response_url, sentence)] if sentence else [])


@pytest.mark.parametrize(
    ("tries", "sentence", "postponed"), [(1, "", []), (MAX_TRIES, texts.QUESTION_MAYBE_ASKED, [None])]
)
async def test_question_that_is_posted_and_not_queued_is_left_to_the_next_try_but_for_the_last(
    tries: int, sentence: str, postponed: list[None]
) -> None:
    stage = staged(tries=tries)
    stage.posts.looks, stage.intake.error = [None, None], AWAY
    assert await stage.ask() == sentence
    assert (stage.records.completed, stage.records.postponed) == ([], postponed)


async def test_asker_reads_at_the_last_try_that_the_question_may_have_been_posted() -> None:
    stage = staged(tries=MAX_TRIES)
    stage.posts.looks = [LIMITED] * MAX_LOOKS
    assert await stage.ask() == texts.QUESTION_MAYBE_ASKED
    assert (stage.posts.made, stage.records.postponed) == (0, [None])


# Direct messages.


@pytest.mark.parametrize("answer", [FORBIDDEN, GONE], ids=["forbidden", "gone"])
@pytest.mark.parametrize("has_pane", [False, True], ids=["no pane", "pane"])
async def test_question_is_asked_in_a_direct_message_where_it_cannot_be_posted(
    answer: Exception, has_pane: bool
) -> None:
    stage = staged(answer)
    stage.shortcut.me = Identity("T1", "U0BOT", "B0BOT", "typist", has_pane=has_pane)
    assert await stage.ask() == ""
    [question] = stage.intake.questions
    quote = "&gt; Deploys are frozen."
    thread = ThreadKey("T1", "D1", "4.000400" if has_pane else None)
    whole = f"Until when?\n\n{quote}"
    assert question == Question(thread, "4.000400", "U1", whole, attached_chars=len(quote))
    assert (stage.records.direct, stage.posts.told) == ([True], [NOTICE])


async def test_choice_is_asked_below_its_answer_or_not_at_all() -> None:
    stage = staged(FORBIDDEN)
    about = replace(ABOUT, response_url="", offered_by=1)
    await stage.shortcut.ask_once("U1", "V1", about, "Staging")
    await stage.shortcut.end(WITHIN_S)
    assert (stage.posts.made, stage.records.direct, stage.queued) == (1, [], [])
    assert [sentence for _, sentence in stage.posts.told] == [texts.QUESTION_REFUSED]


async def test_direct_message_is_not_posted_once_another_process_has_the_question() -> None:
    stage = staged(FORBIDDEN, ours=False)
    assert await stage.ask() == ""
    assert (stage.posts.made, stage.queued, stage.records.postponed) == (1, [], [4.0])


@pytest.mark.parametrize(
    ("answer", "recorded", "postponed", "sentence"),
    [
        (LOST, [True], 4.0, ""),
        (LIMITED, [True, False], None, texts.QUESTION_REFUSED),
        (FORBIDDEN, [True, False], None, texts.QUESTION_REFUSED),
    ],
    ids=["its answer was lost", "rate limited", "refused"],
)
async def test_direct_message_is_on_record_unless_slack_surely_did_not_post_it(
    answer: Exception, recorded: list[bool], postponed: float | None, sentence: str
) -> None:
    stage = staged(FORBIDDEN)
    stage.posts.direct_answer = answer
    assert await stage.ask() == sentence
    assert (stage.records.direct, stage.records.postponed, stage.queued) == (recorded, [postponed], [])


@pytest.mark.parametrize(
    ("posted", "queued", "postponed"),
    [(None, [], [8.0]), (("D1", "4.000400"), ["4.000400"], [])],
    ids=["no event", "event"],
)
async def test_direct_message_of_an_earlier_try_is_queued_only_where_slacks_event_says(
    posted: tuple[str, str] | None, queued: list[str], postponed: list[float]
) -> None:
    stage = staged(tries=2, elsewhere=True, posted=posted)
    assert await stage.ask() == ""
    assert (stage.posts.made, stage.queued, stage.records.postponed) == (0, queued, postponed)


@pytest.mark.parametrize(
    ("user_id", "bot_id", "is_recorded"), [("U0BOT", None, True), (None, "B0BOT", True), ("U1", "B1", False)]
)
async def test_only_our_own_message_tells_where_a_question_was_posted(
    user_id: str | None, bot_id: str | None, is_recorded: bool
) -> None:
    stage = staged()
    message = Message("T1", "D1", "4.000400", "Until when?", user_id=user_id, bot_id=bot_id)
    await stage.shortcut.seen("V1", message)
    assert stage.records.seen == ([("T1", "V1", "D1", "4.000400")] if is_recorded else [])


# Modals that are submitted again, and questions that a process left.


async def test_modal_submitted_twice_at_once_is_posted_once_and_can_be_submitted_again_later() -> None:
    stage = staged()
    stage.posts.may_answer.clear()
    both = asyncio.gather(stage.ask(), stage.ask())
    await stage.posts.begun.wait()
    stage.posts.may_answer.set()
    assert list(await both) == ["", ""]
    assert stage.posts.made == 1
    await stage.ask()
    assert stage.posts.made == 2


async def test_modal_that_is_submitted_again_after_it_was_closed_says_why_by_itself() -> None:
    stage = staged(LIMITED)
    await stage.ask_and_close()
    assert await stage.ask() == texts.QUESTION_REFUSED
    assert (stage.records.postponed, stage.posts.told) == ([4.0, None], [])


async def test_question_that_a_process_left_is_continued_and_its_asker_told() -> None:
    stage = staged(DELETED, tries=2)
    left = stage.records.question("T1", "V1", "U1", ABOUT, "Until when?")
    stage.posts.looks, stage.posts.deaf = [None, None], True
    stage.records.left = [AWAY, [left, left]]
    running = asyncio.create_task(stage.shortcut.run())
    await stage.posts.begun.wait()
    await stage.shortcut.end(WITHIN_S)
    running.cancel()
    assert (stage.posts.made, stage.records.postponed) == (1, [None]), "one try at a time"
    assert stage.posts.told == [(ABOUT.response_url, texts.MESSAGE_DELETED)]


async def test_unexpected_failure_of_a_question_that_a_process_left_ends_nothing() -> None:
    stage = staged(ValueError("a bug"))
    left = stage.records.question("T1", "V1", "U1", ABOUT, "Until when?")
    stage.records.left = [[left]] * 50
    running = asyncio.create_task(stage.shortcut.run())
    async with asyncio.timeout(WITHIN_S):
        while stage.posts.made < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
