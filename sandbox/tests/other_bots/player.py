"""Replays the recorded calls of another bot with slack_bolt and slack_sdk, in the way that bot makes them.

`recorded_calls.json` contains each bot's calls after a mention and after a click on its feedback button: Web API
methods by name, and the helpers of Slack's frameworks (`set_status`, `say_stream`, `chat_stream`, then `append` and
`stop`). The texts are ours. `methods` are the resulting Web API calls, and `blocks` those of the answer.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from slack_sandbox.workspace import Json

_FILE = json.loads(Path(__file__).with_name("recorded_calls.json").read_text())
RECORDED: Mapping[str, Json] = _FILE["bots"]


def player(token: str, base_url: str, name: str) -> App:
    """Returns a bot that makes the recorded calls of the bot with this name."""
    app = App(client=WebClient(token, base_url=base_url))

    @app.event("app_mention")
    def mention(event: Json, client: WebClient, context: BoltContext, set_status: Any, say_stream: Any) -> None:
        values = {
            "$channel": event["channel"],
            "$ts": event["ts"],
            "$thread_ts": event.get("thread_ts") or event["ts"],
            "$team": event["team"],
            "$user": event["user"],
            "$feedback": _FILE["feedback"],
        }
        helpers = {"set_status": set_status, "say_stream": say_stream, "chat_stream": client.chat_stream}
        _play(RECORDED[name]["mention"], values, client, helpers)

    @app.action("feedback")
    def feedback(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        values = {"$channel": body["channel"]["id"], "$user": body["user"]["id"], "$message_ts": body["message"]["ts"]}
        _play(RECORDED[name]["press"], values, client, {})

    return app


def _play(steps: list[Json], values: Json, client: WebClient, helpers: dict[str, Callable[..., Any]]) -> None:
    for step in steps:
        method = helpers.get(step["call"]) or getattr(client, step["call"].replace(".", "_"))
        result = method(**_filled(step["with"], values))
        if step["call"] in ("say_stream", "chat_stream"):
            helpers |= {"append": result.append, "stop": result.stop}
        elif step["call"] == "chat.postMessage":
            values["$posted_ts"] = result["ts"]


def _filled(value: Any, values: Json) -> Any:
    """Fills the event's IDs and the feedback buttons into a value."""
    match value:
        case str():
            return values.get(value, value)
        case list():
            return [_filled(item, values) for item in value]
        case dict():
            return {key: _filled(item, values) for key, item in value.items()}
    return value
