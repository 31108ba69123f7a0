"""docs/emulator.md: its lists are the sandbox's code, and its examples run.

`python -m tests.sandbox.test_emulator_page` writes the lists again.
"""

import asyncio
import os
import re
import textwrap
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox import action_tokens, files, manifest, responses, socket_mode, triggers, views
from sandbox.blocks import elements, rules, sizes, view_rules
from sandbox.manifest import EVENT_SCOPES, NEVER_SENT
from sandbox.server import find_port
from sandbox.web_api import search, streams
from sandbox.web_api.budgets import FLOORS
from sandbox.web_api.http import METHODS
from tests.clocks import WITHIN_S
from tests.processes import REPOSITORY, bot_process, wait_for_line
from tests.sandbox.other_bots.running import node_process

PAGE = REPOSITORY / "docs" / "emulator.md"
BEGIN = "<!-- generated from the sandbox's code: python -m tests.sandbox.test_emulator_page -->\n"
END = "<!-- end of the generated part -->\n"
LIMITS: Mapping[str, object] = {
    "Blocks of a message, as stored": sizes.BLOCKS,
    "Characters in all blocks of a message": sizes.ALL_TEXT,
    "Characters of a `markdown` block": rules.MARKDOWN,
    "Characters of `text` in chat.postMessage, cut beyond": rules.POST_TEXT,
    "UTF-8 bytes of `text` in chat.update": rules.UPDATE_TEXT_BYTES,
    "Characters of a header": sizes.HEADER_TEXT,
    "Characters of a section, of one of its fields": f"{rules.SECTION_TEXT:,}, {rules.SECTION_FIELD:,}",
    "Rows and columns of a table": f"{sizes.TABLE_ROWS}, {sizes.TABLE_COLUMNS}",
    "Characters in a message's tables": sizes.TABLE_TEXT,
    "Characters of a button's text, value and URL": (
        f"{elements.BUTTON_TEXT}, {elements.BUTTON_VALUE:,}, {elements.BUTTON_URL:,}"
    ),
    "Characters of an option's text and value": f"{elements.OPTION_TEXT}, {elements.OPTION_VALUE}",
    "Characters of a placeholder": elements.PLACEHOLDER,
    "Characters of action_id, block_id, callback_id": elements.IDENTIFIER,
    "Characters typed before block_suggestion, by default": elements.MIN_QUERY_LENGTH,
    "Options in an answer to block_suggestion": elements.MAX_SUGGESTED_OPTIONS,
    "Blocks of a view": view_rules.BLOCKS,
    "Bytes of a view": view_rules.VIEW_BYTES,
    "Characters of a view's title, of private_metadata": f"{view_rules.TITLE}, {view_rules.PRIVATE_METADATA:,}",
    "Modals on top of each other": views.MAX_STACKED,
    "Seconds that a trigger_id lives": f"{triggers.LIFE_S:.0f}",
    "Seconds that an action_token lives; results of a search": f"{action_tokens.LIFE_S:.0f}, {search.MAX_RESULTS}",
    "Uses of a response_url, within seconds": f"{responses.USES}, {responses.LIFE_S:,.0f}",
    "Bytes of a file": files.MAX_BYTES,
    "Socket Mode connections": socket_mode.MAX_CONNECTIONS,
    "Seconds that a native stream is open": f"{streams.LIFE_S:.0f}",
    "Slash commands, shortcuts and events of a manifest": (
        f"{manifest.MAX_COMMANDS}, {manifest.MAX_SHORTCUTS}, {manifest.MAX_EVENTS}"
    ),
}
"""What is limited, and the sandbox's constant."""


def generated() -> str:
    """Returns the page's lists, made from the sandbox's code."""
    methods: dict[str, list[str]] = {}
    for name in sorted(METHODS):
        methods.setdefault(_scopes(name), []).append(f"`{name}` {FLOORS.get(name, '')}".strip())
    events: dict[str, list[str]] = {}
    for event, scope in sorted(EVENT_SCOPES.items()):
        events.setdefault(f"`{scope}`" if scope else "no scope", []).append(event)
    blocks = [(f"`{block}`", _names(sorted(allowed))) for block, allowed in elements.ALLOWED.items()]
    limits = [(what, f"{limit:,}" if isinstance(limit, int) else limit) for what, limit in LIMITS.items()]
    sections = {
        "Methods": (
            "By scopes, of which one is enough, with the calls a minute beyond which a method gets HTTP 429:",
            listed((scopes, ", ".join(methods[scopes])) for scopes in sorted(methods)),
        ),
        "Events": (
            "A manifest can subscribe to these. Each needs its scope.",
            listed((scope, _names(events[scope])) for scope in sorted(events)),
            f"It can subscribe to Slack's other {len(NEVER_SENT)} events, too, which the sandbox never sends.",
        ),
        "Blocks": ("The elements that each block takes:", listed(blocks)),
        "Limits": (listed(limits),),
    }
    return "\n".join("\n".join((f"## {heading}\n", *_spaced(parts))) for heading, parts in sections.items())


def _spaced(parts: Iterable[str]) -> Iterable[str]:
    return (part if part.endswith("\n") else f"{part}\n" for part in parts)


def listed(rows: Iterable[tuple[str, object]]) -> str:
    """Returns a list in Markdown."""
    return "".join(f"{_filled(f'- {what}: {text}', '  ')}\n" for what, text in rows)


def _scopes(method: str) -> str:
    scopes = _names(METHODS[method].scopes)
    if METHODS[method].called_with is None:
        return "no token"
    kind = METHODS[method].called_with
    note = {"app": "the app-level token", "config": "an app configuration token"}.get(kind or "", "")
    return ", ".join(part for part in (scopes, note) if part) or "no scope"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 120, subsequent_indent=indent, break_on_hyphens=False)


def code(language: str) -> str:
    """Returns the page's example in a language."""
    examples = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    return str(examples[0])


def test_lists_of_the_page_are_made_from_the_code() -> None:
    page = PAGE.read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == f"\n{generated()}\n"


async def printed_tokens(folder: Path, *arguments: str) -> list[str]:
    port = find_port(25_000 + os.getpid() % 1_000 * 10)
    async with bot_process(folder, "sandbox", "--no-bot", "--port", str(port), *arguments) as process:
        return [(await wait_for_line(process.stdout, f"{name}_TOKEN=")).strip() for name in ("BOT", "APP")]


@pytest.mark.long
async def test_tokens_are_others_at_each_start_unless_they_are_chosen(tmp_path: Path) -> None:
    first, second = [await printed_tokens(tmp_path) for _ in range(2)]
    assert not set(first) & set(second)
    assert all(len(token) > len("SLACK_BOT_TOKEN=") + 32 for token in first)
    chosen = await printed_tokens(tmp_path, "--bot-token", "xoxb-of-my-own", "--app-token", "xapp-of-my-own")
    assert chosen == ["SLACK_BOT_TOKEN=xoxb-of-my-own", "SLACK_APP_TOKEN=xapp-of-my-own"]


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The environment that the command prints for a bot, with the page's manifest."""
    (tmp_path / "manifest.json").write_text(code("json"))
    # A range of ports for each worker: two that look for a free one at once would find the same.
    port = find_port(25_000 + os.getpid() % 1_000 * 10)
    arguments = ("sandbox", "--no-bot", "--manifest", "manifest.json", "--port", str(port))
    async with bot_process(tmp_path, *arguments) as process:
        printed = [await wait_for_line(process.stdout, f"{name}=") for name in ("BOT_TOKEN", "APP_TOKEN", "API_URL")]
        yield dict(line.strip().split("=", 1) for line in printed)
        process.terminate()
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == 0


def python_bot(folder: Path, env: Mapping[str, str]) -> AbstractAsyncContextManager[Any]:
    program = folder / "bot.py"
    program.write_text(code("python"))
    return bot_process(folder, env=env, program=(str(program),))


def javascript_bot(folder: Path, env: Mapping[str, str]) -> AbstractAsyncContextManager[Any]:
    program = folder / "bot.js"
    program.write_text(code("javascript"))
    return node_process(program, env)


@pytest.mark.long
@pytest.mark.parametrize("start", [python_bot, javascript_bot])
async def test_example_of_the_page_runs_on_the_command(
    emulator: dict[str, str],
    tmp_path: Path,
    session: aiohttp.ClientSession,
    start: Callable[[Path, Mapping[str, str]], AbstractAsyncContextManager[Any]],
) -> None:
    url = emulator["SLACK_API_URL"].removesuffix("api/")

    async def messages() -> list[Any]:
        async with session.get(f"{url}sandbox/state") as response:
            return list((await response.json())["messages"])

    async def post(path: str, **fields: str) -> Any:
        async with session.post(f"{url}sandbox/{path}", json=fields) as response:
            return await response.json()

    async def wait_for(shows: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(WITHIN_S):
            # Another process: nothing here tells of its changes.
            while not (replies := [message for message in await messages() if message["is_bot"] and shows(message)]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return replies[0]

    async with start(tmp_path, emulator) as process:
        async with asyncio.timeout(WITHIN_S):
            while not (await (await session.get(f"{url}sandbox/state")).json())["bot"]["connected"]:
                assert process.returncode is None, await process.communicate()
                await asyncio.sleep(0.05)
        asked = await post("say", user_id="U0ADA", channel="C0GENERAL", text="@greeter hi")
        answer = await wait_for(lambda message: message["thread_ts"] == asked["ts"])
        block_id = re.search(r'data-block="(.+?)"', answer["html"])
        assert block_id is not None
        where = {"channel": "C0GENERAL", "ts": answer["ts"], "block_id": block_id[1], "action_id": "wave"}
        assert (await post("press", user_id="U0GRACE", **where))["ok"]
        assert (await wait_for(lambda message: message["text"] == "👋"))["ts"] == answer["ts"]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{generated()}\n{END}{rest.partition(END)[2]}")
