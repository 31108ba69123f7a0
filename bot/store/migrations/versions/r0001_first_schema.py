"""The first schema, as commit 8181c62e made it. It never changes: databases exist that have it."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _metadata.create_all(op.get_bind(), checkfirst=False)


_metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")

seen_events = sa.Table(
    "seen_events",
    _metadata,
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
)

sa.Index("ix_seen_events_seen_at", seen_events.c.seen_at)

jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text),
    sa.Column("asked_as", sa.Text),
    sa.Column("unposted", sa.JSON),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("files", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("transcripts", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("attached_chars", sa.Integer, nullable=False, server_default="0"),
    sa.Column("offered", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text),
    sa.Column("worker", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("started_at", sa.Double),
    sa.Column("messages", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("placeholder_due_since", sa.Double),
    sa.Column("answered_with", RowId),
    sa.Column("joined_step", sa.Integer),
    sa.Column("version", sa.Integer, nullable=False, server_default="0"),
    sa.Column("asked_at", sa.Double),
    sa.Column("shown_turn", RowId),
    sa.Column("edited_ts", sa.Text),
    sa.Column("continues", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("effort", sa.Text),
    sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("erase_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("answer_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("waits_until", sa.Double),
    sa.Column("mention_ts", sa.Text),
    sa.Column("ask_ts", sa.Text),
    sa.UniqueConstraint("team_id", "channel_id", "ts"),
    sa.UniqueConstraint("team_id", "asked_as"),
    sqlite_autoincrement=True,
)

_thread = (jobs.c.team_id, jobs.c.channel_id, jobs.c.thread_ts)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _only(status: str) -> dict[str, Any]:
    return _where(f"status = '{status}'")


sa.Index("ix_jobs_thread", *_thread, jobs.c.ts)
sa.Index("ix_jobs_created_at", jobs.c.created_at)
sa.Index("ix_jobs_content", jobs.c.created_at, **_where("text <> '' OR CAST(files AS TEXT) <> '[]'"))
sa.Index("ix_jobs_queued", jobs.c.id, **_only("queued"))
sa.Index("ix_jobs_queued_thread", *_thread, jobs.c.ts, **_only("queued"))
sa.Index("ix_jobs_queued_user", jobs.c.team_id, jobs.c.user_id, **_only("queued"))
sa.Index("ix_jobs_running_user", jobs.c.team_id, jobs.c.user_id, **_only("running"))
sa.Index(
    "ix_jobs_from_bot",
    jobs.c.team_id,
    jobs.c.user_id,
    jobs.c.created_at,
    sqlite_where=sa.text("from_bot = 1"),
    postgresql_where=sa.text("from_bot"),
)
sa.Index("ix_jobs_running_thread", *_thread, unique=True, **_only("running"))
sa.Index("ix_jobs_answered_with", jobs.c.answered_with)
sa.Index("ix_jobs_running_worker", jobs.c.worker, **_only("running"))

sa.Index("ix_jobs_unposted", jobs.c.created_at, **_only("unposted"))
sa.Index("ix_jobs_awaiting_approval", jobs.c.waits_until, **_only("awaiting_approval"))

turns = sa.Table(
    "turns",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("end_reason", sa.Text, nullable=False),
    sa.Column("charge_id", RowId),
    sa.Column("first_token_s", sa.Double),
    sa.Column("prompt_version", sa.Text),
    sa.Column("sources", sa.JSON),
    sa.Column("origins", sa.JSON),
    sa.Column("below", sa.JSON),
    sa.Column("created_at", sa.Double, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_turns_job_id", turns.c.job_id)
sa.Index("ix_turns_created_at", turns.c.created_at)
sa.Index("ix_turns_content", turns.c.created_at, **_where("answer <> ''"))

checkpoints = sa.Table(
    "checkpoints",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("end", sa.JSON),
    sa.Column("sources", sa.JSON),
)

sa.Index("ix_checkpoints_job_id", checkpoints.c.job_id)

steps = sa.Table(
    "steps",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("items", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("origins", sa.JSON),
    sa.UniqueConstraint("job_id", "version", "step_no"),
)

tool_calls = sa.Table(
    "tool_calls",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("step_no", sa.Integer, nullable=False),
    sa.Column("index", sa.Integer, nullable=False),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("definition_hash", sa.Text, nullable=False),
    sa.Column("binding", sa.Text, nullable=False),
    sa.Column("read_only", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("decision", sa.Text),
    sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
    sa.Column("result", sa.Text, nullable=False, server_default=""),
    sa.Column("result_is_error", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("begun_at", sa.Double),
    sa.Column("ended_at", sa.Double),
    sa.UniqueConstraint("job_id", "version", "step_no", "index"),
)

sa.Index("ix_tool_calls_created_at", tool_calls.c.created_at)
sa.Index("ix_tool_calls_content", tool_calls.c.created_at, **_where("arguments <> '' OR result <> ''"))

allowed_tools = sa.Table(
    "allowed_tools",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    sa.Column("allowed_by", sa.Text, nullable=False),
    sa.Column("allowed_at", sa.Double, nullable=False),
)

workers = sa.Table(
    "workers",
    _metadata,
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("has_lock", sa.Boolean, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

listening = sa.Table(
    "listening",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("heard_at", sa.Double, nullable=False),
    sa.Column("missed_from", sa.Double),
    sa.Column("missed_until", sa.Double),
    sa.Column("held_by", sa.Text),
    sa.Column("held_until", sa.Double),
    sa.Column("progress", sa.JSON, nullable=False, server_default="{}"),
    sa.Column("report", sa.JSON),
)

slack_calls = sa.Table(
    "slack_calls",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("sent_at", sa.Double, nullable=False),
)

sa.Index("ix_slack_calls_method", slack_calls.c.method, slack_calls.c.sent_at)

learned_budgets = sa.Table(
    "learned_budgets",
    _metadata,
    sa.Column("budget", sa.Text, primary_key=True),
    sa.Column("calls", sa.Double, nullable=False),
    sa.Column("learned_at", sa.Double, nullable=False),
    sa.Column("held_until", sa.Double, nullable=False),
)

group_threads = sa.Table(
    "group_threads",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("since_ts", sa.Text, nullable=False),
)

thread_lines = sa.Table(
    "thread_lines",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("ts", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
)

quiet_threads = sa.Table(
    "quiet_threads",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("thread_ts", sa.Text, primary_key=True),
    sa.Column("quiet", sa.Boolean, nullable=False),
    sa.Column("switched_ts", sa.Text, nullable=False),
)


outbox_entries = sa.Table(
    "outbox_entries",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False, server_default=""),
    sa.Column("due_at", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("job_id", "kind", "about"),
    sqlite_autoincrement=True,
)

sa.Index("ix_outbox_entries_due_at", outbox_entries.c.due_at)

canvases = sa.Table(
    "canvases",
    _metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("canvas_id", sa.Text, nullable=False),
    sa.Column("message_ts", sa.Text),
)

charges = sa.Table(
    "charges",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("job_id", RowId, nullable=False),
    sa.Column("day", sa.Integer),
    sa.Column("model", sa.Text),
    sa.Column("input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("output_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cached_input_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("web_searches", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cost_usd", sa.Double),
    sa.Column("worker", sa.Text),
    sa.Column("attempt", sa.Integer),
    sa.Column("step_no", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)

_is_closed = _where("day IS NOT NULL")
_charged = (charges.c.day, charges.c.input_tokens, charges.c.output_tokens, charges.c.cost_usd)
sa.Index("ix_charges_workspace", charges.c.team_id, *_charged, **_is_closed)
sa.Index("ix_charges_user", charges.c.team_id, charges.c.user_id, *_charged, **_is_closed)
sa.Index("ix_charges_channel", charges.c.team_id, charges.c.channel_id, *_charged, **_is_closed)
sa.Index("ix_charges_day", charges.c.day, **_is_closed)
sa.Index("ix_charges_open", charges.c.job_id, unique=True, **_where("day IS NULL"))

caps = sa.Table(
    "caps",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("scope_id", sa.Text, primary_key=True),
    sa.Column("period", sa.Text, primary_key=True),
    sa.Column("in_dollars", sa.Boolean, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),
)

notices = sa.Table(
    "notices",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("given_at", sa.Double, nullable=False),
)

feedback = sa.Table(
    "feedback",
    _metadata,
    sa.Column("job_id", RowId, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("model", sa.Text),
    sa.Column("prompt_version", sa.Text),
    sa.Column("at", sa.Double, nullable=False),
)

channel_settings = sa.Table(
    "channel_settings",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("model", sa.Text),
    sa.Column("system_prompt", sa.Text, nullable=False),
    sa.Column("engagement", sa.Text),
    sa.Column("new_posts", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("gate", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("web_search", sa.Boolean),
    sa.Column("read_channel", sa.Boolean),
    sa.Column("mcp_servers", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("effort", sa.Text, nullable=False, server_default="normal"),
    sa.Column("length", sa.Text, nullable=False, server_default="normal"),
    sa.Column("reaction", sa.Text, nullable=False, server_default=""),
)

tool_pins = sa.Table(
    "tool_pins",
    _metadata,
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("definition_hash", sa.Text, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("by_admin", sa.Boolean, nullable=False, server_default=sa.false()),
)

pane_contexts = sa.Table(
    "pane_contexts",
    _metadata,
    sa.Column("team_id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
)

audit_entries = sa.Table(
    "audit_entries",
    _metadata,
    sa.Column("id", RowId, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("team_id", sa.Text, nullable=False),
    sa.Column("job_id", RowId),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("channel_id", sa.Text, nullable=False),
    sa.Column("thread_ts", sa.Text, nullable=False),
    sa.Column("ts", sa.Text, nullable=False),
    sa.Column("arguments_hash", sa.Text, nullable=False),
    sa.Column("by_id", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)

sa.Index("ix_audit_entries_at", audit_entries.c.at)
sa.Index("ix_audit_entries_thread", audit_entries.c.channel_id, audit_entries.c.thread_ts)
sa.Index("ix_audit_entries_user_id", audit_entries.c.user_id)
sa.Index("ix_audit_entries_by_id", audit_entries.c.by_id, **_where("by_id <> ''"))
