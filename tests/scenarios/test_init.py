"""`typist init` in a terminal, as a newcomer meets it: a process, the sandbox as Slack, a server as OpenAI."""

import json
import os
import re
import stat
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from bot.core import texts
from bot.models.registry import VENDORS, VendorEntry
from bot.slack.manifest import app_manifest
from slack_sandbox.server import Sandbox
from slack_sandbox.setup import Setup
from slack_sandbox.testing.processes import running_process
from tests.forked import forked_command
from tests.newcomer import ANSWER, CTRL_C, CTRL_D, KEY, Terminal, as_openai, bot_terminal, terminal
from tests.processes import REPOSITORY
from tests.streams.server import VendorServer

PASTE, PASTE_AGAIN, WHO = "stays hidden): ", "check the same one again: ", "to skip this): "
CAP = "press Enter for $"
ALERT = {"BOT_COST_ALERT": "on"}
NOBODY = "No member of the workspace has this name"


def init(
    folder: Path, env: Mapping[str, str], change: Callable[[], object] | None = None
) -> AbstractAsyncContextManager[Terminal]:
    # A process that a test kills leaves its file with the manifest.
    return bot_terminal(folder, "init", env={"TMPDIR": str(folder.parent), **env}, change=change)


@pytest_asyncio.fixture
async def openai() -> AsyncIterator[VendorServer]:
    async with VendorServer() as server:
        server.script(*[as_openai] * 50)
        yield server


@pytest_asyncio.fixture
async def slack() -> AsyncIterator[Sandbox]:
    async with Sandbox(manifest=app_manifest()) as sandbox:
        yield sandbox


@pytest.fixture
def env(slack: Sandbox, openai: VendorServer) -> dict[str, str]:
    """Where this Slack is, and the proxy that leads to the vendors' own hosts, which need keys."""
    return {
        "BOT_SLACK_API_URL": slack.api_url,
        "OPENAI_BASE_URL": "http://api.openai.com/v1",
        "BOT_OPENAI_API": "chat",
        "HTTP_PROXY": openai.url,
    }


@pytest.fixture
def tokens(slack: Sandbox) -> dict[str, str]:
    return {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "OPENAI_API_KEY": KEY}


def written(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def hello(slack: Sandbox, person: str = "ada") -> list[str]:
    return [message.text for message in slack.messages(f"dm-{person}")]


async def test_a_newcomer_is_led_from_the_link_to_the_first_message(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], tokens: dict[str, str]
) -> None:
    async with init(tmp_path, {**env, "BOT_LOG_LEVEL": "debug"}) as terminal:
        seen = await terminal.types(PASTE, slack.bot_token)
        assert "1. Open api.slack.com/apps in your browser.\n" in seen
        assert "Copy the bot token (xoxb-…)." in seen
        seen = await terminal.types(PASTE, slack.app_token)
        assert "✔ SLACK_BOT_TOKEN is accepted: @typist in " in seen
        seen = await terminal.types(PASTE, KEY)
        assert "✔ Both tokens belong to the same app." in seen
        assert " or ".join(entry.api_key_page for entry in VENDORS.values() if entry.api_key_variable) in seen
        seen = await terminal.types(WHO, "ada")
        asked = await terminal.types(CAP, "")
        assert "each of the 5 members asks five questions a workday, openai/gpt-6-luna\ncosts about $0.26." in asked
        assert "✔ openai/gpt-6-luna: the key is accepted, and the model exists." in seen
        code, seen = await terminal.end()
        assert (
            code,
            "Everything is set up." in seen,
            "Now start Typist: " in seen,
        ) == (0, True, True)
        assert "I sent Ada a message in Slack." in seen
        for secret in (slack.bot_token, slack.app_token, KEY):
            assert secret not in terminal.shown
    assert written(tmp_path) == {**tokens, "BOT_ADMINS": "U0ADA", "BOT_CAPS": "workspace/month=5usd", **ALERT}
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [".env"]
    assert hello(slack) == [texts.welcome.first_message_to_admin("typist")]


async def test_what_is_pasted_early_is_hidden_and_used(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], tokens: dict[str, str]
) -> None:
    async with init(tmp_path, env) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        await terminal.types("Checking…", slack.app_token)
        await terminal.types("Checking…", KEY)
        await terminal.types(WHO, "ada")
        for amount in ("many", "-1", "0", "$120"):
            seen = await terminal.types(CAP, amount)
        code, seen = await terminal.end()
        assert (code, bool(re.search(r"Now start Typist: \S+/python -m bot run\n", seen))) == (0, True)
        for secret in (slack.bot_token, slack.app_token, KEY):
            assert secret not in terminal.shown
    assert written(tmp_path) == {**tokens, "BOT_ADMINS": "U0ADA", "BOT_CAPS": "workspace/month=120usd", **ALERT}


async def test_agents_wanted_of_a_plain_app_are_missed_in_one_sentence(
    tmp_path: Path, env: dict[str, str], tokens: dict[str, str]
) -> None:
    async with bot_terminal(tmp_path, "init", "--agent", env={**env, **tokens, "BOT_ADMINS": "U0ADA"}) as terminal:
        code, seen = await terminal.end()
    assert (code, seen.count("This app doesn't have Slack's Agents feature")) == (0, 1)


async def test_swapped_wrong_and_misplaced_tokens_are_recognized(
    tmp_path: Path, slack: Sandbox, openai: VendorServer, env: dict[str, str]
) -> None:
    is_set = "SLACK_APP_TOKEN is already set in .env or in the environment, and won't be changed."
    steps = [
        (PASTE, "xoxe-1-refresh", "This is the refresh token. Copy the access token beside it (xoxe.xoxp-…)."),
        (PASTE, slack.app_token, "This is the value of SLACK_APP_TOKEN.\n"),
        (PASTE, "xoxp-of-a-person", "SLACK_BOT_TOKEN must start with xoxb-; this is a user token."),
        (PASTE_AGAIN, "xoxb-of-another-app", "✘ Slack doesn't accept SLACK_BOT_TOKEN (invalid_auth).\n  → Copy it"),
        (PASTE_AGAIN, slack.app_token, is_set),
        (PASTE, slack.bot_token, "✔ Both tokens belong to the same app."),
        (PASTE, "xoxp-of-a-person", "OPENAI_API_KEY must be a model's key; this is a user token of Slack."),
        (PASTE_AGAIN, slack.config_token, "must be a model's key; this is an app configuration token of Slack."),
        (PASTE_AGAIN, slack.app_token, is_set),
        (
            PASTE,
            "sk-proj-wrong",
            "✘ openai: the server doesn't accept the key (HTTP 401).\n"
            "  → Check that OPENAI_API_KEY is a key for the server in OPENAI_BASE_URL.",
        ),
        (PASTE_AGAIN, KEY, "✔ openai/gpt-6-luna: the key is accepted"),
    ]
    async with init(tmp_path, env) as terminal:
        for prompt, pasted, shown in steps:
            await terminal.types(prompt, pasted)
            await terminal.reads(shown)
        await terminal.types(WHO, "")
        assert (await terminal.end())[0] == 0
    assert not [request for request in openai.requests if "xox" in str(request) or "xapp" in str(request)]
    assert set(written(tmp_path)) == {"SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "OPENAI_API_KEY"}
    assert hello(slack) == []


def with_plain_keys() -> None:
    """Has a second vendor issue keys of no form of their own."""
    vendors = cast(dict[str, VendorEntry], VENDORS)
    vendors["anthropic"] = replace(vendors["anthropic"], has_other_keys=True)


async def test_vendor_of_a_key_that_may_be_of_several_is_asked_for(
    tmp_path: Path, slack: Sandbox, openai: VendorServer, env: dict[str, str]
) -> None:
    """What is known by its form is said first: a token of Slack's is nobody's key."""
    vendors = [vendor for vendor, entry in VENDORS.items() if entry.has_other_keys or vendor == "anthropic"]
    whose = f"Which vendor is this key from? Enter {' or '.join(vendors)}: "
    async with init(tmp_path, env, with_plain_keys) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        await terminal.types(PASTE, slack.app_token)
        await terminal.types(PASTE, "xoxp-of-a-person")
        await terminal.reads("must be a model's key; this is a user token of Slack.")
        await terminal.types(PASTE_AGAIN, "sk-wrong")
        await terminal.types(whose, "nobody")
        await terminal.types(PASTE, "sk-wrong")
        assert not openai.requests
        await terminal.types(whose, "OpenAI")
        await terminal.reads("✘ openai: the server doesn't accept the key (HTTP 401).")
        await terminal.types(PASTE_AGAIN, KEY)
        await terminal.reads("✔ openai/gpt-6-luna: the key is accepted")
        await terminal.types(WHO, "")
        assert (await terminal.end())[0] == 0


async def test_a_token_of_another_app_is_not_accepted(tmp_path: Path, env: dict[str, str]) -> None:
    async with (
        Sandbox(manifest=app_manifest(), setup=Setup(app_token_app_id="A0OTHER")) as slack,
        init(tmp_path, {**env, "BOT_SLACK_API_URL": slack.api_url}) as terminal,
    ):
        await terminal.types(PASTE, slack.bot_token)
        await terminal.types(PASTE, slack.app_token)
        seen = await terminal.reads(PASTE_AGAIN)
        assert "✘ The tokens belong to two apps: SLACK_BOT_TOKEN to A0BOT, SLACK_APP_TOKEN to A0OTHER." in seen
    assert set(written(tmp_path)) == {"SLACK_BOT_TOKEN"}


async def test_without_a_network_nothing_is_accepted_and_the_same_token_is_checked_again(
    tmp_path: Path, slack: Sandbox, env: dict[str, str]
) -> None:
    async with init(tmp_path, {**env, "BOT_SLACK_API_URL": "http://127.0.0.1:9/api/"}) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        for _ in range(2):
            seen = await terminal.types(PASTE_AGAIN, "")
            assert "✘ Slack can't be reached (127.0.0.1:9: Connection refused).\n  → Check that the server runs" in seen
        await terminal.reads(PASTE_AGAIN)
        code, seen = await terminal.ends_at(CTRL_D)
    assert (code, "Run this command again to continue." in seen) == (130, True)
    assert os.listdir(tmp_path) == []


async def test_interrupted_while_slack_does_not_answer_it_ends_at_once(
    tmp_path: Path, slack: Sandbox, env: dict[str, str]
) -> None:
    slack.faults.start("no_answer", method="auth.test")
    async with init(tmp_path, env) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        await slack.wait_for(lambda: slack.calls)
        terminal.presses_ctrl_c()
        code, seen = await terminal.end()
    assert (code, seen.endswith("Run this command again to continue.\n"), "Traceback" in seen) == (130, True, False)
    assert os.listdir(tmp_path) == []


async def test_interrupted_halfway_it_keeps_what_was_accepted_and_goes_on(
    tmp_path: Path, slack: Sandbox, env: dict[str, str]
) -> None:
    async with init(tmp_path, env) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        await terminal.reads(PASTE)
        assert not terminal.echoes
        code, seen = await terminal.ends_at(CTRL_C)
        assert terminal.echoes
    assert (code, seen) == (
        130,
        "\nStopped. Everything accepted so far is in .env. Run this command again to continue.\n",
    )
    assert written(tmp_path) == {"SLACK_BOT_TOKEN": slack.bot_token}
    async with init(tmp_path, env) as terminal:
        seen = await terminal.types(PASTE, slack.app_token)
        assert "App-Level Tokens" in seen
        assert "api.slack.com/apps?new_app" not in seen
        await terminal.types(PASTE, KEY)
        await terminal.types(WHO, "U0ADA")
        await terminal.types(CAP, "none")
        assert (await terminal.end())[0] == 0
    assert list(written(tmp_path)) == ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "OPENAI_API_KEY", "BOT_ADMINS", *ALERT]
    assert hello(slack) == [texts.welcome.first_message_to_admin("typist")]


async def test_an_env_file_that_exists_is_completed_and_no_value_is_changed(
    tmp_path: Path, slack: Sandbox, openai: VendorServer, env: dict[str, str]
) -> None:
    before = (REPOSITORY / ".env.example").read_text()
    before = before.replace("OPENAI_BASE_URL=https://api.openai.com/v1", f"OPENAI_BASE_URL={env['OPENAI_BASE_URL']}")
    before = before.replace("BOT_SLACK_API_URL=https://slack.com/api/", f"BOT_SLACK_API_URL={slack.api_url}")
    before = before.replace("OPENAI_API_KEY=\n", f"OPENAI_API_KEY={KEY}\n")
    (tmp_path / ".env").write_text(before)
    (tmp_path / ".env").chmod(0o644)
    proxy = {"HTTP_PROXY": openai.url}
    async with init(tmp_path, proxy) as terminal:
        await terminal.types(PASTE, slack.bot_token)
        await terminal.types(PASTE, slack.app_token)
        await terminal.types(WHO, "ada")
        await terminal.types(CAP, "none")
        assert (await terminal.end())[0] == 0
    after = (tmp_path / ".env").read_text()
    added = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "BOT_ADMINS": "U0ADA"}
    for name, value in added.items():
        before = before.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    assert after == before
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    # Again, with nothing to ask.
    async with init(tmp_path, proxy) as terminal:
        assert (await terminal.end())[0] == 0
    assert (tmp_path / ".env").read_text() == after


async def test_a_token_of_env_that_slack_refuses_is_reported_and_stays(
    tmp_path: Path, slack: Sandbox, env: dict[str, str]
) -> None:
    text = f"SLACK_BOT_TOKEN=xoxb-1234567890-old\nSLACK_APP_TOKEN={slack.app_token}\nOPENAI_API_KEY={KEY}\n"
    (tmp_path / ".env").write_text(text)
    async with init(tmp_path, env) as terminal:
        await terminal.types(WHO, "")
        code, seen = await terminal.end()
    assert (code, "✘ Slack doesn't accept SLACK_BOT_TOKEN" in seen) == (1, True)
    assert "Fix the problems marked ✘, then run this command again." in seen
    assert (tmp_path / ".env").read_text() == text


async def test_the_admin_is_found_by_name_or_id_and_not_by_email_address(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], tokens: dict[str, str]
) -> None:
    slack.workspace.users["U0ADA2"] = replace(slack.workspace.user("ada"), id="U0ADA2", name="ada2")
    grace = slack.workspace.user("grace")
    slack.workspace.users["U0GRACE"] = replace(grace, real_name="Gr\x1b[2Jace\r\x07")
    slack.faults.start("refuse", method="users.list", error="internal_error", times=1)
    async with init(tmp_path, {**env, **tokens}) as terminal:
        await terminal.types(WHO, "Ada")
        seen = await terminal.types(WHO, "Ada")
        assert "Slack couldn't look up this person" in seen
        assert "internal_error" in seen
        seen = await terminal.types(WHO, "edith")
        assert "Several members have this name: Ada (U0ADA), Ada (U0ADA2). Enter one member's ID." in seen
        for asked in ("katherine", "typist", "U0NOBODY"):
            assert NOBODY in await terminal.types(WHO, asked)
        assert NOBODY in await terminal.types(WHO, "grace@sandbox.example")
        seen = await terminal.types(WHO, "@grace")
        assert "The app can't look up email addresses. Enter a name as shown in Slack, or a member ID" in seen
        seen = await terminal.reads("BOT_ADMINS is now in .env.")
        assert "Gr\ufffd[2Jace\ufffd (U0GRACE)" in seen
        await terminal.types(CAP, "none")
        assert (await terminal.end())[0] == 0
    assert written(tmp_path) == {"BOT_ADMINS": "U0GRACE", **ALERT}
    assert hello(slack, "grace") == [texts.welcome.first_message_to_admin("typist")]


async def test_a_first_message_that_slack_refuses_is_a_problem_with_its_remedy(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], tokens: dict[str, str]
) -> None:
    slack.faults.start("refuse", method="chat.postMessage", error="messages_tab_disabled")
    async with init(tmp_path, {**env, **tokens, "BOT_ADMINS": "U0ADA"}) as terminal:
        code, seen = await terminal.end()
    assert code == 1
    assert "✘ Slack rejected the message to Ada (messages_tab_disabled).\n  → Turn the Messages tab on" in seen


async def test_admin_whose_name_slack_does_not_tell_is_called_by_their_id(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], tokens: dict[str, str]
) -> None:
    slack.faults.start("refuse", method="users.info", error="internal_error")
    async with init(tmp_path, {**env, **tokens, "BOT_ADMINS": "U0ADA"}) as terminal:
        await terminal.reads("I sent U0ADA a message in Slack.")
        assert (await terminal.end())[0] == 0


@pytest.mark.parametrize("line", ["", "OPENAI_API_KEY=\n"], ids=["no line", "an empty line"])
async def test_keys_that_bot_models_needs_are_asked_for_and_no_others(
    tmp_path: Path, env: dict[str, str], tokens: dict[str, str], line: str
) -> None:
    del tokens["OPENAI_API_KEY"]
    (tmp_path / ".env").write_text(line)
    async with init(tmp_path, {**env, **tokens, "BOT_ADMINS": "U0ADA", "BOT_MODELS": "openai/gpt-6-luna"}) as terminal:
        seen = await terminal.types(PASTE, KEY)
        assert "Copy the value of OPENAI_API_KEY: platform.openai.com/api-keys." in seen
        assert (await terminal.end())[0] == 0
    assert written(tmp_path) == {"OPENAI_API_KEY": KEY}


async def test_a_key_of_a_vendor_that_bot_models_does_not_name_is_checked_too(
    tmp_path: Path, env: dict[str, str], tokens: dict[str, str]
) -> None:
    del tokens["OPENAI_API_KEY"]
    env |= {"ANTHROPIC_BASE_URL": "http://api.anthropic.com", "BOT_MODELS": "openai/gpt-6-luna"}
    async with init(tmp_path, {**env, **tokens, "BOT_ADMINS": "U0ADA"}) as terminal:
        await terminal.types(PASTE, "sk-ant-wrong")
        seen = await terminal.types(PASTE_AGAIN, KEY)
        assert "This is the value of ANTHROPIC_API_KEY.\n" in seen
        assert "✘ anthropic: the server doesn't accept the key (HTTP 401)." in seen
        assert "No model in BOT_MODELS uses this key.\n" in seen
        assert (await terminal.end())[0] == 0
    assert written(tmp_path) == {"OPENAI_API_KEY": KEY}


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A browser that writes each address that it opens into the file `opened` beside it."""
    program = tmp_path_factory.mktemp("browser") / "browser"
    program.write_text('#!/bin/sh\necho "$1" >> "$(dirname "$0")/opened"\n')
    program.chmod(0o755)
    return program


def opened(browser: Path) -> list[str]:
    return (browser.parent / "opened").read_text().splitlines()


def read(file: str) -> str:
    return Path(file).read_text()


def exists(file: str) -> bool:
    return Path(file).exists()


def is_create_page(url: str) -> bool:
    query = parse_qs(urlsplit(url).query)
    return query["new_app"] == ["1"] and json.loads(query["manifest_json"][0]) == app_manifest()


async def test_enter_opens_the_page_that_creates_the_app_and_copies_the_manifest(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], browser: Path
) -> None:
    env |= {"TERM": "xterm-256color", "BROWSER": f"{browser} %s"}
    async with init(tmp_path, env) as terminal:
        seen = await terminal.types("Press Enter to open the page, or paste a token here (it stays hidden): ", "")
        [(link, shown)] = re.findall("\x1b]8;;(\\S+?)\x1b\\\\(.*?)\x1b]8;;\x1b\\\\", seen)
        assert (is_create_page(link), shown) == (True, "api.slack.com/apps")
        [file] = re.findall(r"It is also in (\S+)", seen)
        manifest = read(file)
        assert json.loads(manifest) == app_manifest()
        seen = await terminal.types("Press Enter to see the page's URL, or paste a token here (it stays hidden): ", "")
        [copied] = re.findall("\x1b]52;c;(\\S+?)\x07", seen)
        assert b64decode(copied).decode() == manifest
        assert opened(browser) == [link]
        seen = await terminal.types(
            "Press Enter to see the page's URL, or paste a token here (it stays hidden): ", slack.bot_token
        )
        assert f"\n{link}\n" in seen
        await terminal.reads("Paste it here")
        assert not exists(file)
        assert (await terminal.ends_at(CTRL_C))[0] == 130
    assert opened(browser) == [link]


async def test_without_a_browser_enter_shows_the_address(tmp_path: Path, env: dict[str, str]) -> None:
    async with init(tmp_path, {**env, "TERM": "dumb"}) as terminal:
        seen = await terminal.types("Press Enter to see the page's URL, or paste a token here (it stays hidden): ", "")
        assert "1. Open api.slack.com/apps in your browser.\n" in seen
        seen = await terminal.reads("Press Enter to see")
        [link] = re.findall(r"https://api\.slack\.com/\S+", seen)
        assert (is_create_page(link), "\x1b" in terminal.shown) == (True, False)


@pytest.mark.parametrize("is_set", [False, True], ids=["pasted", "set"])
async def test_with_a_configuration_token_it_creates_the_app_and_the_person_installs_it(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], browser: Path, is_set: bool
) -> None:
    env |= {"BROWSER": f"{browser} %s", **({"SLACK_CONFIG_TOKEN": slack.config_token} if is_set else {})}
    async with init(tmp_path, env) as terminal:
        await terminal.types(
            "Press Enter to create the app, or" if is_set else PASTE, "" if is_set else slack.config_token
        )
        seen = await terminal.types("Press Enter to open the page, or paste a token here (it stays hidden): ", "")
        assert "✔ Created the app A0NEW1.\nNow install it. Press Enter to open api.slack.com/apps/A0NEW1" in seen
        await terminal.types(PASTE, slack.bot_token)
        await terminal.types(PASTE, slack.app_token)
        await terminal.types(PASTE, KEY)
        await terminal.types(WHO, "Ada")
        await terminal.types(CAP, "none")
        code, seen = await terminal.end()
        assert (code, "✔ The app's manifest has everything that Typist needs." in seen) == (0, True)
        assert slack.config_token not in terminal.shown
    [created] = [call for call in slack.calls if call.method == "apps.manifest.create"]
    assert json.loads(created.arguments["manifest"]) == app_manifest()
    assert opened(browser) == ["https://api.slack.com/apps/A0NEW1/install-on-team"]
    assert "SLACK_CONFIG_TOKEN" not in written(tmp_path)


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("token_expired", "Generate a new configuration token: api.slack.com/apps → Your App Configuration Tokens."),
        ("failed_creating_app", "Create it on Slack's page instead, unless api.slack.com/apps already lists it."),
        ("internal_error", "Create it on Slack's page instead, unless api.slack.com/apps already lists it."),
    ],
)
async def test_an_app_that_slack_does_not_create_is_left_to_its_page(
    tmp_path: Path, slack: Sandbox, env: dict[str, str], error: str, fix: str
) -> None:
    slack.faults.start("refuse", method="apps.manifest.create", error=error)
    async with init(tmp_path, {**env, "SLACK_CONFIG_TOKEN": slack.config_token}) as terminal:
        await terminal.types("Press Enter to create the app, or", "")
        seen = await terminal.reads("Press Enter to see the page's URL, or")
        assert f"✘ Slack didn't create the app ({error}).\n  → {fix}" in seen
        assert "1. Open api.slack.com/apps in your browser." in seen


async def test_without_a_terminal_it_says_what_to_set_and_exits_2(tmp_path: Path) -> None:
    code, out, err = await forked_command(tmp_path, "init", env={"SLACK_BOT_TOKEN": "xoxb-1"})
    assert (code, out) == (2, "")
    assert "typist: typist init asks questions, so it needs a terminal." in err
    assert "typist: SLACK_APP_TOKEN is not set. Get it at api.slack.com/apps" in err
    assert "typist: No model is configured." in err
    assert "typist: BOT_ADMINS isn't set." in err
    assert "SLACK_BOT_TOKEN is not set" not in err
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="not a clone")
@pytest.mark.long
async def test_the_whole_way_from_a_clone_to_the_first_answer(
    tmp_path: Path, slack: Sandbox, env: dict[str, str]
) -> None:
    clone = tmp_path / "typist"
    async with running_process("git", "clone", "--quiet", str(REPOSITORY), str(clone)) as git:
        assert await git.wait() == 0
    # The packages are those of this environment: its interpreter runs the clone's code.
    made = ("make", "--no-print-directory", "-o", ".venv/run", f"BIN={Path(sys.executable).parent}")
    async with terminal(clone, *made, "init", env=env) as newcomer:
        await newcomer.types(PASTE, slack.bot_token)
        await newcomer.types(PASTE, slack.app_token)
        await newcomer.types(PASTE, KEY)
        await newcomer.types(WHO, "Ada")
        await newcomer.types(CAP, "none")
        assert (await newcomer.end())[0] == 0
    async with terminal(clone, *made, "run", env=env) as bot:
        await bot.reads("is connected to Slack")
        asked = await slack.say("ada", "general", "@typist What can you do?")
        await slack.wait_for(lambda: ANSWER in str(slack.messages("general", asked)))
        bot.presses_ctrl_c()
        await bot.end()
    assert hello(slack) == [texts.welcome.first_message_to_admin("typist")]
