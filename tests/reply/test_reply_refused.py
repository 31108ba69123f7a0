"""A reply ends whichever calls Slack refuses, and loses no text that Slack would accept."""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.core.actions import ReplyAction
from bot.core.job import End, MessageRole, sentence_notice
from bot.core.outbox import OutboxKind
from bot.core.picture import Picture
from bot.errors import EndReason, Refusal
from bot.reply import blocks
from bot.reply.edits import (
    MAX_REPLACEMENTS,
    NEXT_REPLACEMENT_WEIGHT,
    PLAIN_BYTES,
    PLAIN_TEXT_WEIGHT,
    REFUSAL_WEIGHTS,
    REPLACEMENT_WEIGHT,
    Post,
    Update,
)
from bot.reply.messages import Call, Delete, Life, PageView, Upload, VisibleReply
from bot.reply.reply import MAX_PAGES, Reply
from bot.retry import REPLY_CALLS
from slack_markdown.render import max_sent_chars
from tests.core.conversations import answer, reply_on_short_pages
from tests.core.readers import ReadersChannel, next_of, show_all
from tests.reply.outcomes import done, found, refused
from tests.reply.unreliable_slack import SUCCESS, CallEffect, SimulatedScheduler, UnreliableSlack

TEXT = "A **bold** word, and more of them. " * 200
MAX_CALLS = 400
MAY_PASS = [Refusal.UNKNOWN, Refusal.TRANSIENT]


def text_of(reply: Reply, slack: UnreliableSlack) -> str:
    return "".join(slack.pages[ts][1].markdown for ts in reply.page_ts)


def scheduler_with_refusals(
    kind: type[Call], reason: Refusal, until_s: float = float("inf")
) -> tuple[UnreliableSlack, SimulatedScheduler]:
    """Returns a Slack that refuses one kind of call until a time, and a scheduler of a reply that has ended."""
    slack = UnreliableSlack()
    reply = Reply(answer())
    scheduler = SimulatedScheduler(reply, slack)
    scheduler.step()
    slack.result_of = lambda call: CallEffect(reason) if isinstance(call, kind) and scheduler.now < until_s else SUCCESS
    reply.append(TEXT)
    reply.finish(End(EndReason.CUT, sentence_notice("Cut.")))
    return slack, scheduler


@pytest.mark.parametrize("accepts", [3_000, 0], ids=["no long pages", "no blocks"])
def test_plain_text_stays_after_the_full_form_is_refused_again(accepts: int) -> None:
    slack = UnreliableSlack()
    reply = Reply(answer())

    def result_of(call: Call) -> CallEffect:
        is_fine = not isinstance(call, Post | Update) or call.view.plain or len(call.view.markdown) <= accepts
        return SUCCESS if is_fine else CallEffect(Refusal.UNKNOWN)

    slack.result_of = result_of
    scheduler = SimulatedScheduler(reply, slack)
    for start in range(0, len(TEXT), 500):
        reply.append(TEXT[start : start + 500])
        scheduler.step()
    reply.finish(End(EndReason.WHOLE))
    scheduler.run(MAX_CALLS)
    views = [view for _, view in slack.pages.values()]
    assert text_of(reply, slack) == TEXT
    assert {view.plain for view in views} == {True}
    assert max(len(view.markdown) for view in views) <= PLAIN_BYTES
    assert scheduler.calls < 50


PIECES = [3 * TEXT[start : start + 500] for start in range(0, len(TEXT), 500)]
"""The deltas of an answer that fills two pages."""
PLACES: dict[str, Callable[[Post | Update], bool]] = {
    "placeholder": lambda call: not call.view.markdown,
    "first words": lambda call: 0 < len(call.view.markdown) <= len(PIECES[0]),
    "middle edit": lambda call: isinstance(call, Update) and len(call.view.markdown) > 3 * len(PIECES[0]),
    "second page": lambda call: call.page == 1,
    "end": lambda call: call.view.end is not None,
}
NOT_GONE = [reason for reason in Refusal if not reason.is_gone and reason is not Refusal.OUTSIDE_THREAD]
NO_OTHER_FORM = set(NOT_GONE) - {Refusal.TOO_LONG, Refusal.UNREADABLE, *MAY_PASS}
"""Refusals of an answer's end that the outbox waits out."""


@pytest.mark.parametrize(
    "times",
    [1, pytest.param(8, marks=pytest.mark.long), *(pytest.param(times, marks=pytest.mark.long) for times in (2, 3))],
)
@pytest.mark.parametrize("reason", NOT_GONE)
@pytest.mark.parametrize("place", PLACES)
def test_refusals_in_a_row_neither_stop_a_growing_answer_nor_lose_its_text(
    place: str, reason: Refusal, times: int
) -> None:
    slack, reply, refused = UnreliableSlack(), Reply(answer()), 0

    def result_of(call: Call) -> CallEffect:
        nonlocal refused
        if not isinstance(call, Post | Update) or refused == times or not (refused or PLACES[place](call)):
            return SUCCESS
        refused += 1
        return CallEffect(reason)

    slack.result_of = result_of
    scheduler = SimulatedScheduler(reply, slack)
    for piece in ["", *PIECES]:
        reply.append(piece)
        scheduler.step()
        assert not reply.life.is_over
    reply.finish(End(EndReason.WHOLE))
    scheduler.run(MAX_CALLS)
    assert refused > 0
    if reply.is_unshown:
        assert place in ("second page", "end")
        assert reason in NO_OTHER_FORM
        assert reply.outbox_kind is OutboxKind.REPLY
        slack.result_of = lambda call: SUCCESS
        reply = shown_later(reply, slack, "".join(PIECES), End(EndReason.WHOLE))
    assert reply.life is Life.SHOWN
    assert text_of(reply, slack) == "".join(PIECES)
    assert set(slack.pages) == set(reply.page_ts)
    assert not any(view.plain for _, view in slack.pages.values()), "the full form is back"
    assert scheduler.now < REPLY_CALLS.within_s


@pytest.mark.parametrize("reason", NOT_GONE)
@pytest.mark.parametrize("kind", [Post, Update])
def test_growing_answer_is_given_up_only_after_minutes_of_refusals(kind: type[Call], reason: Refusal) -> None:
    slack, reply = UnreliableSlack(), Reply(answer())
    scheduler = SimulatedScheduler(reply, slack)
    reply.append("")
    if kind is Update:
        scheduler.step()
    slack.result_of = lambda call: CallEffect(reason) if isinstance(call, Post | Update) else SUCCESS
    for _ in range(MAX_CALLS):
        reply.append("word ")
        if not scheduler.step():
            break
    assert reply.is_unshown
    assert scheduler.now >= REPLY_CALLS.within_s
    assert scheduler.calls < 60, "the waits grow"


def test_growing_answer_goes_on_while_a_deletion_is_refused_and_leaves_it_to_the_outbox() -> None:
    slack = UnreliableSlack(lambda call: CallEffect(Refusal.UNKNOWN) if isinstance(call, Delete) else SUCCESS)
    scheduler = SimulatedScheduler(Reply(answer(), VisibleReply(replaced_ts=("6.0",))), slack)
    scheduler.reply.append("Hello")
    while scheduler.now < 2 * REPLY_CALLS.within_s:
        scheduler.step()
    scheduler.reply.append(" world")
    scheduler.reply.finish(End(EndReason.WHOLE))
    scheduler.run(MAX_CALLS)
    assert text_of(scheduler.reply, slack) == "Hello world"
    assert scheduler.reply.outbox_kind is OutboxKind.REPLY


@pytest.mark.parametrize(
    ("page_ts", "reason", "for_outbox"),
    [
        (("7.0",), Refusal.CHANNEL_GONE, OutboxKind.REPLY),
        (("7.0",), Refusal.MESSAGE_GONE, None),
        ((), Refusal.CHANNEL_GONE, None),
    ],
    ids=["closed channel", "deleted message", "closed channel without a message"],
)
def test_message_in_a_channel_that_is_closed_gets_its_end_from_the_outbox(
    page_ts: tuple[str, ...], reason: Refusal, for_outbox: OutboxKind | None
) -> None:
    reply = Reply(answer(), VisibleReply(page_ts))
    reply.append("Hello")
    call = reply.next_call()
    assert isinstance(call, Update if page_ts else Post)
    refused(reply, call, reason)
    if page_ts:
        refused(reply, call, reason)
    assert (reply.is_gone, reply.next_call(), reply.outbox_kind) == (True, None, for_outbox)


def test_message_that_a_closed_channel_kept_from_being_replaced_gets_its_end_from_the_outbox() -> None:
    reply = Reply(answer(), VisibleReply(("7.0",)))
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    edit = next_of(reply, Update)
    # Edits are spent.
    reply.post_again(edit.page)
    refused(reply, next_of(reply, Post), Refusal.CHANNEL_GONE)
    assert (reply.life, reply.next_call(), reply.outbox_kind) == (Life.SHUT_OUT, None, OutboxKind.REPLY)
    assert [message.ts for message in reply.recorded_messages] == ["7.0"]


@pytest.mark.parametrize("reason", [Refusal.MESSAGE_GONE, Refusal.CHANNEL_GONE])
def test_message_that_slack_missed_once_is_edited_again(reason: Refusal) -> None:
    reply = Reply(answer(), VisibleReply(("7.0",)))
    reply.append("Hello")
    for _ in range(3):
        call = reply.next_call()
        assert isinstance(call, Update)
        refused(reply, call, reason)
        again = reply.next_call()
        assert isinstance(again, Update)
        assert (again.view, reply.is_gone) == (call.view, False)
        done(reply, again, "7.0")
        reply.append(" world")


@pytest.mark.parametrize(
    ("reason", "life", "for_outbox"),
    [
        (Refusal.MESSAGE_GONE, Life.SHOWN, None),
        (Refusal.TOKEN_GONE, Life.UNSHOWN, OutboxKind.REPLY),
    ],
)
def test_deletion_that_is_refused_for_good_ends_the_reply(
    reason: Refusal, life: Life, for_outbox: OutboxKind | None
) -> None:
    reply, channel = Reply(answer(), VisibleReply(("7.0", "8.0"))), ReadersChannel()
    reply.append("Hello")
    reply.finish(End(EndReason.WHOLE))
    update = next_of(reply, Update)
    done(reply, update, channel.take(update))
    delete = next_of(reply, Delete)
    refused(reply, delete, reason)
    assert (reply.life, reply.next_call(), reply.outbox_kind) == (life, None, for_outbox)
    assert ("8.0" in {message.ts for message in reply.recorded_messages}) == (for_outbox is not None)


@pytest.mark.parametrize("reason", [Refusal.TOKEN_GONE, Refusal.FORBIDDEN])
def test_refusal_that_only_an_admin_can_end_is_not_retried(reason: Refusal) -> None:
    slack, scheduler = scheduler_with_refusals(Post, reason)
    slack.result_of = lambda call: CallEffect(reason)
    scheduler.run(10)
    assert scheduler.now <= REPLY_CALLS.backoff.first_s
    assert scheduler.reply.outbox_kind is OutboxKind.REPLY


def test_post_outside_its_thread_is_deleted() -> None:
    slack = UnreliableSlack(lambda call: CallEffect(Refusal.OUTSIDE_THREAD) if isinstance(call, Post) else SUCCESS)
    scheduler = SimulatedScheduler(Reply(answer()), slack)
    scheduler.run(5)
    assert slack.pages == {}
    assert scheduler.reply.is_gone
    assert scheduler.reply.outbox_kind is None


def test_undeletable_post_outside_its_thread_goes_to_the_outbox() -> None:
    slack = UnreliableSlack(
        lambda call: CallEffect(Refusal.OUTSIDE_THREAD if isinstance(call, Post) else Refusal.UNKNOWN)
    )
    scheduler = SimulatedScheduler(Reply(answer()), slack)
    scheduler.run(MAX_CALLS)
    assert scheduler.reply.outbox_kind is OutboxKind.REPLY
    assert [(message.ts, message.role) for message in scheduler.reply.recorded_messages] == [("1.0", MessageRole.STRAY)]


def test_growing_reply_is_replaced_at_most_twice() -> None:
    slack = UnreliableSlack(lambda call: CallEffect(Refusal.UNKNOWN) if isinstance(call, Update) else SUCCESS)
    scheduler = SimulatedScheduler(Reply(answer()), slack)
    for second in range(300):
        scheduler.now = max(scheduler.now, float(second))
        scheduler.reply.append("word ")
        scheduler.step()
    assert slack.posted == 3
    scheduler.reply.finish(End(EndReason.WHOLE))
    scheduler.run(MAX_CALLS)
    assert slack.posted == 4
    assert text_of(scheduler.reply, slack) == "word " * 300


def refused_until(reply: Reply, accepts: Callable[[PageView], bool]) -> Post | Update:
    """Refuses a page's call without a reason until it has another form; returns that call."""
    for _ in range(MAX_CALLS):
        call = reply.next_call()
        assert isinstance(call, Post | Update)
        if accepts(call.view):
            return call
        refused(reply, call, Refusal.UNKNOWN)
    raise AssertionError("no other form was tried")


def edited(reply: Reply, channel: ReadersChannel, refusals: int = 0) -> Post | Update:
    """Refuses a page's call so often without a reason, and then lets Slack do it; returns that call."""
    for _ in range(refusals):
        call = reply.next_call()
        assert isinstance(call, Post | Update)
        refused(reply, call, Refusal.UNKNOWN)
    call = reply.next_call()
    assert isinstance(call, Post | Update)
    done(reply, call, channel.take(call))
    return call


REFUSALS_UNTIL_PLAIN = PLAIN_TEXT_WEIGHT // REFUSAL_WEIGHTS[Refusal.UNKNOWN]
REFUSALS_UNTIL_REPLACED = REPLACEMENT_WEIGHT // REFUSAL_WEIGHTS[Refusal.UNKNOWN]


def test_only_refusals_in_a_row_lead_to_another_form() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    for _ in range(3):
        reply.append("word ")
        assert not edited(reply, channel, REFUSALS_UNTIL_PLAIN - 1).view.plain
    reply.append("word ")
    assert edited(reply, channel, REFUSALS_UNTIL_PLAIN).view.plain


def test_full_form_that_is_accepted_again_takes_as_many_refusals_as_before() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("word ")
    assert edited(reply, channel, REFUSALS_UNTIL_PLAIN).view.plain
    assert not edited(reply, channel).view.plain
    reply.append("word ")
    assert not edited(reply, channel, REFUSALS_UNTIL_PLAIN - 1).view.plain


def test_post_that_is_always_refused_takes_both_forms_in_turn() -> None:
    reply, forms = Reply(answer()), []
    for _ in range(2 * REFUSALS_UNTIL_REPLACED):
        call = next_of(reply, Post)
        forms.append(call.view.plain)
        refused(reply, call, Refusal.UNKNOWN)
    assert forms == 2 * [number >= REFUSALS_UNTIL_PLAIN for number in range(REFUSALS_UNTIL_REPLACED)]


def test_message_that_took_anothers_place_is_replaced_after_fewer_refusals() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("word ")
    edited(reply, channel)
    for expected in (REPLACEMENT_WEIGHT, NEXT_REPLACEMENT_WEIGHT):
        reply.append("word ")
        weight = 0
        while isinstance(call := reply.next_call(), Update):
            refused(reply, call, Refusal.UNKNOWN)
            weight += REFUSAL_WEIGHTS[Refusal.UNKNOWN]
        assert (type(call), weight) == (Post, expected)
        show_all(reply, channel)


def test_full_form_is_tried_again_after_twice_as_many_plain_edits_each_time_and_at_the_end() -> None:
    reply, channel, forms = Reply(answer()), ReadersChannel(), ""
    for _ in range(20):
        reply.append("word ")
        while (call := reply.next_call()) is not None:
            assert isinstance(call, Post | Update)
            forms += "p" if call.view.plain else "F"
            if call.view.plain:
                done(reply, call, channel.take(call))
            else:
                refused(reply, call, Refusal.UNREADABLE)
    assert forms == "F" + "pF" + "ppF" + 4 * "p" + "F" + 8 * "p" + "F" + 5 * "p"
    reply.finish(End(EndReason.WHOLE))
    assert edited(reply, channel).view.plain
    assert not edited(reply, channel).view.plain
    assert channel.text() == 20 * "word "


def test_ended_answer_is_broken_into_plain_pages_at_its_last_line() -> None:
    """Slack takes one table in a message. The second is complete only because nothing follows it."""
    reply, channel = Reply(answer()), ReadersChannel()
    first, second = "|a|\n|-|\n|b|\n\n", "|c|\n|-|"
    reply.append(first + second)
    reply.finish(End(EndReason.WHOLE))
    for is_plain in (True, False):
        call = edited(reply, channel, REFUSALS_UNTIL_PLAIN if is_plain else 0)
        assert (call.view.plain, call.view.markdown) == (is_plain, first)


def test_only_pages_from_the_refused_one_on_get_another_form() -> None:
    reply, channel = Reply(answer()), ReadersChannel()
    reply.append("A **bold** word, and more of them.\n" * 850)
    reply.finish(End(EndReason.WHOLE))
    for _ in range(2):
        post = next_of(reply, Post)
        done(reply, post, channel.take(post))
    before, full = dict(channel.shown), reply.next_call()
    assert isinstance(full, Post)

    plain = refused_until(reply, lambda view: view.plain)
    assert (type(plain), plain.page, len(plain.view.markdown) <= PLAIN_BYTES) == (Post, 2, True)
    done(reply, plain, channel.take(plain))
    again = next_of(reply, Update)
    assert (again.page, again.view) == (2, full.view), "the full form is tried once more"
    refused(reply, again, Refusal.UNKNOWN)
    later = next_of(reply, Post)
    assert (later.page, later.view.plain) == (3, True), "all pages from there on have the same form"

    while (call := reply.next_call()) is not None:
        assert isinstance(call, Post | Update)
        if call.view.plain:
            done(reply, call, channel.take(call))
        else:
            refused(reply, call, Refusal.UNKNOWN)
    assert channel.text() == reply.text
    shown = list(channel.shown.items())
    assert dict(shown[:2]) == before
    assert all(view.plain for _, view in shown[2:])


def test_replaced_messages_have_an_end() -> None:
    reply, posted = Reply(answer()), 0
    reply.append("Hello.")
    reply.finish(End(EndReason.WHOLE))
    while (call := reply.next_call()) is not None:
        if isinstance(call, Post):
            posted += 1
            found(reply, call, f"{posted}.0")
        else:
            refused(reply, call, Refusal.UNEDITABLE)
    assert posted == 1 + MAX_REPLACEMENTS
    assert reply.outbox_kind is OutboxKind.REPLY


def shown_later(reply: Reply, slack: UnreliableSlack, text: str, end: End) -> Reply:
    """Shows the end as the outbox does once Slack accepts it; returns the reply."""
    known = {ts: page for ts, (page, _) in slack.pages.items()}
    page_messages = sorted({page: ts for ts, page in known.items()}.items())
    later = Reply(answer(), VisibleReply(tuple(ts for _, ts in page_messages)))
    later.append(text)
    later.finish(end)
    SimulatedScheduler(later, slack).run(MAX_CALLS)
    for ts in set(slack.pages) - set(later.page_ts):
        del slack.pages[ts]
    return later


results = st.builds(CallEffect, st.sampled_from([None, *Refusal]), st.booleans())
kinds = st.sampled_from([Post, Update, Upload, Delete])


class RefusedReplyMachine(RuleBasedStateMachine):
    """Text arrives and time passes, while Slack does or refuses each kind of call for any time."""

    @initialize(page_chars=st.sampled_from([40, 200]))
    def begin(self, page_chars: int) -> None:
        self.reply, self.text, self.page_chars = reply_on_short_pages(page_chars), "", page_chars
        self.slack = UnreliableSlack()
        self.results: dict[type[Call], CallEffect] = {}
        self.slack.result_of = lambda call: self.results.get(type(call), SUCCESS)
        self.scheduler = SimulatedScheduler(self.reply, self.slack)

    @precondition(lambda self: not self.reply.has_ended)
    @rule(delta=st.text("ab< \n", min_size=1, max_size=30))
    def append(self, delta: str) -> None:
        self.reply.append(delta)
        self.text += delta

    @rule(kind=kinds, result=results)
    def change_result(self, kind: type[Call], result: CallEffect) -> None:
        self.results[kind] = result

    @rule(steps=st.integers(1, 40))
    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            self.scheduler.step()

    @rule()
    def recover(self) -> None:
        self.results.clear()

    @rule()
    def find_edits_spent(self) -> None:
        """The scheduler asks this before it sends an edit of an answer's end."""
        call = self.reply.next_call()
        if call is not None and self.reply.can_be_posted_again(call):
            self.reply.post_again(call.page)
            assert not isinstance(self.reply.next_call(), Update)
            assert self.reply.life is not Life.ENDING, "that happens once"

    @invariant()
    def pages_are_short_and_in_order(self) -> None:
        if hasattr(self, "reply"):
            assert all(
                max_sent_chars(view.markdown.rstrip()) <= self.page_chars for _, view in self.slack.pages.values()
            )
            assert list(self.reply.page_ts) == sorted(self.reply.page_ts, key=float)

    @precondition(lambda self: not self.reply.has_ended)
    @rule()
    def finish(self) -> None:
        self.reply.finish(End(EndReason.WHOLE, sentence_notice("Cut.")))

    def teardown(self) -> None:
        if not hasattr(self, "reply"):
            return
        if not self.reply.has_ended:
            self.reply.finish(End(EndReason.WHOLE, sentence_notice("Cut.")))
        began, calls = self.scheduler.now, self.scheduler.calls
        self.scheduler.run(MAX_CALLS)
        assert self.scheduler.calls - calls <= MAX_CALLS
        # The end, and then the deletions, are each given up after a while.
        assert self.scheduler.now - began <= 3 * (REPLY_CALLS.within_s + 2 * REPLY_CALLS.backoff.max_s)
        assert self.reply.life.is_over
        reply = self.reply
        if reply.is_gone or reply.messages_with(MessageRole.STRAY):
            return
        if reply.outbox_kind is OutboxKind.REPLY:
            self.results.clear()
            reply = shown_later(reply, self.slack, self.text, End(EndReason.WHOLE, sentence_notice("Cut.")))
        views = [self.slack.pages[ts][1] for ts in reply.page_ts]
        *first, end = [view.markdown for view in views]
        if self.slack.files and len(views) == MAX_PAGES + 1:
            assert self.text.startswith("".join(first))
            assert self.text.rstrip().endswith(end.rstrip())
            assert views[-1].end_chars in (len("".join(first)), len(self.text))
        else:
            assert "".join((*first, end)) == self.text[: views[-1].end_chars] == self.text
        assert [view.end is not None for view in views] == [False] * (len(views) - 1) + [True]
        assert not any(view.growing or view.rest_in_file for view in views)


TestRefusedReply = RefusedReplyMachine.TestCase
TestRefusedReply.settings = settings(stateful_step_count=30)


def test_page_whose_limited_buttons_slack_refuses_shows_them_to_everyone() -> None:
    reply = Reply(answer())
    reply.append("Because.")
    reply.finish(End(EndReason.WHOLE), Picture(reason=EndReason.WHOLE, buttons=(ReplyAction.DELETE,)))
    for is_limited in (True, False):
        call = reply.next_call()
        assert isinstance(call, Post)
        assert not call.view.plain
        [row] = [block for block in blocks.message(call.view)["blocks"] if block["type"] == "actions"]
        assert [ReplyAction(one["action_id"]) for one in row["elements"]] == [ReplyAction.DELETE]
        assert ("visible_to_user_ids" in row["elements"][0]) is is_limited
        refused(reply, call, Refusal.UNREADABLE)
