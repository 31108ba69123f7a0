"""Lists the functions that handle a mention or a click on Approve, in order, and how often each path turns back.

Functions of bot/, handlers/ and the libraries count. A mention asks in a channel, in the bot that runs in this process,
on the sandbox. The approval is for a tool of an MCP server, from the click to the end of the answer. A function counts
once, where the path first passes it. A module is a room: the path turns back where a function is in a room that was
left before. What runs beside it, such as heartbeats, is left out: only the tasks of the handler, of the worker's
claims, of the attempt and of the edit scheduler count. The path is the middle one of three by the number of functions,
because a slow process opens another connection to the database, and a fast one skips an edit.

Run: python -m benchmarks.path_of_a_mention, or with --main for the fifteen functions that decide what happens, as in
docs/contributors/architecture.md. Python 3.11 has no sys.monitoring, so this uses sys.setprofile.
"""

import argparse
import ast
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from bot.clock import SystemClock
from bot.core.actions import ReplyAction
from bot.mcp.config import McpSetup
from bot.settings import Settings
from bot.store import Stores
from slack_sandbox.server import Sandbox
from tests.mcp.servers import RawServer, agree, text_result, tool
from tests.scenarios.answers import press
from tests.scenarios.conftest import Stage, running, says, settings_of
from tests.scenarios.tools import asking, calls, ended, let_use
from tests.streams.server import VendorServer

ROOT = Path(__file__).parent.parent
RUNS = 3
BEGINS = ("Worker._claim", "EditScheduler._send_due_calls")
"""Functions whose tasks began before the mention, and go on with it."""
PARTS = {
    "all": ("handlers", "bot", "files_to_markdown", "slack_markdown", "slack_pacing"),
    "handlers, services, reply, store": ("handlers", "bot.services", "bot.reply", "bot.store"),
    "handlers, services": ("handlers", "bot.services"),
}
"""The packages that are counted together. The last ones decide what happens; the others show, record, or are pure."""
ACTIONS = "bot.services.reply_actions"
MAIN = (
    ("handlers.messages", "register_messages.<locals>.on_message"),
    ("bot.services.intake", "Intake.receive"),
    ("bot.core.triage", "triage"),
    ("bot.store.queue", "QuestionQueue.enqueue"),
    ("bot.store.worker_queue", "WorkerQueue.claim"),
    ("bot.services.answering", "Answering.answer"),
    ("bot.reply.scheduler", "EditScheduler.open"),
    ("bot.services.steps", "Steps.ask"),
    ("bot.services.prompt_builder", "PromptBuilder.build"),
    ("bot.services.quota", "Quota.reserve"),
    ("bot.models.model", "VendorModel.stream"),
    ("bot.services.steps", "_StepText.receive"),
    ("bot.reply.reply", "Reply.append"),
    ("bot.services.answer_attempt", "AnswerAttempt.finish"),
    ("bot.core.picture", "picture"),
)
"""The functions of a mention that decide what happens, in the order in which it first passes them."""

_path: ContextVar["Passage | None"] = ContextVar("_path", default=None)
"""The path that the current task is on. A task of an earlier path isn't on the next one."""


@dataclass
class Passage:
    """The functions that were passed, each once and in order, as (module, qualified name)."""

    functions: dict[tuple[str, str], None] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
        if not module.startswith(tuple(f"{package}." for package in PARTS["all"])) or name.endswith(">"):
            return
        if module.startswith("handlers.") or name in BEGINS:
            _path.set(self)
        if _path.get() is self:
            self.functions[module, name] = None


@contextmanager
def followed(passage: Passage) -> Iterator[None]:
    """Records the functions that are passed meanwhile."""
    sys.setprofile(passage)
    try:
        yield
    finally:
        sys.setprofile(None)


def median(passages: Sequence[Passage]) -> Passage:
    """Returns the middle passage by the number of functions."""
    return sorted(passages, key=lambda passage: len(passage.functions))[len(passages) // 2]


def returns(functions: Sequence[tuple[str, str]], to: str = "") -> int:
    """Returns how often the path goes into a room that it has left; `to`: into this one."""
    rooms = [module for module, _ in functions]
    seen: set[str] = set()
    count = 0
    for before, room in zip(("", *rooms), rooms, strict=False):
        count += room != before and room in seen and to in ("", room)
        seen.add(room)
    return count


async def mentioned() -> Passage:
    """Returns what a mention passes in a process that has answered one before."""
    passages = [Passage() for _ in range(1 + RUNS)]
    async with Sandbox() as sandbox, VendorServer() as vendor:
        vendor.script(*(says("It is so because of that.") for _ in passages))
        stage = Stage(sandbox, vendor)
        async with running(settings_of(sandbox, vendor), SystemClock()):
            for passage in passages:
                with followed(passage):
                    await stage.answers("general", await stage.mention())
    return median(passages[1:])


async def approved() -> Passage:
    """Returns what a pressed approval passes, in a process in which one was pressed before."""
    passages = [Passage() for _ in range(1 + RUNS)]
    async with Sandbox() as sandbox, VendorServer() as vendor:
        with TemporaryDirectory() as folder:
            stage = Stage(sandbox, vendor)
            vendor.script(*(calls("Let me see.", ("raw__add", {"a": 2, "b": 40})), says("It's 42.")) * len(passages))
            async with running(await _with_tool(settings_of(sandbox, vendor), Path(folder)), SystemClock()):
                for passage in passages:
                    asked = await stage.mention()
                    message = await asking(stage, asked)
                    # The job awaits the approval a moment after the reply shows it.
                    await asyncio.sleep(1.0)
                    with followed(passage):
                        await press(stage, message, ReplyAction.APPROVE)
                        await ended(stage, asked)
    return median(passages[1:])


async def _with_tool(settings: Settings, folder: Path) -> Settings:
    """Returns settings with a server whose tool an admin has read and #general uses, and which has to be approved."""
    server = RawServer(folder / "script.json")
    server.script([tool("add")], {"add": text_result("42")})
    setup = McpSetup((server.config(),))
    with_tool = replace(settings, database_url=f"sqlite:///{folder}/typist.db", mcp=setup)
    stores = await Stores.open(with_tool.database_url, "admin", SystemClock())
    await let_use(stores, "raw")
    await agree(stores, setup)
    await stores.close()
    return with_tool


def show(what: str, passage: Passage) -> None:
    """Prints a path and its figures."""
    functions = list(passage.functions)
    print(f"{what}:")
    for module, name in functions:
        print(f"{module}: {name}")
    by_package = Counter(".".join(module.split(".")[:2]) for module, _ in functions)
    print(", ".join(f"{package} {count}" for package, count in by_package.most_common()))
    for part, packages in PARTS.items():
        of_part = [function for function in functions if function[0].startswith(packages)]
        print(f"{part}: {len(of_part)} functions, {returns(of_part)} returns")
    print(f"{returns(functions, ACTIONS)} returns to {ACTIONS}\n")


def main_rows() -> list[str]:
    """Returns the rows of a Markdown table: each function of MAIN, with the first line of its docstring."""
    functions = ((name.rpartition(">.")[2], _file(module), _purpose(module, name)) for module, name in MAIN)
    return [f"| {n} | `{name}` (`{file}`) | {purpose} |" for n, (name, file, purpose) in enumerate(functions, 1)]


def _file(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _purpose(module: str, name: str) -> str:
    """Returns the first line of a function's docstring."""
    node: ast.AST = ast.parse((ROOT / _file(module)).read_text())
    for part in name.replace("<locals>.", "").split("."):
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        node = next(child for child in ast.walk(node) if isinstance(child, kinds) and child.name == part)
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return (ast.get_docstring(node) or "").partition("\n")[0]


def main() -> None:
    """Prints both paths, or the main functions of a mention."""
    parser = argparse.ArgumentParser(description="Prints the functions that a mention and an approval pass.")
    parser.add_argument("--main", action="store_true", help="only the fifteen functions that decide what happens")
    if parser.parse_args().main:
        passed = asyncio.run(mentioned()).functions
        assert [function for function in passed if function in MAIN] == list(MAIN)
        print(*main_rows(), sep="\n")
        return
    show("A mention", asyncio.run(mentioned()))
    show("A pressed approval", asyncio.run(approved()))


if __name__ == "__main__":
    main()
