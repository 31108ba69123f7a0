"""`python -m bot ask`: one question from the terminal, the answer as it arrives."""

import sys
import time
from contextlib import aclosing

from bot.core.conversation import Prompt, Turn
from bot.core.limits.prices import cost_usd
from bot.core.stream import Completion, Thinking
from bot.errors import TypistError
from bot.providers.registry import open_models
from bot.settings import Settings, model_setup, system_prompt_in_use


async def ask(settings: Settings, question: str) -> None:
    """Writes the answer to stdout, and what it took to stderr. Raises ProviderError."""
    prompt = Prompt(system_prompt_in_use(settings), (Turn("user", question),))
    started, first_s, completion, wrote = time.monotonic(), 0.0, None, ""
    async with open_models(model_setup(settings)) as provider, aclosing(provider.stream(prompt)) as events:
        try:
            async for event in events:
                if isinstance(event, Completion):
                    completion = event
                    continue
                if isinstance(event, Thinking):
                    continue
                first_s = first_s or time.monotonic() - started
                wrote = event
                print(event, end="", flush=True)
        except TypistError:
            if wrote:
                print(flush=True)
            raise
    if not wrote.endswith("\n"):
        print(flush=True)
    if completion is not None:
        print(summary(completion, first_s), file=sys.stderr)


def summary(completion: Completion, first_s: float) -> str:
    """Model, tokens, time to first token, cost."""
    usage = completion.usage
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out" if usage else "tokens not reported"
    cost = cost_usd(completion.model, usage) if usage else None
    price = "price not known" if cost is None else f"${cost:.6f}"
    return f"{completion.model} · {tokens} · first token after {first_s:.2f} s · {price}"
