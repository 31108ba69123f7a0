"""The tables: events seen, jobs and their turns, workers, and the tables of single features.

A new database gets them as they are here, and one of an earlier release by migrations (bot/store/migrations/versions).
"""

from typing import Any

import sqlalchemy as sa

REVISION = "0.1.0"
"""The release that changed the schema last. A database that has this revision needs no migration."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite generates ids only for a column of type INTEGER."""


class SafeText(sa.types.TypeDecorator[str]):
    """Text by people and models: characters that databases reject (NUL, half a surrogate pair) become U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        if value is None:
            return None
        whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


seen_events = sa.Table(
    "seen_events",
    metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)

sa.Index("ix_seen_events_seen_at", seen_events.c.seen_at)

# The columns stand in five groups. core/job.py explains status, attempts, end_reason, version and the requests.
jobs = sa.Table(
    "jobs",
    metadata,
    # 1. The question: where it was asked, who asked it, and its words.
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # '' for a conversation without a thread: NULLs never compare equal, so uniqueness would not hold.
    sa.Column("thread_ts", sa.Text, nullable=False),
    # NULL, in no channel, until the bot has posted the question in its asker's name.
    sa.Column("ts", sa.Text),
    # Which modal, emoji, choice or suggested prompt asked the question (core/unposted.py): each asks once.
    sa.Column("asked_as", sa.Text),
    # Until it is posted: the message that it is about, and what is known of earlier tries.
    sa.Column("unposted", sa.JSON(none_as_null=True)),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    sa.Column("files", sa.JSON, nullable=False, server_default="[]"),
    # What is said in recordings that came with the question or since the answer before it: {file id: [user id, text]}.
    sa.Column("transcripts", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()),
    # How many of the text's last characters the asker didn't write.
    sa.Column("attached_chars", sa.Integer, nullable=False, server_default="0"),
    # The schedule whose run this is. No foreign key: a run outlives its schedule.
    sa.Column("schedule_id", RowId),
    # Whether it needs no model, so that no other question shares its answer.
    sa.Column("is_command", sa.Boolean, nullable=False, server_default=sa.false()),
    # Whether the asker wrote the address of a sign-in, for which a placeholder stands in the text.
    sa.Column("had_sign_in", sa.Boolean, nullable=False, server_default=sa.false()),
    # Whether its message was deleted: text that has only expired is empty, too.
    sa.Column("question_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    # The newest edit of the question: one that Slack delivers late must not undo it.
    sa.Column("edited_ts", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    # 2. The work on it: whose it is, and how often it was tried.
    # A Status, and once the job has ended an EndReason.
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text),
    # Who claimed the job last; with attempts it fences later writes.
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double),
    # 3. What people have asked for since: a stop, another version, a decision.
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    # The newest version that answers words from before the question's last edit; NULL: there is none.
    sa.Column("edited_version", sa.Integer),
    # Since when the asker waits for this version; NULL: since created_at.
    sa.Column("asked_at", sa.Double),
    # The Wish for this version (bot/store/rows.py); NULL: there is none.
    sa.Column("wish", sa.JSON(none_as_null=True)),
    # The first version is an offer to answer, because the question was found late (bot/services/catching_up.py).
    sa.Column("offered", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    # The row is removed when the job ends.
    sa.Column("erase_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    # Until when a person may approve the calls that a job that awaits approval asks about.
    sa.Column("waits_until", sa.Double),
    # 4. The other questions that its answer is for.
    # The later question of the thread whose answer is this one's, too.
    sa.Column("answered_with", RowId),
    # The step of that job's model which read this question first; NULL if the job answered it from the start.
    sa.Column("joined_step", sa.Integer),
    # 5. What Slack shows of it.
    # The messages of the reply, each with its role, first the pages; those without a ts were sent and not answered.
    sa.Column("messages", sa.JSON, nullable=False, server_default="[]"),
    # Since when a queued job's placeholder is being posted; NULL before that, and once it is recorded.
    sa.Column("placeholder_due_since", sa.Double),
    # The turn that readers chose to see; NULL: the newest.
    sa.Column("shown_turn", RowId),
    # The answer's texts are gone, its usage stays.
    sa.Column("answer_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    # From when on the asker is to be mentioned, because a call waits or the answer is ready; NULL: not, or no more.
    sa.Column("mention_at", sa.Double),
    sa.UniqueConstraint("team_id", "channel_id", "ts"),
    sa.UniqueConstraint("team_id", "asked_as"),
    # Ids are never reused, not even after a job's removal: late writes must find nothing.
    sqlite_autoincrement=True,
)

_thread = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _only(status: str) -> dict[str, Any]:
    return _where(f"status = '{status}'")


sa.Index("ix_jobs_thread", *_thread, jobs.c.ts)
# For retention, whose cost must not grow with the rows that it has been through.
sa.Index("ix_jobs_created_at", jobs.c.created_at)
JOB_HAS_CONTENT = "text <> '' OR CAST(files AS TEXT) <> '[]'"
sa.Index("ix_jobs_content", jobs.c.created_at, **_where(JOB_HAS_CONTENT))
# For claims, whose cost must not grow with the jobs that have ended: the oldest job, and one before it in its thread.
# With 100,000 ended jobs, an empty claim takes 1.5 ms by it, and 8 to 12 ms without it.
sa.Index("ix_jobs_queued", jobs.c.id, **_only("queued"))
sa.Index("ix_jobs_queued_thread", *_thread, jobs.c.ts, **_only("queued"))
# For a person's live jobs, which are counted at each enqueue and claim.
sa.Index("ix_jobs_queued_user", jobs.c.team_id, jobs.c.user_id, **_only("queued"))
sa.Index("ix_jobs_running_user", jobs.c.team_id, jobs.c.user_id, **_only("running"))
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
sa.Index("ix_jobs_running_thread", *_thread, unique=True, **_only("running"))
sa.Index("ix_jobs_answered_with", jobs.c.answered_with)
# For heartbeats, and for the other workers' jobs.
sa.Index("ix_jobs_running_worker", jobs.c.worker, **_only("running"))

# For questions that were never posted.
sa.Index("ix_jobs_unposted", jobs.c.created_at, **_only("unposted"))
# For approvals whose time is over.
sa.Index("ix_jobs_awaiting_approval", jobs.c.waits_until, **_only("awaiting_approval"))
# For the run before a schedule's run, and for runs that are under way.
sa.Index("ix_jobs_schedule", jobs.c.schedule_id, jobs.c.id, **_where("schedule_id IS NOT NULL"))

# One for each attempt that used something or ended its job, and one for each of its steps that asked for tools. What
# they cost is in the ledger.
turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    # Of the answer.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("answer", SafeText, nullable=False),
    sa.Column("model", sa.Text),
    # An EndReason.
    sa.Column("end_reason", sa.Text, nullable=False),
    # What was charged for it; NULL: nothing. No foreign key: the ledger outlives its jobs.
    sa.Column("charge_id", RowId),
    sa.Column("first_token_s", sa.Double),
    sa.Column("prompt_version", sa.Text),
    # The web pages that the answer cites, as (URL, title); NULL: none.
    sa.Column("sources", sa.JSON(none_as_null=True)),
    # What the model had read (models/prompt.py).
    sa.Column("origins", sa.JSON, nullable=False),
    # What of the End has no column, and which of its choices somebody has pressed; NULL: nothing.
    sa.Column("end", sa.JSON(none_as_null=True)),
    # What the prompt said about the question alone, as (text, origins), for later prompts; NULL: nothing.
    sa.Column("note", sa.JSON(none_as_null=True)),
    sa.Column("created_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_turns_job_id", turns.c.job_id)
# For `typist usage`.
sa.Index("ix_turns_created_at", turns.c.created_at)
TURN_HAS_CONTENT = "answer <> ''"
sa.Index("ix_turns_content", turns.c.created_at, **_where(TURN_HAS_CONTENT))

# The text of growing answers, appended as it comes and dropped when the job ends (bot/store/steps.py).
checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # In characters of the answer: the recorded text from here on is replaced.
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    # The End, with the last piece: only the record of the end is missing then.
    sa.Column("end", sa.JSON),
    # The web pages that the text cites up to here, as in turns.
    sa.Column("sources", sa.JSON(none_as_null=True)),
)

sa.Index("ix_checkpoints_job_id", checkpoints.c.job_id)

# The steps of a live job's model that asked for tools, with what must be sent back (bot/store/calls.py).
steps = sa.Table(
    "steps",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    sa.Column("items", SafeText, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    # As in turns.
    sa.Column("origins", sa.JSON, nullable=False),
    # What the model's prompt began with, before any step (core/beginnings.py); NULL: what the step before had.
    sa.Column("beginning", sa.Text),
    # The hash of all that stood before what the step wrote.
    sa.Column("bound_to", sa.Text, nullable=False),
    sa.UniqueConstraint("job_id", "version", "step_no"),
)

# The calls that those steps asked for (core/calls.py). They stay as long as the answer does.
tool_calls = sa.Table(
    "tool_calls",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    sa.Column("index", sa.Integer, nullable=False),
    # Any text that a model wrote, as the arguments.
    sa.Column("call_id", SafeText, nullable=False),
    sa.Column("tool", SafeText, nullable=False),
    # JSON; '' once it has expired, as the result.
    sa.Column("arguments", SafeText, nullable=False),
    sa.Column("definition_hash", sa.Text, nullable=False),
    # The hash of the three columns above, which an approval names.
    sa.Column("binding", sa.Text, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    # A CallState.
    sa.Column("state", sa.Text, nullable=False),
    # A Decision.
    sa.Column("decision", sa.Text),
    sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
    sa.Column("result", SafeText, nullable=False, server_default=""),
    sa.Column("result_is_error", sa.Boolean, nullable=False, server_default=sa.false()),
    # The number of the memory or the schedule that the call has made; 0: none.
    sa.Column("made", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("own_account", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("begun_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.UniqueConstraint("job_id", "version", "step_no", "index"),
)

sa.Index("ix_tool_calls_created_at", tool_calls.c.created_at)
CALL_HAS_CONTENT = "arguments <> '' OR result <> ''"
sa.Index("ix_tool_calls_content", tool_calls.c.created_at, **_where(CALL_HAS_CONTENT))

# Tools that an admin always allows in a channel, as they were defined then.
allowed_tools = sa.Table(
    "allowed_tools",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    sa.Column("allowed_by", sa.Text, nullable=False),
    sa.Column("allowed_at", sa.Double, nullable=False),
)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    # Counts heartbeats: the other workers watch it change.
    sa.Column("beat", sa.BigInteger, nullable=False),
    # Whether the worker holds a lock that its death releases (bot/store/workers.py).
    sa.Column("has_lock", sa.Boolean, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

# When Slack was last heard, and the catch-up after a time without it (bot/store/listening.py).
listening = sa.Table(
    "listening",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # The newest message from Slack to any process.
    sa.Column("heard_at", sa.Double, nullable=False),
    # From when to when questions may have been missed; NULL: nothing is to be caught up.
    sa.Column("missed_from", sa.Double),
    sa.Column("missed_until", sa.Double),
    # The worker that catches up, and until when it does if it is not heard from.
    sa.Column("held_by", sa.Text),
    sa.Column("held_until", sa.Double),
    # Places that were looked at, all places to look at, and a Tally.
    sa.Column("progress", sa.JSON, nullable=False, server_default="{}"),
    # The last catch-up: a Report.
    sa.Column("report", sa.JSON(none_as_null=True)),
)

# Calls to Slack of the last minute, of all processes (bot/store/rate_ledger.py).
slack_calls = sa.Table(
    "slack_calls",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False),
)

sa.Index("ix_slack_calls_method", slack_calls.c.method, slack_calls.c.sent_at)

# What Slack's answers have taught about each method's budget, and about posts in a channel (bot/store/rate_ledger.py).
learned_budgets = sa.Table(
    "learned_budgets",
    metadata,
    sa.Column("budget", sa.Text, primary_key=True),
    # As in Learned (pacing/rates.py).
    sa.Column("calls", sa.Double, nullable=False),
    sa.Column("learned_at", sa.Double, nullable=False),
    sa.Column("held_until", sa.Double, nullable=False),
)

# Threads in which more than one person writes. They name nobody, so erasing a person leaves them.
group_threads = sa.Table(
    "group_threads",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    # The first message by a second person.
    sa.Column("since_ts", sa.Text, nullable=False),
)

# The last messages of people in those threads that are not questions (core/triage.py).
thread_lines = sa.Table(
    "thread_lines",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("ts", sa.Text, primary_key=True),
    # '' once the writer is erased: somebody wrote here.
    sa.Column("user_id", sa.Text, nullable=False),
)

# Threads in which a person asked us to answer only mentions, or to speak again.
quiet_threads = sa.Table(
    "quiet_threads",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("quiet", sa.Boolean, nullable=False),
    # The message or the press that said so.
    sa.Column("switched_ts", sa.Text, nullable=False),
)

OF_THREADS = (group_threads, thread_lines, quiet_threads)
"""The tables of facts about threads. Their rows go with the last job of their thread."""

# What Slack is still to be told of jobs, by any process (bot/store/outbox.py).
outbox_entries = sa.Table(
    "outbox_entries",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # What the entry is about, where the job doesn't say it: such as the CapNotice that admins are told.
    sa.Column("about", sa.Text, nullable=False, server_default=""),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    # How often it was added again. Whoever completes it has done what the record said at the number that it took.
    sa.Column("changes", sa.Integer, nullable=False, server_default="0"),
    # Whether a process has it, until it is due.
    sa.Column("is_held", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("job_id", "kind", "about"),
    sqlite_autoincrement=True,
)

sa.Index("ix_outbox_entries_due_at", outbox_entries.c.due_at)

# The canvases that versions of answers were written into (bot/store/answers.py).
canvases = sa.Table(
    "canvases",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("canvas_id", sa.Text, nullable=False),
)

# The bot's messages beside replies (bot/store/beside.py), each on record before it is posted.
messages_beside = sa.Table(
    "messages_beside",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    # A MessageRole (bot/core/job.py).
    sa.Column("role", sa.Text, primary_key=True),
    # The version of the answer that it is about.
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    # Empty until Slack has answered.
    sa.Column("ts", sa.Text, nullable=False),
)

# The usage ledger (bot/store/usage.py): what was charged, and a row for each attempt under way.
charges = sa.Table(
    "charges",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # '' once the person is erased.
    sa.Column("user_id", sa.Text, nullable=False),
    # No foreign key: sums stay when the job goes.
    sa.Column("job_id", RowId, nullable=False),
    # When it was charged, in days of UTC since 1970; NULL while the attempt is under way: then the row is open.
    sa.Column("day", sa.Integer),
    sa.Column("model", sa.Text),
    # Of an open row: estimates of what the step under way has used so far.
    sa.Column("input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("output_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cached_input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("web_searches", sa.Integer, nullable=False, server_default="0"),
    # At the prices of that day; NULL where the model has none.
    sa.Column("cost_usd", sa.Double),
    # The attempt that opened the row, its step under way, and the most that it may use.
    sa.Column("worker", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("step_no", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"),
    # A turn names its charge for as long as both exist.
    sqlite_autoincrement=True,
)

# Caps and App Home add up rows by these alone, so no row is read for a sum.
_is_closed = _where("day IS NOT NULL")
_charged = (charges.c.day, charges.c.input_tokens, charges.c.output_tokens, charges.c.cost_usd)
sa.Index("ix_charges_workspace", charges.c.team_id, *_charged, **_is_closed)
sa.Index("ix_charges_user", charges.c.team_id, charges.c.user_id, *_charged, **_is_closed)
sa.Index("ix_charges_channel", charges.c.team_id, charges.c.channel_id, *_charged, **_is_closed)
# For retention.
sa.Index("ix_charges_day", charges.c.day, **_is_closed)
# A job has one attempt under way.
sa.Index("ix_charges_open", charges.c.job_id, unique=True, **_where("day IS NULL"))

# Caps that Typist admins have set for the workspace, a channel or a person, in place of those in BOT_CAPS.
caps = sa.Table(
    "caps",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # A Scope, and the ID of the person, channel or workspace.
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("scope_id", sa.Text, primary_key=True),
    # A Period.
    sa.Column("period", sa.Text, primary_key=True),
    # In dollars, or else in tokens.
    sa.Column("in_dollars", sa.Boolean, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),
)

# The kinds of accounts that Slack reported in the last hour (account_kinds.py).
account_kinds = sa.Table(
    "account_kinds",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("looked_up_at", sa.Double, nullable=False),
)

sa.Index("ix_account_kinds_looked_up_at", account_kinds.c.looked_up_at)

# What people and channels were told or are told once, so that nobody is told twice (bot/store/notifications.py).
notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # The ID of a person or a channel; '' for everybody, and where the kind finds the recipients.
    sa.Column("recipient", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    # When it was claimed or added, and then when it was sent.
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("is_told", sa.Boolean, nullable=False, server_default=sa.true()),
    # Until it is sent: when, how often that was tried, and what. NULL after that.
    sa.Column("due_at", sa.Double),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
    sa.Column("content", sa.JSON(none_as_null=True)),
)

sa.Index("ix_notifications_due_at", notifications.c.due_at, **_where("due_at IS NOT NULL"))

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, primary_key=True),
    # 1 or -1.
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("prompt_version", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
    # Why the answer didn't help, if the person said so.
    sa.Column("reason", sa.Text),
)

channel_settings = sa.Table(
    "channel_settings",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text),
    sa.Column("system_prompt", SafeText, nullable=False),
    # An Engagement; NULL: the default.
    sa.Column("engagement", sa.Text),
    sa.Column("new_posts", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("gate", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("web_search", sa.Boolean),
    sa.Column("read_channel", sa.Boolean),
    # The names of servers in BOT_MCP_CONFIG.
    sa.Column("mcp_servers", sa.JSON, nullable=False, server_default="[]"),
    # An Effort and a Length.
    sa.Column("effort", sa.Text, nullable=False, server_default="normal"),
    sa.Column("length", sa.Text, nullable=False, server_default="normal"),
    # The name of the emoji that asks about a message.
    sa.Column("reaction", sa.Text, nullable=False, server_default=""),
)

# What people have scheduled (core/schedules.py).
schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # Its creator.
    sa.Column("user_id", sa.Text, nullable=False),
    # What to do in each run.
    sa.Column("text", SafeText, nullable=False),
    # The admin who has changed it last; '' if nobody has, or its creator since.
    sa.Column("changed_by", sa.Text, nullable=False, server_default=""),
    # A Rule: five fields of cron, or '' and one time.
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("once_at", sa.Double),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("only_if_changed", sa.Boolean, nullable=False),
    # The servers at which its runs use its creator's own account.
    sa.Column("accounts", sa.JSON, nullable=False, server_default="[]"),
    # Caps of its own, in tokens of a run and of a UTC day.
    sa.Column("run_tokens", sa.Integer, nullable=False),
    sa.Column("day_tokens", sa.Integer, nullable=False),
    # The first due time that wasn't looked at yet. NULL: it is paused, or has run at its single time.
    sa.Column("next_at", sa.Double),
    # The due time of its last run.
    sa.Column("last_at", sa.Double),
    # How many runs in a row have failed.
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    # A PauseReason, '' if it isn't paused.
    sa.Column("paused", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.Double, nullable=False),
    # When it was stopped, which can be undone for some days. NULL: it stands.
    sa.Column("stopped_at", sa.Double),
    # The ids of runs name their schedule.
    sqlite_autoincrement=True,
)

sa.Index("ix_schedules_next_at", schedules.c.next_at, **_where("next_at IS NOT NULL"))
sa.Index("ix_schedules_channel", schedules.c.team_id, schedules.c.channel_id)

# The definitions of tools that an admin agreed to, as their MCP servers gave them (bot/store/calls.py).
tool_pins = sa.Table(
    "tool_pins",
    metadata,
    # server__tool
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    # JSON, so that an admin can compare it with a later one.
    sa.Column("definition", SafeText, nullable=False),
    # Whether an admin has read it; else it is the first definition that was seen.
    sa.Column("by_admin", sa.Boolean, nullable=False, server_default=sa.false()),
)

# The channel that a person has open beside the assistant pane: the newest, without history.
pane_contexts = sa.Table(
    "pane_contexts",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
)

# What happened, for auditors (bot/store/audit.py). Entries outlive their jobs, so nothing refers to those.
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    # A Kind.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("job_id", RowId),
    # Canonical JSON that names nobody and repeats no text.
    sa.Column("facts", sa.Text, nullable=False),
    # The subject (core/audit.py): '' once it is erased.
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("arguments_hash", sa.Text, nullable=False),
    # The person who acted, in the same way.
    sa.Column("by_id", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_audit_entries_at", audit_entries.c.at)
# For erasure.
sa.Index("ix_audit_entries_thread", audit_entries.c.channel_id, audit_entries.c.thread_ts)
sa.Index("ix_audit_entries_user_id", audit_entries.c.user_id)
AUDIT_HAS_BY = "by_id <> ''"
sa.Index("ix_audit_entries_by_id", audit_entries.c.by_id, **_where(AUDIT_HAS_BY))

# What people asked to remember (bot/store/memories.py). Memories outlive the jobs of the messages that said them.
memories = sa.Table(
    "memories",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # Within its channel.
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("text", SafeText, nullable=False),
    # Who said it, in which message; and who changed its words since, '' if nobody did.
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False, server_default=""),
    # Whether a model wrote its words, and the person agreed.
    sa.Column("is_proposed", sa.Boolean, nullable=False),
    # Whether its channel was private when it was said, or last kept.
    sa.Column("is_private", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("renewed_at", sa.Double, nullable=False),
    # When it was removed: its number isn't used again. While its text is left, that can be undone. NULL: it stands.
    sa.Column("forgotten_at", sa.Double),
    sa.UniqueConstraint("team_id", "channel_id", "number"),
    # A modal names memories by id.
    sqlite_autoincrement=True,
)

# One message says one thing: an attempt that is repeated, or a new version of an edited message, adds no second one.
sa.Index(
    "ix_memories_said_in",
    memories.c.team_id,
    memories.c.channel_id,
    memories.c.ts,
    unique=True,
    **_where("NOT is_proposed"),
)
sa.Index("ix_memories_renewed_at", memories.c.renewed_at)
sa.Index("ix_memories_forgotten_at", memories.c.forgotten_at, **_where("forgotten_at IS NOT NULL"))

# People's accounts at MCP servers (bot/store/accounts.py). A secret is ciphertext.
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    # Its name in BOT_MCP_CONFIG.
    sa.Column("server", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    # Until then, one process alone may refresh the tokens.
    sa.Column("refreshing_until", sa.Double, nullable=False),
)

# Sign-ins under way.
sign_ins = sa.Table(
    "sign_ins",
    metadata,
    sa.Column("state_hash", sa.Text, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    # The job and the call that wait for it, or the schedule.
    sa.Column("call", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)

# Typist's registrations at authorization servers.
oauth_clients = sa.Table(
    "oauth_clients",
    metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("redirect_uri", sa.Text, primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),
)
