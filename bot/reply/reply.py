"""Computes the next Slack call for one answer, by comparing the messages that Slack should show with those that it does
show. Pure.

The life of a `Reply`:

1. The reply opens with the messages that Slack already shows, which are none or an earlier attempt's (`VisibleReply`).
2. The reply grows: `append` and `show_activity` change what Slack should show, and `next_call` returns the difference.
3. `on_send` records that a call is being sent, and `on_outcome` records its outcome. A reply has at most one call in
   flight. `give_up` drops a call that Slack keeps refusing.
4. `finish` ends the text. The remaining calls show the end and the files, and delete extra messages.
5. The reply is over once Slack shows everything, once the reply is lost or given up, or after `abandon`. No more calls
   are made after that.

An event that can't happen in a state (`LIFE_AFTER`) is an error. The outcome of a call that wasn't sent is an error
too.

`next_call` compares `messages`, which Slack shows, with the answer's pages, and returns calls in this order:

1. deletions of messages that were replaced before this attempt, then posts and changes of pages;
2. the upload of files that belong below the pages; one more page, the answer's end, can follow it;
3. deletions of messages that no longer belong to the reply.

A failed call isn't recorded as shown, so the next comparison finds the same difference, with newer text. Full pages
never change, so an edit costs the same however long the answer is. A page isn't laid out until Slack shows all pages
before it, so no step lays out more than one page, even after a long delta, in another form, or at the end.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeGuard, assert_never

from bot.core import texts
from bot.core.asks import ApprovalCard
from bot.core.conversation import is_direct_message
from bot.core.job import ANSWER_ROLES, PENDING_ROLES, End, MessageRole, RecordedMessage
from bot.core.outbox import OutboxKind
from bot.core.picture import Picture, picture
from bot.errors import EndReason, Refusal
from bot.reply.answer import Answer
from bot.reply.attachments import (
    AttachedFile,
    EndOfAnswer,
    FileKey,
    FileMessage,
    answer_file,
    code_files,
    end_of_answer,
    file_keys,
    files_notice,
)
from bot.reply.carriers import Carriers
from bot.reply.edits import Edits, Update
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
    Upload,
    VisibleReply,
    next_life,
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
from bot.reply.streams import StartStream
from bot.reply.style import DEFAULT_STYLE, ReplyStyle
from slack_markdown.extent import counted_chars
from slack_markdown.pages import PAGE_CHARS, Page, Pages
from slack_markdown.render import has_word, render_page
from slack_pacing.pacer import Urgency

MAX_PAGES = 5
"""Maximum number of pages in an answer. A longer answer is sent as a file, and messages show its first pages and its
end (`end_of_answer`)."""
MAX_PAGES_WITHOUT_FILE = 20
"""Maximum number of pages if Slack refuses files. Any further text is left out, because a page of tables can be as
short as 15 characters."""


@dataclass(slots=True, eq=False)
class ReplyMessage:
    role: MessageRole
    ts: str
    shown: PageView | FileMessage | None = None
    """The content that Slack shows in the message, or None if unknown."""


class Reply:
    """Tracks the messages that show an answer. An earlier attempt's text is shown until the new text is longer."""

    page_chars = PAGE_CHARS
    """Maximum number of characters on a page in the full form. Tests use a lower limit."""

    def __init__(
        self,
        answer: Answer,
        shown: VisibleReply = NOTHING_SHOWN,
        style: ReplyStyle = DEFAULT_STYLE,
        *,
        is_withheld: bool = False,
    ) -> None:
        self.answer = answer
        self.job = answer.job
        self.life = Life.QUEUED if shown.queued else Life.BEGINNING
        self._edits = Edits(shown.stream_page, style)
        """Initialized with the recorded stream page, so that pages still break in the same places after a takeover."""
        self.carriers = Carriers(answer, self._edits, has_stop=shown.has_stop)
        self.messages = [
            *(ReplyMessage(MessageRole.PAGE, ts) for ts in shown.page_ts),
            *(ReplyMessage(MessageRole.REPLACED, ts) for ts in shown.replaced_ts),
            *(ReplyMessage(MessageRole.FILE, message.ts, message) for message in shown.file_messages),
            *(ReplyMessage(role, "") for role in shown.pending_roles),
        ]
        """The messages that Slack shows or might show, including those that still have to be deleted."""
        self._transcript = shown_transcript(self.job.transcripts.values()) if self.job.transcripts else ""
        self._pages = self._empty_pages()
        self._final_pages = 0
        """The number of full pages that Slack already shows, which aren't compared again."""
        self._replaced_earlier_ts = list(shown.replaced_ts)
        """Messages to delete before text is sent. Each deletion is tried only once, so that the text doesn't have to
        wait."""
        self.initial = shown
        self.is_withheld = is_withheld or (answer.end is not None and answer.end.reason is EndReason.STUCK)
        self._activity: str | tuple[ApprovalCard, ...] = ""
        """A sentence about what the model is doing while it isn't writing, or the calls that a person must decide
        on."""
        self._picture: Picture | None = None
        """The content below the answer's text, or None until `finish`."""
        self._in_flight: Call | CleanUp | None = None
        self._files: tuple[AttachedFile, ...] | None = ()
        """Files that belong below the pages, or None if Slack refuses files."""
        self._ends_below_file = False
        self._end_of_answer: EndOfAnswer | None = None
        self._lay_out(self._pages, answer.text_to_keep)
        if shown.is_outdated and not shown.queued:
            self._on_event(ReplyEvent.GROW)

    def messages_with(self, *roles: MessageRole) -> list[ReplyMessage]:
        return [message for role in roles for message in self.messages if message.role is role]

    @property
    def page_ts(self) -> tuple[str, ...]:
        return tuple(message.ts for message in self.messages_with(*ANSWER_ROLES))

    @property
    def recorded_messages(self) -> tuple[RecordedMessage, ...]:
        earlier = max(0, self.job.version - self.initial.is_outdated)
        pages = [
            RecordedMessage(
                page.ts,
                MessageRole.PAGE,
                page.shown.version if isinstance(page.shown, PageView) else earlier,
                number >= self._edits.first_short_page,
            )
            for number, page in enumerate(self.messages_with(MessageRole.PAGE))
        ]
        others = (message for message in self.messages if message.role is not MessageRole.PAGE)
        return (*pages, *(RecordedMessage(message.ts, message.role) for message in others))

    @property
    def text(self) -> str:
        if self.is_withheld:
            return ""
        return self.answer.text if self.has_ended else self.answer.text_to_keep

    @property
    def has_ended(self) -> bool:
        """Whether no more text will come, even if Slack doesn't show all of it yet."""
        return self.life.has_ended

    @property
    def is_gone(self) -> bool:
        return self.life in (Life.GONE, Life.SHUT_OUT)

    @property
    def is_unshown(self) -> bool:
        return self.life is Life.UNSHOWN

    @property
    def awaits_decision(self) -> bool:
        return bool(self._activity) and not isinstance(self._activity, str)

    @property
    def has_begun(self) -> bool:
        shown = (message.shown for message in self.messages_with(MessageRole.PAGE))
        return any(isinstance(view, PageView) and (view.markdown or not view.growing) for view in shown)

    def shows_no_word(self, call: Call) -> bool:
        """Returns whether a call would show a page's first text without a visible word, such as only `#`."""
        view = call.view if isinstance(call, Begin | Change) else None
        if view is None or not (view.growing and view.markdown) or view.activity or view.asks:
            return False
        shown = self._message_at(call.ts).shown if isinstance(call, Change) else None
        if isinstance(shown, PageView) and shown.markdown:
            return False
        text = call.text if isinstance(call, StartStream) else render_page(view.markdown, growing=True)
        return not has_word(text, growing=False)

    @property
    def outbox_kind(self) -> OutboxKind | None:
        """The kind of outbox entry that is needed if Slack doesn't show the reply as recorded, or None if it does."""
        # An unfinished message would still be shown when the channel is opened again.
        is_left = self.life is Life.SHUT_OUT and self.messages_with(MessageRole.PAGE, MessageRole.REPLACED)
        is_wrong = is_left or self.is_unshown or self.messages_with(MessageRole.STRAY, *PENDING_ROLES)
        return OutboxKind.REPLY if is_wrong else None

    @property
    def keeps_stop(self) -> bool:
        """Whether Slack's own Stop button must remain, because the answer continues."""
        return self.initial.has_stop and not self.has_ended

    def urgency_of(self, call: Call) -> Urgency:
        if self.life is Life.QUEUED:
            return Urgency.QUEUED
        if self.has_ended or (isinstance(call, Change) and call.frees_budget):
            return Urgency.FINAL
        view = call.view if isinstance(call, Change) else None
        if not isinstance(call, Change) or view is None or view.asks or not (self.has_begun or view.activity):
            return Urgency.FIRST
        shown = self._message_at(call.ts).shown
        activity = shown.activity if isinstance(shown, PageView) else ""
        return Urgency.PROGRESS if view.activity == activity else Urgency.STEP

    def append(self, delta: str) -> None:
        was_behind = self.answer.is_shorter_than_earlier
        self.answer.append(delta)
        if not delta or self.answer.is_shorter_than_earlier or self.is_withheld:
            return
        if was_behind:
            self._show_own_text()
        else:
            self._pages.append(delta)
            self.apply_form()
        self._on_event(ReplyEvent.GROW)

    def start_over(self) -> None:
        self.answer.start_over()
        self._show_own_text()

    def _show_own_text(self) -> None:
        self._final_pages = 0
        self._lay_out(self._empty_pages(), self.answer.text)

    def show_activity(self, activity: str | tuple[ApprovalCard, ...]) -> bool:
        """Shows the model's activity or pending calls below the text ("" hides it). Returns whether the reply
        changed."""
        is_new = activity != self._activity
        self._activity = activity
        if activity:
            self._on_event(ReplyEvent.GROW)
        if activity and not isinstance(activity, str):
            self._edits.shorten_if_full(self._last_page, self._page_at(self._last_page).markdown)
            self.apply_form()
        return is_new

    def show_transcripts(self, transcripts: Iterable[str]) -> None:
        """Shows speech from the question's recordings above the answer, unless text is already shown, because text must
        not move."""
        if self.answer.text_to_keep:
            return
        self._transcript = shown_transcript(transcripts)
        self._pages = self._empty_pages()
        if self._transcript:
            self._on_event(ReplyEvent.GROW)

    def finish(self, end: End, shown: Picture | None = None) -> None:
        """Ends the text, and shows the picture below it. `shown`: the picture, or None if the answer hasn't changed
        since its end."""
        if self.answer.end is None:
            self.answer.finish(end)
        self._picture = shown or picture(self.job.answer_record(end, self.answer.text))
        if self.is_withheld or end.reason is EndReason.STUCK:
            self.withhold()
        else:
            if self.answer.is_shorter_than_earlier or end.reason is EndReason.REFUSED:
                self._show_own_text()
            if end.reason is EndReason.REFUSED:
                # Streams can't remove text that they have appended.
                self.carriers.end_streams()
            self._on_event(ReplyEvent.FINISH)
            self._complete_pages()
        self._mark_final_pages()
        self._end_if_all_shown()

    def withhold(self) -> None:
        """Hides the answer's text and the model's activity. The end mentions that the text is hidden."""
        self.is_withheld = True
        self._transcript, self._activity, self._final_pages = "", "", 0
        self._lay_out(self._empty_pages(), "")
        # Streams can't remove text that they have appended.
        self.carriers.end_streams()
        if self._picture is not None:
            self._picture = self._picture.without_text
            if not self.has_ended:
                self._on_event(ReplyEvent.FINISH)
            self._complete_pages()
        elif self.life is not Life.QUEUED:
            self._on_event(ReplyEvent.GROW)

    def abandon(self) -> None:
        """Ends the reply in its current state, because another process owns or might own the job."""
        self._on_event(ReplyEvent.ABANDON)

    def _on_event(self, event: ReplyEvent) -> None:
        self.life = next_life(self.life, event)

    def on_send(self, call: Call | CleanUp) -> None:
        """Records that a call is being sent, and the message that it might create. Raises ValueError if another call is
        in flight."""
        if self._in_flight is not None:
            raise ValueError(
                f"a {type(call).__name__} can't be sent while a {type(self._in_flight).__name__} is in flight"
            )
        self._in_flight = call
        if isinstance(call, Begin):
            self.messages.append(ReplyMessage(call.pending_role, ""))

    def on_outcome(self, call: Call | CleanUp, outcome: Outcome) -> None:
        if call != self._in_flight:
            raise ValueError(f"{type(outcome).__name__} came for a {type(call).__name__} that wasn't sent")
        self._in_flight = None
        if isinstance(call, Begin):
            # Drops the message that the call might have created. If the response was lost, one message per role stays.
            pending = self.messages_with(call.pending_role)
            if not (isinstance(outcome, CallLost) and len(pending) == 1):
                self.messages.remove(pending[-1])
        if isinstance(call, Delete) and call.ts in self._replaced_earlier_ts:
            self._replaced_earlier_ts.remove(call.ts)
        match outcome:
            case CallDone(ts):
                self._on_done(call, ts)
            case CallFound(ts):
                self._on_found(ts)
            case CallRefused() | CallLost():
                self._on_refused(call, outcome)
            case CallLimited():
                self.carriers.on_rate_limit(call)
            case CallUnsent():
                pass
            case _:
                assert_never(outcome)
        self._end_if_all_shown()

    def _on_done(self, call: Call | CleanUp, ts: str) -> None:
        match call:
            case Begin():
                self.messages.append(ReplyMessage(MessageRole.PAGE, ts, call.view))
            case Change(ts=ts):
                self._message_at(ts).shown = call.view
            case Upload(files=files):
                attached = FileMessage(ts, (), file_keys(files))
                self.messages.append(ReplyMessage(MessageRole.FILE, ts, attached))
            case Delete():
                self._drop_message(call.ts)
            case CleanUp():
                self.messages = [message for message in self.messages if message.role not in PENDING_ROLES]
        if isinstance(call, Begin | Change):
            first_plain_page = self._edits.first_plain_page
            self.carriers.on_done(call, ts)
            self._lay_out_if_form_changed(first_plain_page)
            self._mark_final_pages()

    def _on_found(self, ts: str) -> None:
        """Adds a message, with unknown content, that was created by a post that Slack had accepted."""
        # A placeholder's content counts as current, because another process might own the job once the placeholder is
        # recorded.
        shown = self.page_view(len(self.messages_with(MessageRole.PAGE))) if self.life is Life.QUEUED else None
        self.messages.append(ReplyMessage(MessageRole.PAGE, ts, shown))
        self.carriers.on_page_begun()

    def _on_refused(self, call: Call | CleanUp, outcome: CallRefused | CallLost) -> None:
        reason = refusal_of(outcome)
        is_about_known = isinstance(call, Change | Delete)
        if reason is Refusal.OUTSIDE_THREAD and not is_about_known and outcome.error and outcome.error.ts:
            # The stray message is deleted, and then the reply ends.
            self.messages.append(ReplyMessage(MessageRole.STRAY, outcome.error.ts))
            return
        match call:
            case Upload() if not reason.is_temporary:
                self._files = None
            case Delete() if reason is Refusal.TOKEN_GONE:
                self._on_event(ReplyEvent.GIVE_UP)
            case Delete() if not reason.is_temporary:
                self._drop_message(call.ts)
            case Begin() | Change():
                self._on_page_refused(call, reason)

    def _on_page_refused(self, call: Begin | Change, reason: Refusal) -> None:
        first_plain_page = self._edits.first_plain_page
        match self.carriers.on_refused(call, reason):
            case AfterRefusal.GONE:
                self._on_event(ReplyEvent.SHUT_OUT if reason is Refusal.CHANNEL_GONE else ReplyEvent.LOSE)
            case AfterRefusal.LATER:
                # Text that is still coming would be lost, so the call is repeated until the retry policy gives the
                # reply up.
                if self.has_ended:
                    self._on_event(ReplyEvent.GIVE_UP)
            case AfterRefusal.REPLACE:
                self._replace_messages(call.page)
            case AfterRefusal.UNKNOWN if isinstance(call, Change):
                self._message_at(call.ts).shown = None
        self._lay_out_if_form_changed(first_plain_page)

    def prepare_next_call(self, now: float) -> None:
        """Chooses a carrier for a new page, and ends streams that have become too old."""
        self.carriers.end_streams(now)
        if self.carriers.can_choose_stream and self.carriers.choose_carrier(self.next_call(), now):
            self.apply_form()

    def give_up(self, call: Call | None = None) -> None:
        """Drops a call that Slack has refused for minutes, or gives up the whole reply if it needs the call."""
        match call:
            case Delete() if not (self.has_ended or self.messages_with(MessageRole.STRAY)):
                pass
            case Upload():
                self._files = None
            case _:
                self._on_event(ReplyEvent.GIVE_UP)
        self._end_if_all_shown()

    def can_be_posted_again(self, call: Call) -> TypeGuard[Update]:
        """Returns whether an edit of an ended answer's page can be replaced with a new message, which can happen once
        per reply."""
        return isinstance(call, Update) and self.life is Life.ENDING

    def post_again(self, page: int) -> None:
        """Shows a page and all later pages in new messages, because no edits are left. The old messages are deleted."""
        self._on_event(ReplyEvent.POST_AGAIN)
        self._replace_messages(page)

    def next_call(self) -> Call | None:
        """Returns the next Slack call needed to show the reply, or None if Slack already shows all of it."""
        if self.life.is_over:
            return None
        if strays := self.messages_with(MessageRole.STRAY):
            return Delete(self.job.question, strays[0].ts, keeps_stop=self.keeps_stop)
        pages = [message.ts for message in self.messages_with(MessageRole.PAGE)]
        if self.life is Life.BEGINNING and pages:
            return None
        # A stream is stopped before anything else touches its message.
        if release := self.carriers.stop_call(pages[: self._last_page + 1], ended=self.has_ended):
            return release
        # The messages that were replaced before this attempt can be deleted once other messages show their pages.
        if self._replaced_earlier_ts and pages:
            return Delete(self.job.question, self._replaced_earlier_ts[0], keeps_stop=self.keeps_stop)
        return self._next_page_call() or self._next_other_call()

    def _next_page_call(self) -> Call | None:
        messages = self.messages_with(MessageRole.PAGE)
        for page in range(self._final_pages, self._last_page + 1):
            view = self.page_view(page)
            if page >= len(messages):
                return self.carriers.begin_call(page, view)
            message = messages[page]
            is_shown = message.shown == view
            if call := self.carriers.change_call(page, message.ts, view, is_shown=is_shown, ended=self.has_ended):
                return call
        return None

    def _next_other_call(self) -> Call | None:
        if missing := self._missing_files():
            return Upload(self.job.question, missing)
        unused = self.messages_with(MessageRole.PAGE)[self._last_page + 1 :]
        if surplus := self.messages_with(MessageRole.REPLACED) or unused:
            return Delete(self.job.question, surplus[0].ts, keeps_stop=self.keeps_stop)
        return self._next_file_deletion()

    def _end_if_all_shown(self) -> None:
        if (self.life, ReplyEvent.SHOW) in LIFE_AFTER and self.next_call() is None:
            self._on_event(ReplyEvent.SHOW)

    def _replace_messages(self, page: int) -> None:
        """Marks the messages of this page and all later pages as replaced, so that new posts stay in order."""
        for message in self.messages_with(MessageRole.PAGE)[page:]:
            message.role = MessageRole.REPLACED
        self._final_pages = min(self._final_pages, page)

    @property
    def _last_page(self) -> int:
        last = len(self._pages.full_pages) - (not self._pages.is_complete)
        return min(last, self._max_pages - 1) + self._has_end_page

    @property
    def _has_end_page(self) -> bool:
        """Whether the last page is the end of an answer whose file is already shown in Slack."""
        return self._ends_below_file and bool(self._files) and not self._missing_files()

    @property
    def _max_pages(self) -> int:
        return MAX_PAGES_WITHOUT_FILE if self._files is None else MAX_PAGES

    def page_view(self, page: int) -> PageView:
        is_end_page = self._has_end_page and page == self._last_page
        shown = self._end_below_file.page if is_end_page else self._page_at(page)
        view = PageView(
            shown.markdown,
            # Slack doesn't show text that only the file contains.
            end_chars=self._page_at(page - 1).end if is_end_page and self._end_below_file.left_out else shown.end,
            version=self.job.version,
            open_files=self.answer.open_files,
            style=self._edits.style,
            asker="" if is_direct_message(self.job.question.thread.channel_id) else self.job.question.user_id,
            transcript=self._transcript if page == 0 else "",
            asked_on=texts.answers.asked_on(self.job.question.ts) if self.job.is_late and page == 0 else "",
            plain=page >= self._edits.first_plain_page,
            for_stream=page >= self._edits.first_short_page,
        )
        if self._has_next_page(page):
            is_before_end = self._has_end_page and page == self._last_page - 1
            return replace(view, left_out=self._end_below_file.left_out) if is_before_end else view
        end = self._picture if self.has_ended else None
        if end and not self._missing_files():
            is_left_out = self._files is None and page < len(self._pages.full_pages)
            left_out = texts.answers.omitted_pages_text(MAX_PAGES_WITHOUT_FILE) if is_left_out else ""
            is_only_end = is_end_page and bool(self._end_below_file.left_out)
            about_files = files_notice(self._files, is_only_end) if self._files else ""
            return replace(view, end=replace(end, notices=(*end.notices, *filter(None, (about_files, left_out)))))
        if page < len(self._pages.full_pages):
            return replace(view, rest_in_file=True, has_stop=self.initial.has_stop)
        activity, asks = (self._activity, ()) if isinstance(self._activity, str) else ("", self._activity)
        # While calls await a decision, no answer is being written, so Slack shows no Stop button.
        return replace(
            view,
            growing=True,
            queued=self.life is Life.QUEUED,
            has_stop=self.initial.has_stop and not asks,
            activity=activity,
            asks=asks,
        )

    def _page_at(self, page: int) -> Page:
        return self._pages.full_pages[page] if page < len(self._pages.full_pages) else self._pages.growing_page

    def _mark_final_pages(self) -> None:
        while self._has_next_page(page := self._final_pages):
            shown = self.messages_with(MessageRole.PAGE)[page : page + 1]
            if not shown or shown[0].shown != self.page_view(page):
                return
            self._final_pages += 1
            if self._has_more_pages and self._final_pages > self._last_page:
                self._pages.lay_out(self._final_pages + 1)
                self.apply_form()
                if self.has_ended:
                    self._complete_pages()

    def _has_next_page(self, page: int) -> bool:
        return page < self._last_page or self._has_more_pages

    @property
    def _has_more_pages(self) -> bool:
        return not self._pages.is_complete and len(self._pages.full_pages) < self._max_pages

    def _complete_pages(self) -> None:
        self._pages.finish()
        self._final_pages = min(self._final_pages, len(self._pages.full_pages))
        self._ends_below_file, self._end_of_answer = False, None
        if self._files is None or not self._pages.full_pages or self._has_more_pages:
            self._files = None if self._files is None else ()
            return
        text = self.text
        ts = self.job.question.ts
        whole = [answer_file(text, ts)] if len(self._pages.full_pages) >= MAX_PAGES else []
        self._ends_below_file = bool(whole) and bool(text[self._page_at(MAX_PAGES).start :].strip())
        self._files = (*whole, *code_files(text, ts))

    @property
    def _end_below_file(self) -> EndOfAnswer:
        if self._end_of_answer is None:
            first = replace(self._page_at(MAX_PAGES), source="")
            limits = self._edits.page_limits(MAX_PAGES, self.page_chars)
            self._end_of_answer = end_of_answer(self.text, first, *limits)
        return self._end_of_answer

    def _file_messages(self) -> list[FileMessage]:
        return [
            message.shown for message in self.messages_with(MessageRole.FILE) if isinstance(message.shown, FileMessage)
        ]

    def _missing_files(self) -> tuple[AttachedFile, ...]:
        if not self._files:
            return ()
        wanted = file_keys(self._files)
        shown = set[FileKey]().union(*(m.files for m in self._file_messages() if m.files <= wanted))
        return tuple(file for file in self._files if file.key not in shown)

    def _next_file_deletion(self) -> Delete | None:
        """Returns the call that deletes files with an earlier attempt's text, or None if Slack shows no such files."""
        if not self.has_ended and (self.answer.is_shorter_than_earlier or not self.initial.is_outdated):
            return None
        wanted = file_keys(self._files or ())
        surplus = next((message for message in self._file_messages() if not message.files <= wanted), None)
        return Delete(self.job.question, surplus.ts, surplus.file_ids) if surplus else None

    def _empty_pages(self) -> Pages:
        heard = texts.answers.transcript_line(self._transcript) if self._transcript else ""
        first = Page(reserved_chars=counted_chars(heard))
        return Pages(*self._edits.page_limits(0, self.page_chars), first, max_full_pages=1)

    def _lay_out_if_form_changed(self, first_plain_page: float) -> None:
        if self._edits.first_plain_page != first_plain_page:
            self._lay_out_from(int(min(first_plain_page, self._edits.first_plain_page)))

    def _lay_out_from(self, page: int) -> None:
        old = self._pages
        first = replace(self._page_at(page), source="")
        pages = Pages(*self._edits.page_limits(page, self.page_chars), first, max_full_pages=self._final_pages + 1)
        pages.full_pages = old.full_pages[:page]
        self._lay_out(pages, old.text(page))
        if self.has_ended:
            self._complete_pages()
        self._mark_final_pages()

    def _lay_out(self, pages: Pages, text: str) -> None:
        self._pages = pages
        pages.append("" if self.is_withheld else text)
        self.apply_form()

    def apply_form(self) -> None:
        """Lays out the text again from the first page that has another form, once the text reaches that page."""
        forms = (self._edits.first_short_page, self._edits.first_plain_page)
        begins = int(max((page for page in forms if page <= len(self._pages.full_pages)), default=-1))
        limits = self._pages.limit_chars, self._pages.limit_bytes
        if begins >= 0 and self._edits.page_limits(begins, self.page_chars) != limits:
            self._lay_out_from(begins)

    def _message_at(self, ts: str) -> ReplyMessage:
        return next(message for message in self.messages if message.ts == ts)

    def _drop_message(self, ts: str) -> None:
        if any(message.ts == ts for message in self.messages_with(MessageRole.STRAY)):
            self._on_event(ReplyEvent.LOSE)
        self.messages = [message for message in self.messages if message.ts != ts]
