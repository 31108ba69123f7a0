"""Tests don't call private functions of the packages that they test, so that a change inside one breaks no test."""

import re

from tests.processes import REPOSITORY

TESTED = ("bot", "handlers", "sandbox/slack_sandbox")
DEFINED = re.compile(r"\bdef (_[a-z]\w*)\(")
CALLED = re.compile(r"(?<!\bself)(?<!\bcls)(?<!\bsuper\(\))\.(_[a-z]\w*)\(")
STILL_CALLED = {
    "tests/contracts/test_accounts.py: _decrypt_account",  # a private object whose repr must show no secret
    "tests/mcp/sign_in_server.py: _serve",  # uvicorn's
}


def test_no_test_calls_a_private_function_of_what_it_tests() -> None:
    code = (path.read_text("utf-8") for folder in TESTED for path in (REPOSITORY / folder).rglob("*.py"))
    private = {name for module in code for name in DEFINED.findall(module)}
    found = set[str]()
    for path in (REPOSITORY / "tests").rglob("*.py"):
        test = path.read_text("utf-8")
        names = private.intersection(CALLED.findall(test)).difference(DEFINED.findall(test))
        found |= {f"{path.relative_to(REPOSITORY)}: {name}" for name in names}
    assert found == STILL_CALLED
