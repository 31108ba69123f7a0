"""Counts how heavy the code is, beside the aims: python -m benchmarks.weight

- **Lines** are counted as `wc -l` does, of all Python files of a folder.
- **A plain mention** is traced: the bot runs in this process, as README.md has it set up, against the sandbox and a
  vendor on loopback. Once it is connected and idle, a person mentions it in a channel. A module counts if one of its
  functions is entered or resumed, in any thread, from the mention until a second after the complete answer. Loops that
  run beside answers, such as the heartbeat, are among them.
- **A helper with one caller** is a function or method with at most three statements at the top of its body, without
  its docstring. Its name is read exactly once outside its own definition: a private name in its module, any other name
  in bot and handlers. The count is by name alone, so two functions of one name may hide each other, and an attribute of
  that name counts as a caller. Left out: functions within functions, dunder methods, whatever is decorated (as
  properties are), methods named like one of a protocol, and methods that a base class in this project has, too.
- **A constant** is an UPPER_CASE name that a module assigns, and no type variable. A number consists of numbers alone,
  so `(1, 60)` and `4 * MINUTE_S` are numbers, too.
- **A live answer's objects** are those of LIVE. A field is one of a dataclass, or an attribute set in `__init__`.
- **A constructor's arguments** are those of a service or a mechanism. Left out are protocols, enums, exceptions,
  NamedTuples, typed dicts, and frozen dataclasses without an async method: they only hold values. Fields with a default
  are state in a dataclass that isn't frozen, and aren't counted.

Exits with 1 if an aim is missed.
"""

import ast
import asyncio
import inspect
import re
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType

from bot.clock import SystemClock
from bot.settings import read, variables
from sandbox.server import Sandbox
from tests.scenarios.conftest import Stage, connected, manifest, running, says
from tests.streams.server import VendorServer

ROOT = Path(__file__).parent.parent
BOT = ("bot", "handlers")
LIVE = (
    "bot.reply.answer.Answer",
    "bot.reply.answer.StepUnderWay",
    "bot.reply.edits.Edits",
    "bot.reply.messages.ReplyMessage",
    "bot.reply.reply.Reply",
    "bot.reply.scheduler.ScheduledReply",
    "bot.reply.streams.Stream",
    "bot.services.answer_attempt.AnswerAttempt",
)
"""What a live answer consists of while it grows. `Life` has its states, and no object."""
HELPER_STATEMENTS = 3
ENUMS = {"Enum", "StrEnum", "IntEnum", "Flag", "IntFlag"}
NO_SERVICE = re.compile(r"\w*(Enum|Flag|Error|Exception)|NamedTuple|TypedDict|Protocol")
"""Bases of what is neither a service nor a mechanism."""
UPPER_CASE = re.compile(r"_?[A-Z][A-Z0-9_]*")
ANSWER = "These plain words take a few seconds, so that the answer is edited as it grows. " * 5
PAUSE_S = 0.03
"""After each of the model's tokens."""
SETTLE_S = 3.0
"""Wait after connecting, until the bot is idle."""
LAST_S = 1.0
"""Wait after the complete answer, until its end is on record."""
TRACED_WITHIN_S = 60.0

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    what: str
    count: int
    aim: int | None = None

    @property
    def is_missed(self) -> bool:
        return self.aim is not None and self.count > self.aim

    @property
    def row(self) -> str:
        aim = "" if self.aim is None else f"{self.aim:,}"
        return f"| {self.what} | {self.count:,} | {aim}{', **missed**' if self.is_missed else ''} |"


@dataclass(frozen=True)
class Code:
    """Modules by their name, with their text."""

    texts: dict[str, str]

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """The modules' syntax trees."""
        return {name: ast.parse(text) for name, text in self.texts.items()}

    @property
    def lines(self) -> int:
        return sum(text.count("\n") for text in self.texts.values())

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes by their module and name."""
        return {
            f"{module}.{node.name}": node
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
        }

    @property
    def enums(self) -> list[str]:
        return [name for name, node in self.classes.items() if ENUMS & set(_bases(node))]

    @property
    def constants(self) -> dict[str, ast.expr]:
        """The values of constants, by module and name."""
        return {
            f"{module}.{name}": value
            for module, tree in self.trees.items()
            for name, value in _assigned(tree)
            if UPPER_CASE.fullmatch(name) and not ast.unparse(value).startswith(("TypeVar(", "ParamSpec("))
        }

    @property
    def numbers(self) -> list[str]:
        """The constants that are numbers."""
        return [name for name, value in self.constants.items() if _is_number(value)]

    @property
    def body_lines(self) -> list[int]:
        """How many lines the body of each function has, without its docstring: 0 if that is all."""
        functions = [node for tree in self.trees.values() for node in ast.walk(tree) if isinstance(node, Function)]
        bodies = map(_body, functions)
        return [(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0 for body in bodies]

    @property
    def helpers(self) -> list[str]:
        """The helpers with one caller, as the module's docstring defines them."""
        within = {module: Counter(_read_names(tree)) for module, tree in self.trees.items()}
        anywhere = sum(within.values(), Counter[str]())
        return [
            f"{module}.{function.name}"
            for module, tree in self.trees.items()
            for function in _functions(tree)
            if len(_body(function)) <= HELPER_STATEMENTS
            and not function.decorator_list
            and not function.name.startswith("__")
            and function.name not in self._shared_methods
            and _reads(within[module] if function.name.startswith("_") else anywhere, function) == 1
        ]

    @cached_property
    def _shared_methods(self) -> set[str]:
        """The names of methods that a protocol has, or both a class and one of its bases."""
        nodes = self.classes.values()
        methods = {node.name: {one.name for one in node.body if isinstance(one, Function)} for node in nodes}
        of_protocols = (methods[node.name] for node in nodes if "Protocol" in _bases(node))
        of_bases = (methods[node.name] & methods.get(base, set()) for node in nodes for base in self._ancestors(node))
        return set[str]().union(*of_protocols, *of_bases)

    def _ancestors(self, node: ast.ClassDef) -> set[str]:
        """Returns the names of a class's bases, of their bases, and so on."""
        known = {one.name: one for one in self.classes.values()}
        found, new = set[str](), _bases(node)
        while new:
            found.update(new)
            new = [base for name in new if name in known for base in _bases(known[name]) if base not in found]
        return found

    def constructors(self) -> dict[str, int]:
        """Returns how many arguments the constructors of services and mechanisms have, by module and class."""
        return {
            name: _arguments(node)
            for name, node in self.classes.items()
            if not any(map(NO_SERVICE.fullmatch, self._ancestors(node)))
            and (not _is_frozen(node) or any(isinstance(child, ast.AsyncFunctionDef) for child in node.body))
        }

    def fields(self, name: str) -> set[str]:
        """Returns the fields of a class's objects. Raises KeyError if there is no such class."""
        node = self.classes[name]
        if _dataclass_of(node):
            return set(_dataclass_fields(node))
        init = _init_of(node)
        return {
            target.attr
            for statement in (ast.walk(init) if init else ())
            if isinstance(statement, ast.Assign | ast.AnnAssign)
            for target in _targets(statement)
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
        }


def code_of(folders: Iterable[str]) -> Code:
    """Returns the code of these folders of this project."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts]
    names = {file: ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in sorted(files)}
    return Code({name.removesuffix(".__init__"): file.read_text("utf-8") for file, name in names.items()})


def _functions(tree: ast.Module) -> Iterator[Function]:
    """Yields the functions of a module and the methods of its classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from (child for child in node.body if isinstance(child, Function))


def _body(function: Function) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body


def _read_names(tree: ast.AST) -> Iterator[str]:
    """Yields the names and attributes that code reads. An import alone reads nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield node.attr


def _reads(names: Counter[str], function: Function) -> int:
    """Returns how often a function's name is read outside the function."""
    return names[function.name] - Counter(_read_names(function))[function.name]


def _bases(node: ast.ClassDef) -> list[str]:
    """Returns the names of a class's bases, without their modules and parameters."""
    return [ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases]


def _targets(statement: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yields the names that a module assigns, with what is assigned: of `A, B = 1, 2` the pair to both."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            names = (target.id for target in _targets(statement) if isinstance(target, ast.Name))
            yield from ((name, statement.value) for name in names)


def _is_number(value: ast.expr) -> bool:
    """Returns whether a value is written with numbers, their names, operators and tuples alone, and has a number."""
    parts = [node for node in ast.walk(value) if isinstance(node, ast.expr)]
    numbers = [part for part in parts if isinstance(part, ast.Constant) and type(part.value) in (int, float)]
    others = (ast.BinOp, ast.UnaryOp, ast.Tuple, ast.Name)
    return bool(numbers) and all(part in numbers or isinstance(part, others) for part in parts)


def _dataclass_of(node: ast.ClassDef) -> str:
    """Returns the decorator that makes a class a dataclass, or ""."""
    return next((text for text in map(ast.unparse, node.decorator_list) if text.startswith("dataclass")), "")


def _is_frozen(node: ast.ClassDef) -> bool:
    return "frozen=True" in _dataclass_of(node)


def _dataclass_fields(node: ast.ClassDef) -> dict[str, ast.expr | None]:
    """Returns a dataclass's own fields with their defaults."""
    return {
        ast.unparse(child.target): child.value
        for child in node.body
        if isinstance(child, ast.AnnAssign) and not ast.unparse(child.annotation).startswith("ClassVar")
    }


def _init_of(node: ast.ClassDef) -> Function | None:
    return next((child for child in node.body if isinstance(child, Function) and child.name == "__init__"), None)


def _arguments(node: ast.ClassDef) -> int:
    """Returns how many arguments a class's constructor takes; 0 if it has none of its own."""
    if _dataclass_of(node):
        defaults = _dataclass_fields(node).values()
        return sum(
            default is None or (_is_frozen(node) and "init=False" not in ast.unparse(default)) for default in defaults
        )
    if init := _init_of(node):
        return len([*init.args.posonlyargs, *init.args.args, *init.args.kwonlyargs]) - 1
    return 0


@dataclass
class Trace:
    """The modules of bot and handlers whose functions are entered while it is on."""

    is_on: bool = False
    modules: set[str] = field(default_factory=set)

    def profile(self, frame: FrameType, event: str, _: object) -> None:
        """Notes a call. Bodies of modules and classes, which an import runs, have no flag CO_OPTIMIZED."""
        if self.is_on and event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            module = str(frame.f_globals.get("__name__", ""))
            if module.partition(".")[0] in BOT:
                self.modules.add(module)


def traced() -> set[str]:
    """Returns the modules that a plain mention enters. Raises TimeoutError if that isn't over in time."""
    trace = Trace()
    # Before any of the bot's threads starts: each gets the profile function that is set then.
    threading.setprofile(trace.profile)
    sys.setprofile(trace.profile)
    try:
        asyncio.run(_mention(trace))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return trace.modules


async def _mention(trace: Trace) -> None:
    async with asyncio.timeout(TRACED_WITHIN_S), AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        sandbox = await stack.enter_async_context(Sandbox(manifest=manifest()))
        vendor = await stack.enter_async_context(VendorServer())
        vendor.script(says(ANSWER, PAUSE_S))
        settings = read({**connected(sandbox, vendor), "DATABASE_URL": f"sqlite:///{folder}/typist.db"})
        await stack.enter_async_context(running(settings, SystemClock()))
        stage = Stage(sandbox, vendor)
        await asyncio.sleep(SETTLE_S)
        trace.is_on = True
        asked = await stage.mention()
        [answer] = await stage.answers("general", asked)
        await asyncio.sleep(LAST_S)
        trace.is_on = False
        if ANSWER.strip() not in answer:
            raise AssertionError(f"the mention got another answer than the model's: {answer}")


def figures() -> list[Figure]:
    """Counts and traces everything."""
    code = code_of(BOT)
    helpers = code.helpers
    private = [name for name in helpers if name.rpartition(".")[2].startswith("_")]
    constructors = code.constructors()
    most = max(constructors.values())
    widest = ", ".join(name.rpartition(".")[2] for name, count in constructors.items() if count == most)
    return [
        Figure("lines of bot and handlers", code.lines, 34_500),
        Figure("modules of bot and handlers", len(code.texts), 155),
        Figure("lines of tests", code_of(["tests"]).lines, 52_000),
        Figure("lines of benchmarks", code_of(["benchmarks"]).lines, 6_000),
        Figure("modules that a plain mention enters", len(traced()), 85),
        Figure("private helpers with one caller", len(private), 150),
        Figure("all helpers with one caller", len(helpers)),
        Figure("lines of a function's body, median", round(statistics.median(code.body_lines))),
        Figure("constants that are numbers", len(code.numbers), 420),
        Figure("all constants", len(code.constants)),
        Figure("enums", len(code.enums), 42),
        Figure("settings", len(variables()), 45),
        Figure("fields of a live answer's objects", sum(len(code.fields(name)) for name in LIVE), 60),
        Figure(f"most arguments of a constructor ({widest})", most, 8),
    ]


def main() -> int:
    counted = figures()
    print("\n".join(["| | counted | aim |", "|---|---|---|", *(figure.row for figure in counted)]))
    return 1 if any(figure.is_missed for figure in counted) else 0


if __name__ == "__main__":
    sys.exit(main())
