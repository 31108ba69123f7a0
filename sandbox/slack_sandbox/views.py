"""Each person's stack of open modals and published Home tab."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from slack_sandbox.blocks.choices import Choice, SuggestedOptions, state_values
from slack_sandbox.blocks.view_rules import check_view
from slack_sandbox.workspace import APP_ID, TEAM_ID, Json, SlackError, User

MAX_STACKED = 3
_NEVER_SENT = frozenset({"type", "blocks"})


@dataclass(frozen=True, slots=True)
class View:
    id: str
    user_id: str
    content: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    choices: Mapping[tuple[str, str], Choice] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Json, ...]:
        return tuple(self.content["blocks"])

    @property
    def title(self) -> str:
        return str(self.content.get("title", {}).get("text", ""))


@dataclass
class Views:
    """All views. The `on_changed` functions receive the ID of the user whose views have changed."""

    bot: User
    suggested: SuggestedOptions = field(default_factory=SuggestedOptions)
    on_changed: list[Callable[[str], None]] = field(default_factory=list)
    _stacks: dict[str, list[View]] = field(default_factory=dict)
    _homes: dict[str, View] = field(default_factory=dict)

    def modal(self, user_id: str) -> View | None:
        stack = self._stacks.get(user_id)
        return stack[-1] if stack else None

    def home(self, user_id: str) -> View | None:
        return self._homes.get(user_id)

    def get(self, view_id: str) -> View:
        for view in self._all_views():
            if view.id == view_id:
                return view
        raise SlackError("not_found")

    def depth(self, user_id: str) -> int:
        return len(self._stacks.get(user_id, ()))

    def open(self, user_id: str, content: Json) -> View:
        view = self._new(user_id, content, "modal")
        self._stacks[user_id] = [view]
        return self._notify(view)

    def push(self, user_id: str, content: Json) -> View:
        stack = self._stacks.get(user_id)
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= MAX_STACKED:
            raise SlackError("push_limit_reached")
        view = replace(self._new(user_id, content, "modal"), previous_id=stack[-1].id, root_id=stack[0].id)
        stack.append(view)
        return self._notify(view)

    def update(self, view_id: str, content: Json) -> View:
        """Replaces a modal's content and keeps the choices made in it. Raises SlackError."""
        previous = self.get(view_id)
        checked = check_view(content, "modal")
        self._check_external(checked, view_id)
        return self._put(replace(previous, content=checked, hash=_new_hash()))

    def publish(self, user_id: str, content: Json, hash_before: str | None) -> View:
        previous = self._homes.get(user_id)
        if hash_before and (previous is None or previous.hash != hash_before):
            raise SlackError("hash_conflict")
        view = self._new(user_id, content, "home")
        self._homes[user_id] = replace(view, id=previous.id, root_id=previous.id) if previous else view
        return self._notify(self._homes[user_id])

    def find_by_external_id(self, external_id: str) -> View:
        for view in self._all_views():
            if external_id and view.content.get("external_id") == external_id:
                return view
        raise SlackError("not_found")

    def choose(self, view_id: str, choices: Mapping[tuple[str, str], Choice]) -> View:
        view = self.get(view_id)
        return self._put(replace(view, choices={**view.choices, **choices}), notify=False)

    def close(self, user_id: str) -> None:
        if stack := self._stacks.get(user_id):
            stack.pop()
            self._notify_listeners(user_id)

    def clear(self, user_id: str) -> list[View]:
        """Closes all of a person's modals and returns them, the top one first."""
        closed = self._stacks.pop(user_id, [])
        self._notify_listeners(user_id)
        return closed[::-1]

    def view_json(self, view: View) -> Json:
        """Returns a view's description in responses and payloads."""
        sent = {key: value for key, value in view.content.items() if key not in _NEVER_SENT}
        defaults: Json = {"private_metadata": "", "callback_id": "", "external_id": "", "title": None, "close": None}
        defaults |= {"submit": None, "clear_on_close": False, "notify_on_close": False}
        return {
            **defaults,
            **sent,
            "id": view.id,
            "type": view.content["type"],
            "blocks": list(view.blocks),
            "team_id": TEAM_ID,
            "app_installed_team_id": TEAM_ID,
            "app_id": APP_ID,
            "bot_id": self.bot.bot_id,
            "hash": view.hash,
            "root_view_id": view.root_id,
            "previous_view_id": view.previous_id,
            "state": {"values": state_values(self.suggested.fill(view.id, view.blocks), view.choices)},
        }

    def _new(self, user_id: str, content: Json, kind: str) -> View:
        checked = check_view(content, kind)
        self._check_external(checked)
        view_id = f"V{secrets.token_hex(5).upper()}"
        return View(view_id, user_id, checked, _new_hash(), view_id)

    def _check_external(self, content: Json, own_id: str | None = None) -> None:
        external_id = content.get("external_id")
        if external_id and any(
            v.content.get("external_id") == external_id and v.id != own_id for v in self._all_views()
        ):
            raise SlackError("duplicate_external_id")

    def _all_views(self) -> list[View]:
        return [*self._homes.values(), *(view for stack in self._stacks.values() for view in stack)]

    def _put(self, view: View, *, notify: bool = True) -> View:
        if view.content["type"] == "home":
            self._homes[view.user_id] = view
        else:
            stack = self._stacks[view.user_id]
            stack[[open_view.id for open_view in stack].index(view.id)] = view
        return self._notify(view) if notify else view

    def _notify(self, view: View) -> View:
        self._notify_listeners(view.user_id)
        return view

    def _notify_listeners(self, user_id: str) -> None:
        for listener in self.on_changed:
            listener(user_id)


def _new_hash() -> str:
    return secrets.token_hex(8)
