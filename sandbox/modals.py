"""What people do in views: presses, submissions and closing, as interactive payloads."""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.choices import Choice, action_json, find_element
from sandbox.interactivity import Interactivity
from sandbox.rules_views import wrong_inputs
from sandbox.views import View, Views
from sandbox.workspace import Json, SlackError

Values = Mapping[tuple[str, str], Choice]
"""What fields hold, by block_id and action_id."""


@dataclass(frozen=True, slots=True)
class ViewPress:
    """One use of an element in a view, and what the view's fields hold by then."""

    action_id: str
    block_id: str | None
    chosen: Choice
    values: Values


@dataclass
class Modals:
    """Tells the app, and does what it answers."""

    interactivity: Interactivity
    views: Views

    async def press(self, user_id: str, view_id: str, press: ViewPress) -> bool:
        """Whether the app acknowledged. Raises SlackError."""
        view = self._own(user_id, view_id)
        block, element = find_element(view.blocks, press.action_id, press.block_id)
        where = (block["block_id"], press.action_id)
        view = self.views.choose(view_id, {**press.values, where: press.chosen})
        action = action_json(element, where[0], press.chosen, self.interactivity.workspace.next_ts())
        payload = {
            "type": "block_actions",
            **self.interactivity.sender(user_id, view_id if view.content["type"] == "modal" else None),
            **self._about(view),
            "container": {"type": "view", "view_id": view_id},
            "actions": [action],
        }
        payload["state"] = payload["view"]["state"]
        return await self.interactivity.send(payload) is not None

    async def submit(self, user_id: str, view_id: str, values: Values) -> dict[str, str]:
        """What is wrong with the fields, by block_id; nothing is where it was taken. Raises SlackError."""
        self._own(user_id, view_id)
        view = self.views.choose(view_id, values)
        if wrong := wrong_inputs(view.blocks, view.chosen):
            return wrong
        about = {"type": "view_submission", "response_urls": [], **self._about(view)}
        answer = await self.interactivity.send({**about, **self.interactivity.sender(user_id, view_id)})
        if answer is None:
            raise SlackError("app_not_responding")
        return self._do(view, answer)

    async def close(self, user_id: str, *, everything: bool) -> None:
        """Closes the topmost modal, or all of them; the app hears of those that it wants to hear of."""
        top = self.views.modal(user_id)
        if top is None:
            return
        if everything or top.content.get("clear_on_close"):
            closed = self.views.clear(user_id)
        else:
            closed = [top]
            self.views.close(user_id)
        for view in closed:
            if view.content.get("notify_on_close"):
                about = {"type": "view_closed", "is_cleared": everything, **self._about(view)}
                sender = self.interactivity.sender(user_id)
                # Nothing can be opened in answer to it.
                del sender["trigger_id"]
                await self.interactivity.send({**about, **sender})

    def _do(self, view: View, answer: Json) -> dict[str, str]:
        match answer.get("response_action"):
            case None:
                self._close(view)
            case "clear":
                self.views.clear(view.user_id)
            case "update":
                self.views.update(view.id, answer["view"])
            case "push":
                self.views.push(view.user_id, answer["view"])
            case "errors":
                known = {block["block_id"] for block in view.blocks if block["type"] == "input"}
                if not answer.get("errors") or not known.issuperset(answer["errors"]):
                    raise SlackError("invalid_response_errors")
                return dict(answer["errors"])
            case _:
                raise SlackError("invalid_response_action")
        return {}

    def _close(self, view: View) -> None:
        top = self.views.modal(view.user_id)
        if top is not None and top.id == view.id:
            self.views.close(view.user_id)

    def _own(self, user_id: str, view_id: str) -> View:
        view = self.views.get(view_id)
        if view.user_id != user_id:
            raise SlackError("not_found")
        return view

    def _about(self, view: View) -> Json:
        return {"view": self.views.view_json(view)}
