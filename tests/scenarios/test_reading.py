"""Messages that people write, edit, forward and quote reach the model with their meaning."""

import pytest

from tests.marked import unmarked
from tests.scenarios.conftest import Stage

pytestmark = pytest.mark.skips_waits


async def asked(stage: Stage, channel: str, thread_ts: str | None, count: int = 1) -> str:
    """Waits for the answer and returns the question's prompt, which is a single turn."""
    await stage.answers(channel, thread_ts, count)
    return unmarked(stage.prompts()[-1][-1]["content"])


async def test_lists_quotes_code_and_links_keep_their_structure(stage: Stage) -> None:
    typed = (
        "which is *best*?\n- this `a < b`\n  1. or @ada's\n> 1 < 2\n```\nif a < b:\n    pass\n```\n"
        "see https://a.example/?q=1&r=2 :wave:"
    )
    assert await asked(stage, "general", await stage.mention(typed)) == (
        "which is **best**?\n\n- this `a < b`\n    1. or @Ada's\n\n> 1 < 2\n\n```\nif a < b:\n    pass\n```\n\n"
        "see https://a.example/?q=1&r=2 :wave:"
    )


async def test_mention_counts_in_a_list_and_not_in_a_forwarded_message(stage: Stage) -> None:
    first = await stage.sandbox.say("ada", "general", "- @typist why?\n- and how?")
    assert await asked(stage, "general", first) == "- @typist why?\n- and how?"
    copy = await stage.sandbox.forward("grace", "general", first, "random", "for your records")
    last = await stage.mention("still there?", channel="random")
    await stage.answers("random", last)
    assert stage.bots("random", copy) == []
    assert len(stage.vendor.requests) == 2


async def test_forwarded_message_is_read_with_its_authors_name_even_without_a_comment(stage: Stage) -> None:
    original = await stage.sandbox.say("grace", "general", "Ship it?\n- today\n- tomorrow")
    place = stage.sandbox.dm("ada")
    await stage.sandbox.forward("ada", "general", original, place)
    assert await asked(stage, place, None) == "Forwarded from Grace:\n> Ship it?\n>\n> - today\n> - tomorrow"
    again = await stage.sandbox.forward("ada", "general", original, "random", "@typist should we?")
    assert (await asked(stage, "random", again)).startswith("should we?\n\nForwarded from Grace:\n> Ship it?")


async def test_edited_message_is_read_as_edited_and_deleted_one_is_not_read(stage: Stage) -> None:
    root = await stage.sandbox.say("ada", "general", "The build is red.")
    gone = await stage.sandbox.say("ada", "general", "It is Grace's fault.", root)
    await stage.sandbox.say("ada", "general", "@typist why?", root)
    assert await asked(stage, "general", root) == "The build is red.\n\nIt is Grace's fault.\n\nwhy?"
    await stage.sandbox.edit("general", root, "The build is *green*.")
    await stage.sandbox.delete("general", gone)
    await stage.sandbox.say("ada", "general", "@typist and now?", root)
    assert await asked(stage, "general", root, count=2) == "and now?"
    assert stage.prompts()[-1][0]["content"] == "The build is **green**.\n\nwhy?"
