"""The models in use, as the settings define them."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from bot import settings
from bot.errors import SettingsError
from bot.models.events import THINKING_TOKENS
from bot.models.model import Vendor
from bot.models.registry import (
    VENDORS,
    VendorEntry,
    all_accept_pdfs,
    max_output_tokens,
    models_that_search,
    open_models,
    vendors_of_key,
)
from bot.models.setup import RequestOptions, VendorSettings
from bot.settings import Settings, model_setup
from tests.contracts.notifications import collect
from tests.models.scripts import END, ScriptedProvider


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"models": ("openai/m",)}, 1_000 + THINKING_TOKENS),
        ({"models": ("openai/m",), "vendors": {"openai": VendorSettings(base_url="http://127.0.0.1:1/v1")}}, 1_000),
        (
            {
                "models": ("openai/m",),
                "vendors": {"openai": VendorSettings(base_url="http://127.0.0.1:1/v1", api="responses")},
            },
            1_000 + THINKING_TOKENS,
        ),
        ({"models": ("anthropic/m",)}, 1_000 + THINKING_TOKENS),
    ],
)
def test_reservation_includes_tokens_for_thinking(changes: dict[str, object], most: int) -> None:
    ours = replace(Settings(max_output_tokens=1_000), **changes)  # type: ignore[arg-type]
    assert max_output_tokens(model_setup(ours)) == most


async def test_new_vendor_needs_one_registry_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, VendorSettings]] = []

    async def close() -> None:
        """There are no connections."""

    def connect(vendor: str, vendor_settings: VendorSettings, options: RequestOptions) -> Vendor:
        given.append((vendor, vendor_settings))
        return Vendor(lambda name: ScriptedProvider(("Yes.", END), model=f"echo/{name}"), close)

    monkeypatch.setitem(sys.modules, "echo", cast(ModuleType, SimpleNamespace(connect=connect)))
    entry = VendorEntry(
        "echo",
        default_model="echo/one",
        api_key_variable="ECHO_API_KEY",
        api_key_page="echo.example/keys",
        base_url_variable="ECHO_BASE_URL",
        base_url="https://api.echo.example",
    )
    monkeypatch.setitem(cast(dict[str, VendorEntry], VENDORS), "echo", entry)
    with pytest.raises(SettingsError, match=r"ECHO_API_KEY is not set.* echo\.example/keys"):
        settings.read({"BOT_MODELS": "echo/two"})
    with pytest.raises(SettingsError, match=r"No model is configured.* or ECHO_API_KEY \(from echo\.example/keys\)"):
        settings.read({}, needs_model=True)
    ours = settings.read({"ECHO_API_KEY": "k"})
    assert settings.models_in_use(ours) == ("echo/one",)
    async with open_models(model_setup(ours)) as models:
        assert (await collect(models)).text == "Yes."
    assert given == [("echo", VendorSettings("k", "https://api.echo.example"))]


def test_people_are_told_whose_key_a_vendor_takes_and_where_it_is() -> None:
    takes_keys = [entry for entry in VENDORS.values() if entry.api_key_variable]
    assert all(entry.company and entry.api_key_page and entry.default_model for entry in takes_keys)


@pytest.mark.parametrize(
    ("key", "vendors"),
    [
        ("sk-proj-1", ["openai"]),
        ("sk-ant-1", ["anthropic"]),
        ("echo-1", ["echo"]),
        ("gsk_1", [*(vendor for vendor, entry in VENDORS.items() if entry.has_other_keys), "other"]),
    ],
)
def test_key_of_no_known_form_may_be_of_each_vendor_whose_keys_have_any(
    key: str, vendors: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, row in {"echo": {"key_prefixes": ("echo-",)}, "other": {"has_other_keys": True}}.items():
        entry = VendorEntry("bot.models.openai", "", **row)  # type: ignore[arg-type]
        monkeypatch.setitem(cast(dict[str, VendorEntry], VENDORS), name, entry)
    assert vendors_of_key(key) == vendors


@pytest.mark.parametrize(
    ("base_url", "api", "can_search"),
    [
        ("", "", True),
        ("", "chat", False),
        ("http://127.0.0.1:1/v1", "", False),
        ("http://127.0.0.1:1/v1", "responses", True),
        ("https://ours.openai.azure.com/openai/v1", "", True),
    ],
)
def test_web_search_depends_on_the_vendor_and_its_api(base_url: str, api: str, can_search: bool) -> None:
    ours = Settings(
        models=("openai/m", "anthropic/m"),
        vendors={"openai": VendorSettings(base_url=base_url, api=api)},
    )
    assert models_that_search(model_setup(ours)) == {"anthropic/m", *(["openai/m"] if can_search else [])}


@pytest.mark.parametrize(
    ("models", "vendor", "take_pdfs"),
    [
        (("openai/m", "anthropic/m"), VendorSettings(), True),
        (("anthropic/m", "openai/m"), VendorSettings(base_url="http://127.0.0.1:11434/v1"), False),
        (("openai/m",), VendorSettings(base_url="http://127.0.0.1:11434/v1", api="responses"), True),
    ],
)
def test_models_take_pdfs_unless_one_is_on_a_compatible_server(
    models: tuple[str, ...], vendor: VendorSettings, take_pdfs: bool
) -> None:
    assert all_accept_pdfs(model_setup(Settings(models=models, vendors={"openai": vendor}))) is take_pdfs
