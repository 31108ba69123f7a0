from pathlib import Path

import pytest

from tests.touched import MAX_MODULES, ROOT, Tree, named_after, touched

pytestmark = pytest.mark.wide

TREE = Tree(ROOT)


@pytest.mark.parametrize(
    ("changed", "among", "not_among"),
    [
        ("bot/checks/models.py", "tests/scenarios/test_check.py", "tests/core/test_triage.py"),
        ("bot/slack/views/memory.py", "tests/scenarios/test_memory.py", "tests/core/test_triage.py"),
        ("bot/core/memory.py", "tests/core/test_memory.py", "slack_pacing/tests/test_pacer.py"),
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


def test_settings_reach_only_modules_that_import_them() -> None:
    assert len(touched(TREE, [Path("bot/core/texts/settings.py"), Path("bot/settings.py")])) < MAX_MODULES


def test_wide_tests_run_in_modules_named_after_a_changed_one() -> None:
    changed = [Path("bot/store/usage.py"), Path("tests/scenarios/test_caps.py"), Path("CHANGELOG.md")]
    found = {module.name for module in named_after(changed, touched(TREE, changed))}
    assert found == {"test_store_usage.py", "test_usage.py", "test_caps.py"}
