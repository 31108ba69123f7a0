"""OpenAI's moderation of a question and its answer, in the request for the answer.

The verdicts come with the end of a response, when all of its text has been sent. The policy "block" asks OpenAI to
refuse what it flags, but models were seen answering all the same (agentgateway/website#960). So with BLOCK Typist holds
an answer back until its verdicts are here, and shows it only if both are there and flag nothing.

https://developers.openai.com/api/docs/guides/moderation
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from bot.errors import EndReason
from bot.models.failures import RequestAttempt
from bot.models.model_setup import Moderation

MODEL = "omni-moderation-latest"
_PARTS = {"input": "question", "output": "answer"}
_CATEGORY = re.compile(r"[a-z][a-z_/-]{0,40}")

log = logging.getLogger(__name__)


def moderation_parameters(mode: Moderation) -> dict[str, Any]:
    """Returns what asks for moderation in a request, nothing if it is off."""
    if mode is Moderation.OFF:
        return {}
    return {"moderation": {"model": MODEL, "policy": {part: {"mode": mode.value} for part in _PARTS}}}


def judge(mode: Moderation, response: Mapping[str, Any], attempt: RequestAttempt) -> None:
    """Logs what is flagged in a response that ended; with BLOCK, raises ProviderError if the answer must not be shown.

    No verdict is no permission: then the answer fails as UNEXPECTED, and the next model is asked.
    """
    if mode is Moderation.OFF:
        return
    verdicts = response.get("moderation") or {}
    flagged = {part: _flagged(verdicts[part]) for part in _PARTS if _is_verdict(verdicts.get(part))}
    for part, categories in flagged.items():
        if categories:
            log.warning("%s: moderation flagged the %s: %s", attempt.model, _PARTS[part], ", ".join(categories))
    if mode is Moderation.BLOCK and any(flagged.values()):
        raise attempt.failed(EndReason.REFUSED, "flagged by moderation")
    if mode is Moderation.BLOCK and len(flagged) < len(_PARTS):
        raise attempt.failed(EndReason.UNEXPECTED, "no verdict of the moderation")


def _is_verdict(part: Any) -> bool:
    """Returns whether this is a result. A moderation that failed gives an error in its place."""
    return isinstance(part, dict) and isinstance(part.get("flagged"), bool)


def _flagged(verdict: Mapping[str, Any]) -> list[str]:
    """Returns the names of the categories under which content is flagged."""
    if not verdict["flagged"]:
        return []
    categories = verdict.get("categories")
    named = categories if isinstance(categories, dict) else {}
    return [name for name, is_flagged in named.items() if is_flagged and _CATEGORY.fullmatch(name)] or ["unnamed"]
