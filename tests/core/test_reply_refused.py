"""Whatever Slack refuses, and for whatever reason, a reply comes to an end, and loses no text that Slack would take."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bot.core.job import EndReason
from bot.core.outbox import OutboxKind
from bot.core.reply.forms import PLAIN_BYTES, SMALLER_PAGE_CHARS
from bot.core.reply.pages import Pages
from bot.core.reply.state import MOST_PAGES, Call, Delete, Ending, Post, Reply, Shown, Update, Upload
from bot.errors import Refusal
from bot.slack.retry_policy import REPLY_CALLS
from tests.core.conversations import question
from tests.core.faithless import DOES_ALL, FaithlessSlack, Refusing, ToldScheduler

TEXT = "A **bold** word, and more of them. " * 200
MOST_CALLS = 400
MAY_PASS = [Refusal.UNKNOWN, Refusal.TRANSIENT]


def told(reply: Reply, slack: FaithlessSlack) -> str:
    """What the reply's messages say, one after the other."""
    return "".join(slack.pages[ts][1].markdown for ts in reply.page_ts)


def refuses(kind: type[Call], reason: Refusal, until_s: float = float("inf")) -> tuple[FaithlessSlack, ToldScheduler]:
    """A reply that has ended, and a Slack that refuses one kind of call for so long."""
    slack = FaithlessSlack()
    reply = Reply(question())
    scheduler = ToldScheduler(reply, slack)
    scheduler.step()
    slack.mood = lambda call: Refusing(reason) if isinstance(call, kind) and scheduler.now < until_s else DOES_ALL
    reply.append(TEXT)
    reply.finish(Ending("Cut.", EndReason.CUT))
    return slack, scheduler


@pytest.mark.parametrize("reason", MAY_PASS)
def test_an_edit_that_is_refused_for_ever_becomes_a_new_message(reason: Refusal) -> None:
    slack, scheduler = refuses(Update, reason)
    scheduler.run(MOST_CALLS)
    assert told(scheduler.reply, slack) == TEXT
    assert set(slack.pages) == set(scheduler.reply.page_ts), "the message that can't be edited is deleted"
    assert scheduler.now < REPLY_CALLS.within_s
    assert not any(view.plain for _, view in slack.pages.values()), "the new message has the full form"


@pytest.mark.parametrize("reason", MAY_PASS)
@pytest.mark.parametrize("kind", [Post, Update])
def test_after_an_outage_the_answer_has_its_full_form(kind: type[Call], reason: Refusal) -> None:
    slack, scheduler = refuses(kind, reason, until_s=20)
    scheduler.run(MOST_CALLS)
    assert told(scheduler.reply, slack) == TEXT
    assert not any(view.plain for _, view in slack.pages.values())
    assert scheduler.reply.leftover is None


@pytest.mark.parametrize(
    ("accepts", "plain"),
    [(SMALLER_PAGE_CHARS, False), (0, True)],
    ids=["smaller pages", "plain text"],
)
def test_the_form_that_slack_takes_is_kept_once_it_refused_the_full_form_again(accepts: int, plain: bool) -> None:
    slack = FaithlessSlack()
    reply = Reply(question())

    def mood(call: Call) -> Refusing:
        is_fine = isinstance(call, Delete | Upload) or call.view.plain or len(call.view.markdown) <= accepts
        return DOES_ALL if is_fine else Refusing(Refusal.UNKNOWN)

    slack.mood = mood
    scheduler = ToldScheduler(reply, slack)
    for start in range(0, len(TEXT), 500):
        reply.append(TEXT[start : start + 500])
        scheduler.step()
    reply.finish(Ending())
    scheduler.run(MOST_CALLS)
    views = [view for _, view in slack.pages.values()]
    assert told(reply, slack) == TEXT
    assert {view.plain for view in views} == {plain}
    assert max(len(view.markdown) for view in views) <= PLAIN_BYTES
    assert scheduler.calls < 50


@pytest.mark.parametrize("reason", MAY_PASS)
def test_an_end_that_slack_does_not_take_for_minutes_is_left_to_the_outbox(reason: Refusal) -> None:
    slack, scheduler = refuses(Post, reason)
    slack.mood = lambda call: Refusing(reason)
    scheduler.run(MOST_CALLS)
    assert REPLY_CALLS.within_s <= scheduler.now <= REPLY_CALLS.within_s + 2 * REPLY_CALLS.longest_wait_s
    assert scheduler.reply.unshown
    assert scheduler.reply.leftover is OutboxKind.SHOW_END
    slack.mood = lambda call: DOES_ALL
    later = shown_later(scheduler.reply, slack, TEXT, Ending("Cut.", EndReason.CUT))
    assert told(later, slack) == TEXT
    assert [view.notice for _, view in slack.pages.values()] == ["Cut."]


def test_a_deletion_that_is_refused_for_minutes_is_left_to_the_outbox() -> None:
    slack = FaithlessSlack()
    scheduler = ToldScheduler(Reply(question()), slack)
    scheduler.step()
    slack.mood = lambda call: DOES_ALL if isinstance(call, Post) else Refusing(Refusal.UNKNOWN)
    scheduler.reply.append("Hello.")
    scheduler.reply.finish(Ending())
    scheduler.run(MOST_CALLS)
    assert told(scheduler.reply, slack) == "Hello."
    assert scheduler.reply.leftover is OutboxKind.SHOW_END
    assert not scheduler.reply.unshown


@pytest.mark.parametrize("reason", [Refusal.TOKEN_GONE, Refusal.FORBIDDEN])
def test_what_only_an_admin_can_change_is_not_waited_for(reason: Refusal) -> None:
    slack, scheduler = refuses(Post, reason)
    slack.mood = lambda call: Refusing(reason)
    scheduler.run(10)
    assert scheduler.now == 0
    assert scheduler.reply.leftover is OutboxKind.SHOW_END


def test_a_post_outside_of_its_thread_is_taken_back() -> None:
    slack = FaithlessSlack(lambda call: Refusing(Refusal.OUTSIDE_THREAD) if isinstance(call, Post) else DOES_ALL)
    scheduler = ToldScheduler(Reply(question()), slack)
    scheduler.run(5)
    assert slack.pages == {}
    assert scheduler.reply.gone
    assert scheduler.reply.leftover is None


def test_a_post_outside_of_its_thread_that_can_not_be_taken_back_is_left_to_the_outbox() -> None:
    slack = FaithlessSlack(lambda call: Refusing(Refusal.OUTSIDE_THREAD if isinstance(call, Post) else Refusal.UNKNOWN))
    scheduler = ToldScheduler(Reply(question()), slack)
    scheduler.run(MOST_CALLS)
    assert scheduler.reply.leftover is OutboxKind.DELETE_REPLY
    assert scheduler.reply.page_ts == ("1.0",)


def test_a_reply_that_grows_is_replaced_no_more_than_twice() -> None:
    slack = FaithlessSlack(lambda call: Refusing(Refusal.UNKNOWN) if isinstance(call, Update) else DOES_ALL)
    scheduler = ToldScheduler(Reply(question()), slack)
    for second in range(300):
        scheduler.now = max(scheduler.now, float(second))
        scheduler.reply.append("word ")
        scheduler.step()
    assert slack.posted == 3
    scheduler.reply.finish(Ending())
    scheduler.run(MOST_CALLS)
    assert slack.posted == 4
    assert told(scheduler.reply, slack) == "word " * 300


def shown_later(reply: Reply, slack: FaithlessSlack, text: str, ending: Ending) -> Reply:
    """What the outbox does with an end that Slack did not take, once Slack takes it."""
    known = {ts: page for ts, (page, _) in slack.pages.items()}
    held = sorted({page: ts for ts, page in known.items()}.items())
    later = Reply(question(), Shown(tuple(ts for _, ts in held)))
    later.append(text)
    later.finish(ending)
    ToldScheduler(later, slack).run(MOST_CALLS)
    for ts in set(slack.pages) - set(later.page_ts):
        del slack.pages[ts]
    return later


fates = st.builds(Refusing, st.sampled_from([None, *Refusal]), st.booleans())
kinds = st.sampled_from([Post, Update, Upload, Delete])


class RefusedReplyMachine(RuleBasedStateMachine):
    """Text arrives, time passes, and Slack does or refuses each kind of call as it likes, for as long as it likes."""

    @initialize(page_chars=st.sampled_from([40, 200]))
    def begin(self, page_chars: int) -> None:
        self.reply, self.text = Reply(question()), ""
        self.reply._pages, self.reply._full_chars = Pages(page_chars), page_chars
        self.slack = FaithlessSlack()
        self.fares: dict[type[Call], Refusing] = {}
        self.slack.mood = lambda call: self.fares.get(type(call), DOES_ALL)
        self.scheduler = ToldScheduler(self.reply, self.slack)

    @precondition(lambda self: not self.reply.ended)
    @rule(delta=st.text("ab< \n", min_size=1, max_size=30))
    def append(self, delta: str) -> None:
        self.reply.append(delta)
        self.text += delta

    @rule(kind=kinds, fares=fates)
    def change_its_mind(self, kind: type[Call], fares: Refusing) -> None:
        self.fares[kind] = fares

    @rule(steps=st.integers(1, 40))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.scheduler.step()

    @rule()
    def recover(self) -> None:
        self.fares.clear()

    @precondition(lambda self: not self.reply.ended)
    @rule()
    def finish(self) -> None:
        self.reply.finish(Ending("Said."))

    def teardown(self) -> None:
        if not hasattr(self, "reply"):
            return
        if not self.reply.ended:
            self.reply.finish(Ending("Said."))
        began, calls = self.scheduler.now, self.scheduler.calls
        self.scheduler.run(MOST_CALLS)
        assert self.scheduler.calls - calls <= MOST_CALLS
        # An end, and after it the deletions, each given up after a while.
        assert self.scheduler.now - began <= 3 * (REPLY_CALLS.within_s + 2 * REPLY_CALLS.longest_wait_s)
        assert self.reply.finished
        reply = self.reply
        if reply.gone or reply.leftover is OutboxKind.DELETE_REPLY:
            return
        if reply.leftover is OutboxKind.SHOW_END:
            self.fares.clear()
            reply = shown_later(reply, self.slack, self.text, Ending("Said."))
        views = [self.slack.pages[ts][1] for ts in reply.page_ts]
        assert told(reply, self.slack) == self.text[: views[-1].end_chars]
        if self.slack.files and len(views) == MOST_PAGES:
            assert self.text.startswith(told(reply, self.slack))
        else:
            assert told(reply, self.slack) == self.text
        assert [view.ended for view in views] == [None] * (len(views) - 1) + [EndReason.WHOLE]


TestRefusedReply = RefusedReplyMachine.TestCase
TestRefusedReply.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
