"""What vendors document of requests that repeat a conversation, as stand-ins keep it: one row a rule.

A stand-in (`Vendor`) refuses what a vendor refuses, in its words, and answers all else as its script says. Our own idea
of a vendor can't fail our own tests, so each row names its source and the day on which that was read. A vendor's next
rule is one more row.

Each response reports what was read from the vendor's cache, by the rule of that cache (cache_rules.py).
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.contracts.cache_rules import (
    AnthropicRule,
    CacheRule,
    DeepSeekRule,
    OpenAIRule,
    beginnings,
    blocks_of,
    tokens,
)
from tests.contracts.vendors import ANTHROPIC, CHAT, RESPONSES, VendorApi
from tests.streams import steps
from tests.streams.server import VendorRequest, VendorResponse, refusal

Body = Mapping[str, Any]
Refuses = Callable[[Body], VendorResponse | None]


@dataclass(frozen=True)
class Rule:
    api: VendorApi
    source: str
    read_on: str
    answers: Refuses
    """Returns the response to a request that the rule is about; None for all others."""
    thinks: Callable[[Body], Mapping[str, Any] | None] = lambda body: None
    """Returns what the model thinks before it answers a request, as an item of its own; None: nothing."""


@dataclass
class Vendor:
    """A script for a server: it keeps rules, and answers as a model would who is given the request."""

    rules: Sequence[Rule]
    model: Callable[[VendorRequest], Sequence[steps.Item] | VendorResponse]
    """Returns a step: items of the API, without the thinking before them. Or a whole response."""
    cache: CacheRule | None = None
    """The vendor's cache; None: that of the first rule's API."""
    refused: list[str] = field(default_factory=list)
    """What was refused, in the vendor's words."""

    def __post_init__(self) -> None:
        self._cache = self.cache or _CACHES[self.rules[0].api.name]()

    def __call__(self, request: VendorRequest) -> VendorResponse:
        for rule in self.rules:
            if (response := rule.answers(request.body)) is not None:
                self.refused.append(b"".join(response.chunks).decode())
                return response
        said = self.model(request)
        if isinstance(said, VendorResponse):
            return said
        thoughts = [thought for rule in self.rules if (thought := rule.thinks(request.body)) is not None]
        read, whole = self._cache.read(request.body), tokens(beginnings(blocks_of(request.body))[-1])
        return VendorResponse(_SPEAK[self.rules[0].api.name](thoughts, said, read, whole))


def _claude(thoughts: Sequence[Any], said: Sequence[Any], read: int, whole: int) -> list[bytes]:
    calls = any(item["type"] == "tool_use" for item in said)
    reason = "tool_use" if calls else "end_turn"
    uncached = whole - read
    return steps.messages(*thoughts, *said, stop_reason=reason, input_tokens=uncached, cache_read_input_tokens=read)


def _responses(thoughts: Sequence[Any], said: Sequence[Any], read: int, whole: int) -> list[bytes]:
    usage = {"input_tokens": whole, "input_tokens_details": {"cached_tokens": read}}
    return steps.responses(*thoughts, *said, usage={**usage, "output_tokens": steps.OUTPUT_TOKENS})


def _chat(thoughts: Sequence[Any], said: Sequence[Any], read: int, whole: int) -> list[bytes]:
    """The thoughts are fields of a delta, or of each call."""
    in_deltas = [thought for thought in thoughts if "extra_content" not in thought]
    beside = {name: value for thought in thoughts if "extra_content" in thought for name, value in thought.items()}
    deltas = [
        {**item, "tool_calls": [{**call, **beside} for call in item["tool_calls"]]} if "tool_calls" in item else item
        for item in said
    ]
    calls = any("tool_calls" in item for item in said)
    usage = {"prompt_tokens": whole, "prompt_tokens_details": {"cached_tokens": read}}
    return steps.chat(*in_deltas, *deltas, finish_reason="tool_calls" if calls else "stop", **usage)


_SPEAK: Mapping[str, Callable[[Sequence[Any], Sequence[Any], int, int], list[bytes]]] = {
    ANTHROPIC.name: _claude,
    RESPONSES.name: _responses,
    CHAT.name: _chat,
}
_CACHES: Mapping[str, Callable[[], CacheRule]] = {
    ANTHROPIC.name: AnthropicRule,
    RESPONSES.name: OpenAIRule,
    CHAT.name: DeepSeekRule,
}


def invalid(message: str, **more: object) -> VendorResponse:
    return refusal(400, {"error": {"message": message, "type": "invalid_request_error", **more}})


# Thinking is bound to what stands before it.


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(_unmarked(what), sort_keys=True).encode()).hexdigest()


def _unmarked(what: Any) -> Any:
    """Returns a part of a request without the marks for caches, which say nothing to a model."""
    if isinstance(what, dict):
        return {name: _unmarked(value) for name, value in what.items() if name != "cache_control"}
    return [_unmarked(one) for one in what] if isinstance(what, list) else what


def _signature(body: Body, messages: int) -> str:
    """Returns the signature of thinking that is made, or was, with this many messages before it."""
    return _digest([body.get("system"), body.get("tools"), _with_blocks(body["messages"][:messages])])


def _with_blocks(messages: Sequence[Any]) -> list[Any]:
    """Returns messages of which each has blocks: a text alone means the same."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]


def _blocks(body: Body, kind: str) -> Iterator[tuple[int, int, Any]]:
    """Yields the blocks of a kind in a request's messages, each with its message's place and its own."""
    for at, message in enumerate(body["messages"]):
        content = message["content"]
        for place, block in enumerate(content if isinstance(content, list) else []):
            if block["type"] == kind:
                yield at, place, block


def _bound_thinking(body: Body) -> VendorResponse | None:
    for at, place, block in _blocks(body, "thinking"):
        if block["signature"] != _signature(body, at):
            return invalid(
                f"messages.{at}.content.{place}: Invalid `signature` in `thinking` block. The block is bound to a "
                "different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "
                '"drop_block".'
            )
    return None


BOUND_THINKING = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/preserved-thinking; anomalyco/opencode#48637",
    "2026-11-28",
    _bound_thinking,
    lambda body: {"type": "thinking", "thinking": "Hm.", "signature": _signature(body, len(body["messages"]))},
)


def _of_another_conversation(body: Body) -> VendorResponse | None:
    expected = _digest([body.get("instructions"), body.get("tools")])
    foreign = [one for one in body["input"] if one.get("encrypted_content", expected) != expected]
    words = "The encrypted content gAAA...c90= could not be verified."
    return invalid(words, param=None, code="invalid_encrypted_content") if foreign else None


ENCRYPTED_REASONING = Rule(
    RESPONSES,
    "openai/codex#8145, #8119, Wei-Shaw/sub2api#2863: bound to the organization, in whose place the instructions stand",
    "2026-11-28",
    _of_another_conversation,
    lambda body: {
        **steps.REASONING,
        "id": f"rs_{len(body['input'])}",
        "encrypted_content": _digest([body.get("instructions"), body.get("tools")]),
    },
)


def _calls_in(body: Body) -> Iterator[Any]:
    yield from (call for message in body["messages"] for call in message.get("tool_calls") or ())


def _signed_for(body: Body) -> str:
    return _digest(body["messages"][:1])


def _foreign_signature(body: Body) -> VendorResponse | None:
    signed = [
        call["extra_content"]["google"]["thought_signature"] for call in _calls_in(body) if "extra_content" in call
    ]
    words = "Unable to submit request because Thought signature is not valid.."
    foreign = [one for one in signed if one != _signed_for(body)]
    return invalid(words, code=400, status="INVALID_ARGUMENT") if foreign else None


THOUGHT_SIGNATURES = Rule(
    CHAT,
    "https://ai.google.dev/gemini-api/docs/thought-signatures; NoeFabris/opencode-antigravity-auth#368",
    "2026-11-28",
    _foreign_signature,
    lambda body: {"extra_content": {"google": {"thought_signature": _signed_for(body)}}},
)

SKIP = "skip_thought_signature_validator"
"""What Google documents in the place of a signature for calls that another model made."""


def _gemini(body: Body) -> VendorResponse | None:
    for message in body["messages"]:
        for place, call in enumerate(message.get("tool_calls") or ()):
            signature = call.get("extra_content", {}).get("google", {}).get("thought_signature")
            if place == 0 and signature is None:
                words = (
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                    "work correctly, and missing thought_signature may lead to degraded model performance."
                )
            elif signature not in (None, SKIP, _signed_for(body)):
                words = "Corrupted thought signature."
            else:
                continue
            # In a list, as its compatible layer has each error.
            return refusal(400, [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}])
    return None


GEMINI = Rule(
    CHAT,
    "https://discuss.ai.google.dev/t/109823; vercel/ai (@ai-sdk/google 3.0.80), f62ffe0",
    "2026-11-28",
    _gemini,
    THOUGHT_SIGNATURES.thinks,
)


def _other_namespace(body: Body) -> VendorResponse | None:
    """A call in the input has the namespace in which the request defines its tool; a search's result defines it, too.

    A tool that the request doesn't define has none.
    """
    found = [tool for item in body["input"] if item.get("type") == "tool_search_output" for tool in item["tools"]]
    tools = [*found, *body.get("tools", ())]
    defined = {("", tool["name"]) for tool in tools if tool["type"] == "function"}
    spaces = [tool for tool in tools if tool["type"] == "namespace"]
    defined |= {(space["name"], one["name"]) for space in spaces for one in space["tools"]}
    names = {name for _, name in defined}
    for place, item in enumerate(body["input"]):
        if item.get("type") != "function_call":
            continue
        namespace, name = item.get("namespace", ""), item["name"]
        if (namespace or name in names) and (namespace, name) not in defined:
            words = (
                f"Missing namespace for function_call '{name}'. It does not exist in the default namespace. "
                "Round-trip the model's function_call item with its namespace field included."
            )
            return invalid(words, param=f"input[{place}].namespace", code=None)
    return None


NAMESPACES = Rule(
    RESPONSES,
    "vercel/ai#15193, dust-tt/dust#31323, github/copilot-cli#4519; openai 3.57: ResponseFunctionToolCall.namespace",
    "2026-11-30",
    _other_namespace,
)

# A history that each API accepts: each item in the API's own form, each call with its result, no name without a tool.


def _responses_history(body: Body) -> VendorResponse | None:
    called, answered = (
        {item["call_id"] for item in body["input"] if item.get("type") == kind}
        for kind in ("function_call", "function_call_output")
    )
    for call_id in sorted(called - answered):
        return invalid(f"No tool output found for function call {call_id}.", param="input")
    for call_id in sorted(answered - called):
        return invalid(f"No tool call found for function call output with call_id {call_id}.", param="input")
    for place, item in enumerate(body["input"]):
        if item.get("type") == "reasoning" and not item.get("encrypted_content"):
            words = f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false."
            return invalid(words, param="input")
        if "type" not in item and (foreign := sorted(set(item) - {"role", "content", "phase"})):
            return invalid(f"Unknown parameter: 'input[{place}].{foreign[0]}'.", param=f"input[{place}].{foreign[0]}")
        if item.get("role", "user") not in ("user", "assistant", "developer", "system"):
            return invalid(f"Invalid value: '{item['role']}'.", param=f"input[{place}].role")
    return None


_CLAUDES_BLOCKS = {
    *("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "server_tool_use"),
    *("web_search_tool_result", "web_fetch_tool_result", "tool_search_tool_result"),
}


def _claudes_history(body: Body) -> VendorResponse | None:
    repeats_calls = re.search("'type': 'tool_(use|result)'", str(body["messages"]))
    if repeats_calls and not body.get("tools"):
        return invalid("Requests which include `tool_use` or `tool_result` blocks must define tools.")
    return _claudes_blocks(body)


def _claudes_blocks(body: Body) -> VendorResponse | None:
    names = {tool["name"] for tool in body.get("tools", ())}
    called: set[str] = set()
    for at, message in enumerate(_with_blocks(body["messages"])):
        blocks = message["content"]
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if missed := sorted(called - results):
            words = f"`tool_use` ids were found without `tool_result` blocks immediately after: {missed[0]}."
            return invalid(f"messages.{at - 1}: {words}")
        if foreign := sorted(results - called):
            return invalid(f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {foreign[0]}.")
        called = {block["id"] for block in blocks if block["type"] == "tool_use"}
        for place, block in enumerate(blocks):
            where = f"messages.{at}.content.{place}"
            if block["type"] not in _CLAUDES_BLOCKS:
                return invalid(f"{where}: Input tag '{block['type']}' does not match any of the expected tags.")
            if block["type"] == "tool_use" and not re.fullmatch("[a-zA-Z0-9_-]+", block["id"]):
                return invalid(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            if block["type"] == "tool_search_tool_result":
                for reference in block["content"].get("tool_references", ()):
                    if reference["tool_name"] not in names:
                        words = f"Tool reference '{reference['tool_name']}' has no corresponding tool definition"
                        return invalid(f"{where}: {words}")
    return None


def _chats_history(body: Body) -> VendorResponse | None:
    called: list[str] = []
    for at, message in enumerate(body["messages"]):
        if message.get("role") not in ("system", "user", "assistant", "tool"):
            return invalid(f"Invalid value: '{message.get('role')}'.", param=f"messages.[{at}].role")
        if message["role"] == "tool":
            if message["tool_call_id"] not in called:
                words = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return invalid(f"Invalid parameter: {words}", param=f"messages.[{at}].role")
            called.remove(message["tool_call_id"])
        elif called:
            words = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            return invalid(f"{words} 'tool_call_id'.", param=f"messages.[{at}].role")
        called = called or [call["id"] for call in message.get("tool_calls") or ()]
    return None


HISTORIES = (
    Rule(
        RESPONSES,
        "microsoft/vscode#320060, symgraph/GhidrAssist#78, openclaw/openclaw#21782, ag2ai/ag2#3080",
        "2026-11-30",
        _responses_history,
    ),
    Rule(
        ANTHROPIC,
        "https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool, .../handle-tool-calls; "
        "anthropic 2.14: tool_reference_unresolved; anthropics/anthropic-sdk-python#494",
        "2026-11-30",
        _claudes_history,
    ),
    Rule(CHAT, "miurla/morphic#136, run-llama/llama_index#10493, QwenLM/qwen-code#2360", "2026-11-30", _chats_history),
)

OLLAMA_WINDOW = 4_096


def ollama(request: VendorRequest) -> VendorResponse:
    """Ollama on a machine with less than 24 GiB of graphics memory: it reads the end of a prompt, and says nothing.

    A word is a token. https://docs.ollama.com/context-length, NousResearch/hermes-agent#43900, read on 2026-11-30.
    """
    words = json.dumps([request.body.get("tools"), request.body["messages"]]).split()
    read = words[-OLLAMA_WINDOW:]
    calls = [steps.chat_call("{}", 0, id="c1", name="ping")] if "ping" in read else [{"content": "one"}]
    reason = "tool_calls" if "ping" in read else "stop"
    return VendorResponse(steps.chat(*calls, finish_reason=reason, prompt_tokens=len(read)))


REPEATED = "That was my answer to the first question."


def _unended(body: Body) -> VendorResponse | None:
    """The model takes a message for a remark before calls, unless its phase says that it was the answer."""
    items = body["input"]
    answers = [one for one, then in pairwise(items) if one.get("role") == "assistant" and then.get("role") == "user"]
    remarks = [one for one, then in pairwise(items) if one.get("role") == "assistant" and "call_id" in then]
    is_whole = all(one.get("phase") == "final_answer" for one in answers)
    is_whole &= all(one.get("phase") == "commentary" for one in remarks)
    is_whole &= not any("phase" in one for one in items if one.get("role") != "assistant")
    return None if is_whole else RESPONSES.streamed(REPEATED)


PHASES = Rule(
    RESPONSES,
    "openai 3.57: EasyInputMessageParam.phase (resend it on all assistant messages; dropping it degrades performance)",
    "2026-11-30",
    _unended,
)


BOUND = [BOUND_THINKING, ENCRYPTED_REASONING, THOUGHT_SIGNATURES]
"""The rules by which a model's own items are good for one conversation, or one account."""


# A field that must be there.


def _bare(body: Body, *, all_answers: bool) -> list[int]:
    """Returns the places of the model's messages without reasoning: of calls, or of all answers in requests with tools.
    An empty text is no reasoning."""
    return [
        at
        for at, message in enumerate(body["messages"])
        if message["role"] == "assistant"
        and not message.get("reasoning_content")
        and (message.get("tool_calls") or (all_answers and body.get("tools")))
    ]


def _deepseek(body: Body) -> VendorResponse | None:
    words = "The `reasoning_content` in the thinking mode must be passed back to the API."
    return invalid(words, param=None, code="invalid_request_error") if _bare(body, all_answers=True) else None


def _kimi(body: Body) -> VendorResponse | None:
    bare = _bare(body, all_answers=False)
    words = "thinking is enabled but reasoning_content is missing in assistant tool call message at index"
    return invalid(f"{words} {bare[0]}") if bare else None


def _mimo(body: Body) -> VendorResponse | None:
    param = "The reasoning_content in the thinking mode must be passed back to the API."
    error = {"code": "400", "message": "Param Incorrect", "param": param, "type": ""}
    return refusal(400, {"error": error}) if _bare(body, all_answers=True) else None


def _deepseek_before(body: Body) -> VendorResponse | None:
    bare = _bare(body, all_answers=False)
    words = "Missing `reasoning_content` field in the assistant message at message index"
    return invalid(f"{words} {bare[0]}. For more information, please refer to …") if bare else None


def _reasons(body: Body) -> Mapping[str, Any]:
    return {"reasoning_content": "Hm."}


DEEPSEEK = Rule(
    CHAT,
    "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls; NousResearch/hermes-agent#16021, #17341",
    "2026-11-28",
    _deepseek,
    _reasons,
)
KIMI = Rule(CHAT, "MoonshotAI/kimi-agent-sdk#169, agentscope-ai/QwenPaw#433", "2026-11-28", _kimi, _reasons)
MIMO = Rule(CHAT, "suyiiyii/AutoGLM-GUI#396", "2026-11-28", _mimo, _reasons)
DEEPSEEK_V3 = Rule(CHAT, "anomalyco/opencode#9397", "2026-11-28", _deepseek_before, _reasons)

MISSING_FIELD = [DEEPSEEK, KIMI, MIMO, DEEPSEEK_V3]
"""The rules by which the model's messages go back with its reasoning."""


# Refusals that stick: as long as the words are in a request, it is refused.

FORBIDDEN = "ricin"
"""The word at which the stand-ins take offense."""


def _offends(body: Body) -> bool:
    return FORBIDDEN in json.dumps(body.get("messages") or body.get("input"))


EXPLANATION = "This request was declined under the usage policy on biology."


def _classifier(body: Body) -> VendorResponse | None:
    details = {"type": "refusal", "category": "bio", "explanation": EXPLANATION}
    stream = steps.messages(steps.text("Take two"), stop_reason="refusal", stop_details=details)
    return VendorResponse(stream) if _offends(body) else None


def _in_mid_stream(body: Body) -> VendorResponse | None:
    error = {"type": "error", "code": "bio_policy", "message": "This content was flagged.", "param": None}
    begun = RESPONSES.unended("Take two")
    return VendorResponse([*begun, f"event: error\ndata: {json.dumps(error)}\n\n".encode()]) if _offends(body) else None


def _azure_filter(body: Body) -> VendorResponse | None:
    message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
    inner = {
        "code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
    }
    return invalid(message, param="prompt", code="content_filter", innererror=inner) if _offends(body) else None


def _guardrail(body: Body) -> VendorResponse | None:
    said = steps.messages(steps.text("Sorry, I can't help."), stop_reason="guardrail_intervened")
    return VendorResponse(said) if _offends(body) else None


CLASSIFIER = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/handle-streaming-refusals; anthropics/claude-code#66999",
    "2026-11-28",
    _classifier,
)
MID_STREAM = Rule(RESPONSES, "openai 3.57: ResponseErrorEvent, code bio_policy", "2026-11-28", _in_mid_stream)
AZURE_FILTER = Rule(
    CHAT, "https://learn.microsoft.com/azure/ai-services/openai/concepts/content-filter", "2026-11-28", _azure_filter
)
GUARDRAIL = Rule(
    ANTHROPIC,
    "https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails.html: stopReason guardrail_intervened",
    "2026-11-28",
    _guardrail,
)

STICKS = {"classifier": CLASSIFIER, "mid-stream": MID_STREAM, "Azure's filter": AZURE_FILTER, "guardrail": GUARDRAIL}
"""The rules by which a refused conversation stays refused."""


# Stops because of what the model did, which persisted reasoning lets OpenAI find again in each continuation.

STOPPED = "The agent read <https://a.example|credentials> outside the task. <!channel>"


def _stop(body: Body) -> Mapping[str, Any] | None:
    kinds = {item.get("type") for item in body["input"]}
    misalignment = {"error_type": "potentially_unintended_data_access", "detailed_explanation": STOPPED}
    error = {
        "message": "This request was blocked by our safety systems.",
        "type": "invalid_request_error",
        "code": "misalignment_policy_violation",
        "misalignment": {**misalignment, "review_target": None, "steer": {"message": "Go on, and ask nobody."}},
    }
    return error if {"reasoning", "function_call_output"} <= kinds else None


def _stopped_at_once(body: Body) -> VendorResponse | None:
    error = _stop(body)
    return refusal(403, {"error": error}) if error else None


def _stopped_midway(body: Body) -> VendorResponse | None:
    if (error := _stop(body)) is None:
        return None
    failed = {"type": "response.failed", "response": {"status": "failed", "error": error, "output": []}}
    begun = RESPONSES.unended("I have")
    return VendorResponse([*begun, f"event: response.failed\ndata: {json.dumps(failed)}\n\n".encode()])


_MONITORING = "https://developers.openai.com/api/docs/guides/safety-checks/misalignment-monitoring; openai 3.57"


def _persisted(body: Body) -> Mapping[str, Any]:
    return {**steps.REASONING, "id": f"rs_{len(body['input'])}", "encrypted_content": "gAAA"}


MONITORED = {
    "before the stream": Rule(RESPONSES, _MONITORING, "2026-11-30", _stopped_at_once, _persisted),
    "in mid-stream": Rule(RESPONSES, _MONITORING, "2026-11-30", _stopped_midway, _persisted),
}


# An end with nothing, which isn't a failure.


def _silent(body: Body) -> VendorResponse | None:
    content = body["messages"][-1]["content"]
    results = [block for block in content if isinstance(block, dict) and block["type"] == "tool_result"]
    return VendorResponse(steps.messages()) if results else None


SILENT_ENDS = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons: an empty response with end_turn; the "
    "same request ends so again, and a new user message that asks to continue doesn't",
    "2026-11-30",
    _silent,
)


# Who speaks.


def _misplaced(body: Body) -> VendorResponse | None:
    roles = [message["role"] for message in body["messages"]]
    for at, (before, role, then) in enumerate(zip(["", *roles], roles, [*roles[1:], "assistant"], strict=False)):
        if role == "system" and (before, then) != ("user", "assistant"):
            # What the API says is not known.
            return invalid(f"messages.{at}: role 'system' must follow a user message, and precede an assistant's")
    return None


def _interrupted(body: Body) -> VendorResponse | None:
    *_, content = (message["content"] for message in body["messages"] if message["role"] == "user")
    kinds = [block["type"] for block in content if isinstance(block, dict)]
    return VendorResponse(steps.messages()) if kinds[:1] == ["tool_result"] and "text" in kinds else None


MID_CONVERSATION = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages; langchain4j#5604",
    "2026-11-30",
    _misplaced,
)
TEXT_AFTER_RESULTS = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons: text right after tool_result blocks "
    "is the first cause of empty responses",
    "2026-11-30",
    _interrupted,
)
NO_SYSTEM_MESSAGES = {
    "anthropics/claude-code#61412": "role 'system' is not supported on this model",
    "anthropics/claude-agent-sdk-typescript#350": 'messages: Unexpected role "system". The Messages API accepts a '
    'top-level `system` parameter, not "system" as an input message role.',
}
"""What models without such messages say; read on 2026-11-30."""


def no_system_messages(words: str) -> Rule:
    def refuses(body: Body) -> VendorResponse | None:
        has_one = any(message["role"] == "system" for message in body["messages"])
        return invalid(words) if has_one else None

    return Rule(ANTHROPIC, "; ".join(NO_SYSTEM_MESSAGES), "2026-11-30", refuses)


# Notes between calls.

NOTE = "Looking for PROJ-12."


def _note(body: Body) -> Mapping[str, Any] | None:
    """Returns the block before a call: a note for readers, which is empty unless it is requested."""
    is_requested = body.get("thinking", {}).get("display") == "updates" and "anthropic-beta" in body["extra_headers"]
    thinking = NOTE if is_requested else ""
    return {"type": "thinking", "thinking": thinking, "signature": _signature(body, len(body["messages"]))}


NOTES_BETWEEN_CALLS = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/thinking#progress-updates; "
    "https://platform.claude.com/docs/en/models/opus-5-5/migration-guide#text-between-tool-calls",
    "2026-11-30",
    _bound_thinking,
    _note,
)


# A limit on files.

MAX_PDF_PAGES = 100


def _pdf_pages(body: Body) -> VendorResponse | None:
    files = [base64.b64decode(block["source"]["data"]) for _, _, block in _blocks(body, "document")]
    pages = sum(len(re.findall(rb"/Type /Page\b", content)) for content in files)
    words = f"messages.0.content.0.pdf.source.base64.data: A maximum of {MAX_PDF_PAGES} PDF pages may be provided."
    return invalid(words) if pages > MAX_PDF_PAGES else None


PDF_PAGES = Rule(
    ANTHROPIC,
    "https://platform.claude.com/docs/en/build-with-claude/pdf-support: 100 pages, 600 with a window of 1M tokens",
    "2026-11-28",
    _pdf_pages,
)


def pdf(pages: int) -> bytes:
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(pages))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number in range(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td (This is page {number + 1}.) Tj ET"
        fonts = "/Resources << /Font << /F1 3 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {fonts} /Contents {5 + 2 * number} 0 R >>",
            f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        ]
    written, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{one}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{len(written)}\n%%EOF\n"
    return f"{written}xref\n0 {count}\n0000000000 65535 f \n{table}{end}".encode()
