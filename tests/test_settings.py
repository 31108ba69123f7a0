"""Settings are validated: every problem is reported, and no secret is shown."""

import importlib.util
import json
import shlex
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from dotenv import dotenv_values
from packaging.requirements import Requirement

from bot import settings
from bot.core.access import UserKind
from bot.errors import SettingsError
from bot.mcp.config import HttpTransport
from bot.models.events import Usage
from bot.models.prompt import WebSearch
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings
from bot.settings import Settings, install_command, pip_install_command
from bot.wiring import open_telemetry

EXAMPLE = Path(__file__).parent.parent / ".env.example"
SLACK = {"SLACK_BOT_TOKEN": "xoxb-secret-1", "SLACK_APP_TOKEN": "xapp-secret-2"}
SECRETS = {
    **SLACK,
    "OPENAI_API_KEY": "sk-secret-3",
    "ANTHROPIC_API_KEY": "sk-ant-secret-4",
    "DATABASE_URL": "postgresql://bot:secret-5@db/typist",
    "BOT_SECRET_KEYS": "secret-6-secret-6-secret-6-secret-6-secret-=",
}
LOCAL = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}

PROBLEMS = {
    "an unknown placeholder for a gateway": (
        {"OPENAI_CUSTOM_HEADERS": "X-User: {asker.name}", "OPENAI_BASE_URL": "http://gateway:4000/v1"},
        ["OPENAI_CUSTOM_HEADERS: Typist doesn't know {asker.name}. Use {asker.id}, {asker.email}, {asker.hash}, "],
    ),
    "the asker's identity for a public gateway": (
        {"OPENAI_CUSTOM_HEADERS": "X-User: {asker.id}", "OPENAI_BASE_URL": "https://openrouter.ai/api/v1"},
        ["OPENAI_CUSTOM_HEADERS identifies the asker, but OPENAI_BASE_URL isn't the URL of your own gateway."],
    ),
    "the asker's identity for a vendor": (
        {"OPENAI_CUSTOM_HEADERS": "X-User: {asker.id}"},
        ["OPENAI_CUSTOM_HEADERS identifies the asker, but OPENAI_BASE_URL isn't the URL of your own gateway."],
    ),
    "an unknown variable": ({"BOT_WELCOMES": "off"}, ["unknown setting BOT_WELCOMES (did you mean BOT_WELCOME?)"]),
    "a variable that is only a little like one": (
        {"BOT_DENY_USERS": "U0ADA"},
        ["unknown setting BOT_DENY_USERS. Run typist settings to see them all."],
    ),
    "an unknown variable like no other": (
        {"BOT_FOO": "1"},
        ["unknown setting BOT_FOO. Run typist settings to see them all."],
    ),
    "a variable in small letters": (
        {"database_url": "sqlite:///secret.db"},
        ["unknown setting database_url (did you mean DATABASE_URL?)"],
    ),
    "a number of thousands of digits": ({"BOT_DRAIN_S": "9" * 5_000}, ["BOT_DRAIN_S must be a whole number from 0"]),
    **{
        f"quotes that are a part of {variable}": (
            {variable: value, "OPENAI_BASE_URL": "http://127.0.0.1:1"},
            [f"{variable} has quotes around its value. Write it without them."],
        )
        for variable, value in {
            "SLACK_BOT_TOKEN": '"xoxb-secret"',
            "OPENAI_API_KEY": "'sk-secret'",
            "BOT_MODELS": "“openai/a”",
            "BOT_WELCOME": '"on"',
        }.items()
    },
    "not a number": ({"BOT_HISTORY_TOKENS": "many"}, ["BOT_HISTORY_TOKENS must be a whole number"]),
    "a number out of range": ({"BOT_STALL_TIMEOUT_S": "0"}, ["from 1 to 3,600"]),
    "a port out of range": ({"BOT_HEALTH_PORT": "65536"}, ["BOT_HEALTH_PORT must be a port from 1 to 65,535"]),
    "a host that is no address": ({"BOT_HEALTH_PORT": "localhost:80"}, ["or an IP address of this machine and a port"]),
    "an address without a port": ({"BOT_HEALTH_PORT": "0.0.0.0"}, ["such as 0.0.0.0:8080"]),
    "a public address without its port": (
        {"BOT_PUBLIC_URL": "https://typist.example"},
        ["BOT_PUBLIC_URL needs BOT_HEALTH_PORT"],
    ),
    **{
        f"a public address that is {value}": ({"BOT_PUBLIC_URL": value}, ["BOT_PUBLIC_URL must be a URL such as"])
        for value in (
            "http://typist.example",
            "https://typist.example/a/../b",
            "https://typist.example?x",
            "https://typist.example#x",
            "https://ada:secret@typist.example",
            "https://typist.example:0",
            "https://typist.example\\x",
            "typist.example",
            "//typist.example",
            "http://127.0.0.1.evil.example",
        )
    },
    "not one of the choices": ({"BOT_OPENAI_API": "rest"}, ["BOT_OPENAI_API must be one of auto, responses, chat"]),
    "no day of the week": (
        {"BOT_WEEKLY_REPORT": "9:00", "BOT_ADMINS": "U0ADA"},
        ["BOT_WEEKLY_REPORT must be a day of the week and a time, and optionally a time zone, such as mon 9:00 (in"],
    ),
    "no time zone of this name": (
        {"BOT_WEEKLY_REPORT": "mon 9:00 Europe/Berln", "BOT_ADMINS": "U0ADA"},
        ["BOT_WEEKLY_REPORT has a time zone that doesn't exist, 'Europe/Berln'. Write"],
    ),
    "no time for house questions": (
        {"BOT_HOUSE_QUESTIONS": "sometimes", "BOT_ADMINS": "U0ADA"},
        ["BOT_HOUSE_QUESTIONS must be a day of the week and a time, and optionally a time zone, such as mon 9:00 (in"],
    ),
    "house questions for nobody": (
        {"BOT_HOUSE_QUESTIONS": "mon 8:00"},
        ["BOT_HOUSE_QUESTIONS needs BOT_ADMINS, the people who get the message."],
    ),
    "house questions at any cost": (
        {
            "BOT_HOUSE_QUESTIONS": "mon 8:00",
            "BOT_ADMINS": "U0ADA",
            "BOT_MODELS": "openai/unpriced-model",
            "OPENAI_API_KEY": "k",
        },
        ["BOT_HOUSE_QUESTIONS stops at a limit in dollars, and openai/unpriced-model has no price. Add it to the"],
    ),
    "a report for nobody": (
        {"BOT_WEEKLY_REPORT": "mon 9:00"},
        ["BOT_WEEKLY_REPORT needs BOT_ADMINS, the people who get the report."],
    ),
    "tabs without the tool that reads them": (
        {"BOT_READ_TABS": "on", "BOT_READ_CHANNEL": "off"},
        ["BOT_READ_TABS needs BOT_READ_CHANNEL, the tool that reads tabs and pins."],
    ),
    "neither on nor off": ({"BOT_WELCOME": "yes"}, ["BOT_WELCOME must be one of on, off"]),
    "a model without a vendor": (
        {"BOT_MODELS": "gpt-6-luna"},
        ["BOT_MODELS must list models as vendor/model", "'gpt-6-luna' isn't one"],
    ),
    "a key of another vendor": (
        {"OPENAI_API_KEY": "sk-ant-api03-secret"},
        [
            "OPENAI_API_KEY has a key that begins with sk-ant-, which belongs in ANTHROPIC_API_KEY. Move it there. If "
            "another server uses this key, set OPENAI_BASE_URL."
        ],
    ),
    "a key of the other vendor": (
        {"ANTHROPIC_API_KEY": "sk-svcacct-secret"},
        ["ANTHROPIC_API_KEY has a key that begins with sk-svcacct-, which belongs in OPENAI_API_KEY."],
    ),
    "a token in place of a key": (
        {"ANTHROPIC_API_KEY": "xoxb-secret"},
        ["ANTHROPIC_API_KEY must be a model's key; this is a bot token of Slack."],
    ),
    "a key of two words": (
        {"OPENAI_API_KEY": "sk-secret sk-secret"},
        ["OPENAI_API_KEY must be one word of ASCII letters, digits and symbols. Copy it again"],
    ),
    **{
        f"models with {separator!r} between them": (
            {**LOCAL, "BOT_MODELS": f"openai/a{separator}openai/b"},
            ["BOT_MODELS must have a comma between two models", "isn't one model."],
        )
        for separator in (";", "; ", " ", "|", "\n", "\u3001", " as A; ", " AS A ")
    },
    **{
        f"a hidden character in {variable}": (
            {**LOCAL, variable: value},
            [f"{variable} has an invisible character, perhaps from copying. Type it again."],
        )
        for variable, value in {
            "BOT_MODELS": "openai/a\u200b",
            "BOT_ADMINS": "U0ADA\u200b",
            "BOT_ALLOW_USERS": "U0ADA\u200d",
            "DATABASE_URL": "sqlite:///typist\x00.db",
            "SLACK_BOT_TOKEN": "\ufeffxoxb-secret",
            "BOT_PRICES": "\udcff.json",
        }.items()
    },
    "what should be in a file": (
        {"BOT_PRICES": '{"openai/ours": {}}'},
        ["BOT_PRICES must be the path of a file, not its content."],
    ),
    "servers that should be in a file": (
        {"BOT_MCP_CONFIG": '{"servers": {}}'},
        ["BOT_MCP_CONFIG must be the path of a file, not its content."],
    ),
    "too many models": (
        {
            "BOT_MODELS": ",".join(f"openai/{number}" for number in range(settings.MAX_MODELS + 1)),
            "OPENAI_API_KEY": "k",
        },
        ["BOT_MODELS must have at most 99 models: Slack's settings modal can't show more"],
    ),
    "a missing API key": (
        {"BOT_MODELS": "anthropic/claude-haiku-5-5"},
        ["ANTHROPIC_API_KEY is not set, and anthropic/claude-haiku-5-5 needs it. Get a key at platform.claude.com"],
    ),
    "a cloud without its region": (
        {"BOT_MODELS": "bedrock/us.anthropic.claude-haiku-5-5"},
        ["AWS_REGION is not set, and bedrock/us.anthropic.claude-haiku-5-5 needs it. See company.md in Typist's docs."],
    ),
    "a cloud without its project": (
        {"BOT_MODELS": "vertex/claude-haiku-5-5", "GOOGLE_CLOUD_LOCATION": "eu"},
        ["GOOGLE_CLOUD_PROJECT is not set, and vertex/claude-haiku-5-5 needs it."],
    ),
    "a cloud without its address": (
        {"BOT_MODELS": "azure/ours,azure/other"},
        ["AZURE_OPENAI_BASE_URL is not set, and azure/ours needs it."],
    ),
    "a region that is none": (
        {"AWS_REGION": "us-east-1.example.com/"},
        ["AWS_REGION must be a name of lowercase letters, digits and hyphens"],
    ),
    "a URL without a scheme": ({"OPENAI_BASE_URL": "localhost:1"}, ["OPENAI_BASE_URL must start with https://"]),
    "a database of another kind": ({"DATABASE_URL": "mysql://x"}, ["DATABASE_URL must start with sqlite://"]),
    "a name in place of a member ID": (
        {"BOT_ADMINS": "U0ADA, ada"},
        ["BOT_ADMINS must be a comma-separated list of member IDs", "'ada' isn't one"],
    ),
    "an e-mail address in place of its domain": (
        {"BOT_ALLOW_USERS": "@support, ada@example.com"},
        ["user groups such as @support, and email domains such as @example.com", "'ada@example.com' isn't one"],
    ),
    "a domain without its @": ({"BOT_ALLOW_USERS": "example.com"}, ["'example.com' isn't one"]),
    "a group's name in place of its handle": ({"BOT_ALLOW_USERS": "@Our Support"}, ["'@our support' isn't one"]),
    "a group among the admins": ({"BOT_ADMINS": "@support"}, ["BOT_ADMINS must be a comma-separated list of member"]),
    "a name in place of a channel ID": (
        {"BOT_ALLOW_CHANNELS": "#general"},
        ["list of channel IDs such as C0123ABCD", "'#general' isn't one"],
    ),
    "an unknown kind of user": (
        {"BOT_ALLOW_ALSO": "strangers"},
        ["BOT_ALLOW_ALSO must be a comma-separated list of guests, external, bots; 'strangers' isn't one."],
    ),
    "a cap without a unit": (
        {"BOT_CAPS": "user/day=20"},
        ["BOT_CAPS must list caps, separated by commas, such as user/day=200000tokens"],
    ),
    "a dollar cap on a model without a price": (
        {"BOT_CAPS": "user/day=20usd", "BOT_MODELS": "openai/my-own", "OPENAI_API_KEY": "k"},
        ["a price for every model in use, and openai/my-own has none. Add its price to the BOT_PRICES file"],
    ),
    "a model that can't transcribe": (
        {"BOT_TRANSCRIBE": "anthropic/claude-haiku-5-5"},
        ["BOT_TRANSCRIBE must be a model as vendor/model, where vendor is openai, such as openai/gpt-transcribe."],
    ),
    "a model that transcribes without a key": (
        {"BOT_TRANSCRIBE": "openai/gpt-transcribe"},
        ["OPENAI_API_KEY is not set, and openai/gpt-transcribe needs it."],
    ),
    "a dollar cap on a transcription without a price": (
        {"BOT_CAPS": "user/day=20usd", "BOT_TRANSCRIBE": "openai/my-own", "OPENAI_API_KEY": "k"},
        ["a price for every model in use, and openai/my-own has none."],
    ),
    "a model without the name that `as` promises": (
        {**LOCAL, "BOT_MODELS": "openai/m as "},
        ["BOT_MODELS must have a name of 1 to 40 printable characters after `openai/m as`."],
    ),
    "a long name of a model": ({**LOCAL, "BOT_MODELS": f"openai/m as {'x' * 41}"}, ["1 to 40 printable characters"]),
    "one name for two models": (
        {**LOCAL, "BOT_MODELS": "openai/a as Ours,openai/b as ours"},
        ["BOT_MODELS must not have the name 'Ours' for two models."],
    ),
    "another model's name": (
        {**LOCAL, "BOT_MODELS": "openai/a as B,openai/b"},
        ["BOT_MODELS must not have the name 'B' for two models."],
    ),
    "a file of prices that is not there": (
        {"BOT_PRICES": "no-such.json"},
        ["BOT_PRICES points to no-such.json, which doesn't exist. Create it, or leave the setting empty."],
    ),
    "an address with a space": (
        {"OPENAI_BASE_URL": "http://my server/v1"},
        ["OPENAI_BASE_URL must be a URL such as https://host/path or http://127.0.0.1:8000/v1."],
    ),
    "a folder in place of a file of prices": ({"BOT_PRICES": "."}, ["BOT_PRICES points to ., which can't be read: "]),
    "a domain with a path": (
        {"BOT_WEB_SEARCH": "docs.example.com, https://example.com/a"},
        ["BOT_WEB_SEARCH must be on, off, or a list of domains", "'https://example.com/a' isn't one"],
    ),
    "too many domains": (
        {"BOT_WEB_SEARCH": ",".join(f"{number}.example" for number in range(101))},
        ["BOT_WEB_SEARCH must have at most 100 domains"],
    ),
    "a token of another kind": ({"SLACK_BOT_TOKEN": "xoxp-1"}, ["SLACK_BOT_TOKEN must start with xoxb-"]),
}


@pytest.mark.parametrize(("env", "sentences"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_invalid_setting_is_reported_in_one_line(env: dict[str, str], sentences: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(env)
    assert len(caught.value.problems) == 1
    assert all(sentence in caught.value.problems[0] for sentence in sentences)


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("gpt-6-luna", "did you mean openai/gpt-6-luna?"),
        ("claude-next-9", "did you mean anthropic/claude-next-9?"),
        ("OpenAI/gpt-6-luna", "did you mean openai/gpt-6-luna?"),
        ("open-ai/gpt-6-luna", "did you mean openai/gpt-6-luna?"),
        ("antropic/claude-haiku-5-5", "did you mean anthropic/claude-haiku-5-5?"),
        ("openai:gpt-6-luna", "did you mean openai/gpt-6-luna?"),
        ("openai", "for example openai/gpt-6-luna"),
        ("anthropic/", "for example anthropic/claude-haiku-5-5"),
        ("llama3.2:8b", "for another server with OpenAI's API, write openai/ before the model's name"),
        ("google/gemini-3", "for another server with OpenAI's API, write openai/ before the model's name"),
        ("gemini-3", "for another server with OpenAI's API, write openai/ before the model's name"),
        ("/", "for another server with OpenAI's API, write openai/ before the model's name"),
        ("bedrock/", "for another server with OpenAI's API, write openai/ before the model's name"),
    ],
)
def test_what_a_wrong_model_may_have_meant_is_said(model: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({"BOT_MODELS": model})
    assert caught.value.problems[0].endswith(f"{model!r} isn't one ({hint}).")


@pytest.mark.parametrize(
    "env",
    [
        {"OPENAI_API_KEY": "sk-ant-secret", "OPENAI_BASE_URL": "https://api.anthropic.com/v1"},
        {"OPENAI_API_KEY": "gsk_secret"},
        {"OPENAI_API_KEY": "sk-or-v1-secret", "OPENAI_BASE_URL": "https://openrouter.ai/api/v1"},
        {"ANTHROPIC_API_KEY": "sk-proj-secret", "ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"},
        {"ANTHROPIC_API_KEY": "of-no-known-form"},
    ],
)
def test_a_key_of_another_form_or_for_another_server_is_the_servers_to_judge(env: dict[str, str]) -> None:
    assert settings.read(env).vendors


@pytest.mark.parametrize(
    ("env", "misnamed"),
    [
        ({"SLACK_API_URL": "http://127.0.0.1:1/api/"}, {"SLACK_API_URL": "BOT_SLACK_API_URL"}),
        ({"SLACK_API_URL": "https://slack.com/api"}, {}),
        ({"SLACK_API_URL": "http://127.0.0.1:1/api", "BOT_SLACK_API_URL": "http://127.0.0.1:1/api/"}, {}),
        ({"SLACK_SEARCH": "on"}, {"SLACK_SEARCH": "BOT_SLACK_SEARCH"}),
        ({"SLACK_SEARCH": "off", "SLACK_API_URL": ""}, {}),
    ],
)
def test_slacks_settings_without_bot_in_their_names_are_noted(env: dict[str, str], misnamed: dict[str, str]) -> None:
    assert settings.read(env).misnamed_variables == misnamed


def test_all_problems_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({"BOT_X": "1", "BOT_WELCOME": "yes"}, needs_slack=True, needs_model=True)
    variables = ["BOT_X", "BOT_WELCOME", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "OPENAI_API_KEY"]
    assert len(caught.value.problems) == len(variables)
    assert all(variable in problem for variable, problem in zip(variables, caught.value.problems, strict=True))


@pytest.mark.parametrize(
    ("env", "models"),
    [
        ({}, ()),
        ({"OPENAI_API_KEY": "k"}, ("openai/gpt-6-luna",)),
        ({"ANTHROPIC_API_KEY": "k"}, ("anthropic/claude-haiku-5-5",)),
        ({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, ("openai/gpt-6-luna", "anthropic/claude-haiku-5-5")),
        ({"OPENAI_API_KEY": "k", "BOT_MODELS": "openai/a/b, openai/c"}, ("openai/a/b", "openai/c")),
        ({"OPENAI_API_KEY": "k", "BOT_MODELS": "openai/c,openai/a,openai/c"}, ("openai/c", "openai/a")),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "BOT_MODELS": "openai/local"}, ("openai/local",)),
    ],
)
def test_models_follow_from_the_settings(env: dict[str, str], models: tuple[str, ...]) -> None:
    assert settings.models_in_use(settings.read(env)) == models


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ("openai/llama3.2, openai/qwen/qwen4-8b", ["llama3.2", "qwen/qwen4-8b"]),
        ("openai/llama3.2 as Our Llama,anthropic/m", ["Our Llama", "m"]),
        ("openai/llama3.2 AS Our Llama,anthropic/m\xa0as\tM", ["Our Llama", "M"]),
        ("openai/m  as  R&D <1>, anthropic/m", ["R&D <1>", "m"]),
        *((f"openai/m as Ours {emoji}", [f"Ours {emoji}"]) for emoji in ("👩‍💻", "🏳️‍🌈", "🧑🏽‍🚀")),
        ("anthropic/m, openai/m", ["anthropic/m", "openai/m"]),
        (f"openai/m as {'x' * 40}", ["x" * 40]),
    ],
)
def test_people_read_the_name_that_a_model_is_given_or_else_its_own(models: str, names: list[str]) -> None:
    ours = settings.read({**SECRETS, "BOT_MODELS": models})
    assert [ours.model_names.label(model) for model in ours.models] == names
    assert "/" in ours.models[0]
    assert "as" not in " ".join(ours.models).split()


def test_access_lists_and_caps_are_separated_by_commas() -> None:
    ours = settings.read(
        {
            "BOT_ALLOW_ALSO": "Guests, bots",
            "BOT_ADMINS": "U0ADA, W0ALAN,",
            "BOT_CAPS": "user/day=20usd,channel/day=5tokens",
        }
    )
    assert ours.allow_also == {UserKind.GUEST, UserKind.BOT}
    assert ours.admins == {"U0ADA", "W0ALAN"}
    assert [str(cap) for cap in ours.caps] == ["your quota of $20 per day", "this channel's quota of 5 tokens per day"]


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings.read({"BOT_HISTORY_TOKENS": " ", "SLACK_BOT_TOKEN": ""}) == Settings()


def test_repr_has_no_secret() -> None:
    assert "secret" not in repr(settings.read(SECRETS))


@pytest.mark.parametrize("variable", SECRETS)
def test_error_has_no_secret(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({**SECRETS, variable: "secret-in-a-wrong-form", "BOT_WRONG": "1"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("variable", [*settings.variables(), *(f"{name}_FILE" for name in settings.secret_variables())])
def test_secret_in_the_wrong_place_is_not_shown(variable: str) -> None:
    # Keys of no known form are recognized only where a file's name should stand.
    secrets = [SECRETS[name] for name in SECRETS if name != "BOT_SECRET_KEYS" or variable.endswith("_FILE")]
    problems = []
    for secret in secrets:
        try:
            settings.read({variable: secret})
        except SettingsError as error:
            problems += error.problems
    assert "secret-" not in str(problems)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://db.example:5432/typist", "postgresql://db.example:5432/typist"),
        ("postgresql://bot:secret-5@db/typist?sslmode=require", "postgresql://***@db/typist"),
        ("postgresql://db/typist?password=secret", "postgresql://db/typist"),
        ("postgresql://bot:secret/5@db/typist", "postgresql://***"),
        ("postgresql://bot:secret@5@db/typist", "postgresql://***"),
        ("postgresql://bot:secret?5@db/typist", "postgresql://***"),
        ("postgresql://bot:secret#5@db/typist", "postgresql://***"),
        ("postgresql://bot:secret", "postgresql://***"),
        ("postgresql:///typist?host=/run/postgresql", "postgresql:///typist"),
        ("sqlite:////var/lib/typist.db", "sqlite:////var/lib/typist.db"),
    ],
)
def test_settings_in_force_show_an_address_without_its_secrets(url: str, shown: str) -> None:
    assert settings.changed_settings(settings.read({"DATABASE_URL": url})) == {"DATABASE_URL": shown}


def test_settings_in_force_are_those_that_differ_from_their_defaults() -> None:
    assert settings.changed_settings(settings.read({"BOT_WELCOME": "on", "BOT_DRAIN_S": "25"})) == {}
    ours = settings.read(
        {
            **SECRETS,
            "SLACK_CONFIG_TOKEN": "xoxe.xoxp-1-secret",
            "OPENAI_BASE_URL": "https://me:secret@gateway.example/v1",
            "BOT_OPENAI_API": "chat",
            "BOT_SYSTEM_PROMPT": "A secret of the house.",
            "BOT_WELCOME": "off",
            "BOT_ALLOW_ALSO": "guests,bots",
            "BOT_MODELS": "openai/a as Luna,anthropic/b",
            "BOT_CAPS": "user/day=200000tokens, channel/month=1000tokens",
        }
    )
    shown = settings.changed_settings(ours)
    assert "secret" not in str(shown)
    assert shown == {
        "SLACK_BOT_TOKEN": "xoxb-***",
        "SLACK_APP_TOKEN": "xapp-***",
        "SLACK_CONFIG_TOKEN": "xoxe.xoxp-***",
        "OPENAI_API_KEY": "***",
        "ANTHROPIC_API_KEY": "***",
        "OPENAI_BASE_URL": "https://***@gateway.example/v1",
        "BOT_OPENAI_API": "chat",
        "DATABASE_URL": "postgresql://***@db/typist",
        "BOT_SECRET_KEYS": "***",
        "BOT_SYSTEM_PROMPT": "22 characters",
        "BOT_WELCOME": "off",
        "BOT_ALLOW_ALSO": "bots, guests",
        "BOT_MODELS": "openai/a as Luna, anthropic/b",
        "BOT_CAPS": "user/day=200000tokens, channel/month=1000tokens",
    }


COMPLETED = {
    "no file": (None, "BOT_ADMINS", "U0ADA", "BOT_ADMINS=U0ADA\n"),
    "its empty line": ("# Who\n\nBOT_ADMINS= \nA=1\n", "BOT_ADMINS", "U0ADA", "# Who\n\nBOT_ADMINS=U0ADA\nA=1\n"),
    "a name without a value": ("export BOT_ADMINS\nA=1\n", "BOT_ADMINS", "U0ADA", "BOT_ADMINS=U0ADA\nA=1\n"),
    "only a comment with its name": ("# BOT_ADMINS=\n", "BOT_ADMINS", "U0ADA", "# BOT_ADMINS=\nBOT_ADMINS=U0ADA\n"),
    "a last line without an end": ("A=1", "BOT_ADMINS", "U0ADA", "A=1\nBOT_ADMINS=U0ADA\n"),
    "ends of lines of another system": ("A=1\r\n", "BOT_ADMINS", "U0ADA", "A=1\r\nBOT_ADMINS=U0ADA\n"),
    "its name within a value": ('A="x\nK=\ny"\n', "K", "v", 'A="x\nK=\ny"\nK=v\n'),
    "signs that mean something": ("", "K", r"a'b\c#d", "K='a\\'b\\\\c#d'\n"),
}


@pytest.mark.parametrize(("before", "name", "value", "after"), COMPLETED.values(), ids=COMPLETED.keys())
def test_a_setting_is_added_to_the_file_and_all_else_stays(
    before: str | None, name: str, value: str, after: str, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    if before is not None:
        file.write_bytes(before.encode())
    settings.add_to_env_file(name, value, file)
    assert file.read_bytes().decode() == after
    assert settings.environment(file)[name] == value
    assert (file.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o600, [file])


def test_a_file_behind_a_link_is_completed_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / ".env").symlink_to(tmp_path / "there/settings")
    settings.add_to_env_file("BOT_ADMINS", "U0ADA", tmp_path / ".env")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "there/settings").read_text() == "BOT_ADMINS=U0ADA\n"


def test_a_file_that_cannot_be_completed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"nowhere/\.env can't be written: No such file or directory\."):
        settings.add_to_env_file("BOT_ADMINS", "U0ADA", tmp_path / "nowhere/.env")
    monkeypatch.setenv("BOT_ADMINS", "")
    with pytest.raises(SettingsError, match="BOT_ADMINS is empty in the environment, which overrides"):
        settings.add_to_env_file("BOT_ADMINS", "U0ADA", tmp_path / ".env")


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("BOT_SYSTEM_PROMPT=from the file\nBOT_MODELS=openai/file\n", "utf-8-sig")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("BOT_MODELS", "openai/environment")
    ours = settings.read(settings.environment(file))
    assert (ours.models, ours.system_prompt) == (("openai/environment",), "from the file")


def test_a_variable_in_a_value_has_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "a")
    monkeypatch.setenv("BOT_CAPS", "")
    file = tmp_path / ".env"
    file.write_text("TOO=b\nOTHERS=${UNKNOWN}\nBOT_CAPS=${UNKNOWN}\nBOT_SYSTEM_PROMPT=${HERE}${TOO}${UNSET:-}$UNSET\n")
    assert settings.environment(file)["BOT_SYSTEM_PROMPT"] == "ab$UNSET"
    file.write_text("\nDATABASE_URL=postgresql://u:secret${word}@host/name\n")
    with pytest.raises(SettingsError) as refused:
        settings.environment(file)
    [problem] = refused.value.problems
    assert problem.startswith(f"{file}, line 2: the value has ${{…}} with a variable that is not set. Set it, ")
    assert not any(part in problem for part in ("secret", "word"))


def test_an_empty_line_of_the_file_takes_no_value_from_a_line_above(tmp_path: Path) -> None:
    """As where keys stand above a copy of .env.example."""
    file = tmp_path / ".env"
    file.write_text("BOT_ADMINS=U0ADA\nBOT_MODELS=openai/old\nBOT_ADMINS=\nBOT_ADMINS\nBOT_MODELS=openai/new\n")
    env = settings.environment(file)
    assert (env["BOT_ADMINS"], env["BOT_MODELS"]) == ("U0ADA", "openai/new")
    replaced = "line 2: BOT_MODELS has another value in line 5, which counts."
    assert settings.override_warnings(file) == [f"{file}, {replaced}"]


@pytest.mark.parametrize("pasted", ["sk-proj-canary", "xoxb_canary", "AIzaCanary"])
def test_a_key_without_its_name_is_refused_without_being_shown(pasted: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"BOT_ADMINS=U0ADA\n{pasted}\n")
    with pytest.raises(SettingsError) as refused:
        settings.environment(file)
    assert refused.value.problems == [f"{file}, line 2: must be NAME=value, or a comment after #."]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"SLACK_TOKEN": "xoxb-secret"},
            [("SLACK_BOT_TOKEN", "SLACK_TOKEN is"), ("SLACK_APP_TOKEN", "SLACK_TOKEN is")],
        ),
        ({"SLACK_BOT_TOKENS": "xoxb-secret"}, [("SLACK_BOT_TOKEN", "SLACK_BOT_TOKENS is")]),
        ({"OPENAI_KEY": "sk-secret"}, [("No model", "OPENAI_KEY is")]),
        ({"OPENAI_KEY": "a", "ANTROPIC_API_KEY": "b"}, [("No model", "ANTROPIC_API_KEY and OPENAI_KEY are")]),
        ({"BOT_MODELS": "openai/gpt-6-luna", "OPEN_AI_API_KEY": "a"}, [("OPENAI_API_KEY", "OPEN_AI_API_KEY is")]),
        ({"OPENAI_KEY": " ", "HOME": "/home/ada"}, []),
    ],
)
def test_a_variable_of_a_name_like_a_missing_one_is_told(env: dict[str, str], said: list[tuple[str, str]]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(env, needs_slack=True, needs_model=True)
    unread = [problem for problem in caught.value.problems if "which Typist doesn't read" in problem]
    assert len(unread) == len(said)
    for problem, (start, end) in zip(sorted(unread), sorted(said), strict=True):
        assert problem.startswith(start)
        assert problem.endswith(f" {end} set, which Typist doesn't read.")
    assert "secret" not in str(caught.value)


def test_example_lists_every_setting_with_its_default() -> None:
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    assert set(example) == set(settings.variables())
    ours = settings.read(example)
    assert replace(ours, vendors={}) == Settings()
    for name, vendor in ours.vendors.items():
        entry = VENDORS[name]
        assert vendor == VendorSettings(base_url=entry.base_url, api=entry.apis[0] if entry.apis else "")


CLOUDS = {
    "BOT_MODELS": "bedrock/us.anthropic.claude-haiku-5-5, vertex/claude-haiku-5-5, foundry/claude-haiku-5-5, "
    "azure/gpt-6-luna",
    "AWS_REGION": "us-east-1",
    "GOOGLE_CLOUD_PROJECT": "example.com:ours",
    "GOOGLE_CLOUD_LOCATION": "global",
    "ANTHROPIC_FOUNDRY_BASE_URL": "https://ours.services.ai.azure.com/anthropic",
    "AZURE_OPENAI_BASE_URL": "https://ours.openai.azure.com/openai/v1/",
}


def test_places_of_clouds_are_shown_and_their_models_have_prices() -> None:
    ours = settings.read({**CLOUDS, "BOT_CAPS": "user/day=20usd"})
    assert settings.changed_settings(ours).items() >= (CLOUDS.items() - {("BOT_MODELS", CLOUDS["BOT_MODELS"])})
    costs = [settings.model_prices(ours).cost_usd(model, Usage(1_000_000), 1.79e9) for model in ours.models]
    assert all(cost is not None and cost > 0 for cost in costs)


@pytest.mark.parametrize(
    ("module", "model", "package"),
    [
        ("boto3", "bedrock/us.anthropic.claude-haiku-5-5", "'boto3<2,>=1.44'"),
        ("google.auth", "vertex/claude-haiku-5-5", "'google-auth[requests]<3,>=2.62'"),
        ("azure.identity.aio", "foundry/claude-haiku-5-5", "'azure-identity<2,>=1.27'"),
        ("azure.identity.aio", "azure/gpt-6-luna", "'azure-identity<2,>=1.27'"),
    ],
)
def test_missing_extra_of_a_cloud_is_one_sentence_with_its_command(
    monkeypatch: pytest.MonkeyPatch, module: str, model: str, package: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else find(name))
    with pytest.raises(SettingsError) as caught:
        settings.read({**CLOUDS, "BOT_MODELS": model})
    extra = {"boto3": "bedrock", "google.auth": "vertex"}.get(module, "azure")
    assert caught.value.problems == [f"{model} needs the extra {extra}. Install it: {pip_install_command()} {package}"]


def test_postgresql_needs_its_extra_and_sqlite_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "psycopg" else find(name))
    assert settings.read({"DATABASE_URL": "sqlite:///typist.db"}).database_url == "sqlite:///typist.db"
    for scheme in ("postgres", "postgresql"):
        with pytest.raises(SettingsError) as caught:
            settings.read({"DATABASE_URL": f"{scheme}://typist@db.example/typist"})
        assert caught.value.problems == [
            f"PostgreSQL in DATABASE_URL needs the extra postgresql. Install it: {install_command('postgresql')}"
        ]


PRICE = {"input": 1, "output": 2}


def test_paths_may_begin_with_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tmp_path.joinpath("prices").write_text(json.dumps({"openai/my-own": PRICE}))
    tmp_path.joinpath("token").write_text("xoxb-1")
    tmp_path.joinpath("servers").write_text(json.dumps({"mcpServers": {"own": {"command": "own"}}}))
    env = {"BOT_PRICES": "~/prices", "SLACK_BOT_TOKEN_FILE": "~/token", "BOT_MCP_CONFIG": "~/servers"}
    ours = settings.read(env)
    assert (ours.slack_bot_token, ours.mcp.names, len(ours.prices)) == ("xoxb-1", ("own",), 1)
    with pytest.raises(SettingsError, match="points to ~nobody-there/prices, which doesn't exist"):
        settings.read({"BOT_PRICES": "~nobody-there/prices"})


def test_own_price_allows_a_dollar_cap(tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"openai/my-*": PRICE}))
    env = {"BOT_CAPS": "user/day=20usd", "BOT_MODELS": "openai/my-own", "OPENAI_API_KEY": "k"}
    ours = settings.read({**env, "BOT_PRICES": str(prices)})
    assert settings.model_prices(ours).cost_usd("openai/my-own", Usage(1_000_000), 0) == 1.0
    assert settings.changed_settings(ours)["BOT_PRICES"] == "openai/my-*"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1 isn't JSON: Expecting value"),
        ('{\n"openai/a": {input: 1}}', "line 2 isn't JSON"),
        ("[]", "there must be a JSON object of models"),
        ("{}", "there must be a JSON object of models"),
        ("[" * 100_000, "nested too deeply"),
        (
            json.dumps({"opnai/a": PRICE}),
            "'opnai/a' doesn't match any vendor that Typist supports (did you mean openai/a?)",
        ),
        (
            '{"my-own": {"input": 1, "output": 2}}',
            "models must be named vendor/model, as in BOT_MODELS; 'my-own' isn't",
        ),
        ('{"openai/a": 1}', "'openai/a' must have an object with prices"),
        ('{"openai/a": {"input": 1}}', "'openai/a' needs a price for output, in USD per million tokens"),
        ('{"openai/a": {}}', "'openai/a' needs a price for input and output"),
        ('{"openai/a": {"inptu": 1, "output": 2}}', "'openai/a' has 'inptu', which isn't one of input, cached_input"),
        ('{"openai/a": {"input": "1", "output": 2}}', "input of 'openai/a' must be a number from 0"),
        ('{"openai/a": {"input": -1, "output": 2}}', "input of 'openai/a' must be a number from 0"),
        ('{"openai/a": {"input": NaN, "output": 2}}', "input of 'openai/a' must be a number from 0"),
        ('{"openai/a": {"input": 1e999999999, "output": 2}}', "input of 'openai/a' must be a number from 0"),
        ('{"openai/a": {"input": true, "output": 2}}', "input of 'openai/a' must be a number from 0"),
        ('{"openai/a": {"input": 1, "input": 1, "output": 2}}', "'input' is there twice"),
        ('{"openai/a": {"input": 1, "output": 2, "tiers": {}}}', "tiers of 'openai/a' must be a list"),
        (
            '{"openai/a": {"input": 1, "output": 2, "tiers": [{"input": 2}]}}',
            "each tier of 'openai/a' needs a whole number",
        ),
        ('{"openai/a": {"input": 1, "output": 2, "tiers": [{"above": 1.5, "input": 2}]}}', "needs a whole number"),
        ('{"openai/a": {"input": 1, "output": 2, "tiers": [{"above": 1}]}}', "needs a whole number of tokens as above"),
        (
            '{"openai/a": {"input": 1, "output": 2, "tiers": [{"above": 1, "input": 2}, {"above": 1, "input": 3}]}}',
            "two tiers of 'openai/a' begin above the same number",
        ),
    ],
)
def test_wrong_file_of_prices_is_reported_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.read({"BOT_PRICES": str(prices)})
    [line] = caught.value.problems
    assert line.startswith(f"BOT_PRICES points to {prices}, which can't be used: ")
    assert problem in line
    assert "\n" not in line


@pytest.mark.parametrize("extra", ["telemetry", "local", "bedrock"])
def test_command_for_an_extra_installs_its_packages_and_never_typist_again(extra: str) -> None:
    """A `pip install '.[extra]'` would replace an editable install by a copy, and needs the repository."""
    assert install_command(extra).startswith(f"{pip_install_command()} ")
    packages = shlex.split(install_command(extra).removeprefix(pip_install_command()))
    declared = tomllib.loads(EXAMPLE.with_name("pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    assert {Requirement(package) for package in packages} == {Requirement(package) for package in declared}


def test_packages_are_installed_for_the_python_that_runs_typist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `pip` without a path may be another Python's: the image's environment has none of its own."""
    assert shlex.split(pip_install_command()) == [sys.executable, "-m", "pip", "install"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert shlex.split(pip_install_command()) == ["pip", "--python", sys.prefix, "install"]


def test_traces_need_their_extra_and_the_port_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"BOT_TRACES_URL": "http://127.0.0.1:4318/v1/traces"}
    assert settings.read(env)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"BOT_TRACES_URL needs the extra telemetry. Install it: .* install "):
        settings.read(env)
    assert not settings.has_telemetry()
    with open_telemetry(settings.read({"BOT_HEALTH_PORT": "8080"})) as telemetry:
        assert telemetry.scrape is None


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("[::]:80", ("::", 80)),
        ("::1:9", ("::1", 9)),
    ],
)
def test_port_is_on_the_loopback_unless_an_address_stands_before_it(value: str, at: tuple[str, int]) -> None:
    ours = settings.read({"BOT_HEALTH_PORT": value})
    assert ours.health_at == at
    assert settings.changed_settings(ours) == {"BOT_HEALTH_PORT": f"{at[0]}:{at[1]}"}


@pytest.mark.parametrize(
    ("value", "url"),
    [("https://Typist.example/", "https://typist.example"), ("http://127.0.0.1:8080", "http://127.0.0.1:8080")],
)
def test_sign_ins_lead_back_to_the_public_address(value: str, url: str, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(
        '{"mcpServers": {"a": {"url": "https://a.example"}, "b": {"url": "https://b.example", "oauth": {}}}}'
    )
    env = {"BOT_PUBLIC_URL": value, "BOT_HEALTH_PORT": "8080", "BOT_MCP_CONFIG": str(file)}
    for server in settings.read(env).mcp.servers:
        assert isinstance(server.transport, HttpTransport)
        assert server.transport.sign_in.redirect_uri(server.name) == f"{url}/oauth/callback-{server.name}"


def test_address_of_traces_is_shown_without_its_password() -> None:
    ours = settings.read({"BOT_TRACES_URL": "https://user:secret@collector.example/v1/traces"})
    assert settings.changed_settings(ours) == {"BOT_TRACES_URL": "https://***@collector.example/v1/traces"}


@pytest.mark.parametrize(
    ("value", "search", "shown"),
    [
        ("off", None, {}),
        ("On", WebSearch(), {"BOT_WEB_SEARCH": "on"}),
        ("Docs.example.com, a.b", WebSearch(("docs.example.com", "a.b")), {"BOT_WEB_SEARCH": "docs.example.com, a.b"}),
    ],
)
def test_web_search_is_off_on_or_within_domains(value: str, search: WebSearch | None, shown: dict[str, str]) -> None:
    ours = settings.read({"BOT_WEB_SEARCH": value})
    assert (ours.web_search, settings.changed_settings(ours)) == (search, shown)


@pytest.mark.parametrize("variable", settings.secret_variables())
def test_secret_comes_from_a_file_as_from_the_environment(variable: str, tmp_path: Path) -> None:
    """Docker and Kubernetes hand out secrets as files, which mostly end in a newline."""
    value = {"SLACK_CONFIG_TOKEN": "xoxe.xoxp-secret", **SECRETS}.get(variable, "secret")
    (tmp_path / "secret").write_text(f"{value}\n")
    file = {f"{variable}_FILE": str(tmp_path / "secret")}
    assert settings.read(file) == settings.read({variable: value})
    with pytest.raises(SettingsError, match=f"{variable} and {variable}_FILE are both set"):
        settings.read({variable: value, **file})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read: No such file or directory"),
        (b"", "is empty"),
        (b"\xff\xfe\xff", "isn't UTF-8 text"),
    ],
    ids=["missing", "empty", "no text"],
)
def test_file_of_a_secret_that_can_not_be_used_is_named(content: bytes | None, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        settings.read({"SLACK_BOT_TOKEN_FILE": str(file)})
    assert refused.value.problems == [f"SLACK_BOT_TOKEN_FILE points to {file}, which {problem}."]


@pytest.mark.parametrize("name", ["BOT_MODELS_FILE", "SLACK_TOKEN_FILE", "OPENAI_BASE_URL_FILE"])
def test_file_of_what_is_no_secret_is_an_unknown_setting(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {name}"):
        settings.read({name: "/run/secrets/it"})
    assert settings.read({"SSL_CERT_FILE": "/etc/ca.crt", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}) == settings.read({})
