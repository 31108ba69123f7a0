"""User-facing text about models: names and errors."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.core.texts.answers import HELP, NOT_SHOWN, STUCK
from bot.core.texts.words import listed
from bot.errors import EndReason, NothingAsked, NotShown, ProviderError, Stuck, TypistError


def refused_features(features: Iterable[str]) -> str:
    named = listed(list(features))
    return f"answered without {named}, which this model doesn't support" if named else ""


MODEL_NAME_CHARS = 40
"""Maximum length of model and tool names in App Home. Longer names are cut."""


@dataclass(frozen=True, slots=True)
class ModelNames:
    """User-facing model names. Records, logs and admin commands use the names in BOT_MODELS, such as vendor/model. The
    vendor is the API that a server implements, not the company that runs the server."""

    chosen: Mapping[str, str] = field(default_factory=dict)
    """Names by vendor/model. The default is the model's own name."""

    def label(self, model: str) -> str:
        return self.chosen.get(model) or model.partition("/")[2] or model


OWN_NAMES = ModelNames()


def fell_back(name: str) -> str:
    return f"fell back to {name}"


def answered_by(name: str) -> str:
    return f"answered by {name}"


def another_model_answers(model: str, other_model: str, priced_as: str) -> str:
    """Tells operators that another model answers requests for a model in BOT_MODELS. All names have the form
    vendor/model."""
    is_priced = priced_as == other_model
    price = "Its price counts" if is_priced else f"Its price isn't known, so the price of {priced_as} counts"
    return f"{model} is answered by another model, {other_model.partition('/')[2]}. {price}."


MODEL_FAILURES: Mapping[EndReason, str] = {
    EndReason.BAD_KEY: "I don't have access to {model}. Ask your Typist admin to check its credentials.",
    EndReason.UNKNOWN_MODEL: (
        "The server for {model} doesn't have this model, or my API key doesn't have access to it. Ask your Typist "
        "admin to check BOT_MODELS and the server's URL."
    ),
    EndReason.OUT_OF_CREDIT: "The account for {model} is out of credit. Ask your Typist admin to check its billing.",
    EndReason.RATE_LIMITED: "{model} has reached its rate limit. {again} in {wait}.",
    EndReason.OVERLOADED: "{model} is overloaded. {again} in {wait}.",
    EndReason.CONTEXT_TOO_LONG: "This is too much text for {model}. Please ask with less text or in a new thread.",
    EndReason.REFUSED: (
        "{model} declined to answer. Please rephrase your question: I'll leave this one out of later requests. If the "
        "new one is declined too, ask in a new thread."
    ),
    EndReason.MISALIGNED: (
        "The provider of {model} stopped this answer because of what the model did, so I won't try again. Nothing was "
        "undone. Please check what its tools changed."
    ),
    EndReason.EMPTY: "{model} returned an empty answer. Please rephrase your question.",
    EndReason.ONLY_THOUGHT: "{model} reached its length limit while thinking. Please ask for a shorter answer.",
    EndReason.STALLED: "{model} stopped responding. {again}.",
    EndReason.CUT: "The connection to {model} was lost before the answer was complete. {again}.",
    EndReason.UNREACHABLE: "I can't reach {model}. {again} in a minute.",
    EndReason.SERVER_ERROR: "{model} has a problem right now. {again} in a minute.",
    EndReason.UNREADABLE: "{model} sent a response that I can't read. Ask your Typist admin to check the server's URL.",
    EndReason.UNEXPECTED: "{model} rejected my request. Ask your Typist admin to check my log for the reason.",
}
REFUSALS: Mapping[EndReason, str] = {
    EndReason.BAD_KEY: (
        "{model}: the server rejects my key or its access to this model. Until that's fixed, fallback models will "
        "answer, if there are any. `typist check` explains what to do."
    ),
    EndReason.OUT_OF_CREDIT: (
        "{model}: the account is out of credit. Until its billing is fixed, fallback models will answer, if there are "
        "any."
    ),
}
"""Sentences for Typist admins about failures that only they can fix."""


def model_refused(failure: EndReason, model: str) -> str:
    return REFUSALS[failure].format(model=model)


def actions_stopped(model: str) -> str:
    return (
        f"{model}: the provider stopped an answer because of what the model did with its tools. I didn't try again. "
        "The person who asked can see the provider's explanation and the calls. To find the answer, look for "
        "“misaligned” in my log; `typist audit` lists the calls. If this happens again today, I won't send another "
        "message."
    )


def prompt_truncated_text(model: str, sent_tokens: int, counted_tokens: int) -> str:
    return (
        f"{model}: its server counted only {counted_tokens:,} of about {sent_tokens:,} tokens that I sent, so it "
        "probably cuts off the beginning of long prompts: my instructions and the start of the thread. Give the model "
        "a larger window (for Ollama, OLLAMA_CONTEXT_LENGTH=65536). `typist check --probe-models` tests it."
    )


CHOOSE_ANOTHER = "Choose a model in BOT_MODELS that its vendor still offers, or add a price to the BOT_PRICES file."
"""Advice to operators for when another model answers requests for a model in BOT_MODELS."""


def answers_again(model: str) -> str:
    """Tells admins who were notified about a refusal that the model answers again."""
    return f"{model} is answering again."


NO_WAY_TO_MODEL = "I can't reach {model}. Ask your Typist admin to check my log."
"""Reports a problem that would also make a retry fail."""
TRYING_AGAIN = "The model isn't responding. Trying again…"
TAKES_LONG = "The model is taking longer than usual. I'm still waiting for its first word…"
"""Shown instead of THINKING if the model hasn't written anything for a long time."""
LOADING = "The model's server hasn't responded yet. It might still be loading the model, so I'll wait a few minutes…"
"""Shown instead of THINKING if a server that isn't a vendor's hasn't responded for a while."""
MAX_LISTED_TOOLS = 10
_ASK_AGAIN = "Please ask again"
_PRESS_CONTINUE = "Press Continue"


def interrupted(*, goes_on: bool = False) -> str:
    return f"I was interrupted three times while answering. {_PRESS_CONTINUE if goes_on else _ASK_AGAIN}."


def silent_after_tools(name: str) -> str:
    """Returns the sentence to show instead of the one for EMPTY if tools ran, so that people don't run them again for
    nothing."""
    return f"{name} used its tools but didn't write an answer. Press Details to see what they did before you ask again."


def actions_stopped_text(name: str, calls: Mapping[str, int], explanation: str) -> str:
    called = [f"{tool} ({count} times)" if count > 1 else tool for tool, count in calls.items()]
    more = [f"{len(called) - MAX_LISTED_TOOLS} more"] if len(called) > MAX_LISTED_TOOLS else []
    used = f"It used {listed([*called[:MAX_LISTED_TOOLS], *more])}: press Details to see each call."
    sentences = (
        model_failure(EndReason.MISALIGNED, name),
        used if called else "It hadn't used any tools.",
        f"The provider's explanation: “{explanation}”" if explanation else "",
    )
    return " ".join(filter(None, sentences))


def model_failure(failure: EndReason, name: str, retry_after_s: float | None = None, *, goes_on: bool = False) -> str:
    again = _PRESS_CONTINUE if goes_on else _ASK_AGAIN
    if goes_on and failure in (EndReason.EMPTY, EndReason.ONLY_THOUGHT):
        return f"{name} added nothing. {_PRESS_CONTINUE} and I'll ask it again."
    return MODEL_FAILURES[failure].format(model=name, wait=_wait(retry_after_s), again=again)


def error_text(error: TypistError, names: ModelNames = OWN_NAMES, *, goes_on: bool = False) -> str:
    match error:
        case ProviderError():
            if error.reason is EndReason.UNREACHABLE and not error.is_temporary:
                return NO_WAY_TO_MODEL.format(model=names.label(error.model))
            return model_failure(error.reason, names.label(error.model), error.retry_after_s, goes_on=goes_on)
        case NotShown():
            return NOT_SHOWN
        case NothingAsked():
            return HELP
        case Stuck():
            return STUCK
    return str(error)


def _wait(retry_after_s: float | None) -> str:
    if retry_after_s is None or retry_after_s <= 60:
        return "a minute"
    minutes = math.ceil(retry_after_s / 60)
    if minutes < 120:
        return f"{minutes} minutes"
    hours = math.ceil(minutes / 60)
    return f"{hours} hours" if hours < 48 else f"{math.ceil(hours / 24)} days"
