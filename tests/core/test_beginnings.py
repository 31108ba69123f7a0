"""What an answer's prompt begins with: as it is on record, and what is left of it if a file or a tool has changed."""

from dataclasses import replace

import pytest

from bot.core.beginnings import BuiltPrompt, PrefixHash, restore_prompt, serialize_prompt, without_thoughts
from bot.core.conversation import Note
from bot.models.events import Opaque, TextPart, ToolCall
from bot.models.prompt import (
    ASKERS,
    OTHERS,
    OURS,
    Media,
    Prompt,
    ToolDefinition,
    ToolResult,
    Turn,
    TurnPart,
    WebSearch,
    hidden_note,
)

PHOTO = Media("photo.png", "image/png", "aGk=" * 100_000)
NOTES = ToolDefinition("notes__list", "Lists.", {"type": "object"}, "a hash", OURS, is_dispensable=True)
ASKED = Turn("user", "why? \ud83d \0 世界", (PHOTO,), origins=ASKERS | OTHERS)
PROMPT = Prompt("be brief", (ASKED,), "c0ffee", (NOTES,), system_origins=OTHERS, code="0123abcd")
RECORDED = BuiltPrompt(PROMPT, "m1", "0a1b", note=Note("It is now noon.", OTHERS), memory_count=2, has_files=True)
NOW = replace(PROMPT, system="be long", turns=(Turn("user", "why not?", (PHOTO,)),), tools=(), cache_key="other")
BUILT = BuiltPrompt(NOW, "m2", "2c3d", pdfs_as_text=("a.pdf",))


def test_prompt_comes_back_as_it_was_with_whose_words_it_holds() -> None:
    built = restore_prompt(serialize_prompt(RECORDED), BUILT)
    assert built == replace(RECORDED, model="m2", pdfs_as_text=("a.pdf",))
    again = built.prompt
    assert (again.system_origins, again.turns[0].origins, again.tools[0].origins) == (OTHERS, ASKERS | OTHERS, OURS)
    assert again.tools[0].is_dispensable
    assert str(PrefixHash(again)) == str(PrefixHash(PROMPT))


def test_record_has_no_bytes_of_files_and_is_small() -> None:
    long = replace(PROMPT, turns=(Turn("user", "A line of a conversation.\n" * 4_000),))
    assert len(serialize_prompt(RECORDED)) < 1_000
    assert len(serialize_prompt(replace(RECORDED, prompt=long))) < 5_000


OTHER_FILES: dict[str, tuple[Media, ...]] = {
    "none": (),
    "a shorter one": (replace(PHOTO, base64="aGk=" * 99_999),),
    "one with another end": (replace(PHOTO, base64=f"{PHOTO.base64[:-4]}aGo="),),
    "one of another name": (replace(PHOTO, name="other.png"),),
}


@pytest.mark.parametrize("media", OTHER_FILES.values(), ids=OTHER_FILES)
def test_file_that_is_gone_leaves_a_remark_and_changes_the_hash(media: tuple[Media, ...]) -> None:
    now = replace(NOW, turns=(Turn("user", "why?", media),))
    again = restore_prompt(serialize_prompt(RECORDED), replace(BUILT, prompt=now)).prompt
    assert (again.turns[0].text, again.turns[0].media) == (f"{ASKED.text}\n\n{hidden_note(PHOTO.name)}", ())
    assert str(PrefixHash(again)) != str(PrefixHash(PROMPT))


NEW = ToolDefinition("new__add", "Adds.", {}, "new")
TOOLS: dict[str, tuple[tuple[ToolDefinition, ...], tuple[ToolDefinition, ...]]] = {
    "the same": ((NOTES,), (NOTES,)),
    "one is away": ((), (NOTES,)),
    "one is new": ((NEW, NOTES), (NOTES, NEW)),
    "one has changed": ((replace(NOTES, description="More."),), (replace(NOTES, description="More."),)),
}


@pytest.mark.parametrize(("offered", "sent"), TOOLS.values(), ids=TOOLS.keys())
def test_tools_stay_in_their_order_and_new_ones_come_last(
    offered: tuple[ToolDefinition, ...], sent: tuple[ToolDefinition, ...]
) -> None:
    now = replace(BUILT, prompt=replace(NOW, tools=offered))
    assert restore_prompt(serialize_prompt(RECORDED), now).prompt.tools == sent


SIGNED = {"type": "reasoning.text", "text": "", "signature": "abc"}
PARTS: dict[str, tuple[TurnPart, tuple[TurnPart, ...]]] = {
    "Claude's thinking": (Opaque("anthropic", {"type": "thinking", "signature": "abc"}), ()),
    "Claude's hidden thinking": (Opaque("anthropic", {"type": "redacted_thinking", "data": "abc"}), ()),
    "Claude's call": (block := Opaque("anthropic", {"type": "tool_use", "id": "1"}), (block,)),
    "Claude's thinking behind a gateway": (
        Opaque("openai", {"role": "assistant", "tool_calls": [], "reasoning_details": [SIGNED]}),
        (Opaque("openai", {"role": "assistant", "tool_calls": []}),),
    ),
    "Claude's thinking behind a gateway, signed at its end": (
        Opaque(
            "openai", {"role": "assistant", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}, SIGNED]}
        ),
        (Opaque("openai", {"role": "assistant"}),),
    ),
    "unsigned reasoning behind a gateway": (
        unsigned := Opaque("openai", {"role": "assistant", "reasoning_details": [{"type": "reasoning.text"}]}),
        (unsigned,),
    ),
    "OpenAI's reasoning": (item := Opaque("openai", {"type": "reasoning", "encrypted_content": "abc"}), (item,)),
    "DeepSeek's reasoning": (said := Opaque("openai", {"role": "assistant", "reasoning_content": "Hm."}), (said,)),
    "text": (text := TextPart("Let me see."), (text,)),
}


@pytest.mark.parametrize(("part", "left"), PARTS.values(), ids=PARTS.keys())
def test_only_what_is_bound_to_a_conversation_is_left_out(part: TurnPart, left: tuple[TurnPart, ...]) -> None:
    assert without_thoughts([part]) == left


STEP = Turn("assistant", "", parts=(TextPart("So."), ToolCall(0, "c1", "notes__add", {"a": 1}, '{"a":1}')))
RESULTS = Turn("user", "", parts=(ToolResult("c1", "notes__add", "Added."), Opaque("openai", {"type": "reasoning"})))
READ = replace(PROMPT, turns=(ASKED, STEP, RESULTS), web_search=WebSearch(("a.example",)))


def with_part(turn: Turn, at: int, **changes: object) -> Prompt:
    parts = list(turn.parts)
    parts[at] = replace(parts[at], **changes)  # type: ignore[arg-type]
    return replace(READ, turns=tuple(replace(one, parts=tuple(parts)) if one is turn else one for one in READ.turns))


OTHERWISE: dict[str, Prompt] = {
    "other instructions": replace(READ, system="be long"),
    **{
        f"another {what} of a tool": replace(READ, tools=(tool,))
        for what, tool in {
            "name": replace(NOTES, name="notes__all"),
            "description": replace(NOTES, description="Lists all."),
            "form": replace(NOTES, parameters={}),
        }.items()
    },
    "no tool": replace(READ, tools=()),
    "other sites to search": replace(READ, web_search=WebSearch(("b.example",))),
    "no search": replace(READ, web_search=None),
    "another text": replace(READ, turns=(replace(ASKED, text="why?"), STEP, RESULTS)),
    "another role": replace(READ, turns=(replace(ASKED, role="assistant"), STEP, RESULTS)),
    "no file": replace(READ, turns=(replace(ASKED, media=()), STEP, RESULTS)),
    "another order": replace(READ, turns=(STEP, ASKED, RESULTS)),
    "another text of a step": with_part(STEP, 0, text="So, "),
    "another id of a call": with_part(STEP, 1, call_id="c2"),
    "a call of another tool": with_part(STEP, 1, name="notes__list"),
    "other arguments": with_part(STEP, 1, arguments={"a": 2}),
    "arguments as the model wrote them": with_part(STEP, 1, raw_arguments='{"a": 1}'),
    "a result of another call": with_part(RESULTS, 0, call_id="c2"),
    "another result": with_part(RESULTS, 0, text="No."),
    "an error": with_part(RESULTS, 0, is_error=True),
    "an item of another vendor": with_part(RESULTS, 1, vendor="anthropic"),
    "another item": with_part(RESULTS, 1, item={"type": "message"}),
}


@pytest.mark.parametrize("prompt", OTHERWISE.values(), ids=OTHERWISE)
def test_hash_is_of_all_that_a_model_has_read(prompt: Prompt) -> None:
    assert str(PrefixHash(prompt)) != str(PrefixHash(READ))


def test_hash_grows_with_each_turn_and_is_not_of_what_no_model_reads() -> None:
    unread = replace(READ, cache_key="other", system_origins=OURS, tools=(replace(NOTES, definition_hash="new"),))
    grown = PrefixHash(replace(unread, turns=(replace(ASKED, origins=OURS),)))
    assert str(grown) != str(PrefixHash(READ))
    grown.add_turns((STEP,))
    grown.add_turns((RESULTS,))
    assert str(grown) == str(PrefixHash(READ))
