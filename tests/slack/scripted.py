import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import RateLimited, Refused

Json = dict[str, Any]
Answer = Json | Refused | RateLimited


@dataclass
class ScriptedClient:
    """Slack's client. It answers each method as the test says, from a list in turn, and other methods with nothing."""

    answers: Mapping[str, Answer | list[Answer]] = field(default_factory=dict)
    after_s: float = 0.0
    asked: list[Json] = field(default_factory=list)
    """The calls, each with its method and arguments."""

    async def call(self, method: str, **arguments: Any) -> Json:
        await asyncio.sleep(self.after_s)
        self.asked.append({"method": method, **arguments})
        answer = self.answers.get(method, {})
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Refused | RateLimited):
            raise answer
        return answer
