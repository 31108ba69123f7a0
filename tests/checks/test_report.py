"""The lines that `typist check` and `typist init` print."""

from dataclasses import replace

import pytest

from bot.checks.report import CheckReport, Finding, fail, ok, skipped, warn


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
    lines = fail(f"The workspace is {name}.\nIt is new.", f"Rename {name}.").lines()
    assert lines == [f"✘ The workspace is {shown}.", "    It is new.", f"  → Rename {shown}."]


FAILED, WARNED, SKIPPED = [fail("No.", "Fix."), fail("None.", "Fix.")], warn("Hm.", "Fix."), skipped("Not now.")


@pytest.mark.parametrize(
    ("findings", "summary"),
    [
        ([ok("Yes.")], "Everything is set up."),
        ([FAILED[0], WARNED, warn("Hmm.", "Fix.")], "1 problem, 2 warnings."),
        ([*FAILED, WARNED, SKIPPED, skipped("Never.")], "2 problems, 1 warning. 2 checks were skipped (–)."),
        ([WARNED, SKIPPED], "0 problems, 1 warning. 1 check was skipped (–)."),
        ([SKIPPED], "Everything is set up. 1 check was skipped (–)."),
        ([FAILED[0], FAILED[0]], "1 problem, 0 warnings."),
    ],
)
def test_last_line_counts_what_people_read(findings: list[Finding], summary: str) -> None:
    assert CheckReport(findings).text().splitlines()[-1] == summary


def test_log_has_problems_and_what_is_notable_without_the_details(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    findings = [ok("Yes."), ok("Nearly.", is_notable=True), warn("Two\nproblems.", "Fix.", "a detail"), SKIPPED]
    CheckReport([replace(found, id=f"c{place}") for place, found in enumerate(findings)]).log()
    assert caplog.record_tuples == [
        ("bot.checks.report", 20, "setup: c1: Nearly."),
        ("bot.checks.report", 30, "setup: c2: Two problems. Fix."),
    ]
