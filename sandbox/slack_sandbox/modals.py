"""Sends interactive payloads to the app when people use a view's elements, or submit or close the view."""

from collections.abc import Mapping
from dataclasses import dataclass

from slack_sandbox.blocks.choices import Choice, action_json, find_element
from slack_sandbox.blocks.view_rules import input_errors
from slack_sandbox.interactivity import Interactivity, MenuQuery
from slack_sandbox.views import View, Views
from slack_sandbox.workspace import Json, SlackError

Values = Mapping[tuple[str, str], Choice]


@dataclass(frozen=True, slots=True)
class ViewPress:
    """A click or selection that a person makes in a view. `values`: the view's fields at that time."""

    action_id: str
    block_id: str | None
    choice: Choice
    values: Values


@dataclass
class Modals:
    """Sends people's actions in views to the app, and applies the app's response."""

    interactivity: Interactivity
    views: Views

    async def press(self, user_id: str, view_id: str, press: ViewPress) -> bool:
        """Sends a click or choice to the app, and returns whether the app acknowledged it. Raises SlackError."""
        view = self._own_view(user_id, view_id)
        block, element = find_element(self.views.suggested.fill(view.id, view.blocks), press.action_id, press.block_id)
        key = (block["block_id"], press.action_id)
        view = self.views.choose(view_id, {**press.values, key: press.choice})
        action = action_json(element, key[0], press.choice, self.interactivity.workspace.next_ts())
        payload = {
            "type": "block_actions",
            **self.interactivity.sender_fields(user_id, view_id if view.content["type"] == "modal" else None),
            **self._view_fields(view),
            "container": {"type": "view", "view_id": view_id},
            "actions": [action],
        }
        payload["state"] = payload["view"]["state"]
        return await self.interactivity.send(payload) is not None

    async def suggest(self, view_id: str, query: MenuQuery) -> list[Json]:
        """Asks the app for the options of a view's external menu. Raises SlackError."""
        view = self._own_view(query.user_id, view_id)
        fields = {**self._view_fields(view), "container": {"type": "view", "view_id": view_id}}
        return await self.interactivity.ask_for_options(view_id, view.blocks, query, fields)

    async def submit(self, user_id: str, view_id: str, values: Values) -> dict[str, str]:
        """Submits a modal and returns errors by block_id, which are empty if it was accepted. Raises SlackError."""
        self._own_view(user_id, view_id)
        view = self.views.choose(view_id, values)
        if errors := input_errors(view.blocks, view.choices):
            return errors
        payload = {"type": "view_submission", "response_urls": [], **self._view_fields(view)}
        answer = await self.interactivity.send({**payload, **self.interactivity.sender_fields(user_id, view_id)})
        if answer is None:
            raise SlackError("app_not_responding")
        return self._apply(view, answer)

    async def close(self, user_id: str, *, whole_stack: bool) -> None:
        """Closes the top modal or, with `whole_stack`, all open modals. Sends view_closed for each view with
        notify_on_close."""
        top = self.views.modal(user_id)
        if top is None:
            return
        if whole_stack or top.content.get("clear_on_close"):
            closed = self.views.clear(user_id)
        else:
            closed = [top]
            self.views.close(user_id)
        for view in closed:
            if view.content.get("notify_on_close"):
                payload = {"type": "view_closed", "is_cleared": whole_stack, **self._view_fields(view)}
                sender = self.interactivity.sender_fields(user_id)
                # An app can't open a modal in response to view_closed.
                del sender["trigger_id"]
                await self.interactivity.send({**payload, **sender})

    def _apply(self, view: View, answer: Json) -> dict[str, str]:
        match answer.get("response_action"):
            case None:
                top = self.views.modal(view.user_id)
                if top is not None and top.id == view.id:
                    self.views.close(view.user_id)
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

    def _own_view(self, user_id: str, view_id: str) -> View:
        view = self.views.get(view_id)
        if view.user_id != user_id:
            raise SlackError("not_found")
        return view

    def _view_fields(self, view: View) -> Json:
        return {"view": self.views.view_json(view)}
