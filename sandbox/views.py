"""Views: the modals that people have open, in stacks, and the app's Home for each of them."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sandbox.choices import Choice, state_values
from sandbox.rules_views import check_view
from sandbox.workspace import APP_ID, TEAM_ID, Json, SlackError, User

MAX_STACKED = 3
_NEVER_SENT = frozenset({"type", "blocks"})


@dataclass(frozen=True, slots=True)
class View:
    """A modal or a Home as the app made it, and what is chosen in it."""

    id: str
    user_id: str
    content: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    chosen: Mapping[tuple[str, str], Choice] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[Json, ...]:
        return tuple(self.content["blocks"])

    @property
    def title(self) -> str:
        return str(self.content.get("title", {}).get("text", ""))


@dataclass
class Views:
    """All views; `changed` is told whose have changed."""

    bot: User
    changed: list[Callable[[str], None]] = field(default_factory=list)
    _stacks: dict[str, list[View]] = field(default_factory=dict)
    _homes: dict[str, View] = field(default_factory=dict)

    def modal(self, user_id: str) -> View | None:
        """What a person has open, the topmost."""
        stack = self._stacks.get(user_id)
        return stack[-1] if stack else None

    def home(self, user_id: str) -> View | None:
        """The app's Home as it was published for a person."""
        return self._homes.get(user_id)

    def get(self, view_id: str) -> View:
        """Raises SlackError("not_found")."""
        for view in self._all():
            if view.id == view_id:
                return view
        raise SlackError("not_found")

    def depth(self, user_id: str) -> int:
        """So many modals a person has open, one above the other."""
        return len(self._stacks.get(user_id, ()))

    def open(self, user_id: str, content: Json) -> View:
        """A new modal, alone. Raises SlackError."""
        view = self._new(user_id, content, "modal")
        self._stacks[user_id] = [view]
        return self._notify(view)

    def push(self, user_id: str, content: Json) -> View:
        """A new modal above the one that is open. Raises SlackError."""
        stack = self._stacks.get(user_id)
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= MAX_STACKED:
            raise SlackError("push_limit_reached")
        view = replace(self._new(user_id, content, "modal"), previous_id=stack[-1].id, root_id=stack[0].id)
        stack.append(view)
        return self._notify(view)

    def update(self, view_id: str, content: Json) -> View:
        """Other content for a modal; what is chosen in it stays. Raises SlackError."""
        former = self.get(view_id)
        checked = check_view(content, "modal")
        self._check_external(checked, view_id)
        return self._put(replace(former, content=checked, hash=_new_hash()))

    def publish(self, user_id: str, content: Json, hash_before: str | None) -> View:
        """The app's Home for a person. Raises SlackError."""
        former = self._homes.get(user_id)
        if hash_before and (former is None or former.hash != hash_before):
            raise SlackError("hash_conflict")
        view = self._new(user_id, content, "home")
        self._homes[user_id] = replace(view, id=former.id, root_id=former.id) if former else view
        return self._notify(self._homes[user_id])

    def by_external(self, external_id: str) -> View:
        """Raises SlackError("not_found")."""
        for view in self._all():
            if external_id and view.content.get("external_id") == external_id:
                return view
        raise SlackError("not_found")

    def choose(self, view_id: str, chosen: Mapping[tuple[str, str], Choice]) -> View:
        """Keeps what a person has chosen by now."""
        view = self.get(view_id)
        return self._put(replace(view, chosen={**view.chosen, **chosen}), tell=False)

    def close(self, user_id: str) -> None:
        """Closes the topmost modal, if any: the one below is shown again."""
        if stack := self._stacks.get(user_id):
            stack.pop()
            self._notify_listeners(user_id)

    def clear(self, user_id: str) -> list[View]:
        """Closes all of a person's modals; which they were, the topmost first."""
        closed = self._stacks.pop(user_id, [])
        self._notify_listeners(user_id)
        return closed[::-1]

    def view_json(self, view: View) -> Json:
        """A view as the Web API and payloads show it."""
        sent = {key: value for key, value in view.content.items() if key not in _NEVER_SENT}
        usual: Json = {"private_metadata": "", "callback_id": "", "external_id": "", "title": None, "close": None}
        usual |= {"submit": None, "clear_on_close": False, "notify_on_close": False}
        return {
            **usual,
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
            "state": {"values": state_values(view.blocks, view.chosen)},
        }

    def _new(self, user_id: str, content: Json, kind: str) -> View:
        checked = check_view(content, kind)
        self._check_external(checked)
        view_id = f"V{secrets.token_hex(5).upper()}"
        return View(view_id, user_id, checked, _new_hash(), view_id)

    def _check_external(self, content: Json, own_id: str | None = None) -> None:
        external_id = content.get("external_id")
        if external_id and any(v.content.get("external_id") == external_id and v.id != own_id for v in self._all()):
            raise SlackError("duplicate_external_id")

    def _all(self) -> list[View]:
        return [*self._homes.values(), *(view for stack in self._stacks.values() for view in stack)]

    def _put(self, view: View, *, tell: bool = True) -> View:
        if view.content["type"] == "home":
            self._homes[view.user_id] = view
        else:
            stack = self._stacks[view.user_id]
            stack[[each.id for each in stack].index(view.id)] = view
        return self._notify(view) if tell else view

    def _notify(self, view: View) -> View:
        self._notify_listeners(view.user_id)
        return view

    def _notify_listeners(self, user_id: str) -> None:
        for listener in self.changed:
            listener(user_id)


def _new_hash() -> str:
    return secrets.token_hex(8)
