"""The first schema: all tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_THREAD = ["team_id", "channel_id", "thread_ts"]
_PERSON = ["team_id", "user_id"]


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


_QUEUED_ONLY = _where("status = 'queued'")
_RUNNING_ONLY = _where("status = 'running'")


def upgrade() -> None:
    _create_seen_events()
    _create_jobs()
    _create_turns()
    _create_checkpoints()
    _create_steps()
    _create_tool_calls()
    _create_allowed_tools()
    _create_workers()
    _create_outbox_entries()
    _create_slack_calls()
    _create_learned_budgets()
    _create_group_threads()
    _create_thread_lines()
    _create_quiet_threads()
    _create_canvases()
    _create_usage_totals()
    _create_caps()
    _create_notices()
    _create_feedback()
    _create_channel_settings()
    _create_pane_contexts()
    _create_message_questions()
    _create_tool_pins()
    _create_audit_entries()


def _create_seen_events() -> None:
    op.create_table(
        "seen_events",
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_seen_events"),
    )
    op.create_index("ix_seen_events_seen_at", "seen_events", ["seen_at"])


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("ts", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("files", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("transcripts", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("attached_chars", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("end_reason", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("started_at", sa.Double),
        sa.Column("messages", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("placeholder_due_since", sa.Double),
        sa.Column("answered_with", _ROW_ID),
        sa.Column("joined_step", sa.Integer),
        sa.Column("version", sa.Integer, nullable=False, server_default="0"),
        sa.Column("asked_at", sa.Double),
        sa.Column("edited_ts", sa.Text),
        sa.Column("continues", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("effort", sa.Text),
        sa.Column("stop_requested", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("erase_requested", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("answer_deleted", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("waits_until", sa.Double),
        sa.Column("mention_ts", sa.Text),
        sa.Column("ask_ts", sa.Text),
        sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("team_id", "channel_id", "ts", name="uq_jobs_team_id_channel_id_ts"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_answered_with", "jobs", ["answered_with"])
    op.create_index("ix_jobs_content", "jobs", ["created_at"], **_where("text <> '' OR CAST(files AS TEXT) <> '[]'"))
    op.create_index("ix_jobs_created_at", "jobs", ["created_at"])
    op.create_index(
        "ix_jobs_from_bot",
        "jobs",
        [*_PERSON, "created_at"],
        sqlite_where=sa.text("from_bot = 1"),
        postgresql_where=sa.text("from_bot"),
    )
    op.create_index("ix_jobs_queued", "jobs", ["id"], **_QUEUED_ONLY)
    op.create_index("ix_jobs_queued_thread", "jobs", [*_THREAD, "ts"], **_QUEUED_ONLY)
    op.create_index("ix_jobs_queued_user", "jobs", _PERSON, **_QUEUED_ONLY)
    op.create_index("ix_jobs_running_thread", "jobs", _THREAD, unique=True, **_RUNNING_ONLY)
    op.create_index("ix_jobs_running_user", "jobs", _PERSON, **_RUNNING_ONLY)
    op.create_index("ix_jobs_running_worker", "jobs", ["worker"], **_RUNNING_ONLY)
    op.create_index("ix_jobs_thread", "jobs", [*_THREAD, "ts"])
    op.create_index("ix_jobs_awaiting_approval", "jobs", ["waits_until"], **_where("status = 'awaiting_approval'"))


def _create_turns() -> None:
    op.create_table(
        "turns",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("end_reason", sa.Text, nullable=False),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_input_tokens", sa.Integer),
        sa.Column("web_searches", sa.Integer),
        sa.Column("cost_usd", sa.Double),
        sa.Column("first_token_s", sa.Double),
        sa.Column("prompt_version", sa.Text),
        sa.Column("sources", sa.JSON),
        sa.Column("origins", sa.JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_turns_job_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_turns_created_at", "turns", ["created_at"])
    op.create_index("ix_turns_content", "turns", ["created_at"], **_where("answer <> ''"))
    op.create_index("ix_turns_job_id", "turns", ["job_id"])


def _create_checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("end", sa.JSON),
        sa.Column("sources", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_checkpoints_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_checkpoints_job_id", "checkpoints", ["job_id"])


def _create_steps() -> None:
    op.create_table(
        "steps",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("step_no", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("items", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("origins", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_steps_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "version", "step_no", name="uq_steps_job_id_version_step_no"),
    )


def _create_tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
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
        sa.PrimaryKeyConstraint("id", name="pk_tool_calls"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_tool_calls_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "version", "step_no", "index", name="uq_tool_calls_job_id_version_step_no_index"),
    )
    op.create_index("ix_tool_calls_content", "tool_calls", ["created_at"], **_where("arguments <> '' OR result <> ''"))
    op.create_index("ix_tool_calls_created_at", "tool_calls", ["created_at"])


def _create_allowed_tools() -> None:
    op.create_table(
        "allowed_tools",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("definition_hash", sa.Text, nullable=False),
        sa.Column("allowed_by", sa.Text, nullable=False),
        sa.Column("allowed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "tool", name="pk_allowed_tools"),
    )


def _create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("has_lock", sa.Boolean, nullable=False),
        sa.Column("usage_so_far", sa.JSON, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_workers"),
    )


def _create_outbox_entries() -> None:
    op.create_table(
        "outbox_entries",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False, server_default=""),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_entries"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_outbox_entries_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "kind", "about", name="uq_outbox_entries_job_id_kind_about"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_entries_due_at", "outbox_entries", ["due_at"])


def _create_slack_calls() -> None:
    op.create_table(
        "slack_calls",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("sent_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_slack_calls"),
    )
    op.create_index("ix_slack_calls_method", "slack_calls", ["method", "sent_at"])


def _create_learned_budgets() -> None:
    op.create_table(
        "learned_budgets",
        sa.Column("budget", sa.Text, nullable=False),
        sa.Column("calls", sa.Double, nullable=False),
        sa.Column("learned_at", sa.Double, nullable=False),
        sa.Column("held_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("budget", name="pk_learned_budgets"),
    )


def _create_group_threads() -> None:
    op.create_table(
        "group_threads",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("since_ts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "thread_ts", name="pk_group_threads"),
    )


def _create_thread_lines() -> None:
    op.create_table(
        "thread_lines",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("ts", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "thread_ts", "ts", name="pk_thread_lines"),
    )


def _create_quiet_threads() -> None:
    op.create_table(
        "quiet_threads",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("quiet", sa.Boolean, nullable=False),
        sa.Column("switched_ts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "thread_ts", name="pk_quiet_threads"),
    )


def _create_canvases() -> None:
    op.create_table(
        "canvases",
        sa.Column("job_id", _ROW_ID, nullable=False, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("canvas_id", sa.Text, nullable=False),
        sa.Column("message_ts", sa.Text),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_canvases_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "version", name="pk_canvases"),
    )


def _create_usage_totals() -> None:
    op.create_table(
        "usage_totals",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "scope", "scope_id", "day", name="pk_usage_totals"),
    )
    op.create_index("ix_usage_totals_day", "usage_totals", ["day"])


def _create_caps() -> None:
    op.create_table(
        "caps",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("in_dollars", sa.Boolean, nullable=False),
        sa.Column("amount", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "scope", "scope_id", "period", "in_dollars", name="pk_caps"),
    )


def _create_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("given_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "user_id", "notice", name="pk_notices"),
    )


def _create_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("job_id", _ROW_ID, nullable=False, autoincrement=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("prompt_version", sa.Text),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "user_id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_feedback_job_id", ondelete="CASCADE"),
    )


def _create_channel_settings() -> None:
    op.create_table(
        "channel_settings",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("system_prompt", sa.Text, nullable=False),
        sa.Column("engagement", sa.Text),
        sa.Column("new_posts", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("gate", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("web_search", sa.Boolean),
        sa.Column("mcp_servers", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("effort", sa.Text, nullable=False, server_default="normal"),
        sa.Column("length", sa.Text, nullable=False, server_default="normal"),
        sa.Column("reaction", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name="pk_channel_settings"),
    )


def _create_pane_contexts() -> None:
    op.create_table(
        "pane_contexts",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "user_id", name="pk_pane_contexts"),
    )


def _create_message_questions() -> None:
    op.create_table(
        "message_questions",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("view_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("elsewhere", sa.Boolean, nullable=False),
        sa.Column("posted_channel_id", sa.Text),
        sa.Column("posted_ts", sa.Text),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "view_id", name="pk_message_questions"),
    )
    op.create_index("ix_message_questions_due_at", "message_questions", ["due_at"])


def _create_tool_pins() -> None:
    op.create_table(
        "tool_pins",
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("definition_hash", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("by_admin", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("tool", name="pk_tool_pins"),
    )


def _create_audit_entries() -> None:
    subject = ("user_id", "channel_id", "thread_ts", "ts", "arguments_hash", "user_salt", "user_digest")
    op.create_table(
        "audit_entries",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("job_id", _ROW_ID),
        sa.Column("facts", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in (*subject, "by_id", "by_salt", "by_digest")),
        sa.Column("no", sa.BigInteger),
        sa.Column("previous", sa.Text),
        sa.Column("hash", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
        sa.UniqueConstraint("no", name="uq_audit_entries_no"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entries_thread", "audit_entries", ["channel_id", "thread_ts"])
    op.create_index("ix_audit_entries_user_id", "audit_entries", ["user_id"])
    op.create_index("ix_audit_entries_by_id", "audit_entries", ["by_id"], **_where("by_id <> ''"))
