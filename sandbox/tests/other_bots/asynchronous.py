"""The sample bot with slack_bolt and asyncio."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond, AsyncSay
from slack_sdk.web.async_client import AsyncWebClient

from slack_sandbox.workspace import Json
from tests.other_bots.blocks import cities, greeting, names, order, order_form, section


def sample_bot(token: str, base_url: str) -> AsyncApp:
    app = AsyncApp(client=AsyncWebClient(token, base_url=base_url))

    @app.event("app_mention")
    async def greet(event: Json, say: AsyncSay) -> None:
        await say(text="Hello", blocks=greeting(event["user"]), thread_ts=event["ts"])

    @app.action("wave")
    async def wave(ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        text = f"{body['user']['name']} {body['actions'][0]['value']}"
        await client.chat_update(
            channel=body["channel"]["id"], ts=body["message"]["ts"], text=text, blocks=[section(text)]
        )

    @app.command("/echo")
    async def echo(ack: AsyncAck, command: Json, respond: AsyncRespond) -> None:
        await ack()
        await respond(f"You said {command['text']}")

    @app.command("/order")
    async def ask(ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=order_form())

    @app.options("city")
    async def suggest(ack: AsyncAck, payload: Json) -> None:
        await ack(options=cities(payload["value"]))

    @app.view("order")
    async def confirm(ack: AsyncAck, view: Json, client: AsyncWebClient) -> None:
        await ack()
        await client.chat_postMessage(channel="#general", text=order(view))

    add_lookups(app)
    return app


def add_lookups(app: AsyncApp) -> None:
    """Adds the listeners that look something up."""

    @app.event("reaction_added")
    async def count(event: Json, client: AsyncWebClient) -> None:
        item = event["item"]
        reactions = (await client.reactions_get(channel=item["channel"], timestamp=item["ts"]))["message"]["reactions"]
        text = ", ".join(f"{reaction['name']} {reaction['count']}" for reaction in reactions)
        await client.chat_postMessage(channel=item["channel"], thread_ts=item["ts"], text=text)

    @app.message(re.compile("^report$"))
    async def report(message: Json, client: AsyncWebClient) -> None:
        await client.files_upload_v2(
            channel=message["channel"], thread_ts=message["ts"], filename="report.txt", content="All is well"
        )

    @app.message(re.compile(r"^who is (\S+)$"))
    async def who(context: Any, say: AsyncSay, client: AsyncWebClient) -> None:
        address = context["matches"][0].removeprefix("<mailto:").partition("|")[0]
        await say(f"That is <@{(await client.users_lookupByEmail(email=address))['user']['id']}>")

    @app.message(re.compile("^channels$"))
    async def channels(say: AsyncSay, client: AsyncWebClient) -> None:
        # The SDK's pages are one object that changes during iteration.
        pages = [names(page.data) async for page in await client.conversations_list(limit=2)]
        await say(" | ".join(pages))
