"""Remedies: none asks for a setting that is already set, or takes away something that works.

tests/scenarios/test_check.py asks the same of each remedy as `typist check` prints it, with the settings of that run.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bot.checks
from bot import network, settings
from bot.store import database

CHECKS = Path(bot.checks.__file__).parent
SETTINGS = {*settings.variables(), *network.VARIABLES, "sslmode", "sslrootcert", "search_path", "hostaddr"}
MODULES = [*sorted(CHECKS.glob("*.py")), *(CHECKS.parent / name for name in ("network.py", "mcp/remedies.py"))]


def orders(text: str) -> Iterator[tuple[str, str]]:
    """Yields each setting that a remedy asks to set or remove, without a new value or "another"."""
    for verb, name, after in re.findall(r"\b([Ss]et|[Uu]nset|[Rr]emove) (\w+)(.{0,4})", text):
        if name in SETTINGS and not after.startswith(" to "):
            yield verb.lower(), name


def wrong_orders(text: str, is_set: frozenset[str] | set[str]) -> list[tuple[str, str]]:
    """Returns a remedy's orders that can't be carried out, given the settings in effect."""
    return [(verb, name) for verb, name in orders(text) if (verb == "set") is (name in is_set)]


def literals(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    ("text", "is_set", "wrong"),
    [
        ("Set OPENAI_API_KEY.", set(), []),
        ("Set OPENAI_API_KEY.", {"OPENAI_API_KEY"}, [("set", "OPENAI_API_KEY")]),
        ("Set DATABASE_URL to a file.", {"DATABASE_URL"}, []),
        ("Turn it on, or remove sslmode from DATABASE_URL.", set(), [("remove", "sslmode")]),
        ("Have the proxy let this host through.", {"HTTPS_PROXY"}, []),
    ],
)
def test_order_is_wrong_if_it_is_carried_out_already(text: str, is_set: set[str], wrong: list[tuple[str, str]]) -> None:
    assert wrong_orders(text, is_set) == wrong


REMEDIES = {**database._REMEDIES_BY_TEXT, **database._REMEDIES, "": database._REMEDY}


@pytest.mark.parametrize("reason", REMEDIES)
def test_remedy_for_a_database_fits_every_database_url(reason: str) -> None:
    """The driver's error doesn't contain the URL, so a remedy can't know which options are set."""
    assert [*orders(REMEDIES[reason])] == []


@pytest.mark.parametrize("reason", network._REMEDIES)
def test_certificates_of_a_company_are_added_to_the_public_ones(reason: str) -> None:
    fix = network._REMEDIES[reason]
    assert ("SSL_CERT_FILE" in fix or "authority" in fix) <= (network._REPLACES in fix)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_order_to_set_something_comes_with_a_message_that_it_is_not_set(module: Path) -> None:
    texts = [*literals(module)]
    unset = {name for text in texts for name in re.findall(r"(\w+|\{\}) isn't set", text)}
    assert {name for text in texts for verb, name in orders(text) if verb == "set"} <= unset
