"""README.md: its lists are generated from the code, and its examples run.

`python -m tests.test_readme` updates the lists.
"""

import asyncio
import os
import re
import sys
import textwrap
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from slack_sandbox import action_tokens, files, manifest, responses, socket_mode, triggers, views
from slack_sandbox.blocks import elements, rules, sizes, view_rules
from slack_sandbox.manifest import EVENT_SCOPES, NEVER_SENT
from slack_sandbox.server import find_port
from slack_sandbox.testing.processes import WITHIN_S, inherited_environment, running_process, wait_for_line
from slack_sandbox.web_api import search, streams
from slack_sandbox.web_api.budgets import FLOORS
from slack_sandbox.web_api.http import METHODS
from tests.other_bots.running import NODE_FOLDER, needs_node, node_process

PAGE = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- generated from the code: python -m tests.test_readme -->\n"
END = "<!-- end of the generated part -->\n"
LIMITS: Mapping[str, object] = {
    "Blocks in a stored message": sizes.BLOCKS,
    "Characters in all blocks of a message": sizes.ALL_TEXT,
    "Characters in a `markdown` block": rules.MARKDOWN,
    "Characters in the `text` of `chat.postMessage`, which cuts off longer text": rules.POST_TEXT,
    "UTF-8 bytes in the `text` of `chat.update`": rules.UPDATE_TEXT_BYTES,
    "Characters in a header": sizes.HEADER_TEXT,
    "Characters in a section": f"{rules.SECTION_TEXT:,}, and {rules.SECTION_FIELD:,} in each of its fields",
    "Size of a table": f"{sizes.TABLE_ROWS} rows and {sizes.TABLE_COLUMNS} columns",
    "Characters in all tables of a message": sizes.TABLE_TEXT,
    "Characters in a button": (
        f"{elements.BUTTON_TEXT} in its text, {elements.BUTTON_VALUE:,} in its value and "
        f"{elements.BUTTON_URL:,} in its URL"
    ),
    "Characters in an option": f"{elements.OPTION_TEXT} in its text and {elements.OPTION_VALUE} in its value",
    "Characters in a placeholder": elements.PLACEHOLDER,
    "Characters in each `action_id`, `block_id` and `callback_id`": elements.IDENTIFIER,
    "Characters that a person must type before Slack sends `block_suggestion`, by default": elements.MIN_QUERY_LENGTH,
    "Options in a response to `block_suggestion`": elements.MAX_SUGGESTED_OPTIONS,
    "Blocks in a view": view_rules.BLOCKS,
    "Bytes in a view": view_rules.VIEW_BYTES,
    "Characters in a view": (
        f"{view_rules.TITLE} in its title and {view_rules.PRIVATE_METADATA:,} in `private_metadata`"
    ),
    "Modals on top of each other": views.MAX_STACKED,
    "Seconds until a `trigger_id` expires": f"{triggers.LIFE_S:.0f}",
    "Seconds until an `action_token` expires": f"{action_tokens.LIFE_S:.0f}",
    "Results per search": search.MAX_RESULTS,
    "Uses of a `response_url`": responses.USES,
    "Seconds until a `response_url` expires": f"{responses.LIFE_S:,.0f}",
    "Bytes in a file": files.MAX_BYTES,
    "Socket Mode connections": socket_mode.MAX_CONNECTIONS,
    "Seconds until Slack closes a native stream": f"{streams.LIFE_S:.0f}",
    "Size of a manifest": (
        f"{manifest.MAX_COMMANDS} slash commands, {manifest.MAX_SHORTCUTS} shortcuts and {manifest.MAX_EVENTS} events"
    ),
}
"""The limits to list, and the sandbox's constants."""


def generated() -> str:
    """Returns the lists for README.md, generated from the sandbox's code."""
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
            "This list shows each method's limit in calls per minute. If several scopes are listed, one is enough:",
            listed((scopes, ", ".join(methods[scopes])) for scopes in sorted(methods)),
        ),
        "Events": (
            "The events are listed by the scope that they require:",
            listed((scope, _names(events[scope])) for scope in sorted(events)),
            f"The manifest can also contain Slack's other {len(NEVER_SENT)} events, but the sandbox never sends them.",
        ),
        "Blocks": ("Each block can contain these elements:", listed(blocks)),
        "Limits": (listed(limits),),
    }
    return "\n".join("\n".join((f"## {heading}\n", *_spaced(parts))) for heading, parts in sections.items())


def _spaced(parts: Iterable[str]) -> Iterable[str]:
    return (part if part.endswith("\n") else f"{part}\n" for part in parts)


def listed(rows: Iterable[tuple[str, object]]) -> str:
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


FIRST_TESTS = ("test_bot.py", "test_bolt_bot.py", "test_chat_bot.py")
"""Tests in README.md, for a bot on slack_bolt, @slack/bolt and vercel/chat."""


def code(language: str, number: int = 0) -> str:
    """Returns one of README.md's examples in a language."""
    return str(re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)[number])


def named_files() -> dict[str, str]:
    """Returns README.md's examples that follow a line with a file name."""
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def test_lists_of_the_page_are_made_from_the_code() -> None:
    page = PAGE.read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == f"\n{generated()}\n"


@asynccontextmanager
async def command(folder: Path, *arguments: str) -> AsyncIterator[dict[str, str]]:
    """Runs the command in README.md, and yields what it prints for a bot."""
    # A range of ports for each worker, because two that look for a free one at the same time would find the same.
    port = find_port(25_000 + os.getpid() % 1_000 * 10)
    program = (sys.executable, "-m", "slack_sandbox", "--port", str(port), *arguments)
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    async with running_process(*program, cwd=folder, env=inherited_environment(), **pipes) as process:
        printed = [await wait_for_line(process.stdout, f"{name}=") for name in ("BOT_TOKEN", "APP_TOKEN", "API_URL")]
        yield dict(line.strip().split("=", 1) for line in printed)
        process.terminate()
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == 0


@pytest.mark.long
async def test_tokens_are_others_at_each_start_unless_they_are_chosen(tmp_path: Path) -> None:
    async with command(tmp_path) as first, command(tmp_path) as second:
        tokens = {*first.values(), *second.values()} - {first["SLACK_API_URL"], second["SLACK_API_URL"]}
    assert len(tokens) == 4
    assert all(len(token) > 32 for token in tokens)
    own = {"SLACK_BOT_TOKEN": "xoxb-of-my-own", "SLACK_APP_TOKEN": "xapp-of-my-own"}
    arguments = ("--bot-token", own["SLACK_BOT_TOKEN"], "--app-token", own["SLACK_APP_TOKEN"])
    async with command(tmp_path, *arguments) as chosen:
        assert own.items() <= chosen.items()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a folder with the files in README.md."""
    (tmp_path / "manifest.json").write_text(code("json"))
    (tmp_path / "bot.test.mjs").write_text(code("javascript", 2))
    for name, text in named_files().items():
        (tmp_path / name).write_text(text)
    # Programs in ES modules look for packages only here.
    (tmp_path / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    return tmp_path


@pytest.mark.parametrize("name", FIRST_TESTS)
def test_first_test_of_the_page_has_at_most_ten_lines(name: str) -> None:
    assert len(named_files()[name].splitlines()) <= 10


@pytest.mark.long
@pytest.mark.node
@pytest.mark.parametrize("name", FIRST_TESTS)
async def test_first_test_of_the_page_passes(folder: Path, name: str) -> None:
    if '"node"' in named_files()[name]:
        needs_node()
    await succeeds(folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", name, env=inherited_environment())


@pytest.mark.long
@pytest.mark.node
async def test_first_test_of_the_page_fails_for_a_bot_with_another_greeting(folder: Path) -> None:
    bot = folder / "bot.py"
    bot.write_text(bot.read_text().replace("Hello!", "Goodbye!"))
    with pytest.raises(AssertionError, match="'Goodbye!' == 'Hello!'"):
        await succeeds(
            folder, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_bot.py", env=inherited_environment()
        )


@pytest.mark.long
async def test_javascript_test_of_the_page_passes(folder: Path) -> None:
    async with (
        command(folder, "--manifest", "manifest.json") as env,
        node_process(folder / "bot.js", env),
    ):
        await succeeds(folder, "node", "--test", "bot.test.mjs", env={**inherited_environment(), **env})


@pytest.mark.long
async def test_python_bot_of_the_page_passes_the_javascript_test(folder: Path) -> None:
    async with command(folder, "--manifest", "manifest.json") as env:
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        async with running_process(
            sys.executable, "bot.py", cwd=folder, env={**inherited_environment(), **env}, **pipes
        ):
            await succeeds(folder, "node", "--test", "bot.test.mjs", env={**inherited_environment(), **env})


async def succeeds(folder: Path, *program: str, env: Mapping[str, str]) -> None:
    """Fails with the program's output, unless it exits with 0."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    async with running_process(*program, cwd=folder, env=env, **pipes) as process, asyncio.timeout(WITHIN_S):
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{generated()}\n{END}{rest.partition(END)[2]}")
