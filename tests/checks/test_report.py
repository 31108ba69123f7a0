"""The lines that `typist check` and `typist init` print."""

import pytest

from bot.checks.report import fail


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Acme", "Acme"),
        ("Ac\x1b[2Jme", "Ac\ufffd[2Jme"),
        ("Ac\x1b]0;title\x07me", "Ac\ufffd]0;title\ufffdme"),
        ("Ac\x9b1mme", "Ac\ufffd1mme"),
        ("Ac\rme", "Ac\ufffdme"),
        ("Ac\u202eme", "Ac\ufffdme"),
        ("Acmé 🎈", "Acmé 🎈"),
    ],
)
def test_names_in_a_check_lose_what_a_terminal_would_obey(name: str, shown: str) -> None:
    lines = fail("slack.team", f"The workspace is {name}.\nIt is new.", f"Rename {name}.").lines()
    assert lines == [f"✘ The workspace is {shown}.", "    It is new.", f"  → Rename {shown}."]
