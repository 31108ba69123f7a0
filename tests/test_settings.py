"""Settings are read once, checked whole, and keep their secrets."""

from dataclasses import replace
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bot import settings
from bot.core.limits.access import UserKind
from bot.errors import SettingsError
from bot.providers.model_setup import VendorSettings
from bot.providers.registry import VENDORS
from bot.settings import Settings

EXAMPLE = Path(__file__).parent.parent / ".env.example"
SLACK = {"SLACK_BOT_TOKEN": "xoxb-secret-1", "SLACK_APP_TOKEN": "xapp-secret-2"}
SECRETS = {
    **SLACK,
    "OPENAI_API_KEY": "sk-secret-3",
    "ANTHROPIC_API_KEY": "sk-ant-secret-4",
    "DATABASE_URL": "postgresql://bot:secret-5@db/typist",
}

PROBLEMS = {
    "an unknown variable": (
        {"BOT_STREAMNG": "off"},
        ["BOT_STREAMNG is no setting of Typist: did you mean BOT_STREAMING?"],
    ),
    "no number": (
        {"BOT_HISTORY_TOKENS": "many"},
        ["BOT_HISTORY_TOKENS can't be used: it must be a whole number"],
    ),
    "a number out of range": ({"BOT_STALL_TIMEOUT_S": "0"}, ["from 1 to 3,600"]),
    "a port that no machine has": ({"BOT_HEALTH_PORT": "65536"}, ["BOT_HEALTH_PORT can't be used", "to 65,535"]),
    "no choice": ({"BOT_OPENAI_API": "rest"}, ["it must be one of auto, responses, chat"]),
    "neither on nor off": (
        {"BOT_STREAMING": "yes"},
        ["BOT_STREAMING can't be used: it must be one of on, off"],
    ),
    "no model": ({"BOT_MODELS": "gpt-6-luna"}, ["a model is written vendor/name", "'gpt-6-luna'"]),
    "a model's key is missing": (
        {"BOT_MODELS": "anthropic/claude-haiku-5-5"},
        ["ANTHROPIC_API_KEY is not set, and BOT_MODELS names anthropic: get it at platform.claude.com"],
    ),
    "no address": (
        {"OPENAI_BASE_URL": "localhost:1"},
        ["OPENAI_BASE_URL can't be used: it must begin with https://"],
    ),
    "no database": (
        {"DATABASE_URL": "mysql://x"},
        ["DATABASE_URL can't be used: it must begin with sqlite://"],
    ),
    "no person": ({"BOT_ADMINS": "U0ADA, ada"}, ["BOT_ADMINS can't be used: it must be members' ids", "not 'ada'"]),
    "no channel": ({"BOT_DENY_CHANNELS": "#general"}, ["channels' ids such as C0123ABCD", "not '#general'"]),
    "allowed and denied": (
        {"BOT_ALLOW_USERS": "U0ADA,U0ALAN", "BOT_DENY_USERS": "U0ADA"},
        ["BOT_ALLOW_USERS and BOT_DENY_USERS both name U0ADA."],
    ),
    "no kind of people": ({"BOT_ALLOW_ALSO": "strangers"}, ["it must be one of guests, external, bots"]),
    "no cap": ({"BOT_CAPS": "user/day=20"}, ["BOT_CAPS can't be used: a cap is written user/day=200000tokens"]),
    "dollars of a model without a price": (
        {"BOT_CAPS": "user/day=20usd", "BOT_MODELS": "openai/my-own", "OPENAI_API_KEY": "k"},
        ["no price of openai/my-own is known"],
    ),
    "a token of another kind": (
        {"SLACK_BOT_TOKEN": "xoxp-1"},
        ["SLACK_BOT_TOKEN can't be used: it must begin with xoxb-"],
    ),
}


@pytest.mark.parametrize(("env", "sentences"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_what_is_wrong_is_one_clear_line(env: dict[str, str], sentences: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(env)
    assert len(caught.value.problems) == 1
    assert all(sentence in caught.value.problems[0] for sentence in sentences)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({"BOT_X": "1", "BOT_STREAMING": "yes"}, needs_slack=True, needs_model=True)
    variables = ["BOT_X", "BOT_STREAMING", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "OPENAI_API_KEY"]
    assert len(caught.value.problems) == len(variables)
    assert all(variable in problem for variable, problem in zip(variables, caught.value.problems, strict=True))


@pytest.mark.parametrize(
    ("env", "models"),
    [
        ({}, ()),
        ({"OPENAI_API_KEY": "k"}, ("openai/gpt-6-luna",)),
        ({"ANTHROPIC_API_KEY": "k"}, ("anthropic/claude-haiku-5-5",)),
        (
            {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"},
            ("openai/gpt-6-luna", "anthropic/claude-haiku-5-5"),
        ),
        ({"OPENAI_API_KEY": "k", "BOT_MODELS": "openai/a/b, openai/c"}, ("openai/a/b", "openai/c")),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "BOT_MODELS": "openai/local"}, ("openai/local",)),
    ],
)
def test_the_models_follow_from_what_is_set(env: dict[str, str], models: tuple[str, ...]) -> None:
    assert settings.models_in_use(settings.read(env)) == models


def test_who_may_ask_and_how_much_is_written_by_commas() -> None:
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


def test_no_secret_is_in_the_repr() -> None:
    assert "secret" not in repr(settings.read(SECRETS))


@pytest.mark.parametrize("variable", SECRETS)
def test_no_secret_is_in_an_error(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({**SECRETS, variable: "secret-in-a-wrong-form", "BOT_WRONG": "1"})
    assert "secret" not in str(caught.value)


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("BOT_MODELS=scripted/file\nBOT_SYSTEM_PROMPT=from the file\n")
    monkeypatch.setenv("BOT_MODELS", "scripted/environment")
    ours = settings.read(settings.environment(file))
    assert (ours.models, ours.system_prompt) == (("scripted/environment",), "from the file")


def test_the_example_lists_every_setting_with_its_default() -> None:
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    assert set(example) == set(settings.variables())
    ours = settings.read(example)
    assert replace(ours, vendors={}) == Settings()
    for name, vendor in ours.vendors.items():
        entry = VENDORS[name]
        assert vendor == VendorSettings(base_url=entry.base_url, api=entry.apis[0] if entry.apis else "")
