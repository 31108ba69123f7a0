"""Decides which call to Slack comes next for one answer, by comparing what Slack should show with what it shows. Pure.

The life of a `Reply`:

1. It opens with what Slack shows already: nothing, or what an earlier attempt left (`Shown`).
2. It grows: `append` and `show_activity` change what Slack should show, and `next_call` returns the difference.
3. `on_send` notes that a call is being sent, and `on_outcome` records its outcome. At most one call of a reply is in
   flight at a time. `give_up` drops a call that Slack keeps refusing.
4. `finish` ends the text. The calls that are left show the end, the files, and no message beside them.
5. It is over once Slack shows all of it, once it is lost or given up, or by `abandon`. Then it makes no more calls.

`Life` and `LIFE_AFTER` (messages.py) have these states. What can't happen in a state is an error, and so is an
outcome of a call that wasn't sent.

From the answer's text a reply derives the desired pages. `messages` are those that Slack shows, each with its role.
`next_call()` compares both and returns one call, in this order:

1. posts and changes of pages, from the first that differs, but what was replaced before goes first;
2. the upload of files that belong below the pages, after which one more page may follow: the answer's end;
3. deletions of messages that no longer belong to the reply.

How a page travels is `Carriers`' (carriers.py): posted and edited, in one form or another, or by a native stream.

A call that fails is not recorded as shown, so the comparison finds the same difference again, with newer text. Full
pages never change, so an edit costs the same however long the answer is. A page is laid out once Slack shows all pages
before it. So no step lays out more than one page: neither a long delta, nor another form, nor the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeGuard, assert_never

from bot.core import texts
from bot.core.asks import Ask
from bot.core.job import READ_ROLES, UNANSWERED, End, MessageRole, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.core.picture import Picture, picture
from bot.errors import EndReason, Refusal
from bot.pacing.pacer import Urgency
from bot.reply.answer import Answer
from bot.reply.attachments import (
    Attached,
    AttachedFile,
    EndOfAnswer,
    FileKey,
    end_of_answer,
    file_keys,
    files_notice,
    long_code,
    whole_answer,
)
from bot.reply.carriers import Carriers, lacks_word
from bot.reply.edits import Edits, Update
from bot.reply.look import DEFAULT_LOOK, ReplyLook
from bot.reply.messages import (
    LIFE_AFTER,
    NOTHING_SHOWN,
    AfterRefusal,
    Begin,
    Call,
    Change,
    CleanUp,
    Delete,
    Life,
    PageView,
    ReplyEvent,
    Shown,
    Upload,
    after,
    shown_transcript,
)
from bot.reply.outcomes import (
    CallDone,
    CallFound,
    CallLimited,
    CallLost,
    CallRefused,
    CallUnsent,
    Outcome,
    refusal_of,
)
from slack_markdown.extent import counted_chars
from slack_markdown.pages import PAGE_CHARS, Page, Pages

MAX_PAGES = 5
"""A longer answer comes as a file. Only its first pages are messages, and below the file its end (`end_of_answer`)."""
MAX_PAGES_WITHOUT_FILE = 20
"""Where Slack takes no file, the text behind this page is left out: a page of tables may hold only 15 characters."""


@dataclass(slots=True, eq=False)
class ReplyMessage:
    """One message of a reply."""

    role: MessageRole
    ts: str
    shown: PageView | Attached | None = None
    """What Slack shows in it; None if that isn't known."""


class Reply:
    """Shows an answer in Slack: it opens, grows, sends call after call, ends, and is over (see above).

    An earlier attempt's text stays until this attempt's is longer. `shown`: what Slack shows of the answer already.
    """

    page_chars = PAGE_CHARS
    """The most characters of a page in the full form. Tests use fewer."""

    def __init__(
        self,
        answer: Answer,
        shown: Shown = NOTHING_SHOWN,
        look: ReplyLook = DEFAULT_LOOK,
        *,
        is_withheld: bool = False,
    ) -> None:
        self.answer = answer
        self.job = answer.job
        self.life = Life.QUEUED if shown.queued else Life.BEGINNING
        self._edits = Edits(shown.stream_page, look)
        """The form of the pages. A take-over breaks them where they were."""
        self.carriers = Carriers(answer, self._edits, has_stop=shown.has_stop)
        """How the pages travel."""
        self.messages = [
            *(ReplyMessage(MessageRole.PAGE, ts) for ts in shown.page_ts),
            *(ReplyMessage(MessageRole.REPLACED, ts) for ts in shown.replaced_ts),
            *(ReplyMessage(MessageRole.FILE, attached.ts, attached) for attached in shown.attached),
            *(ReplyMessage(role, "") for role in shown.unanswered),
        ]
        """What Slack shows of the reply, may show of it, and has to be deleted of it."""
        self._transcript = shown_transcript(self.job.transcripts.values()) if self.job.transcripts else ""
        self._pages = self._empty_pages()
        self._shown_pages = 0
        """So many pages are full and shown, and aren't compared again."""
        self._replaced_before = list(shown.replaced_ts)
        """Messages whose deletion goes before the pages' text, and is tried once so: no text waits for another try."""
        self.earlier = shown
        self.is_withheld = is_withheld or (answer.end is not None and answer.end.reason is EndReason.STUCK)
        """The answer's text isn't shown, because laying it out takes too long."""
        self._activity: str | tuple[Ask, ...] = ""
        """What the model does while it doesn't write: a sentence, or the calls that a person has to decide about."""
        self._picture: Picture | None = None
        """What is shown below the answer's text; None until `finish`."""
        self._in_flight: Call | CleanUp | None = None
        """The call that was sent and has no outcome yet."""
        self._files: tuple[AttachedFile, ...] | None = ()
        """The files that belong below the pages; None: Slack takes none."""
        self._ends_below_file = False
        """The end of the answer is a page below the file that has all of it."""
        self._end_of_answer: EndOfAnswer | None = None
        """The page with the end of the answer below its file, once it was asked for."""
        self._lay_out(self._pages, answer.kept)
        if shown.outdated and not shown.queued:
            self._happened(ReplyEvent.GROW)

    def of(self, *roles: MessageRole) -> list[ReplyMessage]:
        """Returns the messages with these roles, in the order of the roles and then in Slack's."""
        return [message for role in roles for message in self.messages if message.role is role]

    @property
    def page_ts(self) -> tuple[str, ...]:
        """The messages that readers see of the reply, apart from its files."""
        return tuple(message.ts for message in self.of(*READ_ROLES))

    @property
    def recorded_messages(self) -> tuple[RecordedMessage, ...]:
        """The messages as they go on record: first the pages, in order."""
        earlier = max(0, self.job.version - self.earlier.outdated)
        pages = [
            RecordedMessage(
                page.ts,
                MessageRole.PAGE,
                page.shown.version if isinstance(page.shown, PageView) else earlier,
                number >= self._edits.short_from,
            )
            for number, page in enumerate(self.of(MessageRole.PAGE))
        ]
        others = (message for message in self.messages if message.role is not MessageRole.PAGE)
        return (*pages, *(RecordedMessage(message.ts, message.role) for message in others))

    @property
    def text(self) -> str:
        """The text that readers are to see."""
        if self.is_withheld:
            return ""
        return self.answer.text if self.has_ended else self.answer.kept

    @property
    def has_ended(self) -> bool:
        """Whether no more text will come, shown or not."""
        return self.life.has_ended

    @property
    def is_gone(self) -> bool:
        """Whether the reply's messages were deleted, or its channel is closed to Typist."""
        return self.life in (Life.GONE, Life.SHUT_OUT)

    @property
    def is_unshown(self) -> bool:
        """Whether Slack refused the reply for minutes, or for good."""
        return self.life is Life.UNSHOWN

    @property
    def awaits_decision(self) -> bool:
        """Whether a person has to decide about calls."""
        return bool(self._activity) and not isinstance(self._activity, str)

    @property
    def has_begun(self) -> bool:
        """Whether Slack shows some of the text, or the end."""
        shown = (message.shown for message in self.of(MessageRole.PAGE))
        return any(isinstance(view, PageView) and (view.markdown or not view.growing) for view in shown)

    def lacks_word(self, call: Call) -> bool:
        """Whether a call would show a page's first text, and no word of it."""
        shown = self._message_at(call.ts).shown if isinstance(call, Change) else None
        return isinstance(call, Begin | Change) and lacks_word(call, shown if isinstance(shown, PageView) else None)

    @property
    def for_outbox(self) -> OutboxKind | None:
        """REPLY if Slack doesn't show yet what follows from the record, or else None."""
        # A message that still grows would be there when the channel is opened again.
        is_left = self.life is Life.SHUT_OUT and self.of(MessageRole.PAGE, MessageRole.REPLACED)
        is_wrong = is_left or self.is_unshown or self.of(MessageRole.STRAY, *UNANSWERED)
        return OutboxKind.REPLY if is_wrong else None

    @property
    def keeps_stop(self) -> bool:
        """Whether Slack's own Stop has to stay: the answer goes on."""
        return self.earlier.has_stop and not self.has_ended

    def urgency_of(self, call: Call) -> Urgency:
        """Returns the urgency of a call."""
        if self.life is Life.QUEUED:
            return Urgency.QUEUED
        if self.has_ended or (isinstance(call, Change) and call.is_closing):
            return Urgency.FINAL
        view = call.view if isinstance(call, Change) else None
        if not isinstance(call, Change) or view is None or view.asks or not (self.has_begun or view.activity):
            return Urgency.FIRST
        shown = self._message_at(call.ts).shown
        activity = shown.activity if isinstance(shown, PageView) else ""
        return Urgency.PROGRESS if view.activity == activity else Urgency.STEP

    def append(self, delta: str) -> None:
        """Adds text from the model, which the next call to Slack will show."""
        was_behind = self.answer.is_behind
        self.answer.append(delta)
        if not delta or self.answer.is_behind or self.is_withheld:
            return
        if was_behind:
            self._show_own()
        else:
            self._pages.append(delta)
            self.keep_to_form()
        self._happened(ReplyEvent.GROW)

    def take_back(self, chars: int) -> None:
        """Shows no more of the answer than so many characters: the rest was reasoning."""
        self.answer.take_back(chars)
        self._shown_pages = 0
        self._lay_out(self._empty_pages(), self.answer.kept)
        # What a stream has appended stays.
        self.carriers.end_streams()
        self._happened(ReplyEvent.GROW)

    def _show_own(self) -> None:
        """Shows this attempt's text in place of an earlier attempt's."""
        self._shown_pages = 0
        self._lay_out(self._empty_pages(), self.answer.text)

    def show_activity(self, activity: str | tuple[Ask, ...]) -> bool:
        """Shows what the model is doing, or what it asks, below the text; "" shows that it writes again.

        Returns whether that is something else than before.
        """
        is_new = activity != self._activity
        self._activity = activity
        if activity:
            self._happened(ReplyEvent.GROW)
        if activity and not isinstance(activity, str):
            self._edits.shorten_if_full(self._last, self._page(self._last).markdown)
            self.keep_to_form()
        return is_new

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        """Shows what is said in the question's recordings above the answer, whose pages have less room then.

        Once there is text, it changes nothing: the pages stay where they break.
        """
        if self.answer.kept:
            return
        self._transcript = shown_transcript(transcripts)
        self._pages = self._empty_pages()
        if self._transcript:
            self._happened(ReplyEvent.GROW)

    def finish(self, end: End, shown: Picture | None = None) -> None:
        """Ends the text, and shows the picture below it; None: that of an answer to which nothing happened since."""
        if self.answer.end is None:
            self.answer.finish(end)
        self._picture = shown or picture(self.job.ended(end, self.answer.text))
        if self.is_withheld or end.reason is EndReason.STUCK:
            self.withhold()
        else:
            if self.answer.is_behind:
                self._show_own()
            self._happened(ReplyEvent.FINISH)
            self._close()
        self._settle()
        self._look_whether_all_is_shown()

    def withhold(self) -> None:
        """Shows nothing of the answer's text and of what its model does, and says so at its end."""
        self.is_withheld = True
        self._transcript, self._activity, self._shown_pages = "", "", 0
        self._lay_out(self._empty_pages(), "")
        # What a stream has appended stays.
        self.carriers.end_streams()
        if self._picture is not None:
            self._picture = self._picture.without_text
            if not self.has_ended:
                self._happened(ReplyEvent.FINISH)
            self._close()
        elif self.life is not Life.QUEUED:
            self._happened(ReplyEvent.GROW)

    def abandon(self) -> None:
        """Ends the reply as it is: another process has its job, or may have it by now."""
        self._happened(ReplyEvent.ABANDON)

    def _happened(self, event: ReplyEvent) -> None:
        self.life = after(self.life, event)

    def on_send(self, call: Call | CleanUp) -> None:
        """Notes that a call is being sent, and the message that it may create.

        Raises ValueError if another call is in flight. `on_outcome` ends this one.
        """
        if self._in_flight is not None:
            raise ValueError(
                f"a {type(call).__name__} can't be sent while a {type(self._in_flight).__name__} is in flight"
            )
        self._in_flight = call
        if isinstance(call, Begin):
            self.messages.append(ReplyMessage(call.unanswered, ""))

    def on_outcome(self, call: Call | CleanUp, outcome: Outcome) -> None:
        """Records the outcome of the call in flight. Raises ValueError if another call, or none, is in flight."""
        if call != self._in_flight:
            raise ValueError(f"{type(outcome).__name__} came for a {type(call).__name__} that wasn't sent")
        self._in_flight = None
        self._answered(call, outcome)
        if isinstance(call, Delete) and call.ts in self._replaced_before:
            self._replaced_before.remove(call.ts)
        match outcome:
            case CallDone(ts):
                self._done(call, ts)
            case CallFound(ts):
                self._found(ts)
            case CallRefused() | CallLost():
                self._refused(call, outcome)
            case CallLimited():
                self.carriers.on_rate_limit(call)
            case CallUnsent():
                pass
            case _:
                assert_never(outcome)
        self._look_whether_all_is_shown()

    def _answered(self, call: Call | CleanUp, outcome: Outcome) -> None:
        """Forgets the message that a call may have made, unless it was lost: of several of a kind, one stays."""
        if not isinstance(call, Begin):
            return
        unanswered = self.of(call.unanswered)
        if not (isinstance(outcome, CallLost) and len(unanswered) == 1):
            self.messages.remove(unanswered[-1])

    def _done(self, call: Call | CleanUp, ts: str) -> None:
        match call:
            case Begin():
                self.messages.append(ReplyMessage(MessageRole.PAGE, ts, call.view))
                self._confirm(call, ts)
            case Change():
                self._message_at(call.ts).shown = call.view
                self._confirm(call, call.ts)
            case Upload(files=files):
                attached = Attached(ts, (), file_keys(files))
                self.messages.append(ReplyMessage(MessageRole.FILE, ts, attached))
            case Delete():
                self._forget(call.ts)
            case CleanUp():
                self.messages = [message for message in self.messages if message.role not in UNANSWERED]

    def _confirm(self, call: Begin | Change, ts: str) -> None:
        plain_from = self._edits.plain_from
        self.carriers.on_done(call, ts)
        self._reform_since(plain_from)
        self._settle()

    def _found(self, ts: str) -> None:
        """Adds the page of a post that Slack had accepted: what it shows isn't known.

        A queued question's placeholder isn't edited later: once it is recorded, another process may own it.
        """
        shown = self.view(len(self.of(MessageRole.PAGE))) if self.life is Life.QUEUED else None
        self.messages.append(ReplyMessage(MessageRole.PAGE, ts, shown))
        self.carriers.on_page_begun()

    def _refused(self, call: Call | CleanUp, outcome: CallRefused | CallLost) -> None:
        """Decides what follows from a refusal: the next call has another form, or is the same again."""
        reason = refusal_of(outcome)
        is_about_known = isinstance(call, Change | Delete)
        if reason is Refusal.OUTSIDE_THREAD and not is_about_known and outcome.error and outcome.error.ts:
            # The page is deleted, and the reply ends.
            self.messages.append(ReplyMessage(MessageRole.STRAY, outcome.error.ts))
            return
        match call:
            case Upload() if not reason.may_pass:
                self._files = None
            case Delete() if reason is Refusal.TOKEN_GONE:
                self._happened(ReplyEvent.GIVE_UP)
            case Delete() if not reason.may_pass:
                self._forget(call.ts)
            case Begin() | Change():
                self._refused_page(call, reason)

    def _refused_page(self, call: Begin | Change, reason: Refusal) -> None:
        plain_from = self._edits.plain_from
        match self.carriers.on_refused(call, reason):
            case AfterRefusal.GONE:
                self._happened(ReplyEvent.SHUT_OUT if reason is Refusal.CHANNEL_GONE else ReplyEvent.LOSE)
            case AfterRefusal.LATER:
                # Text that still comes would be lost: it is tried again until the retry policy gives the reply up.
                if self.has_ended:
                    self._happened(ReplyEvent.GIVE_UP)
            case AfterRefusal.REPLACE:
                self._replace_messages(call.page)
            case AfterRefusal.UNKNOWN if isinstance(call, Change):
                self._message_at(call.ts).shown = None
        self._reform_since(plain_from)

    def prepare(self, now: float) -> None:
        """Decides what carries a page that begins now, and what no longer carries one."""
        self.carriers.end_streams(now)
        if self.carriers.may_choose and self.carriers.choose(self.next_call(), now):
            self.keep_to_form()

    def give_up(self, call: Call | None = None) -> None:
        """Does without a call that Slack has refused for minutes, or without the reply; None: it can't be laid out.

        Text that still comes can go on without a deletion, and an end without files.
        """
        match call:
            case Delete() if not (self.has_ended or self.of(MessageRole.STRAY)):
                pass
            case Upload():
                self._files = None
            case _:
                self._happened(ReplyEvent.GIVE_UP)
        self._look_whether_all_is_shown()

    def may_be_posted_again(self, call: Call) -> TypeGuard[Update]:
        """Whether a call is the edit of an ended answer's page that a new message may replace, which happens once."""
        return isinstance(call, Update) and self.life is Life.ENDING

    def post_again(self, page: int) -> None:
        """Has new messages show a page and all later ones, because edits are spent. The old ones are deleted then."""
        self._happened(ReplyEvent.POST_AGAIN)
        self._replace_messages(page)

    def next_call(self) -> Call | None:
        """Returns the call that brings Slack closest to what it should show, or None if Slack shows it."""
        if self.life.is_over:
            return None
        if strays := self.of(MessageRole.STRAY):
            return Delete(self.job.question, strays[0].ts, keeps_stop=self.keeps_stop)
        if self.life is Life.BEGINNING and self.of(MessageRole.PAGE):
            return None
        return self._next_release() or self._next_deletion() or self._next_page() or self._next_other_call()

    def _next_release(self) -> Call | None:
        """Returns the call that frees a message before anything else touches it; None if all are free."""
        pages = [message.ts for message in self.of(MessageRole.PAGE)[: self._last + 1]]
        return self.carriers.release(pages, ended=self.has_ended)

    def _next_deletion(self) -> Delete | None:
        """Returns the deletion of a message that was replaced before this attempt, once another one shows its page."""
        if not (self._replaced_before and self.of(MessageRole.PAGE)):
            return None
        return Delete(self.job.question, self._replaced_before[0], keeps_stop=self.keeps_stop)

    def _next_page(self) -> Call | None:
        """Returns the call that begins or changes the first page that differs; None if none does."""
        messages = self.of(MessageRole.PAGE)
        for page in range(self._shown_pages, self._last + 1):
            view = self.view(page)
            if page >= len(messages):
                return self.carriers.begin(page, view)
            message = messages[page]
            is_shown = message.shown == view
            if call := self.carriers.change(page, message.ts, view, is_shown=is_shown, ended=self.has_ended):
                return call
        return None

    def _next_other_call(self) -> Call | None:
        """Returns the next call that is not about a page: files to share, and messages to delete."""
        if missing := self._missing():
            return Upload(self.job.question, missing)
        unused = self.of(MessageRole.PAGE)[self._last + 1 :]
        if surplus := self.of(MessageRole.REPLACED) or unused:
            return Delete(self.job.question, surplus[0].ts, keeps_stop=self.keeps_stop)
        return self._delete_of_files()

    def _look_whether_all_is_shown(self) -> None:
        if (self.life, ReplyEvent.SHOW) in LIFE_AFTER and self.next_call() is None:
            self._happened(ReplyEvent.SHOW)

    def _replace_messages(self, page: int) -> None:
        """Has a page and all later ones posted again: the pages' order stays."""
        for message in self.of(MessageRole.PAGE)[page:]:
            message.role = MessageRole.REPLACED
        self._shown_pages = min(self._shown_pages, page)

    @property
    def _last(self) -> int:
        """The last page that is shown."""
        last = len(self._pages.full) - (not self._pages.is_complete)
        return min(last, self._max_pages - 1) + self._has_end_page

    @property
    def _has_end_page(self) -> bool:
        """Whether the last page is the end of an answer whose file Slack shows."""
        return self._ends_below_file and bool(self._files) and not self._missing()

    @property
    def _max_pages(self) -> int:
        return MAX_PAGES_WITHOUT_FILE if self._files is None else MAX_PAGES

    def view(self, page: int) -> PageView:
        is_end_page = self._has_end_page and page == self._last
        shown = self._end_below_file.page if is_end_page else self._page(page)
        view = PageView(
            shown.markdown,
            # What only the file has isn't shown.
            end_chars=self._page(page - 1).end if is_end_page and self._end_below_file.left_out else shown.end,
            version=self.job.version,
            open_files=self.answer.open_files,
            look=self._edits.look,
            transcript=self._transcript if page == 0 else "",
            asked_on=texts.answers.asked_on(self.job.question.ts) if self.job.is_late and page == 0 else "",
        )
        view = self._edits.formed(view, page)
        if self._is_full(page):
            is_before_end = self._has_end_page and page == self._last - 1
            return replace(view, left_out=self._end_below_file.left_out) if is_before_end else view
        end = self._picture if self.has_ended else None
        if end and not self._missing():
            is_left_out = self._files is None and page < len(self._pages.full)
            left_out = texts.answers.rest_left_out(MAX_PAGES_WITHOUT_FILE) if is_left_out else ""
            about_files = files_notice(self._files or (), is_end_page and bool(self._end_below_file.left_out))
            return replace(view, end=replace(end, notices=(*end.notices, *filter(None, (about_files, left_out)))))
        if page < len(self._pages.full):
            return replace(view, rest_in_file=True, has_stop=self.earlier.has_stop)
        activity, asks = (self._activity, ()) if isinstance(self._activity, str) else ("", self._activity)
        # While calls wait for a decision, nothing is processing, so Slack shows no Stop.
        return replace(
            view,
            growing=True,
            queued=self.life is Life.QUEUED,
            has_stop=self.earlier.has_stop and not asks,
            activity=activity,
            asks=asks,
        )

    def _page(self, page: int) -> Page:
        return self._pages.full[page] if page < len(self._pages.full) else self._pages.growing

    def _settle(self) -> None:
        """Marks full pages as final once Slack shows them, so that they aren't compared again, and lays out the next.

        While a page is not final, Slack has a call to make for it: nothing else would lay out the rest.
        """
        while self._is_full(page := self._shown_pages):
            shown = self.of(MessageRole.PAGE)[page : page + 1]
            if not shown or shown[0].shown != self.view(page):
                return
            self._shown_pages += 1
            if self._has_more_pages and self._shown_pages > self._last:
                self._pages.lay_out(self._shown_pages + 1)
                self.keep_to_form()
                if self.has_ended:
                    self._close()

    def _is_full(self, page: int) -> bool:
        """Whether a page is followed by another one."""
        return page < self._last or self._has_more_pages

    @property
    def _has_more_pages(self) -> bool:
        """Whether messages follow whose pages aren't laid out."""
        return not self._pages.is_complete and len(self._pages.full) < self._max_pages

    def _close(self) -> None:
        """Completes the pages, and decides which files belong below them."""
        self._pages.finish()
        self._shown_pages = min(self._shown_pages, len(self._pages.full))
        self._ends_below_file, self._end_of_answer = False, None
        if self._files is None or not self._pages.full or self._has_more_pages:
            self._files = None if self._files is None else ()
            return
        text = self.text
        ts = self.job.question.ts
        whole = [whole_answer(text, ts)] if len(self._pages.full) >= MAX_PAGES else []
        self._ends_below_file = bool(whole) and bool(text[self._page(MAX_PAGES).start :].strip())
        self._files = (*whole, *long_code(text, ts))

    @property
    def _end_below_file(self) -> EndOfAnswer:
        """The end of an answer whose file has all of it, on a page in its form."""
        if self._end_of_answer is None:
            first = replace(self._page(MAX_PAGES), source="")
            limits = self._edits.limits(MAX_PAGES, self.page_chars)
            self._end_of_answer = end_of_answer(self.text, first, *limits)
        return self._end_of_answer

    def _attached(self) -> list[Attached]:
        return [message.shown for message in self.of(MessageRole.FILE) if isinstance(message.shown, Attached)]

    def _missing(self) -> tuple[AttachedFile, ...]:
        """Returns the files that Slack doesn't show yet."""
        if not self._files:
            return ()
        wanted = file_keys(self._files)
        shown = set[FileKey]().union(*(m.files for m in self._attached() if m.files <= wanted))
        return tuple(file for file in self._files if file.key not in shown)

    def _delete_of_files(self) -> Delete | None:
        """Returns the deletion of files that belong to an earlier attempt's text."""
        if not self.has_ended and (self.answer.is_behind or not self.earlier.outdated):
            return None
        wanted = file_keys(self._files or ())
        surplus = next((message for message in self._attached() if not message.files <= wanted), None)
        return Delete(self.job.question, surplus.ts, surplus.file_ids) if surplus else None

    def _empty_pages(self) -> Pages:
        """Returns the pages of a text that is yet to come."""
        heard = texts.answers.transcript_line(self._transcript) if self._transcript else ""
        first = Page(taken_chars=counted_chars(heard))
        return Pages(*self._edits.limits(0, self.page_chars), first, max_full=1)

    def _reform_since(self, plain_from: float) -> None:
        """Lays pages out again that were plain and no longer are, or the reverse."""
        if self._edits.plain_from != plain_from:
            self._reform(int(min(plain_from, self._edits.plain_from)))

    def _reform(self, page: int) -> None:
        """Lays the text out again from a page on, in its form, as far as the pages before it are shown."""
        old = self._pages
        first = replace(self._page(page), source="")
        pages = Pages(*self._edits.limits(page, self.page_chars), first, max_full=self._shown_pages + 1)
        pages.full = old.full[:page]
        self._lay_out(pages, old.text(page))
        if self.has_ended:
            self._close()
        self._settle()

    def _lay_out(self, pages: Pages, text: str) -> None:
        self._pages = pages
        pages.append("" if self.is_withheld else text)
        self.keep_to_form()

    def keep_to_form(self) -> None:
        """Lays the text out again from where pages have another form, once it reaches them."""
        begins = self._edits.last_form_begins(len(self._pages.full) + 1)
        limits = self._pages.limit_chars, self._pages.limit_bytes
        if begins is not None and self._edits.limits(begins, self.page_chars) != limits:
            self._reform(begins)

    def _message_at(self, ts: str) -> ReplyMessage:
        return next(message for message in self.messages if message.ts == ts)

    def _forget(self, ts: str) -> None:
        if any(message.ts == ts for message in self.of(MessageRole.STRAY)):
            self._happened(ReplyEvent.LOSE)
        self.messages = [message for message in self.messages if message.ts != ts]
