"""benchmarks.weight counts what its docstring says, in a small source text."""

import pytest

from benchmarks.weight import LIVE, Code, Figure, code_of

OWN = '''
"""A module."""

from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")
MINUTE_S = 60
_WAITS_S: tuple[int, ...] = (1, 5 * MINUTE_S)
FIRST, SECOND = 1, 2
GREETING = "Hello"
Alias = dict[str, int]
is_ready = 1


class Color(StrEnum):
    RED = "red"


class Reader(Protocol):
    def read(self) -> str:
        """Returns a line."""
        ...


class FileReader:
    def read(self) -> str:
        return self._line()

    def _line(self) -> str:
        """Returns one line.

        It has a docstring of several lines, which are no statement.
        """
        first = 1
        second = 2
        return f"{first}{second}"

    @property
    def _path(self) -> str:
        return "path"


class Base:
    def turn(self) -> None:
        self._step()

    def _step(self) -> None:
        pass


class Special(Base):
    def _step(self) -> None:
        print("special")


def public() -> str:
    return _twice() + _twice() + FileReader()._path


def _twice() -> str:
    return _long()


def _long() -> str:
    first = 1
    second = first
    third = second
    return str(third)


def _recursive(left: int) -> int:
    return _recursive(left - 1) if left else 0


def _nested(lines: list[str]) -> int:
    for line in lines:
        if line:
            print(line)
            print(line)
    return _recursive(len(lines))


def unused() -> None:
    _nested([])
'''
OTHER = """
from own import public


def _twice() -> str:
    return public()


def start() -> None:
    Reader().read()
    _twice()
"""
CODE = Code({"own": OWN, "other": OTHER})


def test_helper_has_at_most_three_statements_and_one_place_that_reads_its_name() -> None:
    """A private name counts in its module: `_twice` has one caller in `other`, two in `own`."""
    assert sorted(CODE.helpers) == ["other._twice", "own._line", "own._nested", "own._recursive", "own.public"]


def test_enums_constants_and_numbers_are_those_of_the_modules() -> None:
    assert CODE.enums == ["own.Color"]
    assert list(CODE.constants) == ["own.MINUTE_S", "own._WAITS_S", "own.FIRST", "own.SECOND", "own.GREETING"]
    assert CODE.numbers == ["own.MINUTE_S", "own._WAITS_S", "own.FIRST", "own.SECOND"]


def test_lines_of_bodies_are_without_docstrings() -> None:
    bodies = Code(
        {
            "one": 'def f():\n    """Says.\n\n    More.\n    """\n    a = 1\n\n    return a\n',
            "two": "def g(): ...\n\ndef h():\n    'None.'\n",
        }
    )
    assert bodies.body_lines == [3, 1, 0]
    assert bodies.lines == 12


CLASSES = """
from dataclasses import dataclass, field

class Service:
    def __init__(self, store, *, clock=None):
        self.store = store
        self._live: int = 0
        self.store = clock
        self.first, other.second = 1, 2

    def later(self):
        self.more = 1

@dataclass(frozen=True)
class FrozenService:
    store: int
    limit: int = 1
    made: int = field(init=False)
    async def run(self): ...

@dataclass(frozen=True, slots=True)
class Value:
    a: int
    b: int
    c: int
    d: int

@dataclass(eq=False)
class Live:
    reply: int
    KINDS: ClassVar[int] = 1
    calls: int = 0

class Failure(Exception): ...

class Refused(Failure):
    def __init__(self, a, b): ...
"""


@pytest.mark.parametrize(
    ("name", "arguments", "fields"),
    [
        ("Service", 2, {"store", "_live", "first"}),
        ("FrozenService", 2, {"store", "limit", "made"}),
        ("Value", None, {"a", "b", "c", "d"}),
        ("Live", 1, {"reply", "calls"}),
        ("Refused", None, set()),
    ],
)
def test_fields_and_arguments_of_a_constructor(name: str, arguments: int | None, fields: set[str]) -> None:
    """Values and exceptions are no services."""
    code = Code({"m": CLASSES})
    assert code.constructors().get(f"m.{name}") == arguments
    assert code.fields(f"m.{name}") == fields


def test_figure_over_its_aim_is_missed() -> None:
    assert Figure("enums", 43, 42).row == "| enums | 43 | 42, **missed** |"
    assert Figure("lines", 34_500, 34_500).row == "| lines | 34,500 | 34,500 |"
    assert not Figure("constants", 9).is_missed


@pytest.mark.parametrize("name", LIVE)
def test_objects_of_a_live_answer_exist_and_have_fields(name: str) -> None:
    assert code_of(["bot/reply", "bot/services"]).fields(name)
