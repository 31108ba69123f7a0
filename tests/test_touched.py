"""Which test modules a change can touch (tests/touched.py)."""

from pathlib import Path

import pytest

from tests.touched import ROOT, Tree, touched

pytestmark = pytest.mark.near

TREE = Tree(ROOT)


@pytest.mark.parametrize(
    ("changed", "among", "not_among"),
    [
        ("bot/checks/models.py", "tests/scenarios/test_check.py", "tests/core/test_triage.py"),
        ("bot/slack/views/memory.py", "tests/scenarios/test_memory.py", "tests/core/test_triage.py"),
        ("bot/core/memory.py", "tests/core/test_memory.py", "tests/pacing/test_pacer.py"),
        ("tests/scenarios/conftest.py", "tests/scenarios/test_memory.py", "tests/core/test_memory.py"),
        ("tests/mcp/servers.py", "tests/scenarios/test_mcp.py", "tests/core/test_memory.py"),
        ("bot/mcp/server.py", "tests/scenarios/test_mcp_command.py", "tests/core/test_triage.py"),
        ("tests/scenarios/check_report.md", "tests/scenarios/test_check.py", "tests/scenarios/test_memory.py"),
        ("docs/admins/operate.md", "tests/test_docs.py", "tests/scenarios/test_memory.py"),
        ("files_to_markdown/pdf.py", "files_to_markdown/tests/test_pdf.py", "slack_markdown/tests/test_stable.py"),
        ("Makefile", "tests/test_deployment.py", "tests/core/test_memory.py"),
    ],
)
def test_modules_that_reach_what_changed_are_among_them(changed: str, among: str, not_among: str) -> None:
    found = touched(TREE, [Path(changed)])
    assert Path(among) in found
    assert Path(not_among) not in found
    assert (ROOT / not_among).exists()
