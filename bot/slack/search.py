"""The tool that searches Slack: it finds messages in public channels, with the asker's permissions.

A bot can search only with the action_token of a user's message, and gets only results that this user can see. The token
stays in the memory of the processes that were running when the message arrived (bot/services/intake.py). A process that
started later can't search on behalf of that question, and the result of the call explains this to the model.

Slack forbids keeping search results, so they are never stored or logged. A process that takes over the job can search
again. Messages are found by meaning if assistant.search.info reports AI search, and by keywords otherwise. If Slack
reports that the app can't search, models aren't offered the tool.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Mapping
from typing import Any

from bot.core.calls import (
    NO_SUCH_TOOL,
    SLACK,
    CallResult,
    CallState,
    ToolUse,
    builtin_tool,
    full_tool_name,
    result_for_model,
)
from bot.core.conversation import Question, with_names
from bot.core.prompt import one_line
from bot.core.sign_in_urls import SignInUrls
from bot.errors import RateLimited, Refusal, Refused
from bot.models.prompt import OfferedTools, ToolDefinition
from bot.slack.client import TURN_WITHIN_S, PacedClient
from bot.slack.json_values import json_object, json_objects, utc_text
from bot.slack.text import message_text, quoted_for_model
from bot.slack.users import ChannelReaders, cache_newest

METHOD, INFO = "assistant.search.context", "assistant.search.info"
INFO_TRUSTED_S = 3_600.0
INFO_WITHIN_S = 3.0
NAME = full_tool_name(SLACK, "search")
MAX_RESULTS = 10
MAX_QUERY_CHARS = 300


def _definition(how: str, query: str) -> ToolDefinition:
    description = (
        "Searches the messages in the workspace's public channels, with the permissions of the person who asks. "
        f"Returns up to {MAX_RESULTS} messages with author, time and link. {how}, and search again with other words if "
        "nothing fits. Slack's index lags: messages from the last hours, or even from yesterday, might be missing. "
        "Cite each message that you use by its link."
    )
    return builtin_tool(NAME, description, {"query": {"type": "string", "description": query}}, ("query",))


KEYWORD_SEARCH = _definition(
    "Use a few keywords that the messages would contain", "Keywords, without quotes or operators"
)
SEMANTIC_SEARCH = _definition(
    "It finds messages by what they mean: ask a whole question, or use a few keywords",
    "A question in a sentence, or keywords, without quotes or operators",
)

# Messages to the model about a search without a result.
ASK_AGAIN = "Say that you could not search Slack, and that a new message which mentions you makes it possible."
NO_TOKEN = f"Slack gave no permission to search for this question. {ASK_AGAIN}"
TOKEN_GONE = f"Slack's permission to search for this question has ended. {ASK_AGAIN}"
SWITCHED_OFF = "Search for apps is switched off in this workspace. Say that you could not search Slack."
NO_SCOPE = (
    "This app lacks the permission search:read.public, which an admin can add. Say that you could not search Slack."
)
OUTSIDERS = "People from outside the workspace may read this channel, so you can't search Slack here. Say so."
BUSY = "Slack takes no more searches this minute. Answer without, and say that you could not search Slack."
NO_ANSWER = "Slack did not answer. Answer without, and say that you could not search Slack."
NO_QUERY = "The search needs a query: a few keywords."
NOTHING_FOUND = (
    "The search returned no message. That doesn't mean that there is none: Slack's index may lag by hours. Other or "
    "fewer words may find one. If none do, say that you found nothing and that newer messages may be missing from the "
    "search; never say that there is nothing."
)
CITE = "Cite each message that you use by its link. Newer messages may be missing: Slack's index may lag by hours."

_SENTENCES: Mapping[str, str] = {
    "invalid_action_token": TOKEN_GONE,
    "feature_not_enabled": SWITCHED_OFF,
    "assistant_search_context_disabled": SWITCHED_OFF,
    "missing_scope": NO_SCOPE,
    "not_allowed_token_type": NO_SCOPE,
}

log = logging.getLogger(__name__)


class SlackSearch:
    def __init__(self, client: PacedClient, readers: ChannelReaders, sign_in_urls: SignInUrls) -> None:
        self._client = client
        self._sign_in_urls = sign_in_urls
        self._readers = readers
        self._tokens: dict[tuple[str, str], str] = {}
        self._offered = OfferedTools((KEYWORD_SEARCH,))
        """The version of the tool that Slack last reported as supported. Until then, the version that works in every
        workspace."""
        self._asked_at = -math.inf

    def keep_token(self, channel_id: str, ts: str, action_token: str) -> None:
        """Keeps the action token of a question's event in memory. Drops the oldest token if there are too many."""
        cache_newest(self._tokens, (channel_id, ts), action_token)

    async def definitions(self, question: Question) -> OfferedTools:
        """Returns the search tool unless outsiders can read the answer. If the token is missing, the result of a call
        tells the model why the search failed."""
        return await self._offered_tools() if await self._readers.has_only_insiders(question.thread) else OfferedTools()

    async def _offered_tools(self) -> OfferedTools:
        now = self._client.clock.monotonic()
        if now < self._asked_at + INFO_TRUSTED_S:
            return self._offered
        # Set before the call, so that other questions don't make or await the same call.
        self._asked_at = now
        try:
            async with asyncio.timeout(INFO_WITHIN_S):
                info = await self._client.call(INFO)
            self._offered = OfferedTools(
                (SEMANTIC_SEARCH if info.get("is_ai_search_enabled") is True else KEYWORD_SEARCH,)
            )
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("Slack doesn't say what its search can do: %s", error or "no answer")
            if isinstance(error, Refused) and error.name in _SENTENCES:
                self._offered = OfferedTools()
        return self._offered

    async def call(self, use: ToolUse) -> CallResult:
        """Searches once. Never raises an exception: if Slack refuses, returns a sentence for the model."""
        if use.tool != NAME or use.definition_hash not in (
            KEYWORD_SEARCH.definition_hash,
            SEMANTIC_SEARCH.definition_hash,
        ):
            return CallResult.failed(NO_SUCH_TOOL)
        query = use.arguments.get("query")
        if not isinstance(query, str) or not query.strip():
            return CallResult.failed(NO_QUERY)
        token = self._tokens.get(use.question.channel_and_ts)
        if token is None:
            return CallResult.failed(NO_TOKEN)
        try:
            async with asyncio.timeout(min(use.timeout_s, TURN_WITHIN_S)):
                # An outsider might have joined since the search was offered.
                if not await self._readers.has_only_insiders(use.question.thread):
                    return CallResult.failed(OUTSIDERS)
                answer = await self._client.call(
                    METHOD,
                    query=query.strip()[:MAX_QUERY_CHARS],
                    action_token=token,
                    channel_types="public_channel",
                    content_types="messages",
                    limit=MAX_RESULTS,
                )
        except (RateLimited, TimeoutError):
            # Slack calls have shorter timeouts, so the search must have been waiting for budget.
            return CallResult.failed(BUSY)
        except Refused as error:
            return CallResult.failed(self._refusal_sentence(use.question, error))
        found = json_objects(json_object(answer, "results"), "messages")
        hits = [hit for hit in found if (hit.get("channel_id"), hit.get("message_ts")) != use.question.channel_and_ts]
        log.info("slack search for message %s: results=%d", use.question.ts, len(hits))
        if not hits:
            return CallResult(CallState.DONE, NOTHING_FOUND)
        shown = self._sign_in_urls.without_urls("\n\n".join(map(_hit_text, hits)))
        data = result_for_model(shown, NAME, secrets.token_hex(8))
        return CallResult(CallState.DONE, f"{data}\n{CITE}", can_be_stored=False)

    def _refusal_sentence(self, question: Question, error: Refused) -> str:
        name = error.name
        log.warning("slack search for message %s failed: %s", question.ts, name)
        if name == "invalid_action_token":
            self._tokens.pop(question.channel_and_ts, None)
        if sentence := _SENTENCES.get(name):
            return sentence
        return NO_ANSWER if error.reason is Refusal.TRANSIENT else f"Slack refused the search ({name})."


def _hit_text(hit: Mapping[str, Any]) -> str:
    channel = f"#{hit.get('channel_name') or hit.get('channel_id')}"
    author = one_line(str(hit.get("author_name") or hit.get("author_user_id") or "unknown"))
    head = ", ".join(filter(None, (channel, author, utc_text(str(hit.get("message_ts"))))))
    text = with_names(message_text(str(hit.get("content") or "")), {})
    return f"{head}\n{hit.get('permalink') or ''}\n{quoted_for_model(text)}"
