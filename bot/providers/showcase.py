"""The sandbox's showcase: a few questions that a script answers, to show streaming without a model.

`Showcase` wraps the models in use. A question that is word for word one of scenes.py is answered by its script; all
others go to the models. Only `typist sandbox` wraps its models like this. Each scripted answer says that it is one.
"""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from bot.clock import Clock
from bot.core.conversation import Prompt, ToolResult
from bot.core.inbound.prompt import CONTINUE_REQUEST, RESUME_REQUEST
from bot.core.stream import Completion, FinishReason, StreamEvent, ToolCall, Usage
from bot.providers.models import Models, Provider
from bot.providers.scenes import SCENES, Call, Scene
from bot.providers.scripted import Attempts, spoken, words

MODEL = "scripted/showcase"
TOKENS_PER_S = 30.0
"""Slow enough to watch. Tokens are words here."""
LIMIT_TOKENS = 380
"""Where the long answer stops as if at its length limit: after about 13 seconds."""
_SEAM_CHARS = 60
"""How many of an answer's last characters tell where it stopped. They occur only once in a script."""


class Showcase:
    """The models in use, with the scenes' scripts before them."""

    def __init__(self, models: Models, clock: Clock, *, models_use_tools: bool = True) -> None:
        self.names = models.names
        self._models = models
        self._models_use_tools = models_use_tools
        self._clock = clock
        self._attempts = Attempts()

    def led_by(self, model: str | None, prompt: Prompt) -> Provider:
        """Returns a scripted provider for a question of a scene, else the one that the models choose."""
        asked = _asked(prompt)
        if asked is None:
            chosen = self._models.led_by(model, prompt)
            return chosen if self._models_use_tools else _WithoutTools(chosen)
        label = f"> *Scripted answer: shows {asked.scene.shows}. No model wrote it.*\n\n"
        answer = label + asked.answer
        if asked.so_far:
            return _ScriptedText(self._clock, _rest(answer, asked.so_far), limited=False)
        # An answer with a call goes on as another request when a person has decided.
        attempt = 1 if asked.scene.call else self._attempts.next(prompt.cache_key, asked.question)
        if attempt > 1:
            answer = answer.replace("Scripted answer: ", f"Scripted answer, attempt {attempt}: ", 1)
        text = _ScriptedText(self._clock, answer, asked.scene.limited)
        return text if asked.scene.call is None else _ScriptedCall(self._clock, label, text, asked.scene.call)


@dataclass(frozen=True, slots=True)
class _AskedScene:
    """A question of a scene, as a prompt asks it."""

    scene: Scene
    question: str
    text: str
    """What a model reads of the question, with its files."""
    so_far: str
    """The answer so far, if the script continues one."""

    @property
    def answer(self) -> str:
        return self.scene.scripts[self.question](self.text)


class _ScriptedText:
    """Streams one text, or its beginning up to the length limit."""

    def __init__(self, clock: Clock, text: str, limited: bool) -> None:
        self.model = MODEL
        self._clock = clock
        tokens = words(text)
        self._tokens = tokens[:LIMIT_TOKENS] if limited else tokens
        self._reason = FinishReason.LENGTH if len(self._tokens) < len(tokens) else FinishReason.STOP

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields the words and a Completion whose tokens are words."""
        async for token in spoken(self._clock, self._tokens, TOKENS_PER_S):
            yield token
        given = sum(len(words(turn.text)) for turn in prompt.turns)
        yield Completion(self.model, self._reason, Usage(given, len(self._tokens)))


class _ScriptedCall:
    """Streams a text and a call of a tool; then, when the call is over, the rest of the answer."""

    def __init__(self, clock: Clock, label: str, text: Provider, call: Call) -> None:
        self.model = MODEL
        self._clock = clock
        self._label = label
        self._text = text
        self._call = call

    async def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Yields one step of the answer."""
        results = [part for part in prompt.turns[-1].parts if isinstance(part, ToolResult)]
        if results:
            say = self._call.not_made if results[0].is_error else self._call.made
            step: Provider = _ScriptedText(self._clock, say(results[0].text), limited=False)
        elif self._call.tool in {tool.name for tool in prompt.tools}:
            step = self._text
        else:
            step = _ScriptedText(self._clock, self._label + self._call.not_offered, limited=False)
        async for event in step.stream(prompt):
            if isinstance(event, Completion) and step is self._text:
                yield ToolCall(0, "call_1", self._call.tool, self._call.arguments)
                event = replace(event, finish_reason=FinishReason.TOOLS)
            yield event


class _WithoutTools:
    """A model that isn't offered tools, because it is too small to use them."""

    def __init__(self, provider: Provider) -> None:
        self.model = provider.model
        self._provider = provider

    def stream(self, prompt: Prompt) -> AsyncGenerator[StreamEvent, None]:
        """Streams the model's answer."""
        return self._provider.stream(replace(prompt, tools=()))


def _asked(prompt: Prompt) -> _AskedScene | None:
    turns, so_far = list(prompt.turns), ""
    if len(turns) > 2 and turns[-1].text in (CONTINUE_REQUEST, RESUME_REQUEST):
        so_far, turns = turns[-2].text, turns[:-2]
    text = turns[-1].text
    for scene in SCENES:
        for question in scene.scripts:
            # A speaker's mark may stand above the question, its files follow it.
            if re.search(rf"(?:^|\n){re.escape(question)}(?:\n\n[(\[]|$)", text):
                return _AskedScene(scene, question, text, so_far)
    return None


def _rest(answer: str, so_far: str) -> str:
    """Returns what is missing of an answer; all of it if `so_far` isn't this script's."""
    seam = so_far.rstrip()[-_SEAM_CHARS:]
    at = answer.rfind(seam)
    return answer[at + len(seam) :] if at >= 0 else answer
