"""Defines the database tables: seen events, jobs and their turns, workers, and feature-specific tables.

The tables of a new database are created directly. A database from an earlier release is migrated to them
(bot/store/migrations/versions). Column types such as OwnerId declare what erasure and retention (bot/store/erasure.py)
do with the rows.
"""

from typing import Any

import sqlalchemy as sa

REVISION = "0.1.0"
"""The last release that changed the schema. A database with this revision doesn't need a migration."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of generated IDs. SQLite generates IDs only for INTEGER columns."""


class SafeText(sa.types.TypeDecorator[str]):
    """Text from people and models. Characters that databases reject (NUL, half a surrogate pair) become U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is None:
            return None
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


Noun = tuple[str, str]
"""The name that `typist forget` uses for deleted rows, in singular and plural."""


class OwnerId(sa.Text):
    """The ID of the row's owner. Erasing that person deletes the row. `typist forget` counts deleted rows under the
    noun."""

    def __init__(self, noun: Noun | None = None) -> None:
        super().__init__()
        self.noun = noun


class MemberId(sa.Text):
    """The ID of a person who doesn't own the row. Erasing that person clears the column."""


class OwnChannelId(sa.Text):
    """The channel that a setting applies to. Erasing a person deletes the settings of their direct messages."""


class ExpiryTime(sa.Double[float]):
    """A time in seconds since the epoch. Retention deletes the row `kept_s` later."""

    def __init__(self, kept_s: float = 0.0) -> None:
        super().__init__()
        self.kept_s = kept_s


ACCOUNT: Noun = ("sign-in to a server", "sign-ins to servers")
_DAY_S = 24 * 3600.0
HALF_A_YEAR_S = 180 * _DAY_S
UNDO_S = 7 * _DAY_S
"""The period in which people can undo stopping or forgetting something."""
KINDS_KEPT_S = 3600.0
"""The period for which a user type is kept. Older user types are never trusted (slack/users.py)."""
NOTIFICATIONS_KEPT_S = 62 * _DAY_S
"""The time after which a notification's key can be used again."""
PANE_CONTEXT_KEPT_S = 8 * 3600.0
"""The period for which a stored context is valid without an update. After that, the person has probably left."""

seen_events = sa.Table(
    "seen_events",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)

sa.Index("ix_seen_events_seen_at", seen_events.c.seen_at)

# The columns are in five groups. core/job.py explains status, attempts, end_reason, version and the requests.
jobs = sa.Table(
    "jobs",
    metadata,
    # 1. The question: where it was asked, who asked it, and its text.
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # '' for a conversation without a thread: NULLs never compare equal, so the column wouldn't be unique.
    sa.Column("thread_ts", sa.Text, nullable=False),
    # NULL, without a channel, until the bot has posted the question on behalf of its asker.
    sa.Column("ts", sa.Text),
    # The modal, emoji, choice or suggested prompt that asked the question (core/unposted.py). Each asks once.
    sa.Column("asked_as", sa.Text),
    # Until it is posted: the message that it is about, and the results of earlier attempts.
    sa.Column("unposted", sa.JSON(none_as_null=True)),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    sa.Column("files", sa.JSON, nullable=False, server_default="[]"),
    # Words spoken in recordings in the question, or since the previous answer: {file ID: [user ID, text]}.
    sa.Column("transcripts", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()),
    # The number of characters at the end of the text that the asker didn't write.
    sa.Column("attached_chars", sa.Integer, nullable=False, server_default="0"),
    # The schedule of this run. No foreign key, because a run outlives its schedule.
    sa.Column("schedule_id", RowId),
    # Whether it needs no model, so that no other question shares its answer.
    sa.Column("is_command", sa.Boolean, nullable=False, server_default=sa.false()),
    # Whether the asker wrote a sign-in URL, which a placeholder replaces in the text.
    sa.Column("had_sign_in", sa.Boolean, nullable=False, server_default=sa.false()),
    # With a rule in words: true while nothing was posted, false once it was. NULL without a rule.
    sa.Column("held", sa.Boolean),
    # What an alert shares with the other alerts of its burst (core/alerts.py), or ''.
    sa.Column("alert_kind", sa.Text, nullable=False, server_default=""),
    # Whether its message was deleted. Expired text is also empty.
    sa.Column("question_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    # The newest edit of the question. An earlier edit that Slack delivers late must not undo it.
    sa.Column("edited_ts", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    # 2. The work on it: which worker has it, and how often it was tried.
    # A Status, and once the job has ended an EndReason.
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text),
    # The last worker to claim the job. Together with attempts, it fences later writes.
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double),
    # 3. Later requests from people: to stop, for another version, a decision.
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    # The newest version that answers text from before the question's last edit, or NULL if there is none.
    sa.Column("edited_version", sa.Integer),
    # Since when the asker has been waiting for this version; NULL means created_at.
    sa.Column("asked_at", sa.Double),
    # The Wish for this version (bot/store/rows.py), or NULL.
    sa.Column("wish", sa.JSON(none_as_null=True)),
    # Whether the first version is only an offer to answer a question found late (bot/services/catching_up.py).
    sa.Column("offered", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    # The row is removed when the job ends.
    sa.Column("erase_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    # The deadline for approving the calls of a job that awaits approval.
    sa.Column("waits_until", sa.Double),
    # 4. The other questions that its answer is for.
    # The later question in the thread that shares its answer.
    sa.Column("answered_with", RowId),
    # The step of that job's model that read this question first, or NULL if the job answered it from the start.
    sa.Column("joined_step", sa.Integer),
    # 5. Its state in Slack.
    # The messages of the reply with their roles, pages first. Those without a ts were sent without a response so far.
    sa.Column("messages", sa.JSON, nullable=False, server_default="[]"),
    # Since when a queued job's placeholder is being posted; NULL before that, and once it is recorded.
    sa.Column("placeholder_due_since", sa.Double),
    # The turn that readers chose to see; NULL means the newest.
    sa.Column("shown_turn", RowId),
    # The answer's texts are gone, but its usage stays.
    sa.Column("answer_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    # When to mention the asker, because a call is waiting or the answer is ready; NULL if not, or not anymore.
    sa.Column("mention_at", sa.Double),
    sa.UniqueConstraint("team_id", "channel_id", "ts"),
    sa.UniqueConstraint("team_id", "asked_as"),
    # IDs are never reused, not even after a job's removal, because late writes must find nothing.
    sqlite_autoincrement=True,
)

_thread = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)


def _index_condition(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _status_condition(status: str) -> dict[str, Any]:
    return _index_condition(f"status = '{status}'")


sa.Index("ix_jobs_thread", *_thread, jobs.c.ts)
# For retention, whose cost must not grow with the rows that it has already processed.
sa.Index("ix_jobs_created_at", jobs.c.created_at)
JOB_HAS_CONTENT = "text <> '' OR CAST(files AS TEXT) <> '[]'"
sa.Index("ix_jobs_content", jobs.c.created_at, **_index_condition(JOB_HAS_CONTENT))
# For claims, whose cost must not grow with ended jobs: the oldest job, and one before it in its thread. With 100,000
# ended jobs, an empty claim takes 1.5 ms with it, and 8 to 12 ms without it.
sa.Index("ix_jobs_queued", jobs.c.id, **_status_condition("queued"))
sa.Index("ix_jobs_queued_thread", *_thread, jobs.c.ts, **_status_condition("queued"))
# For a person's live jobs, which are counted at each enqueue and claim.
sa.Index("ix_jobs_queued_user", jobs.c.team_id, jobs.c.user_id, **_status_condition("queued"))
sa.Index("ix_jobs_running_user", jobs.c.team_id, jobs.c.user_id, **_status_condition("running"))
# For a channel's recent alerts.
sa.Index("ix_jobs_alerts", jobs.c.team_id, jobs.c.channel_id, jobs.c.created_at, **_index_condition("alert_kind <> ''"))
# For counting a bot's recent questions.
sa.Index(
    "ix_jobs_from_bot",
    jobs.c.team_id,
    jobs.c.user_id,
    jobs.c.created_at,
    sqlite_where=sa.text("from_bot = 1"),
    postgresql_where=sa.text("from_bot"),
)
# Guarantees that no two workers answer in one thread.
sa.Index("ix_jobs_running_thread", *_thread, unique=True, **_status_condition("running"))
sa.Index("ix_jobs_answered_with", jobs.c.answered_with)
# For heartbeats, and for other workers' jobs.
sa.Index("ix_jobs_running_worker", jobs.c.worker, **_status_condition("running"))

# For questions that were never posted.
sa.Index("ix_jobs_unposted", jobs.c.created_at, **_status_condition("unposted"))
# For expired approvals.
sa.Index("ix_jobs_awaiting_approval", jobs.c.waits_until, **_status_condition("awaiting_approval"))
# For the previous run of a schedule, and for running ones.
sa.Index("ix_jobs_schedule", jobs.c.schedule_id, jobs.c.id, **_index_condition("schedule_id IS NOT NULL"))

# One for each attempt that used something or ended its job, and one for each of its steps that requested tools. Their
# cost is in the ledger.
turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    # The answer's version.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("answer", SafeText, nullable=False),
    sa.Column("model", sa.Text),
    # An EndReason.
    sa.Column("end_reason", sa.Text, nullable=False),
    # The charge for it, or NULL if nothing was charged. No foreign key, because the ledger outlives its jobs.
    sa.Column("charge_id", RowId),
    sa.Column("first_token_s", sa.Double),
    sa.Column("prompt_version", sa.Text),
    # The web pages that the answer cites, as (URL, title), or NULL.
    sa.Column("sources", sa.JSON(none_as_null=True)),
    # The origins of what the model had read (models/prompt.py).
    sa.Column("origins", sa.JSON, nullable=False),
    # The End's fields without columns, and which of its choices was pressed; NULL if none.
    sa.Column("end", sa.JSON(none_as_null=True)),
    # The part of the prompt about the question alone, as (text, origins), for later prompts; NULL if none.
    sa.Column("note", sa.JSON(none_as_null=True)),
    sa.Column("created_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_turns_job_id", turns.c.job_id)
# For `typist usage`.
sa.Index("ix_turns_created_at", turns.c.created_at)
TURN_HAS_CONTENT = "answer <> ''"
sa.Index("ix_turns_content", turns.c.created_at, **_index_condition(TURN_HAS_CONTENT))

# The text of unfinished answers, appended as it arrives and dropped when the job ends (bot/store/steps.py).
checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # In characters of the answer. The recorded text from here on is replaced.
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    # The End, with the last piece: then only the record of the end is missing.
    sa.Column("end", sa.JSON),
    # The web pages that the text cites so far, as in turns.
    sa.Column("sources", sa.JSON(none_as_null=True)),
)

sa.Index("ix_checkpoints_job_id", checkpoints.c.job_id)

# The steps of a live job's model that requested tools, with the items to send back (bot/store/calls.py).
steps = sa.Table(
    "steps",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    # The length of the recorded text when the step ended.
    sa.Column("chars", sa.Integer, nullable=False),
    sa.Column("items", SafeText, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    # As in turns.
    sa.Column("origins", sa.JSON, nullable=False),
    # The beginning of the model's prompt, before any step (core/beginnings.py); NULL means the same as in the previous
    # step.
    sa.Column("beginning", sa.Text),
    # The hash of everything before the step's output.
    sa.Column("bound_to", sa.Text, nullable=False),
    sa.UniqueConstraint("job_id", "version", "step_no"),
)

# The calls that those steps requested (core/calls.py). They stay as long as the answer does.
tool_calls = sa.Table(
    "tool_calls",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    sa.Column("index", sa.Integer, nullable=False),
    # Arbitrary text from a model, like the arguments.
    sa.Column("call_id", SafeText, nullable=False),
    sa.Column("tool", SafeText, nullable=False),
    # JSON; '' once it has expired, like the result.
    sa.Column("arguments", SafeText, nullable=False),
    sa.Column("definition_hash", sa.Text, nullable=False),
    # The hash of the three columns above, which an approval refers to.
    sa.Column("binding", sa.Text, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    # Why the call needs approval.
    sa.Column("because", sa.JSON, nullable=False),
    # A CallState.
    sa.Column("state", sa.Text, nullable=False),
    # A Decision.
    sa.Column("decision", sa.Text),
    sa.Column("decided_by", MemberId, nullable=False, server_default=""),
    sa.Column("result", SafeText, nullable=False, server_default=""),
    sa.Column("result_is_error", sa.Boolean, nullable=False, server_default=sa.false()),
    # The number of the memory or schedule that the call has created, or 0.
    sa.Column("made", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("own_account", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("begun_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.UniqueConstraint("job_id", "version", "step_no", "index"),
)

sa.Index("ix_tool_calls_created_at", tool_calls.c.created_at)
CALL_HAS_CONTENT = "arguments <> '' OR result <> ''"
sa.Index("ix_tool_calls_content", tool_calls.c.created_at, **_index_condition(CALL_HAS_CONTENT))

# Tools that an admin always allows in a channel, with their definitions at that time.
allowed_tools = sa.Table(
    "allowed_tools",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", OwnChannelId, primary_key=True),
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    sa.Column("allowed_by", MemberId, nullable=False),
    sa.Column("allowed_at", sa.Double, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    # Counts heartbeats. The other workers watch it change.
    sa.Column("beat", sa.BigInteger, nullable=False),
    # Whether the worker holds a lock that its death releases (bot/store/workers.py).
    sa.Column("has_lock", sa.Boolean, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

# The time when Slack was last heard, and the catch-up after a gap (bot/store/listening.py).
listening = sa.Table(
    "listening",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # The time of the newest message from Slack to any process.
    sa.Column("heard_at", sa.Double, nullable=False),
    # The gap in which questions might have been missed; NULL if nothing was.
    sa.Column("missed_from", sa.Double),
    sa.Column("missed_until", sa.Double),
    # The worker that has the catch-up, and until when it keeps it without a sign of life.
    sa.Column("held_by", sa.Text),
    sa.Column("held_until", sa.Double),
    # Places that were checked, all places to check, and a Tally.
    sa.Column("progress", sa.JSON, nullable=False, server_default="{}"),
    # The last catch-up: a Report.
    sa.Column("report", sa.JSON(none_as_null=True)),
)

# The last minute's calls to Slack by all processes (bot/store/rate_ledger.py).
slack_calls = sa.Table(
    "slack_calls",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    # Only the last minute's calls count.
    sa.Column("sent_at", ExpiryTime(3600.0), nullable=False),
)

sa.Index("ix_slack_calls_method", slack_calls.c.method, slack_calls.c.sent_at)

# Each method's budget, and budgets for posts in a channel, as learned from Slack's responses
# (bot/store/rate_ledger.py).
learned_budgets = sa.Table(
    "learned_budgets",
    metadata,
    sa.Column("budget", sa.Text, primary_key=True),
    # As in LearnedLimit (slack_pacing/rates.py).
    sa.Column("calls", sa.Double, nullable=False),
    sa.Column("learned_at", sa.Double, nullable=False),
    sa.Column("held_until", sa.Double, nullable=False),
)

# Threads in which more than one person writes. They don't identify anyone, so they stay when a person is erased.
group_threads = sa.Table(
    "group_threads",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    # The first message by a second person.
    sa.Column("since_ts", sa.Text, nullable=False),
)

# People's last messages in those threads that aren't questions (core/triage.py).
thread_lines = sa.Table(
    "thread_lines",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("ts", sa.Text, primary_key=True),
    # '' once the author is erased: somebody wrote here.
    sa.Column("user_id", MemberId, nullable=False),
)

# Threads in which a person asked the bot to answer only mentions, or to speak again.
quiet_threads = sa.Table(
    "quiet_threads",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("quiet", sa.Boolean, nullable=False),
    # The message or click that switched it.
    sa.Column("switched_ts", sa.Text, nullable=False),
)

THREAD_TABLES = (group_threads, thread_lines, quiet_threads)
"""Tables of facts about threads. A thread's rows are deleted together with its last job."""

# Pending calls to Slack about jobs, by any process (bot/store/outbox.py).
outbox_entries = sa.Table(
    "outbox_entries",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # The entry's subject if the job doesn't contain it, such as the person who requested a canvas.
    sa.Column("about", sa.Text, nullable=False, server_default=""),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    # How often it was added again. Completing an entry covers the record as of the number that was taken.
    sa.Column("changes", sa.Integer, nullable=False, server_default="0"),
    # Whether a process holds it, until it is due.
    sa.Column("is_held", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("job_id", "kind", "about"),
    sqlite_autoincrement=True,
)

sa.Index("ix_outbox_entries_due_at", outbox_entries.c.due_at)

# The canvases with versions of answers (bot/store/canvases.py).
canvases = sa.Table(
    "canvases",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("canvas_id", sa.Text, nullable=False),
)

# The bot's messages next to replies (bot/store/side_messages.py), each recorded before it is posted.
messages_beside = sa.Table(
    "messages_beside",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    # A MessageRole (bot/core/job.py).
    sa.Column("role", sa.Text, primary_key=True),
    # The version of the answer that it is about.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # Empty until Slack has responded.
    sa.Column("ts", sa.Text, nullable=False),
)

# The usage ledger (bot/store/usage.py): charges, and a row for each running attempt.
charges = sa.Table(
    "charges",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # '' once the person is erased.
    sa.Column("user_id", sa.Text, nullable=False),
    # No foreign key, because sums stay when the job is deleted.
    sa.Column("job_id", RowId, nullable=False),
    # When it was charged, in UTC days since 1970; NULL while the attempt is running: then the row is open.
    sa.Column("day", sa.Integer),
    sa.Column("model", sa.Text),
    # In an open row: estimates of the current step's usage so far.
    sa.Column("input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("output_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cached_input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("web_searches", sa.Integer, nullable=False, server_default="0"),
    # At the prices of that day; NULL if the model has none.
    sa.Column("cost_usd", sa.Double),
    # The attempt that opened the row, its current step, and its maximum usage.
    sa.Column("worker", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("step_no", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"),
    # A turn refers to its charge for as long as both exist.
    sqlite_autoincrement=True,
)

# Caps and App Home add up rows by these alone, so no row is read for a sum.
_is_closed = _index_condition("day IS NOT NULL")
_charged = (charges.c.day, charges.c.input_tokens, charges.c.output_tokens, charges.c.cost_usd)
sa.Index("ix_charges_workspace", charges.c.team_id, *_charged, **_is_closed)
sa.Index("ix_charges_user", charges.c.team_id, charges.c.user_id, *_charged, **_is_closed)
sa.Index("ix_charges_channel", charges.c.team_id, charges.c.channel_id, *_charged, **_is_closed)
# For retention.
sa.Index("ix_charges_day", charges.c.day, **_is_closed)
# A job has one running attempt.
sa.Index("ix_charges_open", charges.c.job_id, unique=True, **_index_condition("day IS NULL"))

# Caps that Typist admins have set for the workspace, a channel or a person, replacing BOT_CAPS.
caps = sa.Table(
    "caps",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # A Scope, and the ID of the person, channel or workspace.
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("scope_id", sa.Text, primary_key=True),
    # A Period.
    sa.Column("period", sa.Text, primary_key=True),
    # In dollars, otherwise in tokens.
    sa.Column("in_dollars", sa.Boolean, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),
)

# The user types that Slack reported in the last hour (account_kinds.py).
account_kinds = sa.Table(
    "account_kinds",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", OwnerId, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("looked_up_at", ExpiryTime(KINDS_KEPT_S), nullable=False),
)

sa.Index("ix_account_kinds_looked_up_at", account_kinds.c.looked_up_at)

# Notifications that people and channels get once (bot/store/notifications.py).
notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # The ID of a person or channel; '' for everybody, and if the kind determines the recipients.
    sa.Column("recipient", OwnerId, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    # When it was claimed or added, later when it was sent.
    sa.Column("at", ExpiryTime(NOTIFICATIONS_KEPT_S), nullable=False),
    sa.Column("is_told", sa.Boolean, nullable=False, server_default=sa.true()),
    # Until it is sent: when, how often it was tried, and its content. NULL afterwards.
    sa.Column("due_at", sa.Double),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
    sa.Column("content", sa.JSON(none_as_null=True)),
)

sa.Index("ix_notifications_due_at", notifications.c.due_at, **_index_condition("due_at IS NOT NULL"))

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("user_id", OwnerId, primary_key=True),
    # 1 or -1.
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("prompt_version", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    # Why the answer didn't help, if the person gave a reason.
    sa.Column("reason", sa.Text),
)

channel_settings = sa.Table(
    "channel_settings",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", OwnChannelId, primary_key=True),
    sa.Column("model", sa.Text),
    sa.Column("system_prompt", SafeText, nullable=False),
    # An Engagement; NULL means the default.
    sa.Column("engagement", sa.Text),
    sa.Column("new_posts", sa.Boolean, nullable=False, server_default=sa.false()),
    # The rule in words for posting without a mention, or ''.
    sa.Column("only_if", SafeText, nullable=False, server_default=""),
    # The IDs of apps whose posts are alerts, separated by spaces.
    sa.Column("alert_apps", sa.Text, nullable=False, server_default=""),
    sa.Column("gate", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("web_search", sa.Boolean),
    sa.Column("read_channel", sa.Boolean),
    # The names of servers in BOT_MCP_CONFIG.
    sa.Column("mcp_servers", sa.JSON, nullable=False, server_default="[]"),
    # An Effort and a Length.
    sa.Column("effort", sa.Text, nullable=False, server_default="normal"),
    sa.Column("length", sa.Text, nullable=False, server_default="normal"),
    # The name of the emoji for asking about a message.
    sa.Column("reaction", sa.Text, nullable=False, server_default=""),
)

# People's schedules (core/schedules.py).
schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # Its creator.
    sa.Column("user_id", OwnerId(("schedule", "schedules")), nullable=False),
    # The task for each run.
    sa.Column("text", SafeText, nullable=False),
    # The admin who last changed it; '' if nobody has, or the creator has since.
    sa.Column("changed_by", MemberId, nullable=False, server_default=""),
    # A Rule: five fields of cron, or '' and one time.
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("once_at", sa.Double),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("only_if_changed", sa.Boolean, nullable=False),
    # The rule in words for posting, or ''.
    sa.Column("only_if", SafeText, nullable=False, server_default=""),
    # The servers where its runs use its creator's own account.
    sa.Column("accounts", sa.JSON, nullable=False, server_default="[]"),
    # Separate caps, in tokens per run and per UTC day.
    sa.Column("run_tokens", sa.Integer, nullable=False),
    sa.Column("day_tokens", sa.Integer, nullable=False),
    # The first due time that hasn't been handled. NULL if it is paused, or its one-time run is over.
    sa.Column("next_at", sa.Double),
    # The due time of its last run.
    sa.Column("last_at", sa.Double),
    # The number of consecutive failed runs.
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    # A PauseReason, or '' if it isn't paused.
    sa.Column("paused", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Double, nullable=False),
    # When it was stopped, which can be undone for a few days; NULL if it wasn't.
    sa.Column("stopped_at", ExpiryTime(UNDO_S)),
    # The IDs of runs contain their schedule's.
    sqlite_autoincrement=True,
)

sa.Index("ix_schedules_next_at", schedules.c.next_at, **_index_condition("next_at IS NOT NULL"))
sa.Index("ix_schedules_channel", schedules.c.team_id, schedules.c.channel_id)

# The definitions of tools that an admin agreed to, as sent by their MCP servers (bot/store/calls.py).
tool_pins = sa.Table(
    "tool_pins",
    metadata,
    # server__tool
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    # JSON, so that an admin can compare it with a later one.
    sa.Column("definition", SafeText, nullable=False),
    # Whether an admin has read it; otherwise, it is the first definition that was seen.
    sa.Column("by_admin", sa.Boolean, nullable=False, server_default=sa.false()),
)

# What a person has open next to the assistant pane: only the newest, without history.
pane_contexts = sa.Table(
    "pane_contexts",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", OwnerId, primary_key=True),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("message_ts", sa.Text, nullable=False),
    sa.Column("canvas_id", sa.Text, nullable=False),
    sa.Column("opened_at", ExpiryTime(PANE_CONTEXT_KEPT_S), nullable=False),
)

# The audit (bot/store/audit.py). Entries outlive their jobs, so they have no foreign keys.
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    # A Kind.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("job_id", RowId),
    # Canonical JSON without names or repeated text.
    sa.Column("facts", sa.Text, nullable=False),
    # The subject (core/audit.py): '' once it is erased.
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("arguments_hash", sa.Text, nullable=False),
    # The person who acted, likewise.
    sa.Column("by_id", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_audit_entries_at", audit_entries.c.at)
# For erasure.
sa.Index("ix_audit_entries_thread", audit_entries.c.channel_id, audit_entries.c.thread_ts)
sa.Index("ix_audit_entries_user_id", audit_entries.c.user_id)
AUDIT_HAS_BY = "by_id <> ''"
sa.Index("ix_audit_entries_by_id", audit_entries.c.by_id, **_index_condition(AUDIT_HAS_BY))

# What people asked to remember (bot/store/memories.py). Memories outlive the jobs of their messages.
memories = sa.Table(
    "memories",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # Within its channel.
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    # Who said it, in which message, and who has changed its text since ('' if nobody).
    sa.Column("user_id", OwnerId(("memory", "memories")), nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("changed_by", OwnerId, nullable=False, server_default=""),
    # Whether a model wrote its text, and the person agreed.
    sa.Column("is_proposed", sa.Boolean, nullable=False),
    # Whether its channel was private when it was said, or last kept.
    sa.Column("is_private", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("renewed_at", ExpiryTime(HALF_A_YEAR_S), nullable=False),
    # When it was removed. Its number isn't used again, and while its text is left, it can be restored. NULL if it
    # wasn't.
    sa.Column("forgotten_at", sa.Double),
    sa.UniqueConstraint("team_id", "channel_id", "number"),
    # A modal refers to memories by ID.
    sqlite_autoincrement=True,
)

# One message has one memory: a repeated attempt, or a new version of an edited message, doesn't add a second one.
sa.Index(
    "ix_memories_said_in",
    memories.c.team_id,
    memories.c.channel_id,
    memories.c.ts,
    unique=True,
    **_index_condition("NOT is_proposed"),
)
sa.Index("ix_memories_renewed_at", memories.c.renewed_at)
sa.Index("ix_memories_forgotten_at", memories.c.forgotten_at, **_index_condition("forgotten_at IS NOT NULL"))

# Questions kept as tests (bot/store/kept_tests.py). Retention keeps their text; all else goes with the job.
kept_tests = sa.Table(
    "kept_tests",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # [[kind, value]] for each check (core/kept_tests.py). A value can contain words of the answer.
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("renewed_at", ExpiryTime(HALF_A_YEAR_S), nullable=False),
)

# People's accounts at MCP servers (bot/store/accounts.py). A secret is ciphertext.
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", OwnerId(ACCOUNT), primary_key=True),
    # Its name in BOT_MCP_CONFIG.
    sa.Column("server", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    # Even after leaving the company.
    sa.Column("since", ExpiryTime(HALF_A_YEAR_S), nullable=False),
    # Until then, only one process can refresh the tokens.
    sa.Column("refreshing_until", sa.Double, nullable=False),
)

# Pending sign-ins.
sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("state_hash", sa.Text, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("user_id", OwnerId, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    # The job and the call that are waiting for it, or the schedule.
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("expires_at", ExpiryTime, nullable=False),
)

# Typist's client registrations at authorization servers.
oauth_clients = sa.Table(
    "oauth_clients",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("redirect_uri", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
)
