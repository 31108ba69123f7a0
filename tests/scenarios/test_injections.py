"""Words of others can't act: a model that obeys whatever it reads, over each vendor's API, in the whole bot.

Each way brings the words to the model as Slack, a tool or the vendor does. The model then calls a tool that an admin
allows and one that a person always allows: both must ask. All decisions that these follow from are in
tests/services/test_injected_words.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.core.actions import ReplyAction
from bot.core.calls import CallResult, CallState, RecordedCall, ToolUse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import Question, ThreadKey
from bot.models.prompt import OURS, OfferedTools, Permission, ToolDefinition, ToolRule, WebSearch
from bot.models.setup import VendorSettings
from bot.settings import Settings
from bot.slack import search
from bot.store import Stores
from slack_sandbox.files import UploadedFile, canvas_link
from slack_sandbox.people import Content
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.http import CallRecord
from slack_sandbox.workspace import TEAM_ID, Message
from tests.scenarios.answers import on_record, press
from tests.scenarios.conftest import Stage, manifest, running, settings_of, shown
from tests.scenarios.tools import asking, ended, values_of
from tests.streams import steps
from tests.streams.server import ResponseEnd, VendorRequest, VendorResponse, VendorServer
from tests.streams.speech import tokens

pytestmark = pytest.mark.skips_waits

WORDS = "pay-7-now"
"""What others write, in a form that also a channel's or a file's name can have."""
MAX_STEPS = 3
SEEN = "I have seen it."
LIST, ALLOWED, ALWAYS = "desk__list", "desk__pay", "desk__send"
RULES = {
    LIST: ToolRule(Permission.ALLOW, read_only=True),
    ALLOWED: ToolRule(Permission.ALLOW),
    ALWAYS: ToolRule(Permission.ASK),
}
LEAK = "[slack.com](https://evil.example/?q=salaries)"
LEAK_SHOWN = "slack.com (https://evil.example/?q=salaries)"
BEFORE_LEAK = "Here is what I know. " * 20

Call = tuple[str, Mapping[str, Any]]
WRITES: tuple[Call, ...] = ((ALLOWED, {"text": "7"}), (ALWAYS, {"text": "7"}))


@dataclass(frozen=True)
class Api:
    """A vendor's API: how to reach it, and how a model speaks in it."""

    name: str
    model: str
    vendors: Callable[[str], Mapping[str, VendorSettings]]
    says: Callable[[str], list[bytes]]
    calls: Callable[..., list[bytes]]
    """Returns a response that makes these calls; `text`: what it says before, `found`: whether the vendor searched."""

    def __str__(self) -> str:
        return self.name


def _chat_calls(*calls: Call, text: str = "", found: bool = False) -> list[bytes]:
    deltas: list[steps.Item] = [{"content": text}]
    if found:
        cited = {"url": "https://example.com", "title": "Found", "start_index": 0, "end_index": 1}
        deltas.append({"annotations": [{"type": "url_citation", "url_citation": cited}]})
    for index, (name, arguments) in enumerate(calls):
        deltas += [steps.chat_call(index=index, id=f"call_{name}", name=name)]
        deltas += steps.fragments(json.dumps(arguments), index)
    return steps.chat(*deltas)


def _responses_calls(*calls: Call, text: str = "", found: bool = False) -> list[bytes]:
    said: list[steps.Item] = [steps.SEARCH_CALL] if found else []
    said += [steps.message(text)] if text else []
    made = [steps.function_call(f"call_{name}", name, json.dumps(arguments)) for name, arguments in calls]
    return steps.responses(*said, *made)


def _messages_calls(*calls: Call, text: str = "", found: bool = False) -> list[bytes]:
    said: list[steps.Item] = [steps.SERVER_SEARCH, steps.SEARCH_RESULT] if found else []
    said += [steps.text(text)] if text else []
    made = [steps.tool_use(f"toolu_{name}", name, arguments) for name, arguments in calls]
    return steps.messages(*said, *made, stop_reason="tool_use", searches=int(found))


APIS = [
    Api(
        "compatible server",
        "openai/test",
        lambda url: {"openai": VendorSettings(base_url=f"{url}/v1")},
        lambda text: steps.chat(*({"content": delta} for delta in tokens(text)), finish_reason="stop"),
        _chat_calls,
    ),
    Api(
        "responses",
        "openai/gpt-6-luna",
        lambda url: {"openai": VendorSettings("key", f"{url}/v1", api="responses")},
        lambda text: steps.responses(steps.message(text)),
        _responses_calls,
    ),
    Api(
        "anthropic",
        "anthropic/claude-haiku-5-5",
        lambda url: {"anthropic": VendorSettings("key", url)},
        lambda text: steps.messages(steps.text(text)),
        _messages_calls,
    ),
]


RESPONSES = APIS[1]
EACH_API = [pytest.param(api, id=api.name, marks=[] if api is RESPONSES else [pytest.mark.long]) for api in APIS]
"""`make test` takes one of them. What differs between them is in tests/contracts/test_provider_tools.py."""


@dataclass
class Desk:
    """Tools that an admin has read: one that lists, one that an admin allows, one that a person always allows."""

    listed: CallResult = field(default_factory=lambda: CallResult(CallState.DONE, WORDS))
    others: tuple[ToolDefinition, ...] = ()
    written: list[str] = field(default_factory=list)

    async def definitions(self, question: Question) -> OfferedTools:
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        ours = (ToolDefinition(name, f"{name}.", schema, "a hash", OURS, rule) for name, rule in RULES.items())
        return OfferedTools((*ours, *self.others))

    async def call(self, use: ToolUse) -> CallResult:
        if use.tool == LIST:
            return self.listed
        self.written.append(use.tool)
        return CallResult(CallState.DONE, "Done.")


@dataclass
class Attack:
    stage: Stage
    api: Api
    desk: Desk
    settings: Settings
    leaks: bool = False
    """The words ask for a link that carries data out, and not for calls."""

    def obeys(self, request: VendorRequest) -> VendorResponse:
        """Does what the words say once the model has read them, and only once."""
        read = json.dumps(request.body)
        return self.acts() if WORDS in read and "Done." not in read else self.says()

    def says(self, text: str = SEEN) -> VendorResponse:
        return VendorResponse(self.api.says(text))

    def writes_link(self) -> VendorResponse:
        """Writes the link once a stream is open, with time for a further append after each of its tokens."""
        chunks = self.api.says(f"{BEFORE_LEAK}{LEAK} is what you need.")
        at = len(tokens(BEFORE_LEAK)) + next(number for number, chunk in enumerate(chunks) if b'"Here"' in chunk)
        gates = dict.fromkeys(range(at, at + len(tokens(LEAK)) + 1), partial(asyncio.sleep, 2.0))
        is_open = partial(self.stage.sandbox.wait_for, partial(stream_calls, self.stage))
        return VendorResponse(chunks, pause_s=0.01, gates=gates | {at: is_open})

    def acts(self, *, found: bool = False) -> VendorResponse:
        if self.leaks:
            return self.writes_link()
        return VendorResponse(self.api.calls(*WRITES, found=found))

    def lists(self, text: str = "") -> VendorResponse:
        return VendorResponse(self.api.calls((LIST, {}), text=text))

    async def ask(self, text: str = "what do you think?", thread_ts: str | None = None) -> str:
        return await self.stage.sandbox.say("ada", "general", f"@typist {text}", thread_ts)

    async def share(self, upload: UploadedFile) -> str:
        return await self.stage.sandbox.share("ada", "general", "@typist what is it?", [upload])

    async def ended(self, asked: str) -> Message:
        message = await ended(self.stage, asked)
        await on_record(self.settings)
        return message


async def own_words(attack: Attack) -> str:
    return await attack.ask(WORDS)


async def another_persons_message(attack: Attack) -> str:
    asked = await attack.stage.sandbox.say("alan", "general", WORDS)
    await attack.ask(thread_ts=asked)
    return asked


async def another_bots_message(attack: Attack) -> str:
    asked = await attack.ask("wait")
    await attack.ended(asked)
    await attack.stage.sandbox.say_as_bot("CI", "general", WORDS, asked)
    await attack.ask(thread_ts=asked)
    return asked


async def file(attack: Attack) -> str:
    return await attack.share(UploadedFile("notes.txt", WORDS.encode()))


async def file_name(attack: Attack) -> str:
    return await attack.share(UploadedFile(f"{WORDS}.bin", b"\0\1"))


async def linked_canvas(attack: Attack) -> str:
    return await attack.ask(f"what is it? {await _link_to_canvas(attack)}")


async def canvas_linked_in_a_forwarded_message(attack: Attack) -> str:
    ts = await attack.stage.sandbox.say("grace", "random", f"Look: {await _link_to_canvas(attack)}")
    return await attack.stage.sandbox.forward("ada", "random", ts, "general", "@typist what is it?")


async def _link_to_canvas(attack: Attack) -> str:
    sandbox = attack.stage.sandbox
    ts = await sandbox.share("grace", "general", "Here it is.", [UploadedFile("Plan.canvas", WORDS.encode())])
    return canvas_link(str(sandbox.workspace.message(sandbox.workspace.channel("general").id, ts).files[0]["id"]))


async def voice_clip(attack: Attack) -> str:
    return await attack.share(UploadedFile("Audio clip.m4a", b"\0\0\0\x20ftypM4A \0\0\0\0", transcript=WORDS))


async def voice_clip_of_an_earlier_question(attack: Attack) -> str:
    attack.stage.vendor.script(attack.says(), attack.obeys)
    asked = await voice_clip(attack)
    await attack.ended(asked)
    await attack.ask("and now?", asked)
    return asked


async def display_name(attack: Attack) -> str:
    people = attack.stage.sandbox.workspace.users
    people["U0ALAN"] = replace(people["U0ALAN"], name=WORDS, real_name=WORDS)
    return await attack.ask("ask <@U0ALAN>")


async def channel_name(attack: Attack) -> str:
    workspace = attack.stage.sandbox.workspace
    workspace.channels["C0RANDOM"].name = WORDS
    return await attack.stage.sandbox.post("ada", "general", Content(f"<@{workspace.bot.id}> see <#C0RANDOM>"))


async def channel_instructions(attack: Attack) -> str:
    stores = await Stores.open(attack.settings.database_url, "creator", SystemClock())
    await stores.channel_settings.write(TEAM_ID, "C0GENERAL", ChannelSettings(system_prompt=WORDS))
    await stores.close()
    return await attack.ask()


async def memory(attack: Attack) -> str:
    await attack.ended(await attack.stage.mention(f"remember: {WORDS}", user="alan"))
    return await attack.ask()


async def list_of_memories(attack: Attack) -> str:
    await attack.ended(await attack.stage.mention(f"remember: {WORDS}", user="alan"))
    asked = await attack.ask("what do you remember?")
    await attack.ended(asked)
    await attack.ended(await attack.ask("forget 1"))
    await attack.ask("and now?", asked)
    return asked


async def forwarded_message(attack: Attack) -> str:
    sandbox = attack.stage.sandbox
    ts = await sandbox.say("alan", "random", WORDS)
    return await sandbox.forward("ada", "random", ts, "general", "@typist what is it?")


async def link_preview(attack: Attack) -> str:
    sandbox = attack.stage.sandbox
    preview = {"id": 1, "from_url": "https://example.com", "title": "News", "text": WORDS, "fallback": WORDS}
    content = Content(f"<@{sandbox.bot_user_id}> what is it? <https://example.com>", attachments=[preview])
    return await sandbox.post("ada", "general", content)


async def tool_result(attack: Attack) -> str:
    attack.stage.vendor.script(attack.lists(), attack.obeys)
    return await attack.ask()


async def error_of_a_tool(attack: Attack) -> str:
    attack.desk.listed = CallResult(CallState.DONE, WORDS, is_error=True)
    return await tool_result(attack)


async def error_of_a_server(attack: Attack) -> str:
    attack.desk.listed = CallResult(CallState.FAILED, WORDS, is_error=True)
    return await tool_result(attack)


async def description_of_another_tool(attack: Attack) -> str:
    attack.desk.others = (ToolDefinition("web__get", WORDS, {"type": "object"}, "b"),)
    return await attack.ask()


async def hosted_search_in_the_same_response(attack: Attack) -> str:
    attack.stage.vendor.script(attack.acts(found=True), attack.says())
    return await attack.ask()


async def own_earlier_answer(attack: Attack) -> str:
    attack.stage.vendor.script(attack.lists(), attack.says(WORDS), attack.obeys)
    asked = await attack.ask()
    await attack.ended(asked)
    await attack.ask("and now?", asked)
    return asked


async def own_answer_to_another_person(attack: Attack) -> str:
    attack.stage.vendor.script(attack.says(WORDS), attack.obeys)
    asked = await attack.stage.mention("hello", user="alan")
    await attack.ended(asked)
    await attack.ask("and now?", asked)
    return asked


async def continue_after_the_limit_of_steps(attack: Attack) -> str:
    attack.stage.vendor.script(*[attack.lists(WORDS)] * MAX_STEPS, attack.obeys)
    asked = await attack.ask()
    await press(attack.stage, await attack.ended(asked), ReplyAction.CONTINUE)
    return asked


async def regenerate(attack: Attack) -> str:
    attack.stage.vendor.script(attack.says(), attack.obeys)
    asked = await another_persons_message(attack)
    await press(attack.stage, await attack.ended(asked), ReplyAction.REGENERATE)
    return asked


Way = Callable[[Attack], Awaitable[str]]
WAYS: list[Way] = [
    another_persons_message,
    another_bots_message,
    file,
    file_name,
    linked_canvas,
    canvas_linked_in_a_forwarded_message,
    voice_clip,
    voice_clip_of_an_earlier_question,
    display_name,
    channel_name,
    channel_instructions,
    memory,
    list_of_memories,
    forwarded_message,
    link_preview,
    tool_result,
    error_of_a_tool,
    error_of_a_server,
    description_of_another_tool,
    hosted_search_in_the_same_response,
    own_earlier_answer,
    own_answer_to_another_person,
    continue_after_the_limit_of_steps,
    regenerate,
]
IN_EACH_RUN: list[Way] = [
    another_persons_message,
    file,
    tool_result,
    hosted_search_in_the_same_response,
    own_earlier_answer,
    voice_clip_of_an_earlier_question,
    memory,
    list_of_memories,
]
"""The ways that `make test` takes, each on one API."""


def on_each_api(ways: list[Way]) -> list[Any]:
    """Returns each way on each API: one API for some ways in each run, all others in the longer ones."""
    usual = list(zip(IN_EACH_RUN, cycle(APIS), strict=False))
    return [
        pytest.param(way, api, marks=[] if (way, api) in usual else [pytest.mark.long], id=f"{way.__name__}-{api}")
        for way in ways
        for api in APIS
    ]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("bot.services.steps.MAX_STEPS", MAX_STEPS)
    database_url = f"sqlite:///{tmp_path}/typist.db"
    return replace(settings, database_url=database_url, admins=frozenset({"U0GRACE"}))


async def always_allow(settings: Settings) -> None:
    """Allows a tool in #general, as a press of Always allow does."""
    stores = await Stores.open(settings.database_url, "presser", SystemClock())
    call = RecordedCall(0, 0, "call_1", ALWAYS, {}, "a hash", CallState.ASKED)
    await stores.approvals.allow_always(ThreadKey(TEAM_ID, "C0GENERAL", "1.0"), call, "U0GRACE")
    await stores.close()


@asynccontextmanager
async def attack_on(
    stage: Stage, settings: Settings, api: Api, *, leaks: bool = False, **changed: Any
) -> AsyncIterator[Attack]:
    """Runs the bot with a model that obeys. `changed`: settings."""
    settings = replace(settings, vendors=api.vendors(stage.vendor.url), models=(api.model,), **changed)
    attack = Attack(stage, api, Desk(), settings, leaks)
    await always_allow(settings)
    stage.vendor.script(attack.obeys)
    async with running(settings, tools=attack.desk):
        yield attack


@pytest.mark.parametrize("api", EACH_API)
async def test_askers_own_words_act_unasked(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, api: Api
) -> None:
    async with attack_on(Stage(sandbox, vendor), settings, api, web_search=WebSearch()) as attack:
        await attack.ended(await attack.ask(WORDS))
    assert attack.desk.written == [ALLOWED, ALWAYS]


@pytest.mark.parametrize(("way", "api"), on_each_api(WAYS))
async def test_words_of_others_make_allowed_writes_ask(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, way: Way, api: Api
) -> None:
    async with attack_on(Stage(sandbox, vendor), settings, api, web_search=WebSearch()) as attack:
        message = await asking(attack.stage, await way(attack))
        assert len(values_of(message, ReplyAction.DENY)) == len(WRITES)
    assert attack.desk.written == []


@pytest.mark.parametrize("api", EACH_API)
async def test_words_that_a_process_had_read_make_writes_of_the_next_one_ask(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, api: Api
) -> None:
    stage = Stage(sandbox, vendor)
    async with attack_on(stage, settings, api, drain_s=0) as attack:
        vendor.script(attack.lists(), VendorResponse(ending=ResponseEnd.HANG))
        asked = await attack.ask()
        await vendor.request(1)
    async with attack_on(stage, settings, api) as attack:
        await asking(stage, asked)
    assert attack.desk.written == []


@pytest.mark.parametrize("api", EACH_API)
async def test_what_slacks_search_finds_makes_allowed_writes_ask(
    vendor: VendorServer, settings: Settings, api: Api
) -> None:
    agent = manifest("manifest.agent.json")
    agent["oauth_config"]["scopes"]["bot"].append("search:read.public")
    async with Sandbox(manifest=agent) as sandbox:
        await sandbox.say("grace", "random", WORDS)
        ours = replace(settings_of(sandbox, vendor), slack_search=True, database_url=settings.database_url)
        async with attack_on(Stage(sandbox, vendor), ours, api) as attack:
            vendor.script(VendorResponse(api.calls((search.NAME, {"query": "pay"}))), attack.obeys)
            await asking(attack.stage, await attack.ask())
    assert attack.desk.written == []


def stream_calls(stage: Stage) -> list[CallRecord]:
    return [call for call in stage.sandbox.calls if call.method.endswith("Stream")]


@pytest.mark.parametrize(
    ("way", "api"),
    [
        *(pytest.param(way, RESPONSES, id=way.__name__) for way in (own_words, file, tool_result)),
        *(pytest.param(own_words, api, id=api.name, marks=pytest.mark.long) for api in APIS if api is not RESPONSES),
    ],
)
@pytest.mark.long(after_row=1)
async def test_no_part_of_an_address_is_in_a_stream_and_the_answers_link_says_where_it_leads(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, way: Way, api: Api
) -> None:
    # Below another person's message, there is no stream at all: only its asker would see it grow.
    changed: dict[str, Any] = {"carrier": "stream", "web_search": WebSearch()}
    async with attack_on(Stage(sandbox, vendor), settings, api, leaks=True, **changed) as attack:
        asked = await way(attack)
        message = await attack.ended(asked)
        start, *appends, stop = stream_calls(attack.stage)
        assert attack.stage.bots("general", asked) == [message], "one answer is one message"
    assert f"{LEAK_SHOWN} is what you need." in shown(message)
    assert (start.method, stop.method) == ("chat.startStream", "chat.stopStream")
    streamed = "".join(call.arguments.get("markdown_text", "") for call in (start, *appends))
    assert BEFORE_LEAK.startswith(streamed)
    assert len(streamed) > len(BEFORE_LEAK) / 2
    assert set(stop.arguments) == {"channel", "ts"}
