"""OpenAI, Azure and compatible servers: Responses API, Chat Completions, and OpenAI's Decisions API (`Decider`)."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Literal

from openai import AsyncOpenAI, DefaultAioHttpClient

from bot.errors import EndReason
from bot.models.api import Api, client_arguments, parts_to_send, turn_content
from bot.models.calls import ChatReasoning, ChatToolCalls, arguments_text, chat_message
from bot.models.events import (
    MAX_SEARCHES,
    THINKING_TOKENS,
    FinishReason,
    Opaque,
    Searching,
    TextPart,
    Thinking,
    ToolCall,
    Usage,
    price_terms,
    reported_tokens,
)
from bot.models.failures import RequestAttempt
from bot.models.model import Vendor, VendorModel
from bot.models.parameters import INCOMPLETE_MESSAGES, TOOLS, OptionalParameter, Parameters
from bot.models.prompt import (
    PDF,
    Estimate,
    Media,
    Prompt,
    ToolDefinition,
    ToolResult,
    Turn,
    deferred_tools,
    question_index,
    server_line,
)
from bot.models.setup import (
    OPENAI,
    KnownServer,
    RequestOptions,
    VendorSettings,
    has_only_vendor_models,
    known_server,
    uses_responses_api,
)
from bot.models.streams import NO_REASONS, AnswerReader, Delta, RepeatedComment, TextParts, text_of_content
from bot.text import object_in, objects_in
from slack_markdown.growing_text import join_halves

# 50 MB of files in one request; https://developers.openai.com/api/docs/guides/file-inputs
MAX_MEDIA_BYTES = 66_000_000


def connect(vendor: str, settings: VendorSettings, options: RequestOptions) -> Vendor:
    """Returns a server's models, named VENDOR/NAME. The base URL or a setting determines the API."""
    server, sdk = known_server(settings.base_url), open_sdk(settings)
    api: Api = ChatApi(sdk, options, vendor, server)
    if uses_responses_api(settings.api, settings.base_url):
        api = ResponsesApi(sdk, options, vendor, server)
    for one in filter(None, (api, api.other_api)):
        one.fetch_description = partial(_describe_model, sdk)
        one.can_leave_marks = not has_only_vendor_models(settings.base_url)
    return Vendor(partial(VendorModel, api, settings.api_key), sdk.close)


def open_sdk(settings: VendorSettings) -> AsyncOpenAI:
    return AsyncOpenAI(
        # Servers that don't need a key get a made-up one, because an empty key makes an invalid header.
        api_key=settings.api_key or "none",
        base_url=settings.base_url,
        **client_arguments(DefaultAioHttpClient, settings.base_url),
    )


async def _describe_model(sdk: AsyncOpenAI, name: str) -> object:
    async for model in await sdk.models.list():
        if model.id == name:
            return model
    return None


_OPENAI_ONLY = {
    OptionalParameter.CACHE_BREAKPOINT,
    OptionalParameter.MESSAGE_EFFORT,
    OptionalParameter.OUR_ROLE,
    OptionalParameter.PHASE,
}
"""Parameters that other servers with OpenAI-compatible APIs might ignore."""


class ResponsesApi(Api):
    """Reads and writes the format of https://developers.openai.com/api/reference/resources/responses/methods/create"""

    max_media_bytes = MAX_MEDIA_BYTES
    optional_parameters = frozenset(OptionalParameter) - {
        OptionalParameter.OLD_LIMIT,
        *_OPENAI_ONLY,
        OptionalParameter.TOOLS_WITH_REASONING,
        OptionalParameter.USAGE,
        OptionalParameter.WEB_FETCH,
        *INCOMPLETE_MESSAGES,
    }

    def __init__(
        self, sdk: AsyncOpenAI, options: RequestOptions, vendor: str, server: KnownServer | None = OPENAI
    ) -> None:
        super().__init__(lambda **body: sdk.responses.with_raw_response.create(**body), options, vendor)
        self.reader = ResponsesReader
        # A server that the settings call compatible is assumed to have everything but the marks, which it might ignore.
        self.accepts_pdfs = server is None or server.is_openai
        if server and server.is_openai:
            self.optional_parameters |= _OPENAI_ONLY
        elif server:
            self.optional_parameters -= _OPENAI_FORMAT

    def body(
        self, model: str, prompt: Prompt, parameters: Parameters, output_tokens: int, effort: str = ""
    ) -> dict[str, Any]:
        is_marked = prompt.system and OptionalParameter.CACHE_BREAKPOINT in parameters
        tools = _responses_tools(prompt.tools, parameters)
        message_effort = effort if OptionalParameter.MESSAGE_EFFORT in parameters else ""
        items = _with_namespaces(self._input_items(prompt, parameters, message_effort), tools)
        body: dict[str, Any] = {
            "model": model,
            "input": [*_cacheable_instructions(prompt.system), *items] if is_marked else items,
            "stream": OptionalParameter.STREAM in parameters,
            **_identifiers(prompt, parameters),
        }
        if OptionalParameter.LIMIT in parameters:
            body["max_output_tokens"] = output_tokens
        if OptionalParameter.STORE in parameters:
            body["store"] = False
        if prompt.system and not is_marked:
            body["instructions"] = prompt.system
        reasoning = {"summary": "auto"} if OptionalParameter.REASONING_SUMMARIES in parameters else {}
        if effort and not message_effort:
            reasoning["effort"] = effort
        if reasoning:
            body["reasoning"] = reasoning
        if prompt.web_search and OptionalParameter.WEB_SEARCH in parameters:
            # Without a location, OpenAI searches as if the user were in the United States.
            search: dict[str, Any] = {"type": "web_search", "user_location": {"type": "approximate"}}
            if prompt.web_search.allowed_domains:
                search["filters"] = {"allowed_domains": prompt.web_search.allowed_domains}
            tools.append(search)
            # Function calls don't count. Searches beyond the limit are ignored.
            body["max_tool_calls"] = MAX_SEARCHES
        if tools:
            body["tools"] = tools
        if prompt.tools and OptionalParameter.ENCRYPTED_REASONING in parameters:
            body["include"] = ["reasoning.encrypted_content"]
        return body

    def _input_items(self, prompt: Prompt, parameters: Parameters, effort: str) -> list[Mapping[str, Any]]:
        """Converts the turns to items. `effort`: the level to set right before the question, or "" for no change."""
        has_phases = OptionalParameter.PHASE in parameters
        listed = [
            [*_responses_items(turn, self.vendor, has_phases=has_phases), *_instruction_messages(turn)]
            for turn in prompt.turns
        ]
        if effort:
            # https://developers.openai.com/api/docs/guides/reasoning (change reasoning mid-conversation)
            listed.insert(question_index(prompt), [{"type": "configuration_update", "reasoning": {"effort": effort}}])
        return [*chain.from_iterable(listed)]


_OPENAI_FORMAT = {OptionalParameter.SAFETY_ID, OptionalParameter.TOOL_SEARCH, OptionalParameter.WEB_SEARCH}
"""Parameters that other vendors' Responses APIs don't support in OpenAI's format."""
_FAILED_STATUSES = ("failed", "cancelled")
_LAST_EVENTS = {f"response.{end}" for end in ("completed", "done", "incomplete", *_FAILED_STATUSES)}


class ResponsesReader(AnswerReader):
    """Reads responses of the Responses API, whose terminal marker is response.completed or response.incomplete.
    Failures are events. Output items arrive in response.output_item.done and again in the final response, but some
    servers send only one of the two."""

    answer_field = "output"

    def __init__(self, attempt: RequestAttempt, prompt: Prompt, max_output_tokens: int) -> None:
        super().__init__(attempt, prompt, max_output_tokens)
        self._read_items: set[int] = set()
        """Hashes of the output items' JSON. Searching a list would be slow for responses with thousands of items."""
        self._web_searches = 0
        self._has_deltas = False
        self._comments: RepeatedComment | None = None
        self._last_part: tuple[object, object] | None = None
        """The part that the last text belonged to. Needed because some servers don't announce new parts."""

    def read_event(self, event: Any) -> Delta:
        match event.get("type"):
            # A refusal's text is the model's answer.
            case "response.output_text.delta" | "response.refusal.delta":
                self._has_deltas = True
                return self._read_text(event, event.get("delta"))
            case "response.output_text.done" | "response.refusal.done" if not self._has_deltas:
                # Some servers send each part whole.
                return self._read_text(event, event.get("text") or event.get("refusal"))
            case "response.output_text.annotation.added":
                self._cite_annotation(object_in(event.get("annotation")))
            # Reasoning, under any name that servers use for it, or a call that is being written.
            case str() as name if name.endswith(".delta"):
                return Thinking(len(text_of_content(event.get("delta"))))
            case "response.output_item.added" | "response.content_part.added":
                item = event.get("item") or {"type": "message"}
                kind = item.get("type")
                self.is_working = kind != "message"
                self._parts.start_part()
                if item.get("phase"):
                    self._comments = self._comments or RepeatedComment()
                    self._comments.start_message(item["phase"])
                return Searching() if kind == "web_search_call" else ""
            case "response.output_item.done":
                self.is_working = False
                return self._read_item(object_in(event.get("item"))) or self._end_message(event)
            # An item's error, for example that of a call the server made itself, isn't the response's error.
            case kind if kind == "error" or (event.get("error") and "item_id" not in event):
                # The event's type adds nothing.
                raise self._attempt.reported_failure({**event, "type": ""})
            case str() as kind if kind in _LAST_EVENTS or "response" in event:
                response, end = object_in(event.get("response")), kind.rpartition(".")[2]
                self.answering_model = str(response.get("model") or self.answering_model)
                response = {**response, "status": response.get("status") or end}
                return self.read_response(response) if kind in _LAST_EVENTS else ""
        return ""

    def _read_item(self, item: Any) -> Searching | Literal[""]:
        """Stores a complete output item unless it repeats an earlier item. Returns a `Searching` if a search ended."""
        hashed = hash(json.dumps({**item, "status": None}, sort_keys=True))
        if hashed in self._read_items or "type" not in item:
            return ""
        self._read_items.add(hashed)
        is_call = item["type"] == "function_call" and self._offers_tools
        self._items.append(self._add_call(item, "call_id", item.get("arguments")) if is_call else item)
        match item["type"]:
            case "web_search_call":
                action = item.get("action") or {}
                # Opening a page is free. Failed searches are assumed to be free too.
                charged = action.get("type", "search") == "search" and item.get("status") != "failed"
                self._web_searches += charged
                words = action.get("query") or " ".join(action.get("queries") or ()) or action.get("url")
                return Searching(join_halves(words or ""), done=True)
        return ""

    def _read_text(self, event: Any, text: object) -> str | Thinking:
        place, said = (event.get("output_index"), event.get("content_index")), text_of_content(text)
        said = self._comments.add(said) if self._comments else said
        if not said or not self._record_delta(said):
            return ""
        if place != self._last_part:
            self._last_part = place
            self._parts.start_part()
        delta = self.marks.add(self._parts.add(said))
        self.is_working = isinstance(delta, Thinking)
        return delta

    def read_response(self, body: Any) -> str | Thinking:
        """Records how the response ended. Returns the response's text if no text arrived in deltas."""
        if body.get("error"):
            raise self._attempt.reported_failure(body["error"])
        if not self._items:
            for item in body.get("output") or ():
                if search := self._read_item(item):
                    self.side_events.append(search)
        self.answering_model = str(body.get("model") or self.answering_model)
        self.effort = str(object_in(body.get("reasoning")).get("effort") or "")
        usage = body.get("usage")
        # One search can have several queries, or none that is charged.
        billed = object_in(object_in(body.get("tool_usage")).get("web_search")).get("num_requests")
        searches = self._web_searches if billed is None else reported_tokens(billed)
        terms = price_terms(body)
        self.usage = usage and replace(_parse_usage(usage, "input", "output"), web_searches=searches, terms=terms)
        status = str(body.get("status") or "")
        is_incomplete = status == "incomplete"
        # Some servers omit the details.
        reason = str((body.get("incomplete_details") or {}).get("reason") or "length") if is_incomplete else status
        if status in _FAILED_STATUSES:
            # Azure's next event contains the reason.
            self.failure = self._attempt.failure(EndReason.CUT, f"finish reason {status}")
            return ""
        end = self._translate_reason(reason)
        # llama.cpp reports "completed" even if the limit was reached.
        written = self.usage.output_tokens if self.usage else 0
        is_cut = is_incomplete or written >= self._max_output_tokens
        self.finish_reason = FinishReason.LENGTH if is_cut else end
        comments, texts = RepeatedComment(), list[str]()
        for item in self._items:
            if item["type"] == "message":
                content, phase = item.get("content"), item.get("phase")
                parts = objects_in({"text": content} if isinstance(content, str) else content)
                for annotation in (one for part in parts for one in objects_in(part.get("annotations"))):
                    self._cite_annotation(annotation)
                if self._last_part:
                    continue
                comments.start_message(phase)
                text = TextParts.join(part.get("text") or part.get("refusal") or "" for part in parts)
                texts.append(comments.add(text) + comments.end_message() if phase else text)
        return self._end_message({}) if self._last_part else self.marks.add(TextParts.join(texts))

    def _end_message(self, event: Any) -> str | Thinking:
        return self._read_text(event, self._comments.end_message()) if self._comments else ""


_CLAUDE_MODEL = re.compile("claude|anthropic", re.IGNORECASE)
"""Matches models whose vendor caches prompts only on request, even through a gateway."""
_COUNTED_STREAM = {OptionalParameter.STREAM, OptionalParameter.USAGE}


class ChatApi(Api):
    """Reads and writes the format of https://developers.openai.com/api/reference/resources/chat, as used by compatible
    servers."""

    max_media_bytes = MAX_MEDIA_BYTES
    optional_parameters = INCOMPLETE_MESSAGES | {
        *TOOLS,
        OptionalParameter.CACHE_KEY,
        OptionalParameter.STRICT,
        OptionalParameter.TOOLS_WITH_REASONING,
        OptionalParameter.SYSTEM_ROLE,
        OptionalParameter.USAGE,
        OptionalParameter.EFFORT,
        OptionalParameter.LIMIT,
        OptionalParameter.STREAM,
    }

    def __init__(self, sdk: AsyncOpenAI, options: RequestOptions, vendor: str, server: KnownServer | None) -> None:
        super().__init__(lambda **body: sdk.chat.completions.with_raw_response.create(**body), options, vendor)
        self.reader = ChatReader
        # Compatible servers support images in OpenAI's format if their model has vision. Only OpenAI supports PDFs.
        self._at_openai = self.accepts_pdfs = at_openai = server is not None and server.is_openai
        # Other servers' models might not think, and would use the extra tokens for text.
        self.thinking_tokens = THINKING_TOKENS if at_openai else 0
        self.optional_parameters |= (
            {OptionalParameter.SAFETY_ID, OptionalParameter.OUR_ROLE} if at_openai else {OptionalParameter.OLD_LIMIT}
        )
        self.other_api = ResponsesApi(sdk, options, vendor, server)

    def body(
        self, model: str, prompt: Prompt, parameters: Parameters, output_tokens: int, effort: str = ""
    ) -> dict[str, Any]:
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages = [
            message
            for turn in prompt.turns
            for message in (*_chat_messages(turn, self.vendor), *_instruction_messages(turn))
        ]
        if OptionalParameter.BARE_ANSWERS not in parameters:
            messages = [*map(_with_reasoning, messages)]
        if OptionalParameter.UNSIGNED_CALLS not in parameters:
            messages = [*map(_with_signature, messages)]
        body: dict[str, Any] = {
            "model": model,
            "messages": [*system, *messages],
            "stream": OptionalParameter.STREAM in parameters,
            **({"stream_options": {"include_usage": True}} if set(parameters) >= _COUNTED_STREAM else {}),
            **_identifiers(prompt, parameters),
        }
        if OptionalParameter.CACHE_KEY in parameters and not self._at_openai and _CLAUDE_MODEL.search(model):
            body["extra_body"] = {"cache_control": {"type": "ephemeral"}}
        if OptionalParameter.LIMIT in parameters:
            limit = "max_tokens" if OptionalParameter.OLD_LIMIT in parameters else "max_completion_tokens"
            body[limit] = output_tokens
        if effort:
            body["reasoning_effort"] = effort
        if prompt.tools:
            body["tools"] = [{"type": "function", "function": _definition(tool, parameters)} for tool in prompt.tools]
            if OptionalParameter.TOOLS_WITH_REASONING not in parameters:
                body["reasoning_effort"] = "none"
        return body


class ChatReader(AnswerReader):
    """Reads Chat Completions, which end with a finish_reason, or only with [DONE].

    Snowflake Cortex and OpenRouter's backends send only [DONE]. Usage arrives with the finish_reason, after it, or
    never. A model is thinking from its first piece of reasoning until the next text. Tool calls are recognized even if
    the finish_reason is "stop", because some servers send that."""

    answer_field = event_field = "choices"

    is_complete = False
    """False, because usage can still arrive before [DONE]."""

    def __init__(self, attempt: RequestAttempt, prompt: Prompt, max_output_tokens: int) -> None:
        super().__init__(attempt, prompt, max_output_tokens)
        self._chat_calls = ChatToolCalls()
        self._reasoning = ChatReasoning()
        self._has_searched = False
        self._had_no_reason = False
        self._has_output = False
        self._whole_message: Mapping[str, Any] = {}
        """The last message sent along with a delta. It repeats all deltas, or has text that wasn't in any of them."""

    def withheld_text(self) -> str:
        if self._has_output or not self.finish_reason:
            return super().withheld_text()
        said = self._read_message(self._whole_message)
        return (said if isinstance(said, str) else "") + super().withheld_text()

    def read_done(self) -> None:
        self.finish_reason = self.finish_reason or FinishReason.STOP

    def read_event(self, event: Any) -> str | Thinking:
        delta = self._read_chunk(event)
        if delta:
            self.is_working = isinstance(delta, Thinking)
        return delta

    def read_end(self) -> tuple[TextPart | ToolCall | Opaque, ...]:
        if not self._chat_calls.count:
            return ()
        self._calls = self._chat_calls.calls(self._call_ids.unique_id, self._tool_name)
        if self._calls and self.usage and self.usage.output_tokens == self._max_output_tokens:
            # vLLM reports "tool_calls" even for a call that was cut off by the limit.
            self.finish_reason = FinishReason.LENGTH
        extra_fields = self._chat_calls.extra_fields()
        # If there is no server-specific data, any other server can continue the calls.
        own = self._reasoning.fields()
        if own or any(extra_fields):
            self._items = [chat_message(self._calls, extra_fields, self._attempt.text, **own)]
        return super().read_end()

    def read_response(self, body: Any) -> str | Thinking:
        choices = objects_in(body.get("choices"))
        # Perplexity sends an empty delta next to the message. Only one answer was requested, so all choices are its
        # parts: Copilot separates Claude's text from its calls.
        parts = [{**choice, "delta": choice.get("message") or choice.get("delta")} for choice in choices]
        said = [self.read_event({**body, "choices": [part]}) for part in parts] if parts else [self.read_event(body)]
        if choices:
            # Snowflake Cortex sends no finish reason, but the body is complete.
            self.read_done()
        return "".join(text for text in said if isinstance(text, str))

    def _read_chunk(self, event: Any) -> str | Thinking:
        choice = object_in(event.get("choices"))
        self.answering_model = str(event.get("model") or self.answering_model)
        # Groq has both in `x_groq`, Moonshot has the usage in the choice, and OpenRouter has the error there.
        places = (event, choice, *(one for one in event.values() if isinstance(one, Mapping)))
        if failed := next((place for place in places[: 2 if choice else None] if place.get("error")), None):
            raise self._attempt.reported_failure(event if failed is event else {"error": failed["error"]})
        if usage := next(filter(None, (object_in(place.get("usage")) for place in places)), {}):
            self.usage = replace(_parse_usage(usage, "prompt", "completion"), terms=price_terms(event))
        if not choice:
            if event.get("choices") is None and event and not usage and self.finish_reason is None:
                error = self._attempt.missing_answer_failure(event)
                if error.reason is not EndReason.UNREADABLE:
                    raise error
            self._read_sources(event, {})
            return ""
        self._read_finish_reason(choice.get("finish_reason"))
        # Some servers send a message or, as in the older API, text instead of a delta.
        said = next((choice[name] for name in ("delta", "message", "text") if choice.get(name) is not None), None)
        message = {"content": said} if isinstance(said, str) else object_in(said)
        self._read_sources(event, message)
        self._whole_message = object_in(choice.get("message")) or self._whole_message
        is_last = self.finish_reason is not None and message is choice.get("message")
        text = text_of_content(message.get("content"))
        if not self._record_delta(text) or (is_last and self._attempt.is_whole_text(text)):
            message = {**message, "content": None}
        return self._read_message(message)

    def _read_message(self, message: Mapping[str, Any]) -> str | Thinking:
        called_chars = self._read_calls(message)
        text = text_of_content(message.get("content")) or text_of_content(message.get("refusal"))
        self._has_output |= bool(text or called_chars)
        if text:
            return self.marks.add(self._parts.add(text))
        if called_chars:
            self._parts.start_part()
            return Thinking(called_chars)
        if reasoning := _reasoning_in(message):
            self._parts.start_part()
            return Thinking(len(reasoning))
        return ""

    def _read_finish_reason(self, reason: object) -> None:
        """Records why the model stopped. An empty reason counts only if earlier events didn't have a finish_reason."""
        if reason is None:
            self._had_no_reason = True
        elif str(reason).lower() not in NO_REASONS and (reason or self._had_no_reason):
            self.finish_reason = self._translate_reason(str(reason))

    def _read_calls(self, message: Mapping[str, Any]) -> int:
        if not self._offers_tools:
            # Calls to the server's own tools, which it runs itself.
            if message.get("tool_calls"):
                self._parts.start_part()
            return 0
        self._reasoning.add(message)
        chars = 0
        older = [{"function": call} for call in objects_in(message.get("function_call"))]
        for piece in objects_in(message.get("tool_calls")) or older:
            chars += self._chat_calls.add(piece)
            self._check_call_count(self._chat_calls.count)
        return chars

    def _read_sources(self, event: Any, message: Any) -> None:
        """Records a search's sources. Perplexity's models list them in every event; other models annotate the text."""
        lists = event.get("search_results"), event.get("citations")
        for source in (one for listed in lists if isinstance(listed, list) for one in listed):
            self._cite(*((source.get("url"), source.get("title")) if isinstance(source, Mapping) else (source, "")))
        for annotation in objects_in(message.get("annotations")):
            self._cite_annotation(annotation)
        if not (self._cited_urls or self._has_searched) and _reports_search(event, message):
            # There is nothing to cite, but text from here on might come from the web.
            self._has_searched = True
            self.side_events.append(Searching(done=True))


def _reports_search(event: Mapping[str, Any], message: Mapping[str, Any]) -> bool:
    """Returns whether an event (from Perplexity, Groq's compound models, xAI or OpenRouter) reports a search."""
    usage = object_in(event.get("usage"))
    used = usage.get("server_tool_use")
    counts = [usage.get("num_search_queries"), usage.get("num_sources_used")]
    counts += used.values() if isinstance(used, Mapping) else ()
    found = [event.get("search_results"), event.get("citations")]
    return any((*counts, *found, message.get("annotations"), message.get("executed_tools")))


def _definition(tool: ToolDefinition, parameters: Parameters) -> dict[str, Any]:
    # Without `strict`, OpenAI would try to make the schema strict, which changes the meaning of optional arguments.
    lax = {"strict": False} if OptionalParameter.STRICT in parameters else {}
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters, **lax}


def _cacheable_instructions(system: str) -> list[dict[str, Any]]:
    """Returns the instructions with a cache marker, because they end the prefix that prompts share."""
    # From GPT-5.6 on, a cached prefix is found only if it ended at such a mark or at the newest message of a request.
    # Only input can be marked: https://developers.openai.com/api/docs/guides/prompt-caching
    marked = {"type": "input_text", "text": system, "prompt_cache_breakpoint": {"mode": "explicit"}}
    return [{"role": "developer", "content": [marked]}]


def _responses_tools(tools: Sequence[ToolDefinition], parameters: Parameters) -> list[dict[str, Any]]:
    """Returns tool definitions. Searchable tools are grouped by server, so that the model reads only their names."""
    # https://developers.openai.com/api/docs/guides/tools-tool-search
    deferred = deferred_tools(tools) if OptionalParameter.TOOL_SEARCH in parameters else {}
    sent = [{"type": "function", **_definition(tool, parameters)} for tool in tools if tool.server not in deferred]
    for server, its in deferred.items():
        functions = [{"type": "function", **_definition(tool, parameters), "defer_loading": True} for tool in its]
        sent.append({"type": "namespace", "name": server, "description": server_line(server, its), "tools": functions})
    return [*sent, {"type": "tool_search"}] if deferred else sent


def _responses_items(turn: Turn, vendor: str, *, has_phases: bool) -> list[Mapping[str, Any]]:
    phase = "commentary" if any(isinstance(part, ToolCall) for part in turn.parts) else "final_answer"
    more = {"phase": phase} if has_phases and turn.role == "assistant" else {}
    if not turn.parts:
        return [{"role": turn.role, "content": turn_content(turn, _responses_part, "input_text"), **more}]
    items: list[Mapping[str, Any]] = []
    own = [part.item for part in turn.parts if isinstance(part, Opaque) and part.vendor == vendor]
    reasoning = [item for item in own if item.get("type") == "reasoning"]
    # Reasoning that isn't stored anywhere is refused, and so are items that refer to it. Text and calls are then sent
    # back without IDs.
    complete = all(item.get("encrypted_content") or item.get("content") for item in reasoning)
    for part in parts_to_send(turn, lambda opaque: opaque.vendor == vendor and "type" in opaque.item and complete):
        match part:
            case Opaque():
                items.append(part.item)
            case TextPart():
                items.append({"role": turn.role, "content": part.text, **more})
            case ToolCall():
                call = {"call_id": part.call_id, "name": part.name, "arguments": arguments_text(part)}
                items.append({"type": "function_call", **call})
            case ToolResult():
                items.append({"type": "function_call_output", "call_id": part.call_id, "output": part.text})
    return items


def _instruction_messages(turn: Turn) -> list[Mapping[str, Any]]:
    return [{"role": "developer", "content": turn.instruction}] if turn.instruction else []


def _with_namespaces(items: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sets each call's namespace to its tool's namespace in this request, because OpenAI refuses any other. After it is
    called, a tool can become searchable, or stop being searchable. Results of earlier searches also define namespaces
    (dust-tt/dust#31323)."""
    searches = [objects_in(item.get("tools")) for item in items if item.get("type") == "tool_search_output"]
    defined = {
        str(function.get("name")): str(space.get("name"))
        for space in chain(*searches, tools)
        if space.get("type") == "namespace"
        for function in objects_in(space.get("tools"))
    }
    namespaces = defined | {str(tool.get("name")): "" for tool in tools if tool.get("type") == "function"}
    sent = []
    for item in items:
        namespace = namespaces.get(str(item.get("name")), "")
        if item.get("type") == "function_call" and namespace != (item.get("namespace") or ""):
            other = {name: value for name, value in item.items() if name != "namespace"}
            item = {**other, "namespace": namespace} if namespace else other
        sent.append(item)
    return sent


def _chat_messages(turn: Turn, vendor: str) -> list[Mapping[str, Any]]:
    if not turn.parts:
        return [{"role": turn.role, "content": turn_content(turn, _chat_part)}]
    parts = parts_to_send(turn, lambda opaque: opaque.vendor == vendor and "type" not in opaque.item)
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    if calls := [part for part in parts if isinstance(part, ToolCall)]:
        return [chat_message(calls, [{}] * len(calls), "\n\n".join(texts))]
    opaque = [part.item for part in parts if isinstance(part, Opaque)]
    results = [
        {"role": "tool", "tool_call_id": part.call_id, "content": part.text}
        for part in parts
        if isinstance(part, ToolResult)
    ]
    return [*opaque, *results, *({"role": turn.role, "content": text} for text in texts)]


def _with_reasoning(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns an assistant message with a space for missing reasoning, because OpenAI would refuse empty text."""
    is_bare = message["role"] == "assistant" and not _reasoning_in({**message, "content": None})
    return {**message, "reasoning_content": " "} if is_bare else message


def _with_signature(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a message with placeholder signatures for other models' calls, unless a call is already signed."""
    # https://ai.google.dev/gemini-api/docs/thought-signatures, implemented as in vercel/ai (@ai-sdk/google 3.0.80)
    calls = message.get("tool_calls") or ()
    if any("extra_content" in call for call in calls):
        # Only the first of several simultaneous calls is signed.
        return message
    unsigned = {"extra_content": {"google": {"thought_signature": "skip_thought_signature_validator"}}}
    return {**message, "tool_calls": [{**call, **unsigned} for call in calls]} if calls else message


def _responses_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "input_file", "filename": _pdf_name(media), "file_data": _data_url(media)}
    return {"type": "input_image", "image_url": _data_url(media), "detail": "auto"}


def _chat_part(media: Media) -> dict[str, Any]:
    if media.media_type == PDF:
        return {"type": "file", "file": {"filename": _pdf_name(media), "file_data": _data_url(media)}}
    return {"type": "image_url", "image_url": {"url": _data_url(media)}}


def _pdf_name(media: Media) -> str:
    """Returns a name that ends with .pdf, because OpenAI infers a file's type from its name."""
    return media.name if media.name.lower().endswith(".pdf") else f"{media.name}.pdf"


def _data_url(media: Media) -> str:
    return f"data:{media.media_type};base64,{media.base64}"


def _identifiers(prompt: Prompt, parameters: Parameters) -> dict[str, str]:
    keys = {
        "prompt_cache_key": prompt.cache_key if OptionalParameter.CACHE_KEY in parameters else "",
        "safety_identifier": prompt.asker if OptionalParameter.SAFETY_ID in parameters else "",
    }
    return {name: key for name, key in keys.items() if key}


_REASONING = re.compile(r"reasoning|think|thought")


def _reasoning_in(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    own = content if isinstance(content, list) else None
    return str(next((value for name, value in message.items() if value and _REASONING.search(name)), own) or "")


def _parse_usage(usage: Mapping[str, Any], input_name: str, output_name: str) -> Usage:
    details = object_in(usage.get(f"{input_name}_tokens_details"))
    # Mistral and older DeepSeek servers use different names.
    cached = details.get("cached_tokens"), usage.get("num_cached_tokens"), usage.get("prompt_cache_hit_tokens")
    input_tokens = reported_tokens(usage.get(f"{input_name}_tokens"))
    output_tokens = reported_tokens(usage.get(f"{output_name}_tokens"))
    if input_tokens:
        # xAI and Gemini don't include reasoning in the output tokens. It is billed as output and included in the total.
        output_tokens = max(output_tokens, reported_tokens(usage.get("total_tokens")) - input_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_input_tokens=next(filter(None, map(reported_tokens, cached)), 0),
        cache_write_tokens=reported_tokens(details.get("cache_write_tokens")),
    )


DECISION_MODEL = "gpt-6-luna"


class Decider:
    """OpenAI's Decisions API, which estimates in a fraction of a second the probability that a statement is true.
    https://developers.openai.com/api/docs/guides/decisions. Only gpt-6-luna supports it."""

    def __init__(self, settings: VendorSettings) -> None:
        self._sdk = open_sdk(settings)
        self._api_key = settings.api_key

    async def decide(self, text: str, statement: str) -> Estimate:
        """Estimates the probability that the statement is true. Raises ProviderError."""
        with RequestAttempt(f"openai/{DECISION_MODEL}", self._api_key, (text,)):
            decided = await self._sdk.decisions.create(
                model=DECISION_MODEL,
                input=text,
                questions=[{"type": "predicate", "name": "is_true", "instructions": statement}],
            )
            [answer] = decided.answers
            probability = float(answer.probability) if answer.type == "predicate" else 0.0
            return Estimate(probability, int(decided.usage.input_tokens))

    async def aclose(self) -> None:
        await self._sdk.close()
