"""Tools that the model calls: its requests for them, replies that ask for an approval, and decisions."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.core import choices
from bot.core.actions import ReplyAction
from bot.core.calls import PROPOSALS, READ_CHANNEL, CallResult, CallState, ToolUse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question
from bot.mcp.config import McpSetup, ServerConfig, ToolRules
from bot.models.prompt import OfferedTools, Permission, ToolDefinition, ToolRule
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.workspace import TEAM_ID, Message
from tests.scenarios.conftest import Stage, buttons, says
from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse

RULES = {"notes__list": ToolRule(Permission.ALLOW, read_only=True), "notes__add": ToolRule(Permission.ASK)}
DECISIONS = [
    ReplyAction.APPROVE,
    ReplyAction.DENY,
    ReplyAction.ARGUMENTS,
    ReplyAction.STOP,
]


@dataclass
class Notes:
    """A tool that counts what it was asked to write."""

    written: list[Mapping[str, Any]] = field(default_factory=list)
    listed: int = 0
    result: str = "There are 3 notes."
    may_list: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_list.set()

    async def definitions(self, question: Question) -> OfferedTools:
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        return OfferedTools(
            tuple(ToolDefinition(name, f"{name}.", schema, "a hash", rule=rule) for name, rule in RULES.items())
        )

    async def call(self, use: ToolUse) -> CallResult:
        if use.tool == "notes__add":
            self.written.append(use.arguments)
        else:
            await self.may_list.wait()
            self.listed += 1
        return CallResult(CallState.DONE, self.result)


def calls(text: str, *asked: tuple[str, object]) -> VendorResponse:
    """Returns a vendor's answer that asks for tools."""
    return VendorResponse(speech.chat_calls(text, *asked))


def tools_in(request: VendorRequest) -> list[str]:
    """Returns the names of the tools in a request to the model, without those that every request has."""
    listed = [tool.get("function", tool)["name"] for tool in request.body.get("tools", [])]
    return [name for name in listed if name not in (choices.TOOL_NAME, READ_CHANNEL, *PROPOSALS)]


def results_in(request: VendorRequest) -> list[str]:
    return [message["content"] for message in request.body["messages"] if message["role"] == "tool"]


def by_results(*answers: VendorResponse) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a script that answers by the number of tools' results in the request, as a model would."""

    def script(request: VendorRequest) -> VendorResponse:
        return answers[min(len(results_in(request)), len(answers) - 1)]

    return script


ADD_MILK = by_results(calls("I'll note it.", ("notes__add", {"text": "Milk"})), says("Noted."))


async def asking(stage: Stage, asked: str) -> Message:
    return (await stage.sandbox.wait_for(lambda: [m for m in stage.bots("general", asked) if _asks(m)]))[0]


def _asks(message: Message) -> bool:
    return ReplyAction.DENY in buttons(message)


async def ended(stage: Stage, asked: str) -> Message:
    def over() -> list[Message]:
        return [m for m in stage.bots("general", asked) if ReplyAction.DELETE in buttons(m)]

    return (await stage.sandbox.wait_for(over))[0]


def value_of(message: Message) -> str:
    """Returns what the first Approve button carries for its first call."""
    return values_of(message)[0]


def values_of(message: Message, action: str = ReplyAction.APPROVE) -> list[str]:
    """Returns what the buttons of an action carry: a value for each call that they are about."""
    elements = [element for block in message.blocks for element in block.get("elements", ())]
    return [value for element in elements if element.get("action_id") == action for value in element["value"].split()]


GENERAL = "C0GENERAL"


async def let_use(stores: Stores, *servers: str) -> None:
    await stores.channel_settings.write(TEAM_ID, GENERAL, ChannelSettings(mcp_servers=servers))


def using(settings: Settings, *servers: ServerConfig, **rules: str) -> Settings:
    """Returns settings with these servers; a rule is the one pattern of its kind."""
    kinds = {kind: frozenset({pattern}) for kind, pattern in rules.items()}
    return replace(settings, mcp=McpSetup(servers, ToolRules(**kinds)))
