"""People's accounts at MCP servers, pending sign-ins, and Typist's client registrations. All secrets are ciphertext.

Every write encrypts the account again, so an unchanged secret means that the account hasn't changed.
"""

from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.notifications import Notification
from bot.store import audit, notifications
from bot.store.database import Operations, reads, writes
from bot.store.rows import upsert
from bot.store.schema import accounts, oauth_clients, schedules, sign_ins

SIGN_IN_S = 600.0
"""Time limit for a sign-in, from opening the link to pasting the URL."""
REFRESH_S = 30.0
"""Duration of a process's reservation for a token refresh. The refresh requests take less time than this."""


@dataclass(frozen=True, slots=True)
class Owner:
    team_id: str
    user_id: str
    server: str


class Accounts(Operations):
    @reads
    async def by_server(self, connection: AsyncConnection, team_id: str, user_id: str) -> dict[str, tuple[float, str]]:
        """Returns the sign-in time (in seconds since the epoch) and scopes of each of a person's accounts, keyed by
        server."""
        theirs = accounts.c.team_id == team_id, accounts.c.user_id == user_id
        columns = accounts.c.server, accounts.c.since, accounts.c.scope
        rows = await connection.execute(sa.select(*columns).where(*theirs).order_by(accounts.c.server))
        return {row.server: (row.since, row.scope) for row in rows}

    @reads
    async def secret(self, connection: AsyncConnection, owner: Owner) -> str | None:
        found: str | None = await connection.scalar(sa.select(accounts.c.secret).where(*_is_owned_by(owner, accounts)))
        return found

    @reads
    async def counts_by_server(self, connection: AsyncConnection, team_id: str) -> dict[str, int]:
        people = sa.select(accounts.c.server, sa.func.count()).where(accounts.c.team_id == team_id)
        rows = await connection.execute(people.group_by(accounts.c.server).order_by(accounts.c.server))
        return {server: int(people) for server, people in rows}

    @reads
    async def owners(self, connection: AsyncConnection, user_id: str = "", server: str = "") -> list[Owner]:
        named = (accounts.c.user_id, user_id), (accounts.c.server, server)
        these = sa.select(accounts.c.team_id, accounts.c.user_id, accounts.c.server)
        rows = await connection.execute(these.where(*(column == value for column, value in named if value)))
        return [Owner(*row) for row in rows]

    @reads
    async def allows_schedule(self, connection: AsyncConnection, owner: Owner, schedule_id: int) -> bool:
        this = schedules.c.id == schedule_id, schedules.c.team_id == owner.team_id, schedules.c.user_id == owner.user_id
        agreed = await connection.scalar(sa.select(schedules.c.accounts).where(*this, schedules.c.stopped_at.is_(None)))
        return owner.server in (agreed or ())

    @writes
    async def begin_sign_in(
        self, connection: AsyncConnection, state_hash: str, owner: Owner, call: str, secret: str
    ) -> None:
        """Stores a pending sign-in for a call, replacing any pending sign-in by the same person to the same server."""
        await connection.execute(sa.delete(sign_ins).where(*_is_owned_by(owner, sign_ins)))
        values = {**asdict(owner), "call": call, "secret": secret, "expires_at": self._now() + SIGN_IN_S}
        await connection.execute(sa.insert(sign_ins).values(state_hash=state_hash, **values))

    @reads
    async def is_pending(self, connection: AsyncConnection, state_hash: str, owner: Owner, call: str) -> bool:
        return await connection.scalar(sa.select(sa.exists().where(*self._is_pending(state_hash, owner, call)))) is True

    @reads
    async def sign_in_for_call(self, connection: AsyncConnection, owner: Owner, call: str) -> tuple[str, str] | None:
        this = *_is_owned_by(owner, sign_ins), sign_ins.c.call == call, sign_ins.c.expires_at > self._now()
        row = (await connection.execute(sa.select(sign_ins.c.state_hash, sign_ins.c.secret).where(*this))).first()
        return None if row is None else (row.state_hash, row.secret)

    @reads
    async def pending_sign_in(self, connection: AsyncConnection, state_hash: str) -> tuple[Owner, str] | None:
        """Returns the owner and secret of a pending sign-in, or None if it doesn't exist or has expired."""
        columns = sign_ins.c.team_id, sign_ins.c.user_id, sign_ins.c.server, sign_ins.c.secret
        this = sign_ins.c.state_hash == state_hash, sign_ins.c.expires_at > self._now()
        row = (await connection.execute(sa.select(*columns).where(*this))).first()
        return None if row is None else (Owner(*row[:3]), row.secret)

    @writes
    async def replace_state(self, connection: AsyncConnection, state_hash: str, new_hash: str, secret: str) -> bool:
        """Replaces a sign-in's OAuth state, and stores the encrypted callback parameters (`secret`) with it. Returns
        False if a response is already stored."""
        this = sign_ins.c.state_hash == state_hash, sign_ins.c.expires_at > self._now()
        arrived = sa.update(sign_ins).where(*this).values(state_hash=new_hash, secret=secret)
        return (await connection.execute(arrived)).rowcount > 0

    @writes
    async def take_sign_in(self, connection: AsyncConnection, state_hash: str, owner: Owner, call: str) -> str | None:
        """Deletes a pending sign-in and returns its secret. Only the first caller gets the secret."""
        taken = sa.delete(sign_ins).where(*self._is_pending(state_hash, owner, call)).returning(sign_ins.c.secret)
        secret: str | None = await connection.scalar(taken)
        return secret

    @writes
    async def sign_in(self, connection: AsyncConnection, owner: Owner, secret: str, scope: str) -> None:
        now = self._now()
        values = {"secret": secret, "scope": scope, "since": now, "refreshing_until": 0.0}
        await upsert(connection, accounts, asdict(owner), values)
        await _record_change(connection, owner, "signed_in", now, owner.user_id)

    @writes
    async def begin_refresh(self, connection: AsyncConnection, owner: Owner, secret: str) -> bool:
        """Reserves a token refresh for REFRESH_S. Returns False if another process is already refreshing the token, or
        if the secret has changed."""
        now = self._now()
        free = _is_unchanged(owner, secret), accounts.c.refreshing_until <= now
        begun = sa.update(accounts).where(*free).values(refreshing_until=now + REFRESH_S)
        return (await connection.execute(begun)).rowcount > 0

    @writes
    async def end_refresh(self, connection: AsyncConnection, owner: Owner, secret: str, new_secret: str) -> bool:
        """Stores the new secret, or the old one after a failure. Returns False if the account has changed."""
        ended = sa.update(accounts).where(_is_unchanged(owner, secret)).values(secret=new_secret, refreshing_until=0.0)
        return (await connection.execute(ended)).rowcount > 0

    @writes
    async def delete_account(
        self,
        connection: AsyncConnection,
        owner: Owner,
        secret: str,
        reason: str,
        by: str = "",
        notification: Notification | None = None,
    ) -> bool:
        """Deletes an account. Returns False if the account has changed. `by`: the admin who deletes the account, or ""
        for its owner."""
        now = self._now()
        if not (await connection.execute(sa.delete(accounts).where(_is_unchanged(owner, secret)))).rowcount:
            return False
        await _record_change(connection, owner, reason, now, by or owner.user_id)
        if notification is not None:
            await notifications.add(connection, now, owner.team_id, notification)
        return True

    @reads
    async def client_secret(self, connection: AsyncConnection, issuer: str, redirect_uri: str) -> str | None:
        this = oauth_clients.c.issuer == issuer, oauth_clients.c.redirect_uri == redirect_uri
        found: str | None = await connection.scalar(sa.select(oauth_clients.c.secret).where(*this))
        return found

    @writes
    async def record_client(self, connection: AsyncConnection, issuer: str, redirect_uri: str, secret: str) -> None:
        await upsert(connection, oauth_clients, {"issuer": issuer, "redirect_uri": redirect_uri}, {"secret": secret})

    def _is_pending(self, state_hash: str, owner: Owner, call: str) -> tuple[sa.ColumnElement[bool], ...]:
        in_time = sign_ins.c.expires_at > self._now()
        return (*_is_owned_by(owner, sign_ins), sign_ins.c.state_hash == state_hash, sign_ins.c.call == call, in_time)


async def read_secrets(connection: AsyncConnection) -> list[str]:
    return list(await connection.scalars(sa.select(accounts.c.secret)))


def _is_owned_by(owner: Owner, table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in asdict(owner).items()]


def _is_unchanged(owner: Owner, secret: str) -> sa.ColumnElement[bool]:
    return sa.and_(*_is_owned_by(owner, accounts), accounts.c.secret == secret)


async def _record_change(connection: AsyncConnection, owner: Owner, change: str, now: float, by: str) -> None:
    facts, about = {"server": owner.server, "account": change}, {"team_id": owner.team_id, "user_id": owner.user_id}
    await audit.record_setting(connection, now, "account", facts, by=by, **about)
