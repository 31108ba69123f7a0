"""How vendors' caches find the beginning of a request again: one rule for each, with its source and the day it was read.

A rule is fed a conversation's requests in their order, as they are sent, and says how many tokens of each are read. A
token is taken to be four bytes. What belongs to a rule alone stands in its class: what it has kept, and what it finds.

| rule | source | read on |
|---|---|---|
| Anthropic: a mark keeps what stands before it, and finds what was kept at one of the 20 blocks up to it; at most four marks; at least 1,024 tokens (4,096 for some models) | https://platform.claude.com/docs/en/build-with-claude/prompt-caching | 2026-11-28 |
| OpenAI from GPT-5.6 on: kept and found only where a breakpoint ended: an explicit one, or the end of the newest message of a user or a tool; at least 1,024 tokens; by `prompt_cache_key` | https://developers.openai.com/api/docs/guides/prompt-caching, docstrings of openai 3.57 | 2026-11-28 |
| OpenAI: `reasoning.effort` of the request changes the instructions, so nothing is found that was kept at another level | https://developers.openai.com/api/docs/guides/prompt-caching (`reasoning_effort_changed`), https://openrouter.ai/docs (GPT-6 Astra) | 2026-11-30 |
| Anthropic: `output_config.effort` changes what is rendered before the messages: tools and instructions are found, messages aren't | https://platform.claude.com/docs/en/build-with-claude/effort | 2026-11-30 |
| OpenAI before: the longest common beginning, in units of 128 tokens; at least 1,024; by `prompt_cache_key` | the same page | 2026-11-28 |
| DeepSeek: units that end with a request's input, or with a beginning that two requests had in common; a unit is found whole. (Units at fixed intervals, of a number that isn't told, are left out.) | https://api-docs.deepseek.com/guides/kv_cache | 2026-11-28 |
"""  # noqa: E501

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any, Protocol

BYTES_PER_TOKEN = 4
MIN_TOKENS = 1_024
LOOK_BACK_BLOCKS = 20
MAX_MARKS = 4
UNIT_TOKENS = 128
_MARKS = ("cache_control", "prompt_cache_breakpoint")

Body = Mapping[str, Any]


def tokens(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN


@dataclass(frozen=True)
class Block:
    """A part of a request behind which a mark can stand."""

    text: str
    """What a model reads of it, with whose words it holds."""
    is_marked: bool = False
    is_of_user: bool = False
    """Whether a user or a tool says it."""


def blocks_of(body: Body) -> list[Block]:
    """Returns a request's blocks in the order in which a model reads them: tools, instructions, messages."""
    effort = body.get("reasoning", {}).get("effort")
    blocks = [Block(f"effort: {effort}\n")] if effort else []
    blocks += [_block("tools", tool) for tool in body.get("tools") or ()]
    blocks += _blocks("system", body.get("system") or body.get("instructions") or ())
    effort = body.get("output_config", {}).get("effort")
    blocks += [Block(f"effort: {effort}\n")] if effort else []
    for item in body.get("messages") or body.get("input") or ():
        role = item.get("role") or item["type"]
        content = {name: value for name, value in item.items() if name != "role"}
        blocks += _blocks(role, content.pop("content", ()) or ())
        if content:
            # Calls, and results of Responses.
            blocks.append(_block(role, content))
    return blocks


def _blocks(role: str, content: str | Sequence[Body]) -> Iterator[Block]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return (_block(role, part) for part in parts)


def _block(role: str, part: Body) -> Block:
    said = {name: value for name, value in part.items() if name not in _MARKS}
    is_of_user = role in ("user", "tool", "function_call_output")
    # The type of a text differs with the form in which it is sent.
    text = said["text"] if set(said) == {"type", "text"} else json.dumps(said)
    return Block(f"{role}: {text}\n", any(mark in part for mark in _MARKS), is_of_user)


def beginnings(blocks: Sequence[Block]) -> list[str]:
    """Returns a request's text up to the end of each block."""
    texts, so_far = [], ""
    for block in blocks:
        so_far += block.text
        texts.append(so_far)
    return texts


def _common(text: str, other: str) -> str:
    return commonprefix([text, other])  # noqa: RUF071 - they are no paths


class CacheRule(Protocol):
    def read(self, body: Body) -> int:
        """Returns how many tokens of a request are read from the cache, and keeps what the request leaves there."""
        ...


@dataclass
class AnthropicRule:
    kept: set[str] = field(default_factory=set)

    def read(self, body: Body) -> int:
        blocks = blocks_of(body)
        texts = beginnings(blocks)
        marks = [at for at, block in enumerate(blocks) if block.is_marked]
        marks += [len(blocks) - 1] if body.get("cache_control") else []
        assert len(marks) <= MAX_MARKS
        near = {at for mark in marks for at in range(max(0, mark - LOOK_BACK_BLOCKS + 1), mark + 1)}
        found = max((tokens(texts[at]) for at in near if texts[at] in self.kept), default=0)
        self.kept |= {texts[mark] for mark in marks if tokens(texts[mark]) >= MIN_TOKENS}
        return found


@dataclass
class OpenAIRule:
    """The rule of OpenAI's models from GPT-5.6 on."""

    kept: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def read(self, body: Body) -> int:
        blocks, kept = blocks_of(body), self.kept[body.get("prompt_cache_key", "")]
        texts = beginnings(blocks)
        marks = [at for at, block in enumerate(blocks) if block.is_marked]
        assert len(marks) < MAX_MARKS
        marks += [at for at, block in enumerate(blocks) if block.is_of_user][-1:]
        found = max((tokens(text) for text in texts if text in kept), default=0)
        kept |= {texts[mark] for mark in marks if tokens(texts[mark]) >= MIN_TOKENS}
        return found


@dataclass
class OlderOpenAIRule:
    """The rule of OpenAI's models before GPT-5.6."""

    kept: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def read(self, body: Body) -> int:
        [*_, text], kept = beginnings(blocks_of(body)), self.kept[body.get("prompt_cache_key", "")]
        common = max((tokens(_common(text, earlier)) for earlier in kept), default=0)
        kept.append(text)
        return common // UNIT_TOKENS * UNIT_TOKENS if common >= MIN_TOKENS else 0


@dataclass
class DeepSeekRule:
    kept: set[str] = field(default_factory=set)
    earlier: list[str] = field(default_factory=list)

    def read(self, body: Body) -> int:
        [*_, text] = beginnings(blocks_of(body))
        found = max((tokens(unit) for unit in self.kept if text.startswith(unit)), default=0)
        common = (_common(text, earlier) for earlier in self.earlier)
        self.kept |= {text, *filter(None, common)}
        self.earlier.append(text)
        return found // UNIT_TOKENS * UNIT_TOKENS
