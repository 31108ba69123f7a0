"""The people, bots and conversations of an export. Every author and every member has an account. No I/O."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slack_sandbox.export.entries import UNKNOWN_WRITER
from slack_sandbox.export.index import Writer
from slack_sandbox.workspace import PARTNERS_ID, SLACK, SLACKBOT, TEAM_ID, UTC, Channel, ChannelType, User

_USER_ID = re.compile(r"[UW][A-Z0-9]{1,39}")
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{1,39}")
_COLOR = re.compile(r"[0-9a-fA-F]{6}")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069]+")
_GRAY = "#64748b"
_MAX_NAME_CHARS = 80
_MAX_MEMBERS = 50_000
OTHER_TEAM = PARTNERS_ID


class Directory:
    """The accounts of an export by ID. `taken`: the sandbox's own IDs, which no account gets."""

    def __init__(self, listed: Iterable[Any], taken: Iterable[str]) -> None:
        self.users: dict[str, User] = {}
        self.bots: dict[str, str] = {}
        self._taken = frozenset(taken)
        self._handles = set[str]()
        listed = list(listed)
        entries = [entry for entry in listed if isinstance(entry, dict)]
        self.clashes = len(listed) - len(entries)
        teams = Counter(str(entry.get("team_id")) for entry in entries if entry.get("team_id"))
        self.team_id = teams.most_common(1)[0][0] if teams else TEAM_ID
        """The workspace's own team_id in the export."""
        for entry in entries:
            user = self._user_from(entry)
            if user is None or user.id in self.users or user.id in self._taken or user.bot_id in self._taken:
                self.clashes += user is None or user.id not in (SLACK, SLACKBOT)
                continue
            self._add(user)
            if user.bot_id:
                self.bots[user.bot_id] = user.id

    def __contains__(self, user_id: str) -> bool:
        return user_id in self.users

    @property
    def known(self) -> frozenset[str]:
        return frozenset((*self.users, *self.bots, SLACKBOT, SLACK))

    def account_of(self, writer: str) -> str:
        """Returns the account of a message's author, who can be given as a bot_id. If the author's ID is one of the
        sandbox's own IDs, the author gets another account."""
        is_own = writer in self._taken and writer not in (SLACK, SLACKBOT, UNKNOWN_WRITER)
        return f"{writer}0EXPORT" if is_own else self.bots.get(writer, writer)

    def _add(self, user: User) -> None:
        """Adds an account. If the account's handle is in use, its ID becomes the handle, so that no mention is
        ambiguous."""
        if user.name in self._handles:
            user = replace(user, name=user.id.lower())
        self._handles.add(user.name)
        self.users[user.id] = user

    def add_unlisted_writers(self, writers: Mapping[str, Writer]) -> int:
        """Adds an account for each author who isn't in the list of people. Returns the number of new accounts."""
        added = 0
        for named_id, writer in writers.items():
            writer_id = self.account_of(named_id)
            if self._is_known(writer_id):
                continue
            added += not writer_id.startswith(UNKNOWN_WRITER)
            is_bot = writer.is_bot or writer_id.startswith("B")
            name = _clean(writer.name) or ("Unknown" if writer_id.startswith(UNKNOWN_WRITER) else writer_id)
            bot_id = writer_id if is_bot else None
            self._add(
                User(
                    writer_id,
                    _handle_from_name(name),
                    name,
                    _GRAY,
                    bot_id=bot_id,
                    team_id=self._team_id_here(writer.team_id),
                )
            )
        return added

    def add_unlisted_members(self, channel: Channel) -> None:
        """Adds an account for each member of a channel who isn't in the list of people and didn't write anything."""
        team_id = channel.shared_with or OTHER_TEAM
        for user_id in channel.members:
            if not self._is_known(user_id) and user_id not in self._taken and _USER_ID.fullmatch(user_id):
                self._add(User(user_id, user_id.lower(), user_id, _GRAY, team_id=team_id))

    def _is_known(self, user_id: str) -> bool:
        return user_id in self.users or user_id in self.bots or user_id in (SLACK, SLACKBOT)

    def _team_id_here(self, team_id: str) -> str:
        return TEAM_ID if team_id in ("", self.team_id) else team_id

    def _user_from(self, entry: Mapping[str, Any]) -> User | None:
        user_id = entry.get("id")
        if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id):
            return None
        found = entry.get("profile")
        profile: Mapping[str, Any] = found if isinstance(found, dict) else {}
        handle = _clean(entry.get("name")) or user_id.lower()
        names = (profile.get("display_name"), profile.get("real_name"), entry.get("real_name"), handle)
        bot_id = profile.get("bot_id")
        color = str(entry.get("color"))
        return User(
            user_id,
            handle,
            next(filter(None, map(_clean, names)), user_id),
            f"#{color}" if _COLOR.fullmatch(color) else _GRAY,
            bot_id=(str(bot_id)[:40] if bot_id else f"B{user_id[1:]}") if entry.get("is_bot") else None,
            team_id=self._team_id_here(str(entry.get("team_id") or "")),
            is_admin=bool(entry.get("is_admin")),
            is_owner=bool(entry.get("is_owner")),
            is_restricted=bool(entry.get("is_restricted")),
            is_ultra_restricted=bool(entry.get("is_ultra_restricted")),
            deleted=bool(entry.get("deleted")),
            tz=_zone(entry.get("tz")),
        )


def channel_of(entry: Any, kind: ChannelType, own_team: str) -> Channel | None:
    """Returns a listed conversation, or None if the entry isn't in Slack's format. `kind`: the type of conversation
    that the list contains."""
    if not isinstance(entry, dict) or not isinstance(channel_id := entry.get("id"), str):
        return None
    if not _CHANNEL_ID.fullmatch(channel_id):
        return None
    members = entry.get("members")
    if kind == "channel" and (entry.get("is_private") or entry.get("is_im") or entry.get("is_mpim")):
        kind = "group"
    teams = entry.get("shared_team_ids")
    others = [str(team)[:40] for team in (teams if isinstance(teams, list) else ()) if team != own_team]
    is_shared = bool(entry.get("is_ext_shared") or entry.get("is_shared"))
    named = members[:_MAX_MEMBERS] if isinstance(members, list) else []
    creator = entry.get("creator")
    return Channel(
        channel_id,
        _clean(entry.get("name")) or channel_id.lower(),
        kind,
        list(dict.fromkeys(member for member in named if isinstance(member, str))),
        archived=bool(entry.get("is_archived")),
        creator=creator if isinstance(creator, str) and _USER_ID.fullmatch(creator) else None,
        shared_with=(others or [OTHER_TEAM])[0] if is_shared else None,
    )


def _clean(name: Any) -> str:
    return " ".join(_CONTROLS.sub(" ", name).split())[:_MAX_NAME_CHARS] if isinstance(name, str) else ""


def _handle_from_name(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-")[:40] or "unknown"


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(name).key if isinstance(name, str) and name else UTC
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC
