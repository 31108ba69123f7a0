"""The app's manifest: the files in the repository are its output, and Slack's rules hold for any name."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.checks.slack import SCOPE_LOSSES
from bot.core import texts
from bot.slack.manifest import (
    AGENT_SCOPE,
    EMAIL_SCOPE,
    GROUPS_SCOPE,
    NEEDED_SCOPES,
    OPTIONAL_SCOPES,
    PINS_SCOPE,
    SCOPES,
    SEARCH_SCOPE,
    app_manifest,
    differences,
)
from slack_sandbox.manifest import read_manifest
from slack_sandbox.testing.processes import output
from tests.forked import forked_command
from tests.processes import REPOSITORY, bot_process
from tests.scenarios.conftest import ROOT

HOOKS = json.loads((REPOSITORY / ".slack/hooks.json").read_text())


@pytest.mark.parametrize(("file", "options"), [("manifest.json", ()), ("manifest.agent.json", ("--agent",))])
async def test_file_in_the_repository_is_the_commands_output(
    file: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    expected = (ROOT / file).read_text()
    assert await forked_command(tmp_path, "manifest", *options, env={}) == (0, expected, "")


@pytest.mark.wide
async def test_hooks_of_the_slack_cli_print_the_manifest_and_start_the_bot(tmp_path: Path) -> None:
    assert HOOKS["runtime"] == "python"
    python, *get_manifest = HOOKS["hooks"]["get-manifest"].split()
    assert python == ".venv/bin/python", "it has the packages after `make run`"
    async with bot_process(tmp_path, program=get_manifest) as process:
        out, _ = await output(process)
    assert (process.returncode, json.loads(out)) == (0, app_manifest())
    # The Slack CLI sets both tokens. Here they are missing, and the bot asks for them.
    async with bot_process(tmp_path, program=HOOKS["hooks"]["start"].split()[1:]) as process:
        _, err = await output(process)
    assert (process.returncode, "SLACK_BOT_TOKEN is not set" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "shortcut", "display_name"),
    [
        ("Typist", "Ask Typist about this", "typist"),
        ("Acme Answers", "Ask about this", "acme-answers"),
        ("助手", "Ask 助手 about this", "typist"),
        ("A" * 35, "Ask about this", "a" * 35),
    ],
)
@pytest.mark.parametrize("agent", [False, True])
def test_manifest_with_any_name_is_accepted(name: str, shortcut: str, display_name: str, agent: bool) -> None:
    manifest = app_manifest(agent=agent, name=name, command="/ask-me")
    read = read_manifest(manifest)
    assert (read.shortcuts[0].name, read.commands[0].command) == (shortcut, "/ask-me")
    assert manifest["features"]["bot_user"]["display_name"] == display_name
    assert differences(manifest) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--name", ""], "--name must have 1 to 35 characters."),
        (["--name", "A" * 36], "--name must have 1 to 35 characters."),
        (["--command", "typist"], "--command must start with /, then 1 to 31 of a-z, 0-9, _ and -."),
        (["--command", "/Typist"], "--command must start with /, then 1 to 31 of a-z, 0-9, _ and -."),
    ],
)
async def test_name_that_slack_refuses_exits_2(options: list[str], problem: str, tmp_path: Path) -> None:
    assert await forked_command(tmp_path, "manifest", *options, env={}) == (2, "", f"typist: {problem}\n")


def test_each_scope_has_a_word_on_what_fails_without_it() -> None:
    assert set(SCOPE_LOSSES) == {*SCOPES, PINS_SCOPE, SEARCH_SCOPE, GROUPS_SCOPE, EMAIL_SCOPE}
    assert {*SCOPES, EMAIL_SCOPE} > NEEDED_SCOPES


def edited(agent: bool = False, **changes: Any) -> dict[str, Any]:
    manifest = app_manifest(agent=agent)
    for path, value in changes.items():
        holder = manifest
        *parents, last = path.split("__")
        for parent in parents:
            holder = holder[parent]
        holder[last] = value
    return manifest


def test_what_slack_or_an_operator_adds_is_no_difference() -> None:
    theirs = edited(settings__is_mcp_enabled=False)
    theirs["oauth_config"]["scopes"]["bot"].append("reactions:write")
    theirs["features"]["slash_commands"].insert(0, {"command": "/tea", "description": "Tea", "should_escape": True})
    theirs["display_information"] = {"name": "Another"}
    assert differences(theirs) == []


def test_false_may_be_left_out() -> None:
    theirs = app_manifest()
    del theirs["settings"]["org_deploy_enabled"], theirs["features"]["slash_commands"][0]["should_escape"]
    assert differences(theirs) == []


@pytest.mark.parametrize("agent", [False, True])
def test_optional_scopes_are_some_of_the_bots_and_no_needed_ones(agent: bool) -> None:
    scopes = app_manifest(agent=agent)["oauth_config"]["scopes"]
    assert set(scopes["bot_optional"]) == OPTIONAL_SCOPES < set(scopes["bot"])
    assert not OPTIONAL_SCOPES & NEEDED_SCOPES
    older = edited(agent=agent)
    del older["oauth_config"]["scopes"]["bot_optional"]
    assert differences(older) == [], "an app may require them all"


def test_agent_suggests_prompts_before_it_is_opened_and_operators_can_choose_them() -> None:
    theirs = edited(agent=True)
    assert theirs["features"]["agent_view"]["suggested_prompts"] == texts.welcome.suggested_prompts()
    del theirs["features"]["agent_view"]["suggested_prompts"]
    assert differences(theirs) == []


def test_app_of_the_older_kind_needs_no_agent_view() -> None:
    theirs = edited(agent=True, features__assistant_view={"assistant_description": "Answers"})
    del theirs["features"]["agent_view"]
    events = theirs["settings"]["event_subscriptions"]["bot_events"]
    events[:] = [event for event in events if event != "app_context_changed" and not event.startswith("agent_")]
    assert differences(theirs) == []
    theirs["oauth_config"]["scopes"]["bot"].remove(AGENT_SCOPE)
    assert list(map(str, differences(theirs))) == ["oauth_config.scopes.bot must contain assistant:write"]


def test_search_scope_is_in_the_manifest_only_if_slack_search_is_on() -> None:
    assert SEARCH_SCOPE not in app_manifest()["oauth_config"]["scopes"]["bot"]
    assert SEARCH_SCOPE in app_manifest(extra={SEARCH_SCOPE})["oauth_config"]["scopes"]["bot"]
    assert list(map(str, differences(app_manifest(), extra={SEARCH_SCOPE}))) == [
        f"oauth_config.scopes.bot must contain {SEARCH_SCOPE}"
    ]
    assert differences(app_manifest(extra={SEARCH_SCOPE})) == []


@pytest.mark.parametrize(("variable", "scope"), [("BOT_SLACK_SEARCH", SEARCH_SCOPE), ("BOT_READ_TABS", PINS_SCOPE)])
async def test_command_reads_the_settings_that_need_a_scope(tmp_path: Path, variable: str, scope: str) -> None:
    _, out, _ = await forked_command(tmp_path, "manifest", "--agent", env={variable: "on"})
    assert json.loads(out) == app_manifest(agent=True, extra={scope})


def test_empty_manifest_lacks_everything() -> None:
    problems = {str(difference) for difference in differences({})}
    assert "settings.socket_mode_enabled must be true" in problems
    assert "features.shortcuts must have 1 or more entries" in problems
    assert {f"oauth_config.scopes.bot must contain {scope}" for scope in SCOPES} < problems
