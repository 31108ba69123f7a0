"""Our parsers read payloads in Slack's forms (slack_sandbox/testing/payloads), and each of another shape or none."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.core.access import UserKind
from bot.core.actions import MORE, ReplyAction
from bot.core.conversation import Message
from bot.core.surfaces import AppContext
from bot.core.triage import Identity, is_from_person
from bot.errors import PayloadError, StoreError, Stuck
from bot.services.schedules import SchedulePress
from bot.services.shortcut import Reaction
from bot.slack.file_objects import file_of, files_of
from bot.slack.posted_questions import parse_posted_question
from bot.slack.text import app_name, attachments_text, body_of
from bot.slack.users import kind_of, name_of
from bot.slack.views.memory import MEMORY
from bot.slack.views.question import ASK_MODAL
from bot.slack.views.schedules import CHANGE_SCHEDULE, ListPlace, ScheduleAction, ScheduleField, SubmittedSchedule
from bot.slack.views.settings import SETTINGS
from handlers.messages import on_error
from handlers.payloads import (
    command_of,
    context_in_view,
    event_in,
    follow_up_press_of,
    home_tab_of,
    invocation_of_command,
    invocation_of_shortcut,
    is_first_delivery,
    is_stream_end,
    is_written_by,
    join_of,
    message_of,
    message_of_shortcut,
    messages_of_edit,
    pane_thread_of,
    press_of,
    reaction_of,
    schedule_press_of,
    session_of,
    settings_press_of,
    stop_of,
    submission_in,
    suggestion_press_of,
    viewer_of,
)
from slack_sandbox.testing import payloads
from tests.mutations import mutations

PAYLOADS = Path(payloads.__file__).parent
ME = Identity("T0OURS", "U0BOT", "B0BOT", "typist")


def load(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def named(folder: str) -> list[str]:
    return sorted(path.relative_to(PAYLOADS).with_suffix("").as_posix() for path in (PAYLOADS / folder).glob("*.json"))


MESSAGES = {
    "app_mention": "<@U0BOT> what is due today?",
    "app_mention_by_bot": "<@U0BOT> the build is red",
    "app_mention_edited": "<@U0BOT> why is the sky blue?",
    "app_mention_grid": "<@U0BOT> please",
    "app_mention_shared_channel": "<@U0BOT> what is due?",
    "app_mention_with_file": "<@U0BOT> what does the plan say?",
    "app_mention_grid_multi_workspace": "<@U0BOT> please",
    "message_bot_message": "The build is green.",
    "message_channel": "<@U0BOT> what is due today?",
    "message_channel_join": "<@U0ADA> has joined the channel",
    "message_file_share": "Here is the plan.",
    "message_file_share_audio_clip": "",
    "message_file_share_in_thread": "The query, in full",
    "message_file_share_private_channel": "What is on this photo?",
    "message_im": "Good morning",
    "message_im_app_context": "what was decided here?",
    "message_im_from_slack": "<@U0ADA> archived the channel <#C0GENERAL>",
    "message_im_in_thread": "When is the next release?",
    "message_in_thread": "and tomorrow?",
    "message_me": "is away",
    "message_of_app_without_bot_id": "<@U0BOT> deployed",
    "message_of_other_bot": "The build is green.",
    "message_of_own_bot": "Writing…",
    "message_of_own_bot_header_buttons": "**Which planet?**",
    "message_shared_channel": "<@U0BOT> what is due?",
    "message_shared_channel_with_file": "<@U0BOT> what is due?",
    "message_stream_start": "",
    "message_stream_whole": "<@U0BOT> how far is **the moon**?",
    "message_thread_broadcast": "Here is the plan.",
    "message_thread_broadcast_private_channel": "The plan is here.",
    "message_with_pasted_table": "Which planets have rings?",
    "message_with_snippet": "The query",
}
CHANGES = {
    "message_changed_assistant_root": ("New chat", "New chat"),
    "message_changed_by_person": ("How far is the moon?", "How far is the moon, in miles?"),
    "message_changed_own_edit": ("**The moon**", "**The moon**"),
    "message_changed_root_metadata": ("<@U0BOT> how far is **the moon**?",) * 2,
    "message_changed_stream_end": ("", "<@U0BOT> how far is **the moon**?"),
    "message_changed_thread_broadcast": ("The plan is here.",) * 2,
    "message_changed_to_tombstone": ("Who has a spare key?", "This message was deleted."),
    "message_changed_tombstone_last_reply_gone": ("", "This message was deleted."),
    "message_changed_with_files": ("The notes", "The notes, and more to come"),
    "message_deleted": ("Never mind", None),
    "message_deleted_in_thread": ("Deployed.", None),
}
NOT_BY_PEOPLE = """
    app_mention_by_bot message_bot_message message_im_from_slack message_of_app_without_bot_id message_of_other_bot
    message_of_own_bot message_of_own_bot_header_buttons message_stream_start message_stream_whole
"""
OUR_OWN = """
    message_changed_own_edit message_of_own_bot message_of_own_bot_header_buttons
"""
IN_THREADS = """
    message_file_share_in_thread message_im_in_thread message_in_thread message_of_own_bot
    message_of_own_bot_header_buttons message_stream_start message_stream_whole message_thread_broadcast
    message_thread_broadcast_private_channel
"""
TRANSCRIPTIONS: tuple[tuple[Any, bool], ...] = (
    ({"status": "complete", "preview": {"content": "What", "has_more": True}}, True),
    ({"status": "complete", "preview": {"content": "What"}}, True),
    ({"status": "complete"}, True),
    ({"status": "processing", "preview": {"content": "What", "has_more": False}}, False),
    ({"status": "failed"}, False),
    ({"status": "none"}, False),
    (None, False),
)
"""Transcriptions that are not all there, and whether captions are."""
WITH_FILES = {
    "app_mention_with_file": ("plan.png", "visible"),
    "message_file_share": ("plan.png", ""),
    "message_file_share_audio_clip": ("Audio clip (2026-10-09 10:35:15).m4a", "visible"),
    "message_file_share_in_thread": ("notes.txt", ""),
    "message_file_share_private_channel": ("photo.png", "visible"),
    "message_shared_channel_with_file": ("a file", "check_file_info"),
    "message_with_snippet": ("notes.txt", ""),
}


def test_clip_brings_slacks_transcript_if_all_of_it_is_there() -> None:
    [clip] = event_of("message_file_share_audio_clip")["files"]
    file = file_of(clip)
    assert (file.is_clip, file.transcript, file.seconds) == (True, "When is the full moon?", 5.712)
    assert file.captions_url.endswith("/file.vtt?_xcb=00000")
    for transcription, has_captions in TRANSCRIPTIONS:
        file = file_of({**clip, "transcription": transcription})
        assert (file.transcript, bool(file.captions_url)) == (None, has_captions)


def event_of(name: str) -> dict[str, Any]:
    event: dict[str, Any] = load(f"events/{name}")["event"]
    return event


def first_line(message: Message) -> str:
    return message.text.split("\n")[0]


def test_every_message_event_is_covered() -> None:
    names = {name.partition("/")[2] for name in named("events")}
    assert {name for name in names if name.startswith(("message_", "app_mention"))} == MESSAGES.keys() | CHANGES.keys()


@pytest.mark.parametrize(("name", "words"), MESSAGES.items(), ids=MESSAGES)
def test_message_in_an_event_is_parsed(name: str, words: str) -> None:
    message = message_of(event_of(name), "T0OURS")
    assert first_line(message) == words
    assert message.team_id == "T0OURS"
    assert is_from_person(message, ME) is (name not in NOT_BY_PEOPLE.split())
    assert (message.thread_ts is not None) is (name in IN_THREADS.split())
    assert (message.parent_user_id is not None) is (name in IN_THREADS.split())
    assert [(file.name, file.access) for file in message.files] == ([WITH_FILES[name]] if name in WITH_FILES else [])


@pytest.mark.parametrize(("name", "words"), CHANGES.items(), ids=CHANGES)
def test_edit_in_an_event_is_parsed(name: str, words: tuple[str, str | None]) -> None:
    before, after = messages_of_edit(event_of(name), "T0OURS")
    assert (first_line(before), after and first_line(after)) == words
    assert before.team_id == "T0OURS"


@pytest.mark.parametrize("name", [*MESSAGES, *CHANGES])
def test_event_tells_whether_the_bot_itself_wrote_its_message(name: str) -> None:
    assert is_written_by(event_of(name), ME) is (name in OUR_OWN.split())


@pytest.mark.parametrize(
    ("message", "is_own"),
    [
        ({"user": "U0BOT"}, True),
        ({"bot_id": "B0BOT"}, True),
        ({"user": "U1", "bot_id": "B1"}, False),
        ({}, False),
        ("no object", False),
    ],
)
def test_either_id_makes_a_message_our_own(message: Any, is_own: bool) -> None:
    for event in ({"message": message}, {"previous_message": message}, message if isinstance(message, dict) else {}):
        assert is_written_by(event, ME) is is_own


PARSERS: dict[str, Callable[[Any], Any]] = {
    "app_context_changed": viewer_of,
    "app_home_opened": lambda body: home_tab_of(event_in(body)[1]),
    "agent_session_stopped": lambda body: stop_of(body, "T0OURS"),
    "agent_session_title_changed": lambda body: session_of(body, "T0OURS"),
    "app_mention": lambda body: message_of(event_in(body)[1], "T0OURS"),
    "assistant_thread": lambda body: pane_thread_of(event_in(body)[1]),
    "block_actions": lambda body: press_of(body, "T0OURS"),
    "member_joined_channel": lambda body: join_of(event_in(body)[1]),
    "message_action": lambda body: (invocation_of_shortcut(body), message_of_shortcut(body, "T0OURS")),
    "message_changed": lambda body: messages_of_edit(event_in(body)[1], "T0OURS"),
    "message_deleted": lambda body: messages_of_edit(event_in(body)[1], "T0OURS"),
    "message": lambda body: message_of(event_in(body)[1], "T0OURS"),
    "reaction_added": lambda body: reaction_of(event_in(body)[1]),
    "slash_command": lambda body: (invocation_of_command(body), command_of(body)),
    "suggestion_press": suggestion_press_of,
    "view_submission_question": lambda body: submission_in(body, ASK_MODAL),
    "view_submission": lambda body: submission_in(body, SETTINGS),
}


PARSED = {
    name: next(parser for prefix, parser in PARSERS.items() if name.partition("/")[2].startswith(prefix))
    for name in (*named("events"), *named("interactivity"))
    if name.partition("/")[2].startswith(tuple(PARSERS))
}
"""The payloads that a listener reads, and its parser: the first one whose prefix fits."""


@pytest.mark.wide
@pytest.mark.long(but_every=3)
@pytest.mark.parametrize(("name", "parse"), PARSED.items(), ids=PARSED)
def test_parsers_return_their_types_or_raise_one_error_whatever_the_shape(
    name: str, parse: Callable[[Any], Any]
) -> None:
    for where, body in mutations(load(name)):
        try:
            parsed = parse(body)
        except PayloadError:
            continue
        hash(parsed)
        assert "[None]" not in repr(parsed), where


def test_pasted_table_is_read_with_its_empty_cells() -> None:
    message = message_of(event_of("message_with_pasted_table"), "T0OURS")
    rows = [
        "| **Planet** | **Rings** | **Moons** |",
        "| --- | --- | --- |",
        "| Saturn | yes | 146 |",
        "| Venus |  | 0 |",
    ]
    assert message.attached_text.replace("> ", "").split("\n") == rows


def test_translated_answer_is_read_with_its_structure() -> None:
    message = load("web_api/conversations_replies")["messages"][1]
    assert body_of({**message, "blocks": message["blocks"][:3]}) == "\n\n".join(
        [
            "**The moon**",
            "It is **far** away :moon:, says [the almanac](https://moon.example/far).",
            "1. orbit\n2. `tide`",
            "```python\nprint(384_400)\n```",
            "> so it is said",
            "| Body | Distance |\n| --- | --- |\n| [Moon](https://moon.example/) | 384400 |",
        ]
    )
    assert (app_name(message), attachments_text(message), files_of(message), parse_posted_question(message)) == (
        "Typist",
        "",
        (),
        None,
    )


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("app_context_changed", "C0GENERAL"),
        ("app_context_changed_with_user", "C0GENERAL"),
        ("app_home_opened", ""),
        ("app_home_opened_messages", "C0GENERAL"),
        ("assistant_thread_context_changed", "C0GENERAL"),
        ("assistant_thread_started", "C0GENERAL"),
    ],
)
def test_channel_in_view_is_parsed(name: str, channel: str) -> None:
    event = event_of(name)
    assert context_in_view(event.get("assistant_thread", event)) == AppContext(channel)


@pytest.mark.parametrize("name", ["app_context_changed", "app_context_changed_with_user"])
def test_viewer_is_the_person_in_whose_name_the_event_came(name: str) -> None:
    assert viewer_of(load(f"events/{name}")) == "U0ADA"


def test_first_channel_that_a_context_names_is_in_view() -> None:
    ids = ("", "C1", "C2")
    channels = [{"type": "slack#/types/channel_id", "value": id_} for id_ in ids]
    messages = [{"type": "slack#/types/message_context", "value": {"channel_id": id_}} for id_ in ids]
    for entities in (channels, messages, [channels[0], *messages], [messages[0], *channels]):
        assert context_in_view({"context": {"entities": entities}}) == AppContext("C1")
        assert context_in_view({"context": {"channel_id": "", "entities": entities}}) == AppContext("C1")


@pytest.mark.parametrize(
    ("before", "after", "is_end"),
    [
        ({"streaming_state": "in_progress"}, {"streaming_state": "completed"}, True),
        (None, {"streaming_state": "completed"}, True),
        (None, {"streaming_state": "completed", "edited": {"user": "U1", "ts": "1.0"}}, False),
        ({"streaming_state": "completed"}, {"streaming_state": "completed"}, False),
        ({"streaming_state": "in_progress"}, {"streaming_state": "in_progress"}, False),
        ({}, {}, False),
    ],
)
def test_end_of_a_stream_is_told_from_an_edit(before: Any, after: dict[str, Any], is_end: bool) -> None:
    assert is_stream_end({"previous_message": before, "message": after}) is is_end


@pytest.mark.parametrize(
    ("event", "tries", "is_first"),
    [
        ({"type": "message", "channel_type": "channel", "text": "and then?"}, [], True),
        ({"type": "message", "channel_type": "channel", "text": "and then?"}, ["0"], True),
        ({"type": "message", "channel_type": "channel", "text": "and then?"}, ["1"], False),
        ({"type": "message", "channel_type": "channel", "text": "<@U0ADA> and you?"}, [], True),
        ({"type": "message", "channel_type": "channel", "text": "<@U0BOT> why?"}, [], False),
        ({"type": "message", "channel_type": "mpim", "text": "<@U0BOT> why?"}, [], False),
        ({"type": "message", "channel_type": "im", "text": "<@U0BOT> why?"}, [], True),
        ({"type": "app_mention", "text": "<@U0BOT> why?"}, [], True),
        ({"type": "app_mention", "text": "<@U0BOT> why?"}, ["2"], False),
        ({"type": "reaction_added"}, [], True),
    ],
    ids=str,
)
def test_message_is_delivered_first_by_one_event(event: dict[str, Any], tries: list[str], is_first: bool) -> None:
    headers = {"x-slack-retry-num": tries} if tries else {}
    assert is_first_delivery(event, headers, "U0BOT") is is_first


@pytest.mark.parametrize(
    ("error", "is_acknowledged"),
    [
        (PayloadError("no ts"), True),
        (Stuck("a text"), True),
        (StoreError("away"), False),
        (ValueError("a bug"), False),
    ],
    ids=repr,
)
async def test_event_that_would_fail_again_is_acknowledged(error: Exception, is_acknowledged: bool) -> None:
    response = await on_error(error)
    assert (response is not None and response.status == 200) is is_acknowledged


def test_app_context_names_a_message_and_its_channel() -> None:
    context = event_of("message_im_app_context")["app_context"]
    assert context_in_view({"context": context}) == AppContext("C0GENERAL", "1790000000.000100")


@pytest.mark.parametrize("ts", ["", "1", 1.5, None, "1.0 <@U1>"])
def test_message_without_a_usable_ts_leaves_its_channel_in_view(ts: object) -> None:
    message = {"type": "slack#/types/message_context", "value": {"channel_id": "C1", "message_ts": ts}}
    assert context_in_view({"context": {"entities": [message]}}) == AppContext("C1")


@pytest.mark.parametrize(
    ("viewed", "context"),
    [
        ([("canvas", "F1")], AppContext(canvas_id="F1")),
        ([("canvas", "F1"), ("channel", "C1")], AppContext("C1", canvas_id="F1")),
        ([("channel", "C1"), ("canvas", "F1")], AppContext("C1", canvas_id="F1")),
        ([("canvas", "F1"), ("canvas", "F2")], AppContext(canvas_id="F1")),
        ([("list", "F9"), ("canvas", "")], AppContext()),
        ([("canvas", ["F1"]), ("canvas", None)], AppContext()),
    ],
    ids=str,
)
def test_canvas_in_view_is_parsed_besides_its_channel(viewed: list[tuple[str, Any]], context: AppContext) -> None:
    """Types by @slack/types, read on 2026-11-30: channel_id, canvas_id, list_id, message_context."""
    entities = [{"type": f"slack#/types/{kind}_id", "value": id_} for kind, id_ in viewed]
    assert context_in_view({"context": {"entities": entities}}) == context


@pytest.mark.parametrize(
    ("name", "control", "value"),
    [
        ("block_actions_button_channel_root", ReplyAction.STOP, ""),
        ("block_actions_button_ephemeral", ReplyAction.REGENERATE, ""),
        ("block_actions_button_grid", ReplyAction.STOP, "brief"),
        ("block_actions_button_in_thread", ReplyAction.STOP, "7"),
        ("block_actions_feedback", ReplyAction.FEEDBACK, "up"),
        ("block_actions_overflow", ReplyAction.REGENERATE_WITH, "thorough"),
    ],
)
def test_press_is_parsed(name: str, control: ReplyAction, value: str) -> None:
    press = press_of(load(f"interactivity/{name}"), "T0OURS")
    assert (press.action, press.value, press.user_id) == (control, value, "U0ADA")
    assert (press.thread.team_id, press.thread.channel_id) == ("T0OURS", "C0GENERAL")
    assert press.thread.thread_ts is not None
    assert press.thread.thread_ts < press.message_ts


def test_choice_in_an_answers_menu_is_the_action_itself() -> None:
    body = load("interactivity/block_actions_overflow")
    body["actions"][0] |= {"action_id": MORE, "selected_option": {"value": "delete"}}
    press = press_of(body, "T0OURS")
    assert (press.action, press.value) == (ReplyAction.DELETE, MORE)
    body["actions"][0] |= {"selected_option": {"value": "explode"}}
    with pytest.raises(PayloadError):
        press_of(body, "T0OURS")


def test_reason_names_the_message_of_the_answer_and_not_its_own() -> None:
    body = load("interactivity/block_actions_button_ephemeral")
    body["actions"][0] |= {"action_id": "feedback_reason-too_long", "value": "1790000040.000200"}
    press = follow_up_press_of(body, "T0OURS")
    assert (press.action, press.value) == (ReplyAction.FEEDBACK_REASON, "too_long")
    assert press.message_ts == "1790000040.000200" != body["container"]["message_ts"]
    assert press.thread.thread_ts == body["container"]["thread_ts"]
    body["actions"][0]["value"] = "the newest"
    with pytest.raises(PayloadError):
        follow_up_press_of(body, "T0OURS")


def test_reaction_in_an_event_is_parsed() -> None:
    event = event_of("reaction_added_shared_channel")
    reaction = Reaction("C0EXAMPLE01", "1599529504.000400", "heart_eyes", "W0EXAMPLE01", "W0EXAMPLE01")
    assert reaction_of(event) == reaction
    assert reaction_of({**event, "reaction": "thumbsup"}) == replace(reaction, emoji="+1")
    assert reaction_of({**event, "item_user": None}) == replace(reaction, writer_id="")
    assert reaction_of({**event, "reaction": "heart_eyes::skin-tone-2"}) == reaction
    assert reaction_of({**event, "item": {"type": "file", "file": "F1"}}) is None


def test_command_shortcut_and_modals_are_parsed() -> None:
    command, shortcut = load("interactivity/slash_command"), load("interactivity/message_action")
    for invocation in (invocation_of_command(command), invocation_of_shortcut(shortcut)):
        assert (invocation.user_id, invocation.channel_id) == ("U0ADA", "C0GENERAL")
    message = message_of_shortcut(shortcut, "T0OURS")
    assert (message.text, message.team_id, message.ts) == ("<@U0BOT> please", "T0OURS", shortcut["message_ts"])
    submitted = SETTINGS.read(load("interactivity/view_submission")["view"])
    assert (submitted.place.channel_id, submitted.entered.model, submitted.entered.system_prompt) == (
        "C0GENERAL",
        "long",
        "Say less",
    )
    question = ASK_MODAL.read(load("interactivity/view_submission_question")["view"])
    assert (question.about.channel_id, question.text) == ("C0GENERAL", "How far, in miles?")


IN_LIST = {
    "user": {"id": "U0ADA"},
    "trigger_id": "1.2",
    "actions": [{"action_id": "schedule_run", "value": "7"}],
    "view": {"type": "modal", "id": "V1", "private_metadata": json.dumps({"channel_id": "C0GENERAL"})},
}
CHANGED = {
    "user": {"id": "U0ADA"},
    "view": {
        "private_metadata": json.dumps({"id": "7", "place": {"channel_id": "", "view_id": "V1"}}),
        "blocks": [{"type": "input", "block_id": "other", "element": {"initial_value": "0 9 * * *"}}],
        "state": {"values": {"other": {"other": {"value": "0 8 * * *"}}}},
    },
}


def test_presses_and_changes_of_schedules_are_parsed_whatever_their_shape() -> None:
    press = schedule_press_of(IN_LIST, "T0OURS")
    assert (press.action, press.schedule_id, press.user_id) == (ScheduleAction.RUN, 7, "U0ADA")
    assert press.place == ListPlace("C0GENERAL", "V1")
    _, changed = submission_in(CHANGED, CHANGE_SCHEDULE)
    assert (changed.schedule_id, changed.place, changed.entered) == (
        7,
        ListPlace("", "V1"),
        {ScheduleField.OTHER: "0 8 * * *"},
    )
    parsers: list[tuple[Callable[[Any], SchedulePress | SubmittedSchedule], Any]] = [
        (lambda body: schedule_press_of(body, "T0OURS"), IN_LIST),
        (lambda body: submission_in(body, CHANGE_SCHEDULE)[1], CHANGED),
    ]
    for parse, body in parsers:
        for _, mutation in mutations(body, 5):
            with suppress(PayloadError):
                assert 0 <= parse(mutation).schedule_id < 10**18


IN_MEMORY_MODAL = {
    "user": {"id": "U0ADA"},
    "trigger_id": "1.2",
    "view": {
        "private_metadata": json.dumps({"channel_id": "C0GENERAL", "response_url": ""}),
        "blocks": [
            {"type": "input", "block_id": f"memory-{number}", "element": {"initial_value": text}}
            for number, text in enumerate(("Tea", "Milk", "Salt"), start=7)
        ],
        "state": {
            "values": {
                **{f"memory-{number}": {"": {"value": text}} for number, text in ((7, "Tea"), (8, None))},
                "memory-9": {"": {"value": " <@U0BEN> & <b> "}},
                f"memory-{'9' * 19}": {"": {"value": "no id"}},
                "keep_hidden": {"": {"selected_options": [{"value": "keep_hidden"}]}},
            }
        },
    },
}


def test_changes_of_memories_are_parsed_whatever_their_shape() -> None:
    _, submitted = submission_in(IN_MEMORY_MODAL, MEMORY)
    assert submitted.changed_texts == {8: "", 9: "<@U0BEN> &amp; &lt;b&gt;"}
    assert (submitted.listed_ids, submitted.keeps_hidden) == ([7, 8, 9], True)
    assert settings_press_of(IN_MEMORY_MODAL) == ("U0ADA", "1.2", submitted.place)
    for _, mutation in mutations(IN_MEMORY_MODAL, 5):
        with suppress(PayloadError):
            assert all(id_ < 10**18 for id_ in submission_in(mutation, MEMORY)[1].listed_ids)


@pytest.mark.parametrize("value", ["", "x", "-1", "9" * 19, "7 or 1"])
def test_button_that_names_no_schedule_is_refused(value: str) -> None:
    with pytest.raises(PayloadError):
        schedule_press_of({**IN_LIST, "actions": [{"action_id": "schedule_stop", "value": value}]}, "T0OURS")


@pytest.mark.parametrize(
    ("name", "called", "kind"),
    [
        ("bot", "ada", UserKind.BOT),
        ("deactivated_bot", "ada", UserKind.DEACTIVATED),
        ("deactivated_member", "ada", UserKind.DEACTIVATED),
        ("invited_member", "Ada Byron", UserKind.MEMBER),
        ("member", "ada", UserKind.MEMBER),
        ("slackbot", "ada", UserKind.MEMBER),
    ],
)
def test_people_have_names_and_kinds_even_if_deactivated(name: str, called: str, kind: UserKind) -> None:
    user = load(f"web_api/users_info_{name}")["user"]
    assert (name_of(user), kind_of(user, "T0SANDBOX")) == (called, kind)
