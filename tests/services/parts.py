"""Stores and workspaces of which a test replaces some parts."""

import copy
from typing import Any, TypeVar

from bot.core.actions import ReplyAction
from bot.core.lease import Lease
from bot.core.sign_in_urls import SignInUrls
from bot.core.triage import Identity
from bot.reply.workspace import Workspace
from bot.store import Stores
from bot.telemetry import OFF

T = TypeVar("T", Stores, Workspace)

ME = Identity("T1", "UBOT", "BBOT", "typist")


def having(owner: T, **parts: Any) -> T:
    """Returns stores or a workspace with other parts; everything else stays shared."""
    changed = copy.copy(owner)
    vars(changed).update(parts)
    return changed


def workspace_of(**parts: Any) -> Workspace:
    """Returns a workspace that has these parts, and no other part that calls Slack."""
    alone = {
        "me": ME,
        "lease": Lease(),
        "telemetry": OFF,
        "is_token_refused": lambda: False,
        "optional_actions": {ReplyAction.CANVAS} if getattr(parts.get("canvases"), "can_write", False) else frozenset(),
        "sign_in_urls": SignInUrls(),
    }
    return having(object.__new__(Workspace), **alone | parts)


def stores_of(**parts: Any) -> Stores:
    return having(object.__new__(Stores), **parts)
