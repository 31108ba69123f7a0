"""Each table declares what erasure and retention do with its rows."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from bot.store.erasure import expiries
from bot.store.schema import THREAD_TABLES, MemberId, OwnChannelId, OwnerId, jobs, metadata

HAVE_OWN_RULES = {
    "jobs.user_id": "jobs are deleted with all that refers to them, running ones once they have ended",
    "charges.user_id": "sums are kept without names",
    "caps.scope_id": "only a person's caps are theirs",
    "audit_entries.user_id": "entries are kept without their subject",
    "audit_entries.by_id": "and without the person who acted",
}
"""The columns with people's IDs that bot/store/erasure.py or a feature's module erases, and how."""

NOT_PEOPLE = {"listening.held_by": "a worker"}

BOUNDED = {
    "workers": "as many as processes",
    "channel_settings": "as many as channels",
    "allowed_tools": "as many as tools and channels",
    "tool_pins": "as many as tools",
    "caps": "as many as admins set",
    "oauth_clients": "as many as authorization servers",
    "audit_entries": "they expire separately (bot/store/audit.py)",
    "learned_budgets": "as many as methods",
    "listening": "as many as workspaces",
}
"""The tables whose rows don't expire, and why they don't grow."""


def all_columns() -> Iterator[sa.Column[Any]]:
    for table in metadata.sorted_tables:
        yield from table.columns


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_column_with_a_persons_id_declares_how_it_is_erased(table: sa.Table) -> None:
    names_people = re.compile(r"(^|_)(user_id|member_id|by|by_id|recipient|owner|author|person|asker)$")
    undeclared = {
        f"{table.name}.{column.name}"
        for column in table.columns
        if names_people.search(column.name) and not isinstance(column.type, OwnerId | MemberId)
    }
    assert undeclared <= HAVE_OWN_RULES.keys() | NOT_PEOPLE.keys(), "use OwnerId or MemberId (bot/store/schema.py)"


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_table_expires_goes_with_its_job_or_is_bounded_otherwise(table: sa.Table) -> None:
    expires = table.name in {expiry.table.name for expiry in expiries(0, 0)}
    goes_with_job = any(key.column is jobs.c.id and key.ondelete == "CASCADE" for key in table.foreign_keys)
    assert expires or goes_with_job or table in THREAD_TABLES or table.name in BOUNDED, (
        "give a column an ExpiryTime (bot/store/schema.py)"
    )


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_setting_of_a_direct_message_is_erased_with_its_person(table: sa.Table) -> None:
    """Such a table has one row per channel, and nobody who owns it."""
    key = {column.name for column in table.primary_key}
    is_for_channels = "channel_id" in key and "thread_ts" not in key
    assert is_for_channels == isinstance(getattr(table.columns.get("channel_id"), "type", None), OwnChannelId)
