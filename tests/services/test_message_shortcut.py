"""The message shortcut finds a post whose answer was lost, also one that shows late, and never posts twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.access import UserKind
from bot.core.actions import ActionResponse
from bot.core.caps import DAY_S
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Message, Question, ThreadKey
from bot.core.outbox import OUTBOX_HOLD_S, OutboxEntry, OutboxKind
from bot.core.schedules import GRACE_S, LATE_S, Rule, Run, Schedule
from bot.core.sign_in_urls import SignInUrls
from bot.core.surfaces import CommandResponse, Invocation
from bot.core.texts.access import Denial
from bot.core.triage import Identity
from bot.core.unposted import MessageQuestion, QuotedMessage
from bot.errors import RateLimited, Refusal, Refused, StoreError
from bot.retry import LOOKS, MAX_LOOKS
from bot.services.shortcut import (
    MAX_CLOCK_SKEW_S,
    MAX_REACTIONS,
    MAX_TRIES,
    POST_TIMEOUT_S,
    WINDOW_S,
    MessageShortcut,
    QuestionPosts,
    Reaction,
    Reactions,
)
from bot.slack.blockkit import Json
from bot.slack.views.question import ASK_MODAL, SubmittedQuestion
from tests.clocks import InstantClock
from tests.services.parts import stores_of, workspace_of

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
MAYBE = ("https://hooks.example/1", texts.shortcut.QUESTION_MAYBE_ASKED)
NOWHERE = Question(ThreadKey("T1", "", None), "", "U1", "Until when?")
NOTICE = ("https://hooks.example/1", texts.shortcut.ASKED_IN_DIRECT_MESSAGE)


@dataclass
class Records:
    """The questions on record, of which this process holds one unless a test says otherwise."""

    clock: InstantClock
    question: MessageQuestion | None = None
    """The question that an entry has posted."""
    is_new: bool | Exception = True
    """Whether `ask` finds that nobody has asked, or what it raises."""
    ours: bool = True
    asked: list[tuple[str, str, str, QuotedMessage, str]] = field(default_factory=list)
    drafts: list[tuple[str, str, str, QuotedMessage] | Exception] = field(default_factory=list)
    """The messages of open modals; an error is raised for the next one."""
    given_up: int = 0
    direct: list[bool] = field(default_factory=list)
    """What was recorded of a direct message: that it begins, that it was not made."""
    seen: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def ask(self, team_id: str, view_id: str, user_id: str, about: QuotedMessage, text: str) -> bool:
        if isinstance(self.is_new, Exception):
            raise self.is_new
        self.asked.append((team_id, view_id, user_id, about, text))
        return self.is_new

    async def draft(self, team_id: str, view_id: str, user_id: str, about: QuotedMessage) -> None:
        if self.drafts and isinstance(error := self.drafts.pop(), Exception):
            raise error
        self.drafts.append((team_id, view_id, user_id, about))

    async def read(self, entry: OutboxEntry) -> MessageQuestion | None:
        return self.question

    async def give_up(self, entry: OutboxEntry) -> None:
        self.given_up += 1

    async def record_direct_post(self, entry: OutboxEntry, *, has_begun: bool) -> bool:
        self.direct.append(has_begun)
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
    made: int = 0
    since: float = 0.0
    still: Callable[[], bool] = bool
    opened: list[tuple[str, Json]] = field(default_factory=list)
    runs: list[tuple[Run, Mapping[str, str], bool]] = field(default_factory=list)
    """The posts of runs, with the names in each, and whether it says that it is late."""

    async def open(self, trigger_id: str, view: Json) -> str:
        self.opened.append((trigger_id, view))
        return "V1"

    async def post_run(
        self, question: MessageQuestion, run: Run, names: Mapping[str, str], still: Callable[[], bool], *, is_late: bool
    ) -> tuple[str, str]:
        self.runs.append((run, names, is_late))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def post_question(
        self, question: MessageQuestion, still: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        assert question.view_id == "V1"
        self.made += 1
        self.still = still
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


@dataclass
class Asked:
    questions: list[Question] = field(default_factory=list)
    error: Exception | None = None

    async def enqueue(self, event_id: str, question: Question, job_id: int) -> None:
        if self.error:
            raise self.error
        assert (event_id, job_id) == ("view V1", 3)
        self.questions.append(question)


@dataclass
class Askers:
    """People of one kind, who have access or not."""

    kind_: UserKind = UserKind.MEMBER
    denied: Denial | None = None
    told: list[Denial] = field(default_factory=list)
    checked: list[tuple[Question, bool]] = field(default_factory=list)
    """The questions whose askers Slack was asked about, and whether each is a press."""

    async def kind(self, user_id: str) -> UserKind:
        return self.kind_

    def known_kind(self, user_id: str) -> UserKind:
        return self.kind_

    def known_denial(self, question: Question) -> Denial | None:
        return self.denied

    async def denial(self, question: Question, *, is_press: bool = False) -> Denial | None:
        self.checked.append((question, is_press))
        return self.denied

    def with_admin_mentions(self, refusal: str) -> str:
        return refusal

    async def with_admin_names(self, refusal: str) -> str:
        return refusal

    async def names(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {id_: f"name of {id_}" for id_ in ids if id_ != ME.user_id}

    def explain_denial(self, question: Question, denial: Denial) -> None:
        self.told.append(denial)


TooMany = tuple[str, str, str, float]
"""The person's id, the sentence, its key, and the seconds until it may come again."""


@dataclass
class Notified:
    """Records who is told what, with its key and the seconds until it may come again, or that nothing is saved."""

    shown: list[TooMany] = field(default_factory=list)
    unsaved: list[Question] = field(default_factory=list)

    def show_in_background(self, question: Question, *notification: Any) -> None:
        self.shown.append((question.user_id, *notification))

    def tell_not_saved(self, question: Question) -> None:
        self.unsaved.append(question)


@dataclass
class Admitting:
    run: Run | Exception | None
    lost_for: list[Refusal | None] = field(default_factory=list)

    async def run_to_post(self, entry: OutboxEntry, *, has_worked: bool = False) -> Run | None:
        if isinstance(self.run, Exception):
            raise self.run
        return self.run

    async def skip_run(self, entry: OutboxEntry, refusal: Refusal | None) -> None:
        self.lost_for.append(refusal)


@dataclass
class Read:
    found: Message | Exception | None = None

    async def message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        assert (team_id, channel_id, ts) == ("T1", "C1", "1.000100")
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclass
class Stage:
    posts: Posts
    records: Records
    intake: Asked = field(default_factory=Asked)
    askers: Askers = field(default_factory=Askers)
    history: Read = field(default_factory=Read)
    notified: Notified = field(default_factory=Notified)
    me: Identity = ME
    looks: int = 0
    """How often the outbox was to look for entries at once."""

    def __post_init__(self) -> None:
        stores = stores_of(unposted_questions=self.records, clock=self.records.clock)
        workspace = workspace_of(me=self.me, surfaces=self.posts, history=self.history, users=self.askers)
        intake: Any = self.intake
        askers: Any = self.askers
        unused: Any = None
        self.shortcut = MessageShortcut(stores, workspace, askers, self._look_now)
        self.question_posts = QuestionPosts(stores, workspace, intake, askers, unused)

    def reactions(self) -> Reactions:
        """Returns the reactions of a channel whose emoji is 👀."""
        stores = stores_of(channel_settings=EmojiSettings(), clock=self.records.clock)
        askers: Any = self.askers
        notifier: Any = self.notified
        workspace = workspace_of(me=self.me, users=self.askers)
        return Reactions(stores, workspace, askers, notifier, self.shortcut)

    def _look_now(self) -> None:
        self.looks += 1

    async def post(self, about: QuotedMessage = ABOUT, tries: int = 1, **known: Any) -> float | None:
        """Has the question posted; returns the wait before the next try."""
        now = self.records.clock.now()
        self.records.question = MessageQuestion("T1", "V1", "U1", about, "Until when?", now, **known)
        return await self.try_(tries)

    async def try_(self, tries: int) -> float | None:
        due_at = self.records.clock.now() + OUTBOX_HOLD_S
        entry = OutboxEntry(7, OutboxKind.POST_QUESTION, due_at, tries, 3, 0, NOWHERE, ())
        return await self.question_posts.post(entry)

    @property
    def queued(self) -> list[str]:
        return [question.ts for question in self.intake.questions]


def staged(answer: tuple[str, str] | Exception = ("C1", "3.000300"), **of_record: Any) -> Stage:
    """Returns a stage on which Slack answers a post in the message's thread like this."""
    return Stage(Posts(answer), Records(InstantClock(), **of_record))


async def posted(
    tries: int, answer: tuple[str, str] | Exception, looks: Sequence[str | Exception | None]
) -> tuple[Stage, float | None]:
    """Has a question posted; returns the stage, and the wait before the next try."""
    stage = staged(answer)
    stage.posts.looks = list(looks)
    return stage, await stage.post(tries=tries)


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
    stage, wait_s = await posted(tries, LOST, looks)
    assert (stage.posts.made, stage.queued, stage.records.given_up, wait_s) == (posts_made, ["2.000200"], 0, None)
    assert (stage.records.clock.sleeps, stage.posts.looks) == (list(sleeps_s), [])


async def test_post_is_made_again_only_once_slack_has_said_twice_that_there_is_none() -> None:
    stage, _ = await posted(2, ("C1", "3.000300"), [LIMITED, None, None])
    assert (stage.posts.made, stage.queued, stage.posts.looks) == (1, ["3.000300"], [])


@pytest.mark.parametrize("last", [LIMITED, None], ids=["refused", "says once that there is none"])
async def test_post_is_not_made_again_while_slack_does_not_say(last: Exception | None) -> None:
    stage, wait_s = await posted(2, ("C1", "3.000300"), [*[LIMITED] * (MAX_LOOKS - 1), last])
    assert (stage.posts.made, stage.queued, stage.records.given_up, wait_s) == (0, [], 0, 8.0)


@pytest.mark.parametrize("error", [GONE, NO_MESSAGE], ids=["its channel", "its message"])
async def test_post_is_made_again_at_once_if_its_place_was_gone(error: Refused) -> None:
    stage, _ = await posted(2, ("C1", "3.000300"), [error])
    assert (stage.posts.made, stage.queued, stage.records.clock.sleeps) == (1, ["3.000300"], [])


async def test_looks_reach_back_before_the_modal_by_what_slacks_clock_may_be_behind() -> None:
    stage, _ = await posted(2, LOST, ["2.000200"])
    assert stage.posts.since == stage.records.clock.now() - MAX_CLOCK_SKEW_S


async def test_question_is_posted_and_queued_as_its_askers_words() -> None:
    stage = staged()
    assert await stage.post() is None
    [question] = stage.intake.questions
    assert question == Question(ThreadKey("T1", "C1", "1.000100"), "3.000300", "U1", "Until when?")
    assert stage.records.given_up == 0
    assert stage.posts.told == [("https://hooks.example/1", texts.shortcut.ASKED_IN_THREAD)]


async def test_question_that_was_erased_or_posted_meanwhile_is_not_posted() -> None:
    stage = staged()
    entry = OutboxEntry(7, OutboxKind.POST_QUESTION, OUTBOX_HOLD_S, 1, 3, 0, NOWHERE, ())
    assert await stage.question_posts.post(entry) is None
    assert (stage.posts.made, stage.queued, stage.posts.told) == (0, [], [])


@pytest.mark.parametrize(
    ("thread_ts", "where"), [("1.000100", "T1/C1/root"), ("0.000100", "T1/C1/0.000100")], ids=["post", "reply"]
)
async def test_asker_by_a_reaction_is_told_of_a_failure_where_they_see_it(thread_ts: str, where: str) -> None:
    stage = staged(DELETED)
    about = replace(ABOUT, thread_ts=thread_ts, response_url="")
    await stage.post(about)
    assert stage.posts.told == [(f"U1 at {where}", texts.shortcut.MESSAGE_DELETED)]


@pytest.mark.parametrize(
    ("about", "thread_ts", "told_by_notice", "told"),
    [
        (replace(ABOUT, thread_ts="0.000100"), "0.000100", [(ABOUT.response_url, Denial.GUEST)], []),
        (REACTED_TO, None, [], [Denial.GUEST]),
    ],
    ids=["modal", "emoji"],
)
async def test_question_of_a_person_without_access_is_not_posted(
    about: QuotedMessage, thread_ts: str | None, told_by_notice: list[tuple[str, str]], told: list[Denial]
) -> None:
    stage = staged()
    stage.askers.denied = Denial.GUEST
    assert await stage.post(about) is None
    assert stage.askers.checked == [(Question(ThreadKey("T1", "C1", thread_ts), "1.000100", "U1", ""), False)]
    assert (stage.posts.made, stage.records.given_up) == (0, 1)
    assert (stage.posts.told, stage.askers.told) == (told_by_notice, told)


async def test_bots_emoji_asks_nothing() -> None:
    stage = staged()
    stage.askers.kind_ = UserKind.BOT
    assert await stage.post(REACTED_TO) is None
    assert (stage.posts.made, stage.records.given_up) == (0, 1)


async def test_message_under_an_emoji_is_read_before_the_question_is_posted_in_its_thread() -> None:
    stage = staged()
    said = "Frozen, <@U2>, or <@U0BOT>?"
    stage.history.found = Message("T1", "C1", "1.000100", said, thread_ts="0.000100", user_id="U2")
    assert await stage.post(REACTED_TO) is None
    quote = "&gt; Frozen, @name of U2, or @typist?"
    thread = ThreadKey("T1", "C1", "0.000100")
    whole = f"Until when?\n\n{quote}"
    assert stage.intake.questions == [Question(thread, "3.000300", "U1", whole, attached_chars=len(quote))]
    assert stage.posts.told == [], "who adds an emoji sees the thread"


@pytest.mark.parametrize(
    ("found", "given_up", "wait_s"), [(None, 1, None), (LIMITED, 0, 4.0)], ids=["gone", "rate limited"]
)
async def test_message_under_an_emoji_that_cannot_be_read_is_not_asked_about_now(
    found: Exception | None, given_up: int, wait_s: float | None
) -> None:
    stage = staged()
    stage.history.found = found
    assert await stage.post(REACTED_TO) == wait_s
    assert (stage.posts.made, stage.records.given_up, stage.posts.told) == (0, given_up, [])


async def test_post_leaves_only_while_nobody_else_may_take_the_question() -> None:
    stage = staged()
    await stage.post()
    assert stage.posts.still()
    stage.records.clock.now_s += POST_TIMEOUT_S - 0.1
    assert stage.posts.still()
    stage.records.clock.now_s += 0.1
    assert not stage.posts.still()


@pytest.mark.parametrize(
    ("is_new", "sentence", "looks"),
    [(True, "", 1), (False, "", 0), (AWAY, texts.shortcut.QUESTION_NOT_SAVED, 0)],
    ids=["first", "asked before", "the database is away"],
)
async def test_modal_is_told_whether_its_question_is_on_record(
    is_new: bool | Exception, sentence: str, looks: int
) -> None:
    stage = staged(is_new=is_new)
    assert await stage.shortcut.ask("U1", SubmittedQuestion("V1", ABOUT, "Until when?")) == sentence
    assert stage.looks == looks


async def test_modal_of_a_person_without_access_asks_nothing() -> None:
    stage = staged()
    stage.askers.denied = Denial.GUEST
    assert await stage.shortcut.ask("U1", SubmittedQuestion("V1", ABOUT, "Until when?")) == Denial.GUEST
    assert stage.askers.checked == [(Question(ThreadKey("T1", "C1", None), "", "U1", ""), True)]
    assert stage.records.asked == []


@pytest.mark.parametrize("away", [[], [AWAY]], ids=["", "the database is away"])
async def test_modal_shows_the_message_with_names_and_its_quote_is_on_record_if_it_can_be(away: list[Any]) -> None:
    stage = staged(drafts=away.copy())
    message = Message("T1", "C1", "1.000100", "<@U3> froze <#C2>.", thread_ts="0.000100", user_id="U2")
    await stage.shortcut.open(Invocation("U1", "C1", "trigger", ABOUT.response_url), message)
    quote = "@name of U3 froze #name of C2."
    about = QuotedMessage("C1", "1.000100", "0.000100", quote, ABOUT.response_url)
    assert stage.posts.opened == [("trigger", ASK_MODAL.build(about, "U2"))]
    assert stage.records.drafts == ([] if away else [("T1", "V1", "U1", about)])
    assert stage.posts.told == []


async def test_person_without_access_is_told_so_instead_of_asked_in_a_modal() -> None:
    stage = staged()
    stage.askers.denied = Denial.GUEST
    message = Message("T1", "C1", "1.000100", "Deploys are frozen.", user_id="U2")
    await stage.shortcut.open(Invocation("U1", "C1", "trigger", ABOUT.response_url), message)
    assert stage.askers.checked == [(Question(ThreadKey("T1", "C1", None), "", "U1", ""), True)]
    assert (stage.posts.told, stage.posts.opened) == ([(ABOUT.response_url, Denial.GUEST)], [])


async def test_modal_with_the_address_of_a_sign_in_asks_nothing() -> None:
    stage = staged()
    stage.shortcut.workspace.sign_in_urls = SignInUrls(["https://typist.example/oauth/callback"])
    asked = SubmittedQuestion("V1", ABOUT, "What is https://typist.example/oauth/callback?code=1&state=2")
    assert await stage.shortcut.ask("U1", asked) == texts.accounts.PASTED_IN_MESSAGE
    assert stage.records.asked == []


@pytest.mark.parametrize("is_new", [True, False])
async def test_question_is_asked_once(is_new: bool) -> None:
    stage = staged(is_new=is_new)
    assert await stage.shortcut.ask_once("U1", "V1", ABOUT, "Until when?") is is_new
    assert stage.records.asked == [("T1", "V1", "U1", ABOUT, "Until when?")]
    assert stage.looks == int(is_new)


@pytest.mark.parametrize(
    ("answer", "tries", "wait_s", "sentence"),
    [
        (LIMITED, 1, 4.0, None),
        (NO_TOKEN, 2, 8.0, None),
        (LIMITED, 5, OUTBOX_HOLD_S, None),
        (LIMITED, MAX_TRIES - 1, OUTBOX_HOLD_S, None),
        (LIMITED, MAX_TRIES, None, texts.shortcut.QUESTION_REFUSED),
        (NO_TOKEN, MAX_TRIES, None, texts.shortcut.QUESTION_REFUSED),
        (DELETED, 1, None, texts.shortcut.MESSAGE_DELETED),
        (Refused("chat.postMessage", "restricted_action", Refusal.TOO_LONG), 1, None, texts.shortcut.QUESTION_REFUSED),
    ],
)
async def test_refused_question_is_repeated_or_its_asker_told(
    answer: Exception, tries: int, wait_s: float | None, sentence: str | None
) -> None:
    stage, waited_s = await posted(tries, answer, [None, None])
    assert (waited_s, stage.records.given_up) == (wait_s, int(sentence is not None))
    assert stage.posts.told == ([(ABOUT.response_url, sentence)] if sentence else [])


@pytest.mark.parametrize(("tries", "wait_s", "told"), [(1, 4.0, []), (MAX_TRIES, None, [MAYBE])])
async def test_question_that_is_posted_and_not_queued_is_left_to_the_next_try_but_for_the_last(
    tries: int, wait_s: float | None, told: list[tuple[str, str]]
) -> None:
    stage = staged()
    stage.posts.looks, stage.intake.error = [None, None], AWAY
    assert await stage.post(tries=tries) == wait_s
    assert (stage.records.given_up, stage.posts.told) == (0, told)


async def test_asker_reads_at_the_last_try_that_the_question_may_have_been_posted() -> None:
    stage, wait_s = await posted(MAX_TRIES, ("C1", "3.000300"), [LIMITED] * MAX_LOOKS)
    assert (stage.posts.made, stage.records.given_up, wait_s) == (0, 0, None)
    assert stage.posts.told == [MAYBE]


@pytest.mark.parametrize("answer", [FORBIDDEN, GONE], ids=["forbidden", "gone"])
@pytest.mark.parametrize("has_pane", [False, True], ids=["no pane", "pane"])
async def test_question_is_asked_in_a_direct_message_where_it_cannot_be_posted(
    answer: Exception, has_pane: bool
) -> None:
    stage = staged(answer)
    stage.question_posts.workspace.me = Identity("T1", "U0BOT", "B0BOT", "typist", has_pane=has_pane)
    assert await stage.post() is None
    [question] = stage.intake.questions
    quote = "&gt; Deploys are frozen."
    thread = ThreadKey("T1", "D1", "4.000400" if has_pane else None)
    whole = f"Until when?\n\n{quote}"
    assert question == Question(thread, "4.000400", "U1", whole, attached_chars=len(quote))
    assert (stage.records.direct, stage.posts.told) == ([True], [NOTICE])


async def test_choice_is_asked_below_its_answer_or_not_at_all() -> None:
    stage = staged(FORBIDDEN)
    about = replace(ABOUT, response_url="", offered_by=1)
    await stage.post(about)
    assert (stage.posts.made, stage.records.direct, stage.queued) == (1, [], [])
    assert [sentence for _, sentence in stage.posts.told] == [texts.shortcut.QUESTION_REFUSED]


async def test_direct_message_is_not_posted_once_another_process_has_the_question() -> None:
    stage = staged(FORBIDDEN, ours=False)
    assert await stage.post() == 4.0
    assert (stage.posts.made, stage.queued, stage.records.given_up) == (1, [], 0)


@pytest.mark.parametrize(
    ("answer", "recorded", "wait_s", "told"),
    [
        (LOST, [True], 4.0, []),
        (LIMITED, [True, False], 4.0, []),
        (FORBIDDEN, [True, False], None, [texts.shortcut.QUESTION_REFUSED]),
    ],
    ids=["its answer was lost", "rate limited", "refused"],
)
async def test_direct_message_is_on_record_unless_slack_surely_did_not_post_it(
    answer: Exception, recorded: list[bool], wait_s: float | None, told: list[str]
) -> None:
    stage = staged(FORBIDDEN)
    stage.posts.direct_answer = answer
    assert await stage.post() == wait_s
    assert (stage.records.direct, stage.queued) == (recorded, [])
    assert [sentence for _, sentence in stage.posts.told] == told


@pytest.mark.parametrize(
    ("posted", "queued", "wait_s"),
    [(None, [], 8.0), (("D1", "4.000400"), ["4.000400"], None)],
    ids=["no event", "event"],
)
async def test_direct_message_of_an_earlier_try_is_queued_only_where_slacks_event_says(
    posted: tuple[str, str] | None, queued: list[str], wait_s: float | None
) -> None:
    stage = staged()
    assert await stage.post(tries=2, has_begun_direct_post=True, posted_message=posted) == wait_s
    assert (stage.posts.made, stage.queued) == (0, queued)


def run_of(due_at: float) -> Run:
    rule = Rule("UTC", "0 9 * * *")
    schedule = Schedule(5, "T1", "C1", "U1", "Sum up.", rule, False, 1, 2, None, None, 0, None, due_at - DAY_S)
    return Run(replace(schedule, changed_by="U4"), due_at, None)


def running(run: Run | Exception | None, answer: tuple[str, str] | Exception, age_s: float) -> tuple[Stage, Admitting]:
    """Returns a stage with a scheduled run of this age to post, and what admits the run."""
    stage, runs = staged(answer), Admitting(run)
    posting: Any = runs
    stage.question_posts = replace(stage.question_posts, runs=posting)
    created_at = stage.records.clock.now() - age_s
    stage.records.question = MessageQuestion("T1", "V1", "U1", ABOUT, "Sum <up>.", created_at, schedule_id=5)
    return stage, runs


@pytest.mark.parametrize(("age_s", "is_late"), [(LATE_S, False), (LATE_S + 1, True)])
async def test_run_is_posted_with_its_peoples_names_and_answered_below_its_post(age_s: float, is_late: bool) -> None:
    run = run_of(InstantClock().now() - age_s)
    stage, runs = running(run, ("C1", "3.000300"), age_s)
    assert await stage.try_(1) is None
    assert stage.posts.runs == [(run, {"U1": "name of U1", "U4": "name of U4"}, is_late)]
    task = "Sum &lt;up&gt;."
    whole = f"{texts.schedules.SCHEDULED_TASK}\n\n{task}"
    thread = ThreadKey("T1", "C1", "3.000300")
    assert stage.intake.questions == [
        Question(thread, "3.000300", "U1", whole, attached_chars=len(task), schedule_id=run.schedule.id)
    ]
    assert (stage.records.given_up, runs.lost_for, stage.posts.told) == (0, [], [])


async def test_run_that_has_nothing_to_do_is_given_up() -> None:
    stage, runs = running(None, ("C1", "3.000300"), 0.0)
    assert await stage.try_(1) is None
    assert (stage.records.given_up, runs.lost_for, stage.posts.runs, stage.queued) == (1, [], [], [])


@pytest.mark.parametrize(
    ("answer", "age_s", "tries", "wait_s", "lost_for"),
    [
        (LIMITED, 0.0, 1, 4.0, []),
        (NO_TOKEN, GRACE_S - 1, 9, 180.0, []),
        (TimeoutError(), GRACE_S, 2, None, [None]),
        (NO_TOKEN, GRACE_S, 2, None, [Refusal.TOKEN_GONE]),
        (FORBIDDEN, 0.0, 1, None, [Refusal.FORBIDDEN]),
        (GONE, 0.0, 1, None, [Refusal.CHANNEL_GONE]),
    ],
)
@pytest.mark.parametrize("is_admitted", [True, False], ids=["at its post", "before it"])
async def test_run_is_tried_for_an_hour_unless_slack_never_takes_it(
    answer: Exception, age_s: float, tries: int, wait_s: float | None, lost_for: list[Refusal | None], is_admitted: bool
) -> None:
    run = run_of(0.0) if is_admitted else answer
    stage, runs = running(run, answer, age_s)
    stage.posts.looks = [None, None]
    assert await stage.try_(tries) == wait_s
    assert (runs.lost_for, stage.records.given_up) == (lost_for, len(lost_for))
    assert (stage.queued, stage.posts.told, stage.records.direct) == ([], [], [])


@dataclass
class EmojiSettings:
    """A channel whose emoji is 👀. Others have none."""

    async def read(self, team_id: str, channel_id: str) -> ChannelSettings:
        return ChannelSettings(reaction="eyes" if (team_id, channel_id) == ("T1", "C1") else "")


EYES = Reaction("C1", "1.000100", "eyes", "U1", "U2")


@pytest.mark.parametrize(
    ("reaction", "kind", "denied", "is_asked", "told"),
    [
        (EYES, UserKind.MEMBER, None, True, []),
        (replace(EYES, writer_id=""), UserKind.GUEST, None, True, []),
        (replace(EYES, emoji="tada"), UserKind.MEMBER, None, False, []),
        (replace(EYES, channel_id="C2"), UserKind.MEMBER, None, False, []),
        (replace(EYES, user_id=ME.user_id), UserKind.MEMBER, None, False, []),
        (replace(EYES, writer_id=ME.user_id), UserKind.MEMBER, None, False, []),
        (replace(EYES, user_id="USLACKBOT"), UserKind.MEMBER, None, False, []),
        (EYES, UserKind.BOT, Denial.BOT, False, []),
        (EYES, UserKind.GUEST, Denial.GUEST, False, [Denial.GUEST]),
    ],
)
async def test_persons_emoji_on_anothers_message_asks_where_it_was_chosen_or_they_are_told_why_not(
    reaction: Reaction, kind: UserKind, denied: Denial | None, is_asked: bool, told: list[Denial]
) -> None:
    stage = staged()
    stage.askers.kind_, stage.askers.denied = kind, denied
    await stage.reactions().on_added(reaction, notify_unsaved=True)
    asked = [("T1", "reaction:eyes:C1:1.000100", "U1", REACTED_TO, texts.settings.REACTION_QUESTION)]
    assert stage.records.asked == (asked if is_asked else [])
    assert (stage.askers.told, stage.notified.shown, stage.notified.unsaved, stage.askers.checked) == (told, [], [], [])


@pytest.mark.parametrize("notify_unsaved", [True, False])
async def test_asker_by_an_emoji_is_told_at_its_first_event_alone_that_it_is_not_on_record(
    notify_unsaved: bool,
) -> None:
    stage = staged(is_new=AWAY)
    with pytest.raises(StoreError):
        await stage.reactions().on_added(EYES, notify_unsaved=notify_unsaved)
    asked = Question(ThreadKey("T1", "C1", None), "1.000100", "U1", "")
    assert stage.notified.unsaved == ([asked] if notify_unsaved else [])


async def test_emoji_whose_event_comes_again_at_the_limit_is_asked() -> None:
    stage = staged()
    reactions, told = stage.reactions(), stage.notified.shown
    last = [replace(EYES, ts=f"{number}.0") for number in range(MAX_REACTIONS)]
    for reaction in last[:-1]:
        await reactions.on_added(reaction)
    stage.records.is_new = AWAY
    with pytest.raises(StoreError):
        await reactions.on_added(last[-1])
    stage.records.is_new = True
    await reactions.on_added(last[-1])
    assert [id_ for _, id_, *_ in stage.records.asked] == [reaction.question_id for reaction in last]
    assert told == []
    too_many = ("U1", texts.settings.TOO_MANY_REACTIONS, "too_many_reactions", WINDOW_S)
    await reactions.on_added(replace(EYES, ts="99.0"))
    assert (len(stage.records.asked), told) == (MAX_REACTIONS, [too_many])
    await reactions.on_added(replace(EYES, ts="99.0", user_id="U3"))
    assert (len(stage.records.asked), len(told)) == (MAX_REACTIONS + 1, 1), "each person has a limit of their own"
    for later_s, asked, times in ((WINDOW_S - 1, MAX_REACTIONS + 1, 2), (1, MAX_REACTIONS + 2, 2)):
        stage.records.clock.now_s += later_s
        await reactions.on_added(replace(EYES, ts="99.0"))
        assert (len(stage.records.asked), told) == (asked, [too_many] * times)
