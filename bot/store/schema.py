"""The tables: what was seen, is to be answered, was said, and who is at work. Migrations build them."""

from typing import Any

import sqlalchemy as sa

REVISION = "0010"
"""Of the last migration: a database that has it needs none."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite counts up by itself only in a column that is called INTEGER."""


class Words(sa.types.TypeDecorator[str]):
    """Text by people and models: what no database takes (NUL, half a surrogate pair) becomes U+FFFD."""

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

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    # '' for a conversation without a thread: NULLs would never be equal, and uniqueness would not hold.
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("text", Words, nullable=False),
    sa.Column("files", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    # Written by schema 0001's processes, which may run beside ours: we beat in `workers`.
    sa.Column("heartbeat_at", sa.Double),
    sa.Column("page_ts", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    # Since when its asker is to be shown that it waits; NULL where that is done, or it does not wait.
    sa.Column("announced_at", sa.Double),
    sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("stop_asked", sa.Boolean, nullable=False, server_default=sa.false()),
    # Removed when it ends.
    sa.Column("forget_asked", sa.Boolean, nullable=False, server_default=sa.false()),
    # The later question of its thread whose answer is its answer, too.
    sa.Column("answered_with", RowId),
    # How often it was to be answered again in place: edited meanwhile, or asked for.
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    # Since when its asker waits; NULL: since it came.
    sa.Column("asked_at", sa.Double),
    # Of its newest edit: what Slack delivers late must not undo it.
    sa.Column("edited_ts", sa.Text),
    # The message that told its asker that the answer is whole.
    sa.Column("ping_ts", sa.Text),
    # Its newest version goes on with the answer before it, which had reached its length limit.
    sa.Column("goes_on", sa.Boolean, nullable=False, server_default=sa.false()),
    # Its answer was taken away; what it used is kept.
    sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()),
    # What may still be used by the answer under way; counts while the job is being done, and no longer.
    sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"),
    sa.UniqueConstraint("team_id", "channel_id", "ts"),
    # An id is never given twice, not even after its job was removed: late writes must find nothing.
    sqlite_autoincrement=True,
)

_thread = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)


def _only(status: str) -> dict[str, Any]:
    where = sa.text(f"status = '{status}'")
    return {"sqlite_where": where, "postgresql_where": where}


sa.Index("ix_jobs_thread", *_thread, jobs.c.ts)
# Both for claims, whose cost must not grow with the jobs that are done: who is next, and is one before it.
sa.Index("ix_jobs_todo", jobs.c.id, **_only("todo"))
sa.Index("ix_jobs_todo_thread", *_thread, jobs.c.ts, **_only("todo"))
# For how many a person has, which is asked at each enqueue and claim.
sa.Index("ix_jobs_todo_user", jobs.c.team_id, jobs.c.user_id, **_only("todo"))
sa.Index("ix_jobs_doing_user", jobs.c.team_id, jobs.c.user_id, **_only("doing"))
# For how much a bot asked of late.
sa.Index(
    "ix_jobs_from_bot",
    jobs.c.team_id,
    jobs.c.user_id,
    jobs.c.created_at,
    sqlite_where=sa.text("from_bot = 1"),
    postgresql_where=sa.text("from_bot"),
)
# Holds that no two workers ever answer in one thread.
sa.Index("ix_jobs_doing", *_thread, unique=True, **_only("doing"))
sa.Index("ix_jobs_answered_with", jobs.c.answered_with)
# For heartbeats, and to see who else is at work.
sa.Index("ix_jobs_worker", jobs.c.worker, **_only("doing"))

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("answer", Words, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("finish_reason", sa.Text),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("cached_input_tokens", sa.Integer),
    # By the prices of its day; NULL where the model has none.
    sa.Column("cost_usd", sa.Double),
    sa.Column("first_token_s", sa.Double),
    sa.Column("prompt_version", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_turns_job_id", turns.c.job_id)

# The text of answers under way, appended as it comes; it goes when the job ends (bot/store/checkpoints.py).
checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # In characters of the answer: what was on record from here on is replaced.
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("text", Words, nullable=False),
    # How the answer ends, with its last piece: then only the end's own record is missing.
    sa.Column("closing", sa.JSON),
)

sa.Index("ix_checkpoints_job_id", checkpoints.c.job_id)

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    # Differs from one heartbeat to the next: what others watch.
    sa.Column("beat", sa.BigInteger, nullable=False),
    # Whether the worker's death sets a lock free (bot/store/liveness/workers.py).
    sa.Column("has_lock", sa.Boolean, nullable=False),
    # {job id: [attempt, input tokens, output tokens, model]}. One row a second, not one for each live job.
    sa.Column("spent", sa.JSON, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False),
)

sa.Index("ix_calls_method", calls.c.method, calls.c.sent_at)

# A thread that is here is not between us and one person. It names nobody, so that there is nothing to forget.
shared_threads = sa.Table(
    "shared_threads",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    # The message by which it was.
    sa.Column("since_ts", sa.Text, nullable=False),
)

# Small things that are to be done in Slack about a job, by whatever process (bot/store/outbox.py).
errands = sa.Table(
    "errands",
    metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("job_id", "kind"),
    sqlite_autoincrement=True,
)

sa.Index("ix_errands_due_at", errands.c.due_at)

# Sums of what turns say, so that a cap is checked by reading a month's days and not its answers.
spending = sa.Table(
    "spending",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("scope_id", sa.Text, primary_key=True),
    # Of UTC, counted from 1970.
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("cost_usd", sa.Double, nullable=False),
)

notices = sa.Table(
    "notices",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # '' for what is told once, to whoever it is.
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("told_at", sa.Double, nullable=False),
)

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
)

channels = sa.Table(
    "channels",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text),
    sa.Column("system_prompt", Words, nullable=False),
    sa.Column("mention_only", sa.Boolean),
)

# Which channel somebody looks at beside the pane: their newest, and no history of it.
looks = sa.Table(
    "looks",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

# Questions about a message, from the moment a modal is submitted until they are jobs (bot/store/asks.py).
asks = sa.Table(
    "asks",
    metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    # The modal's: one that is submitted twice is asked once.
    sa.Column("view_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    # The message that is asked about; empty once it is asked.
    sa.Column("about", sa.JSON, nullable=False),
    sa.Column("text", Words, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    # When another process may go on with it; NULL where its asker was told that it is not asked.
    sa.Column("due_at", sa.Double),
    sa.Column("tries", sa.Integer, nullable=False),
    # It is posted in the asker's direct message, because Typist can't write in the thread.
    sa.Column("elsewhere", sa.Boolean, nullable=False),
    # Where Slack's own event said that it was posted.
    sa.Column("posted_channel_id", sa.Text),
    sa.Column("posted_ts", sa.Text),
    # It is a job. The row stays for a day, so that the modal's id is known.
    sa.Column("done", sa.Boolean, nullable=False),
)

sa.Index("ix_asks_due_at", asks.c.due_at)
