"""Anthropic's Messages API: https://platform.claude.com/docs/en/build-with-claude/streaming"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from typing import Any

from anthropic import AsyncAnthropic, AsyncAnthropicBedrock, AsyncAnthropicVertex, DefaultAioHttpClient

from bot.models.api import Api, client_arguments, parts_to_send, turn_content
from bot.models.calls import parse_call, plain_id
from bot.models.events import (
    MAX_SEARCHES,
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
from bot.models.parameters import TOOLS, WEB, OptionalParameter, Parameters
from bot.models.prompt import (
    PDF,
    Media,
    Prompt,
    ToolResult,
    Turn,
    TurnPart,
    WebSearch,
    deferred_tools,
    is_tool_search,
    question_index,
    server_line,
)
from bot.models.setup import RequestOptions, VendorSettings, has_only_vendor_models
from bot.models.streams import AnswerReader, Delta, text_of_content
from bot.text import object_in, objects_in
from slack_markdown.growing_text import GrowingText, join_halves

Sdk = AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicVertex
_CACHE_MARK = {"type": "ephemeral"}
SEARCH_RULE = (
    "You have more tools than you can see. Before you say that you can't do or reach something, search for a tool for "
    "it. The servers and their tools:\n"
)
"""This is part of the instructions because the search tool can't have a description, and the model can't see deferred
definitions."""


def connect(vendor: str, settings: VendorSettings, options: RequestOptions) -> Vendor:
    sdk = open_sdk(settings)
    api = MessagesApi(sdk, options, vendor)
    api.fetch_description = sdk.models.retrieve
    api.describes_thinking = True
    api.can_leave_marks = not has_only_vendor_models(settings.base_url)
    return Vendor(partial(VendorModel, api, settings.api_key), sdk.close)


def open_sdk(settings: VendorSettings) -> AsyncAnthropic:
    return AsyncAnthropic(api_key=settings.api_key, base_url=settings.base_url, **connection(settings.base_url))


def connection(url: str) -> dict[str, Any]:
    # Typist measures requests itself, and vendors shouldn't receive trace IDs.
    untraced = {"traces": False, "propagation": False}
    return {**client_arguments(DefaultAioHttpClient, url), "open_telemetry": untraced}


class MessagesApi(Api):
    """The Messages API. Turns are sent unchanged, because a Prompt already follows Anthropic's rules. All current
    models support images and PDFs: https://platform.claude.com/docs/en/build-with-claude/vision and .../pdf-support"""

    # A request can have 32 MB in total.
    max_media_bytes = 30_000_000
    caches_requests = True
    """Whether the service accepts cache_control on a whole request. All services accept it on a content block."""
    # Most Claude models think by default. Pings arrive throughout.
    optional_parameters = WEB | {
        *TOOLS,
        OptionalParameter.SYSTEM_ROLE,
        OptionalParameter.OUR_ROLE,
        OptionalParameter.EFFORT,
        OptionalParameter.PROGRESS,
        OptionalParameter.CACHE_KEY,
        OptionalParameter.SAFETY_ID,
        OptionalParameter.TOOL_SEARCH,
    }

    def __init__(self, sdk: Sdk, options: RequestOptions, vendor: str = "anthropic") -> None:
        super().__init__(lambda **body: sdk.messages.with_raw_response.create(**body), options, vendor)
        self.reader = MessagesReader
        if vendor == "anthropic":
            self.optional_parameters |= {OptionalParameter.MESSAGE_EFFORT}

    def body(
        self, model: str, prompt: Prompt, parameters: Parameters, output_tokens: int, effort: str = ""
    ) -> dict[str, Any]:
        # No temperature, top_p or top_k, because current models refuse them.
        message_effort = effort if OptionalParameter.MESSAGE_EFFORT in parameters else ""
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": output_tokens,
            "messages": _messages(prompt, self.vendor, message_effort),
            "stream": True,
        }
        betas = ["mid-conversation-output-config-2026-07-01"] if message_effort else []
        if effort and not message_effort:
            body["output_config"] = {"effort": effort}
        if OptionalParameter.PROGRESS in parameters:
            # https://platform.claude.com/docs/en/build-with-claude/thinking#progress-updates
            body["thinking"] = {"type": "adaptive", "display": "updates"}
            betas.append("thinking-display-updates-2026-08-18")
        if betas:
            body["extra_headers"] = {"anthropic-beta": ",".join(betas)}
        if OptionalParameter.SAFETY_ID in parameters:
            body["metadata"] = {"user_id": prompt.asker}
        deferred = deferred_tools(prompt.tools) if OptionalParameter.TOOL_SEARCH in parameters else {}
        if prompt.system:
            named = SEARCH_RULE + "\n".join(starmap(server_line, deferred.items())) if deferred else ""
            body["system"] = "\n\n".join(filter(None, (prompt.system, named)))
        tools = _tools(prompt, parameters, deferred)
        if not tools:
            # A request that repeats calls without any definition is refused: anthropics/anthropic-sdk-python#494
            names = [part.name for turn in prompt.turns for part in turn.parts if isinstance(part, ToolCall)]
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in dict.fromkeys(names)]
            body |= {"tool_choice": {"type": "none"}} if tools else {}
        if tools:
            body["tools"] = tools
        if OptionalParameter.CACHE_KEY in parameters:
            self._mark_for_cache(body)
        return body

    def _mark_for_cache(self, body: dict[str, Any]) -> None:
        """Marks the ends of the tools, the instructions and the last two prompts, so that later requests can reuse the
        cache up to these points."""
        # A request can have four marks. A mark finds cache entries written up to 20 blocks before it, and a step with
        # many calls is longer, so the position that the previous request marked is marked again.
        if body.get("tools"):
            *others, last = body["tools"]
            body["tools"] = [*others, {**last, "cache_control": _CACHE_MARK}]
        if system := body.get("system"):
            body["system"] = _cached_blocks(system)
        messages = body["messages"]
        ends = [at for at, one in enumerate([*messages[1:], {"role": "assistant"}]) if one["role"] == "assistant"]
        # A message with only an effort can't be marked.
        ends = [at if messages[at]["content"] else at - 1 for at in ends]
        asked = [messages[at] for at in ends if messages[at]["role"] != "assistant"][-2:]
        if self.caches_requests and messages[-1]["content"]:
            body["cache_control"] = _CACHE_MARK
            asked = asked[:-1]
        for message in asked:
            message["content"] = _cached_blocks(message["content"])


_DELTA_TYPES = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}


@dataclass(eq=False, slots=True)
class _OpenBlock:
    block: dict[str, Any]
    delta_text: GrowingText = field(default_factory=GrowingText)
    has_ended: bool = False


class MessagesReader(AnswerReader):
    """Reads responses of the Messages API, whose terminal marker is the stop reason in a message_delta.

    The usage can arrive after it. Some streams end without message_stop or continue with pings. An answer's content
    blocks arrive in deltas and must be sent back complete. Text with sources arrives in many blocks, even within a
    sentence."""

    answer_field = "content"
    is_complete = False

    def __init__(self, attempt: RequestAttempt, prompt: Prompt, max_output_tokens: int) -> None:
        super().__init__(attempt, prompt, max_output_tokens)
        # If the answer continues in another request, that request has to repeat its blocks unchanged.
        self._keeps_blocks = self._offers_tools or prompt.web_search is not None
        self._stop_reason: str | None = None
        self._stop_details: object = None
        self._counts: dict[str, int] = {}
        self._terms: dict[str, str] = {}
        self._usage_before_pause: Usage | None = None
        self._open_blocks: dict[object, _OpenBlock] = {}
        """Incomplete blocks by index, and complete blocks that follow an incomplete one, because gateways interleave
        blocks."""
        self._last_query = ""

    def read_event(self, event: Any) -> Delta:
        match event.get("type"):
            case "content_block_delta":
                open_block = self._open_blocks.setdefault(event.get("index"), _OpenBlock({}))
                return self._read_delta(object_in(event.get("delta")), open_block)
            case "content_block_start":
                return self._read_start(dict(event.get("content_block") or {"type": "text"}), event.get("index"))
            case "content_block_stop":
                return self._read_stop(event.get("index"))
            case "message_start":
                message = object_in(event.get("message"))
                self.answering_model = str(message.get("model") or "")
                self._record_counts(message.get("usage"))
            case "message_delta":
                # Another message_delta with only the usage can follow.
                delta = object_in(event.get("delta"))
                self._stop_reason = delta.get("stop_reason") or self._stop_reason
                self._stop_details = delta.get("stop_details") or self._stop_details
                self._record_counts(event.get("usage"))
                if self._stop_reason:
                    self._record_finish()
            case "message_stop":
                self._record_finish()
                self.is_complete = True
            case _ if event.get("error"):
                raise self._attempt.reported_failure(event)
        return ""

    def withheld_text(self) -> str:
        for open_block in self._open_blocks.values():
            open_block.has_ended = True
        self._store_ended_blocks()
        return super().withheld_text()

    def read_response(self, body: Any) -> Delta:
        if body.get("error"):
            raise self._attempt.reported_failure(body)
        self.answering_model = str(body.get("model") or "")
        self._stop_reason, self._stop_details = body.get("stop_reason"), body.get("stop_details")
        self._record_counts(body.get("usage"))
        self._record_finish()
        texts, content = [], body["content"]
        for block in objects_in({"text": content} if isinstance(content, str) else content):
            said = self._read_start(dict(block), None)
            texts += [said] if isinstance(said, str) else []
            self.side_events += [said] if isinstance(said, Searching) else []
            for citation in objects_in(block.get("citations")):
                self._cite(citation.get("url"), citation.get("title"))
            self._read_stop(None)
        return "".join(texts)

    def _read_start(self, block: dict[str, Any], index: object) -> Delta:
        if open_block := self._open_blocks.pop(index, None):
            # Some gateways number every block as the first and don't end it.
            open_block.has_ended = True
            self._open_blocks[open_block] = open_block
            self._store_ended_blocks()
        self._open_blocks[index] = _OpenBlock(block)
        kind = block.setdefault("type", "text")
        if kind != "text":
            self._parts.start_part()
        if kind.endswith("_tool_result"):
            # Results of the vendor's own tools arrive whole. So do errors, after which the model continues without the
            # result.
            self.is_working = False
            return Thinking() if is_tool_search(block) else Searching(self._last_query, done=True)
        # This is the only sign of thinking that is redacted or not displayed.
        self.is_working = kind != "text"
        # Other servers' blocks can start with text.
        return self.marks.add(self._parts.add(text_of_content(block.get("text")))) if kind == "text" else ""

    def _read_delta(self, delta: Any, open_block: _OpenBlock) -> Delta:
        match delta.get("type") or next((kind for field, kind in _DELTA_TYPES.items() if field in delta), ""):
            case "text_delta":
                text = text_of_content(delta.get("text"))
                if self._keeps_blocks:
                    open_block.delta_text.append(text)
                return self.marks.add(self._parts.add(text))
            case "signature_delta":
                open_block.block["signature"] = delta.get("signature")
                return Thinking()
            case "thinking_delta":
                thinking = text_of_content(delta.get("thinking"))
                if self._keeps_blocks:
                    open_block.delta_text.append(thinking)
                return Thinking(len(thinking))
            case "input_json_delta":
                partial = delta.get("partial_json")
                written = partial if isinstance(partial, str) else json.dumps(partial) if partial else ""
                open_block.delta_text.append(written)
                return Thinking(len(written))
            case "citations_delta":
                citation = object_in(delta.get("citation"))
                open_block.block["citations"] = cited = open_block.block.get("citations") or []
                cited.append(citation)
                self._cite(citation.get("url"), citation.get("title"))
        return ""

    def _read_stop(self, index: object) -> Delta:
        open_block = self._open_blocks.get(index)
        if open_block is None:
            return ""
        open_block.has_ended = True
        block, delta_text = open_block.block, str(open_block.delta_text)
        searches = block.get("type") == "server_tool_use"
        if searches and delta_text:
            block["input"] = dict(parse_call(0, "", "", delta_text).arguments or {})
        self._store_ended_blocks()
        self.is_working = searches or any(other.block.get("type") != "text" for other in self._open_blocks.values())
        if self.has_progress and block.get("type") == "thinking" and delta_text:
            return Thinking(ended=True, progress=join_halves(delta_text))
        if not searches or is_tool_search(block):
            return ""
        sought = (block.get("input") or {}).get("query") or (block.get("input") or {}).get("url")
        self._last_query = join_halves(str(sought or ""))
        return Searching(self._last_query)

    def _store_ended_blocks(self) -> None:
        for index, open_block in list(self._open_blocks.items()):
            if not open_block.has_ended:
                return
            del self._open_blocks[index]
            if self._keeps_blocks:
                self._store_block(open_block.block, str(open_block.delta_text))

    def _store_block(self, block: dict[str, Any], delta_text: str) -> None:
        kind = block.get("type")
        if kind in ("text", "thinking"):
            # The API ignores the text of thinking that it gets back with its signature.
            is_progress = self.has_progress and kind == "thinking"
            block[kind] = "" if is_progress else join_halves(text_of_content(block.get(kind)) + delta_text)
        if kind == "tool_use":
            block = dict(self._add_call(block, "id", delta_text or block.get("input")))
            call = self._calls[-1]
            block |= {"id": plain_id(call.call_id), "input": dict(call.arguments or {})}
        # The API refuses whitespace-only text, although the model can write it.
        if kind != "text" or block["text"].strip():
            self._items.append(block)

    def prepare_continuation(self) -> None:
        self.finish_reason = None
        self.is_complete = False
        self._stop_reason = None
        self._counts = {}
        self._usage_before_pause = self.usage
        self._open_blocks = {}
        self._parts.start_part()

    def _record_counts(self, usage: Any) -> None:
        # Counts are cumulative, so later ones replace earlier ones.
        counts = {**(usage or {}), **((usage or {}).get("server_tool_use") or {})}
        self._counts |= {name: reported_tokens(count) for name, count in counts.items() if isinstance(count, int)}
        self._terms |= dict(price_terms(usage or {}))

    def _record_finish(self) -> None:
        reason = self._stop_reason or ""
        is_paused = reason == "pause_turn"
        self.finish_reason = FinishReason.PAUSED if is_paused else self._translate_reason(reason, self._stop_details)
        cached = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        # Anthropic's input_tokens don't include cached ones.
        usage = Usage(
            input_tokens=self._counts.get("input_tokens", 0) + cached + written,
            output_tokens=self._counts.get("output_tokens", 0),
            cached_input_tokens=cached,
            cache_write_tokens=written,
            web_searches=self._counts.get("web_search_requests", 0),
            terms=tuple(self._terms.items()),
        )
        self.usage = usage if self._usage_before_pause is None else self._usage_before_pause + usage


def _tools(prompt: Prompt, parameters: Parameters, deferred: Collection[str]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
        | ({"defer_loading": True} if tool.server in deferred else {})
        for tool in prompt.tools
    ]
    if prompt.web_search:
        tools += _web_tools(prompt.web_search, parameters)
    if deferred:
        # Comes last, because a cache mark isn't allowed on a definition that isn't loaded.
        tools.append({"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"})
    return tools


def _web_tools(search: WebSearch, parameters: Parameters) -> list[dict[str, Any]]:
    # Later versions filter results by running code, which isn't available to all models and organizations.
    tools: dict[OptionalParameter, dict[str, Any]] = {
        OptionalParameter.WEB_SEARCH: {"type": "web_search_20250305", "name": "web_search"},
        OptionalParameter.WEB_FETCH: {"type": "web_fetch_20250910", "name": "web_fetch", "max_content_tokens": 10_000},
    }
    limits: dict[str, Any] = {"max_uses": MAX_SEARCHES}
    if search.allowed_domains:
        limits["allowed_domains"] = search.allowed_domains
    return [tool | limits for parameter, tool in tools.items() if parameter in parameters]


def _cached_blocks(content: str | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [*blocks[:-1], {**blocks[-1], "cache_control": _CACHE_MARK}]


def _messages(prompt: Prompt, vendor: str, effort: str) -> list[dict[str, Any]]:
    """Returns the turns, including instructions. `effort`: the level to set after the question and later user turns."""
    # https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages and .../effort
    names, messages = {tool.name for tool in prompt.tools}, list[dict[str, Any]]()
    asked = question_index(prompt) if effort else len(prompt.turns)
    for place, turn in enumerate(prompt.turns):
        messages.append({"role": turn.role, "content": _content(turn, vendor, names)})
        has_effort = place >= asked and turn.role == "user"
        if turn.instruction or has_effort:
            config = {"output_config": {"effort": effort}} if has_effort else {}
            messages.append({"role": "system", "content": turn.instruction or [], **config})
    return messages


def _content(turn: Turn, vendor: str, names: Collection[str]) -> str | Sequence[Mapping[str, Any]]:
    if not turn.parts:
        return turn_content(turn, _media_block)
    parts = parts_to_send(turn, lambda opaque: opaque.vendor == vendor)
    # All results must come first, or the request is refused.
    return [_part_block(part, names) for part in sorted(parts, key=lambda part: not isinstance(part, ToolResult))]


def _part_block(part: TurnPart, names: Collection[str]) -> Mapping[str, Any]:
    """Converts a part to a block. `names`: the request's tools, because Anthropic rejects references to any others."""
    match part:
        case Opaque(item={"content": {"tool_references": [*found]} as content} as item):
            known = [reference for reference in found if reference.get("tool_name") in names]
            return item if known == found else {**item, "content": {**content, "tool_references": known}}
        case Opaque():
            return part.item
        case TextPart():
            return {"type": "text", "text": part.text}
        case ToolCall():
            arguments = dict(part.arguments or {})
            return {"type": "tool_use", "id": plain_id(part.call_id), "name": part.name, "input": arguments}
        case ToolResult():
            error = {"is_error": True} if part.is_error else {}
            return {"type": "tool_result", "tool_use_id": plain_id(part.call_id), "content": part.text, **error}


def _media_block(media: Media) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media.media_type, "data": media.base64}
    if media.media_type == PDF:
        return {"type": "document", "source": source, "title": media.name}
    return {"type": "image", "source": source}
