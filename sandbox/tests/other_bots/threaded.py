"""The sample bot with slack_bolt."""

import re
from typing import Any

from slack_bolt import Ack, App, Respond, Say
from slack_sdk import WebClient

from slack_sandbox.workspace import Json
from tests.other_bots.blocks import cities, greeting, names, order, order_form, section


def sample_bot(token: str, base_url: str) -> App:
    """Returns the bot. Like Bolt, it calls auth.test immediately."""
    app = App(client=WebClient(token, base_url=base_url))

    @app.event("app_mention")
    def greet(event: Json, say: Say) -> None:
        say(text="Hello", blocks=greeting(event["user"]), thread_ts=event["ts"])

    @app.action("wave")
    def wave(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        text = f"{body['user']['name']} {body['actions'][0]['value']}"
        client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text=text, blocks=[section(text)])

    @app.command("/echo")
    def echo(ack: Ack, command: Json, respond: Respond) -> None:
        ack()
        respond(f"You said {command['text']}")

    @app.command("/order")
    def ask(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=body["trigger_id"], view=order_form())

    @app.options("city")
    def suggest(ack: Ack, payload: Json) -> None:
        ack(options=cities(payload["value"]))

    @app.view("order")
    def confirm(ack: Ack, view: Json, client: WebClient) -> None:
        ack()
        client.chat_postMessage(channel="#general", text=order(view))

    add_lookups(app)
    return app


def add_lookups(app: App) -> None:
    @app.event("reaction_added")
    def count(event: Json, client: WebClient) -> None:
        item = event["item"]
        reactions = client.reactions_get(channel=item["channel"], timestamp=item["ts"])["message"]["reactions"]
        text = ", ".join(f"{reaction['name']} {reaction['count']}" for reaction in reactions)
        client.chat_postMessage(channel=item["channel"], thread_ts=item["ts"], text=text)

    @app.message(re.compile("^report$"))
    def report(message: Json, client: WebClient) -> None:
        client.files_upload_v2(
            channel=message["channel"], thread_ts=message["ts"], filename="report.txt", content="All is well"
        )

    @app.message(re.compile(r"^who is (\S+)$"))
    def who(context: Any, say: Say, client: WebClient) -> None:
        address = context["matches"][0].removeprefix("<mailto:").partition("|")[0]
        say(f"That is <@{client.users_lookupByEmail(email=address)['user']['id']}>")

    @app.message(re.compile("^channels$"))
    def channels(say: Say, client: WebClient) -> None:
        say(" | ".join(names(page.data) for page in client.conversations_list(limit=2)))
