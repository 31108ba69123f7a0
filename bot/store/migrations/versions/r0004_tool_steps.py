"""Steps of models that ask for tools: what they wrote, their calls, and approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("joined_step", sa.Integer))
    op.add_column("jobs", sa.Column("waits_until", sa.Double))
    op.create_index("ix_jobs_waiting", "jobs", ["waits_until"], sqlite_where=_WAITING, postgresql_where=_WAITING)
    op.create_table(
        "rounds",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("step_no", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("items", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rounds"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_rounds_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "version", "step_no", name="uq_rounds_job_id_version_step_no"),
    )
    op.create_table(
        "tool_steps",
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
        sa.PrimaryKeyConstraint("id", name="pk_tool_steps"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_tool_steps_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "version", "step_no", "index", name="uq_tool_steps_job_id_version_step_no_index"),
    )
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
