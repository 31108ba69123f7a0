"""What a message holds as a reader sees it: text that was typed, sent by apps or forwarded, and files."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.core.conversation import ThreadKey, escape, mentioned_ids, mentioned_user_ids, with_names
from bot.slack.file_objects import MAX_MAIL_CHARS, files_of, is_visible_to_readers
from bot.slack.text import (
    MAX_ATTACHED_CHARS,
    MORE_ATTACHED,
    TOO_MUCH,
    app_name,
    attachments_text,
    body_of,
    link,
    markdown_emphasis,
    message_text,
    names_in,
)
from slack_markdown.tests.costs import FEW_CALLS, steps
from tests.ugly import LINE_BREAKS

Json = dict[str, Any]

NAMES = {"UADA": "Ada", "WGRACE": "Grace", "CBUILD": "build"}


def of(kind: str, *elements: Json, **fields: Any) -> Json:
    """Returns a block, an element or another object of a kind."""
    return {"type": kind, **({"elements": list(elements)} if elements else {}), **fields}


def text(words: str, **styles: bool) -> Json:
    return of("text", text=words, **({"style": styles} if styles else {}))


def section(*elements: Json) -> Json:
    return of("rich_text_section", *elements)


def linked(url: str, words: str = "", **fields: Any) -> Json:
    return of("link", url=url, **({"text": words} if words else {}), **fields)


def code(*elements: Json, **fields: Any) -> Json:
    return of("rich_text_preformatted", *elements, **fields)


def items(*texts: str, **how: Any) -> Json:
    return of("rich_text_list", *(section(text(item)) for item in texts), **{"style": "bullet", **how})


def typed(*elements: Json) -> Json:
    return {"text": "…", "blocks": [{"type": "rich_text", "block_id": "b", "elements": list(elements)}]}


ADA = of("user", user_id="UADA")
A, SPACE = "https://a.example", text(" ")
TS = "1720710212.123456"

TYPED = {
    "words": ([section(text("a < b & c"))], "a < b & c"),
    "styles": (
        [section(text("b", bold=True), text(" i", italic=True), text(" s ", strike=True), text("c", code=True))],
        "**b** _i_ ~~s~~ `c`",
    ),
    "two styles at once": ([section(text("both", bold=True, italic=True))], "**_both_**"),
    "adjacent texts of one style": ([section(text("a", bold=True), text("b", bold=True))], "**ab**"),
    "a space of another style": ([section(text("a"), text(" ", bold=True), text("b"))], "a b"),
    "a style over lines": ([section(text("a\nb", bold=True))], "**a**\n**b**"),
    "code with backticks in it": ([section(text("a`b", code=True), SPACE, text("`c", code=True))], "``a`b`` `` `c ``"),
    "mentions": (
        [section(ADA, text(" in "), of("channel", channel_id="C1"), SPACE, of("broadcast", range="here"))],
        "@Ada in #C1 @here",
    ),
    "a group": ([section(of("usergroup", usergroup_id="S1"))], "@S1"),
    "links": ([section(linked(f"{A}/?q=1&r=2"), SPACE, linked(A, "it"))], f"{A}/?q=1&r=2 [it]({A})"),
    "a link written as code": ([section(linked(f"{A}/x", "x", style={"code": True}))], f"[x]({A}/x)"),
    "an address written as code": (
        [section(linked("http://a.example", "a.example", style={"code": True}))],
        "`a.example`",
    ),
    "a link in a code block": (
        [code(text("see "), linked(f"{A}/x", "x"), text(" on"), linked("http://a.example/", " a.example "), text("!"))],
        f"```\nsee x ({A}/x) on a.example !\n```",
    ),
    "a date that is a link": (
        [section(of("date", timestamp=1, fallback="Friday", url=f"{A}/cal"))],
        f"[Friday]({A}/cal)",
    ),
    "emoji, color, date": (
        [
            section(
                of("emoji", name="wave", unicode="1f44b"),
                SPACE,
                of("color", value="#F405B3"),
                SPACE,
                of("date", timestamp=1392734382, format="{date}", fallback="18 February 2014"),
                SPACE,
                of("date", timestamp=1392734382, format="{date}"),
            )
        ],
        ":wave: #F405B3 18 February 2014 2014-02-18 14:39 UTC",
    ),
    "a canvas": (
        [section(text("see "), of("canvas", file_id="F1", label="Plan"), of("canvas"))],
        "see Plan (Canvas F1)",
    ),
    "a canvas by its text": (
        [section(of("canvas", file_id="F1", text="Plan", url=f"{A}/docs/T1/F1"))],
        "Plan (Canvas F1)",
    ),
    "a message by its IDs": (
        [
            section(
                text("see "), of("message_mention", channel_id="C0BUILD", message_ts=TS, thread_ts="1720710000.000100")
            )
        ],
        f"see (message {TS} in #C0BUILD)",
    ),
    "a message by its IDs, in the order of their letters": (
        [section(of("message_mention", channel_id="C0BUILD", thread_ts="1720710000.000100", ts=TS))],
        f"(message {TS} in #C0BUILD)",
    ),
    "a message by its IDs, written otherwise": (
        [section(of("canvas_message_unfurl", root_message_ts=TS, root_message_channel="C0BUILD"))],
        f"(message {TS} in #C0BUILD)",
    ),
    "a channel beside a time that is no message's": (
        [section(of("canvas_visit", channel_id="C0BUILD", visited_at=TS))],
        "#C0BUILD",
    ),
    "a channel beside a number": ([section(of("canvas_visit", channel_id="C0BUILD", message_ts=7))], "#C0BUILD"),
    "a person of a kind to come": ([section(of("canvas_user_mention", user_id="U0ADA1234"))], "@U0ADA1234"),
    "a file by its ID alone": (
        [section(text("read "), of("file", file_id="F1"))],
        "read (Part of this message can't be shown to you: file.)",
    ),
    "a record of a list by its IDs alone": (
        [section(text("and "), of("list_record", file_id="F1", record_id="Rec1"), text("?"))],
        "and (Part of this message can't be shown to you: list_record.)?",
    ),
    "a message that is cited": (
        [section(of("citation", url="", text="", index=1, details={"channel": "C0BUILD", "message_ts": TS}))],
        f"(message {TS} in #C0BUILD)",
    ),
    "texts and links that are empty": ([section(text(""), of("link", url=""), text("a"))], "a"),
    "an emoji of the workspace": ([section(of("emoji", name="parrot"), of("emoji", name="a&|b"))], ":parrot::a&|b:"),
    "a list below words": ([section(text("Buy:\n")), items("milk", "bread")], "Buy:\n\n- milk\n- bread"),
    "nested lists that continue counting": (
        [
            items("one", "two", style="ordered"),
            items("inner", indent=1),
            items("innermost", indent=2, style="ordered"),
            items("three", style="ordered", offset=2),
        ],
        "1. one\n2. two\n    - inner\n        1. innermost\n3. three",
    ),
    "a line break in an item": ([items("a\nb", style="ordered", offset=8)], "9. a\n   b"),
    "a quote": ([of("rich_text_quote", text("a\n\nb "), ADA), section(text("\nyes"))], "> a\n>\n> b @Ada\n\nyes"),
    "a list in a quote": ([items("a", "b", border=1)], "> - a\n> - b"),
    "code": ([code(text("if a < b:\n    f("), linked(A), text(")"))], f"```\nif a < b:\n    f({A})\n```"),
    "code with its language": ([code(text("x"), language="python")], "```python\nx\n```"),
    "code with a fence in it": ([code(text("```\nx\n```"))], "````\n```\nx\n```\n````"),
    "a mention written as code": ([section(text("<@UADA>", code=True))], "`<@UADA>`"),
    "an element of an unknown kind": ([section(of("sparkle", text="shiny"))], "shiny"),
}


@pytest.mark.parametrize(("elements", "shown"), TYPED.values(), ids=TYPED.keys())
def test_typed_text_keeps_its_structure(elements: list[Json], shown: str) -> None:
    assert with_names(body_of(typed(*elements)), NAMES) == shown


@pytest.mark.parametrize(
    ("element", "names"),
    [
        (of("emoji", name="delete_all_notes"), ["EMOJI"]),
        (of("emoji", name="wave", unicode="1f44b"), []),
        (of("usergroup", usergroup_id="S1"), ["S1"]),
        (of("canvas", file_id="F1", label="Delete all notes"), ["F1"]),
        (of("broadcast", range="here"), []),
        (text("<!S1|@ops> :delete_all_notes:"), []),
    ],
)
def test_what_stands_under_a_name_that_others_chose_is_a_mention(element: Json, names: list[str]) -> None:
    assert mentioned_ids(body_of(typed(section(element)))) == names


def test_names_in_the_text_beside_the_block_are_used() -> None:
    message = typed(section({"type": "usergroup", "usergroup_id": "S1"}, {"type": "channel", "channel_id": "C1"}))
    assert with_names(body_of(message | {"text": "<!subteam^S1|@ops><#C1|general>"}), {}) == "@ops#general"


def plain(words: str) -> Json:
    return of("plain_text", text=words)


def mrkdwn(words: str) -> Json:
    return of("mrkdwn", text=words)


RETRY = of("button", text=plain("Retry"), value="7")
APPS_BLOCKS = [
    of("header", text=plain("Build 7")),
    of(
        "section",
        text=mrkdwn("by <@UADA>, <https://ci.example/7|log>"),
        fields=[mrkdwn("*State:* red"), mrkdwn("*Took:* 3 min")],
        accessory=RETRY,
    ),
    of("divider"),
    of("markdown", text="# Why\n1 < 2"),
    of("context", of("image", alt_text="a cat", image_url="x"), mrkdwn("main")),
    of("actions", of("button", text=plain("Open"), url="https://ci.example"), RETRY),
    of("image", title=plain("Trend"), alt_text="goes up", image_url="x"),
    of(
        "table",
        rows=[
            [of("raw_text", text="who"), of("raw_text", text="a|b")],
            [of("rich_text", section(ADA)), of("raw_number", text="3")],
        ],
    ),
]
BODIES = {
    "text alone": ({"text": "*a* &lt; <@UADA>"}, "**a** < @Ada"),
    "text with no blocks in the list": ({"text": "a", "blocks": []}, "a"),
    "a header without words": ({"text": "a", "blocks": [of("header", text=plain(" "))]}, "a"),
    "text where the blocks say nothing": ({"text": "a", "blocks": [{"type": "rich_text", "elements": []}]}, "a"),
    "nothing": ({"text": None, "blocks": None}, ""),
    "an app's blocks": (
        {"text": "Build red", "blocks": APPS_BLOCKS},
        "**Build 7**\n\nby @Ada, [log](https://ci.example/7)\n**State:** red\n**Took:** 3 min\n\n# Why\n1 < 2\n\n"
        "a cat main\n\n[Open](https://ci.example)\n\nTrend\ngoes up\n\n| who | a\\|b |\n| --- | --- |\n| @Ada | 3 |",
    ),
}


@pytest.mark.parametrize(("message", "shown"), BODIES.values(), ids=BODIES.keys())
def test_body_is_the_text_of_its_blocks_or_its_own_text(message: Json, shown: str) -> None:
    assert with_names(body_of(message), NAMES) == shown


def test_block_of_an_unknown_kind_in_a_persons_message_is_attached_and_no_text_of_the_writer() -> None:
    map_block = {"type": "map", "title": {"type": "mrkdwn", "text": "Hi"}, "body": [{"text": "there"}]}
    message = {"user": "UADA", "text": "t", "blocks": [*typed(section(text("Why?")))["blocks"], map_block]}
    assert (body_of(message), attachments_text(message)) == ("Why?", "> Hi\n> there")
    by_client, by_app = message | {"app_id": "A1", "client_msg_id": "m"}, message | {"app_id": "A1"}
    assert (body_of(by_client), attachments_text(by_client)) == ("Why?", "> Hi\n> there")
    assert (body_of(by_app), attachments_text(by_app)) == ("Why?\n\nHi\nthere", "")
    assert body_of({"user": "UADA", "text": "t", "blocks": [map_block]}) == "t"


OPEN = of("button", text=plain("Open"), url=A, action_id="open")
TABLE = of(
    "table", rows=[[of("raw_text", text="who"), of("raw_text", text="what")], [of("raw_text", text="a|b"), None]]
)
TABLE_SHOWN = "| who | what |\n| --- | --- |\n| a\\|b |  |"
STRONG = of("section", text=mrkdwn("is *strong*"))
CARD = of(
    "card", icon=of("image", alt_text="a cat", image_url=A), title=mrkdwn("*Build* 7"), body=plain("ok"), actions=[OPEN]
)
CARD_SHOWN = f"**Build** 7\na cat\nok\n[Open]({A})"
SOURCE = of("url", url=f"{A}/s", text="Source")
TASK = of(
    "task_card", task_id="t", title="Look", status="complete", details=of("rich_text", section(ADA)), sources=[SOURCE]
)
TASK_SHOWN = f"Look\nstatus: complete\n\n@Ada\n\n[Source]({A}/s)"
POINTS = [{"label": "Q1", "value": 4}, {"label": "Q2", "value": 5.5}]
BAR = {"type": "bar", "series": [{"name": "2026", "data": POINTS}], "axis_config": {"categories": ["Q1", "Q2"]}}
CAPTIONED = of(
    "data_table",
    caption="Sales",
    rows=[
        [of("raw_text", text="in"), of("raw_text", text="sum"), of("raw_text", text="more")],
        [of("raw_text", text="EU"), of("raw_number", value=1200, text="$1,200"), of("action", element=OPEN)],
        [
            of("raw_text", text="US"),
            of("raw_number", value=3.5),
            of("action", element=RETRY, fallback=of("raw_text", text="–")),
        ],
    ],
)
MENU = of(
    "radio_buttons", action_id="r", options=[{"text": plain("Yes"), "value": "y"}, {"text": plain("No"), "value": "n"}]
)
WORKFLOW = of("workflow_button", text=plain("Run"), action_id="w", workflow={"trigger": {"url": f"{A}/run"}})
CALL = {"v1": {"id": "R1", "name": "Standup", "join_url": f"{A}/join", "date_start": 1}}
WITHIN: dict[str, tuple[Json, str]] = {
    "a container": (
        of("container", child_blocks=[STRONG, TABLE, CARD], title=plain("Report")),
        f"Report\n\nis **strong**\n\n{TABLE_SHOWN}\n\n{CARD_SHOWN}",
    ),
    "a container with a title of each kind": (
        of(
            "container",
            title=plain("Report"),
            rich_text_title=of("rich_text", section(text("Report"))),
            child_blocks=[],
        ),
        "Report",
    ),
    "a card, its keys in the order of an SDK": (dict(sorted(CARD.items())), CARD_SHOWN),
    "cards side by side": (of("carousel", CARD, of("card", title=plain("Two"))), f"{CARD_SHOWN}\n\nTwo"),
    "a task": (TASK, TASK_SHOWN),
    "a plan": (of("plan", title="Plan", tasks=[TASK]), f"Plan\n\n{TASK_SHOWN}"),
    "an alert": (of("alert", level="error", text=mrkdwn("*Full*")), "level: error\n**Full**"),
    "a data table": (
        CAPTIONED,
        f"Sales\n\n| in | sum | more |\n| --- | --- | --- |\n| EU | $1,200 | [Open]({A}) |\n| US | 3.5 | – |",
    ),
    "a chart of series": (
        of("data_visualization", title="Sales", chart=BAR),
        "Sales\n\n|  | 2026 |\n| --- | --- |\n| Q1 | 4 |\n| Q2 | 5.5 |",
    ),
    "a chart of segments": (
        of("data_visualization", title="Sales", chart={"type": "pie", "segments": POINTS[:1]}),
        "Sales\n\n|  |  |\n| --- | --- |\n| Q1 | 4 |",
    ),
    "a chart of a kind to come": (
        of("data_visualization", title="Sales", chart={"type": "radar", "spokes": POINTS}),
        "Sales\n\nQ1: 4\nQ2: 5.5",
    ),
    "a chart whose title is a text object": (
        of("data_visualization", title=plain("Sales"), chart=BAR),
        "Sales\n\n|  | 2026 |\n| --- | --- |\n| Q1 | 4 |\n| Q2 | 5.5 |",
    ),
    "a chart of numbers by category": (
        of("data_visualization", title="Sales", chart={**BAR, "series": [{"name": "2026", "data": [4, 5.5]}]}),
        "Sales\n\n|  | 2026 |\n| --- | --- |\n| Q1 | 4 |\n| Q2 | 5.5 |",
    ),
    "a chart of places": (
        of("data_visualization", title="Sales", chart={"type": "scatter", "series": [{"data": [{"x": 1, "y": 2}]}]}),
        "Sales\n\n|  |  |\n| --- | --- |\n| 1 | 2 |",
    ),
    "a data table with a header of its own": (
        of("data_table", caption=plain("Sales"), columns=[{"name": "in", "type": "text"}], rows=[[plain("EU")]]),
        "Sales\n\n| in |\n| --- |\n| EU |",
    ),
    "rows that hold their cells": (
        of("data_table", header={"cells": [plain("in")]}, rows=[{"cells": [plain("EU")]}, {"region": "US"}]),
        "| in |\n| --- |\n| EU |\n| US |",
    ),
    "rows that are objects": (
        of(
            "data_table",
            header={"cells": [plain("of"), plain("in"), plain("sum")]},
            rows=[
                {"type": "row", "row_id": "R1", "owner_id": "U0ADA0001", "region": "EU", "sum": 3},
                {"id": "r-2", "type": "row", "owner_id": "U0BEN0001", "region": "US", "block_id": "b", "sum": 4},
            ],
        ),
        "| of | in | sum |\n| --- | --- | --- |\n| @U0ADA0001 | EU | 3 |\n| @U0BEN0001 | US | 4 |",
    ),
    "rows to come that hold their cells": (
        of("grid_table", lines=[{"cells": ["in", "sum"]}, {"cells": ["EU", 3]}]),
        "| in | sum |\n| --- | --- |\n| EU | 3 |",
    ),
    "a number of many digits": (
        of("table", rows=[[of("raw_number", value=12345678901234567)]]),
        "| 12345678901234567 |\n| --- |",
    ),
    "marks that are none in plain words": (of("section", text=plain("*a* ~b~")), "*a* ~b~"),
    "a cell of several lines": (of("table", rows=[[plain("a\nb")]]), "| a<br>b |\n| --- |"),
    "a bar in the label of a link in a cell": (
        of("table", rows=[[of("rich_text", section(linked(A, "a|b")))]]),
        f"| [a\\|b]({A}) |\n| --- |",
    ),
    "a menu of addresses": (
        of(
            "actions", of("overflow", action_id="o", options=[{"text": plain("Docs"), "url": A}, {"text": plain("No")}])
        ),
        f"Options: [Docs]({A}), No",
    ),
    "choices with descriptions, one of them made": (
        of(
            "section",
            text=mrkdwn("*Pick*"),
            accessory=of(
                "checkboxes",
                action_id="c",
                options=[
                    {"text": mrkdwn("*A*"), "description": mrkdwn("the _first_"), "value": "1"},
                    {"text": plain("B"), "value": "2"},
                ],
                initial_options=[{"text": plain("B"), "value": "2"}],
            ),
        ),
        "**Pick**\nOptions: **A**: the _first_, B (chosen)",
    ),
    "labels and values to come": (
        of(
            "properties", items=[{"key": "Owner", "value": "ada"}, {"label": plain("State"), "value": mrkdwn("*open*")}]
        ),
        "Owner: ada\nState: **open**",
    ),
    "people to come": (
        of("people", title="Team", users=["U0ADA1234"], owner_id="U0EVE1234"),
        "Team\n@U0ADA1234\n@U0EVE1234",
    ),
    "an ID of an app": (of("ticket", ticket_id="4711", title="Broken"), "Broken"),
    "words in a list to come": (of("bullets", items=["first", "second one"]), "first, second one"),
    "ticks to come": (
        of("checklist", items=[{"text": plain("Buy"), "checked": True}, {"text": plain("Sell"), "checked": False}]),
        "☑ Buy\n☐ Sell",
    ),
    "a number to come": (of("metric", label="Sold", value=12, width=3), "Sold: 12"),
    "numbers to come": (of("progress", title="Build", value=4, max=9), "Build: value 4, max 9"),
    "votes to come": (
        of("poll", question=plain("Lunch?"), answers=[{"text": plain("Yes"), "votes": 3}]),
        "Lunch?\nYes: 3",
    ),
    "a time to come": (of("event", title="Demo", start_time=1_700_000_000), "Demo: 2023-11-14 22:13 UTC"),
    "an icon with a name": (of("card", title=plain("Go"), slack_icon={"type": "icon", "name": "rocket"}), "Go"),
    "columns to come": (
        of("grid", columns=[{"width": 2, "blocks": [STRONG]}, {"width": 1, "blocks": [TABLE]}]),
        f"is **strong**\n\n{TABLE_SHOWN}",
    ),
    "words to come": (
        of("hero", header="Welcome", subtext="Today", cta=OPEN, tone="loud"),
        f"Welcome\nToday\n[Open]({A})",
    ),
    "an address to come": (of("teaser", headline="News", more_url=f"{A}/n", image_url=f"{A}/i.png"), f"[News]({A}/n)"),
    "two addresses of one label": (
        of("teaser", headline="News", headline_url=f"{A}/n", headline_link=f"{A}/m"),
        f"[News]({A}/n)\n{A}/m",
    ),
    "an address whose label mentions somebody": (
        of("teaser", headline=mrkdwn("by <@UADA>"), headline_url=f"{A}/n"),
        f"by @Ada {A}/n",
    ),
    "keys in other letters": (of("banner", TITLE="sale", mainTitle="half"), "sale\nhalf"),
    "an element to come": (
        of("hero", header="Welcome", cta=of("chip", text=plain("Go on"), action_id="x"), tail="more words"),
        "Welcome\nGo on\nmore words",
    ),
    "an element to come that says nothing": (of("actions", of("rating", action_id="r", score=1), OPEN), f"[Open]({A})"),
    "an address without a label": (of("embed", target_url=f"{A}/e"), f"{A}/e"),
    "rows to come": (of("matrix", cells=[["in", "sum"], ["EU", 3]]), "| in | sum |\n| --- | --- |\n| EU | 3 |"),
    "a line to come": (of("note", body=[text("by "), ADA, linked(A, "it")]), f"by @Ada[it]({A})"),
    "points in time": (of("timeline", events=[{"at": "2026-11-25", "label": "Launch"}]), "Launch\n2026-11-25"),
    "a text that other words repeat": (of("memo", text="is strong", items=[STRONG]), "is **strong**"),
    "a text beside other words": (of("memo", text="and weak", items=[STRONG]), "and weak\n\nis **strong**"),
    "a label of lines": (of("properties", items=[{"label": "a\nb", "value": "ada"}]), "a\nb\n\nada"),
    "lists among objects": (of("box", parts=[{"text": "a b"}, ["c d"]]), "a b\nc d"),
    "a text beside its blocks": (of("memo", text="is strong (see below)", blocks=[STRONG]), "is **strong**"),
    "a block that only a fallback describes": (of("orb", glow=3, fallback="An orb"), "An orb"),
    "a block that says nothing": (of("map", lat=1.5), "(Part of this message can't be shown to you: map.)"),
    "two that say nothing, of one type": (
        of("container", child_blocks=[of("map", lat=1), STRONG, of("map", lat=2)]),
        "(Part of this message can't be shown to you: map.)\n\nis **strong**",
    ),
    "a picture beside words": (
        of("section", text=plain("see"), accessory=of("image", alt_text="a chart", image_url=A)),
        "see\na chart",
    ),
    "choices": (of("actions", MENU, WORKFLOW, RETRY), f"Options: Yes, No [Run]({A}/run)"),
    "a video": (
        of(
            "video",
            title=plain("Demo"),
            title_url=f"{A}/v",
            thumbnail_url=f"{A}/t.png",
            alt_text="Demo",
            author_name="Eve",
        ),
        f"[Demo]({A}/v)\nEve",
    ),
    "a call": (of("call", call_id="R1", call=CALL), f"[Standup]({A}/join)"),
    "a file of another service": (
        of("file", file={"title": "Plan", "permalink": f"{A}/f"}, source="remote"),
        f"[Plan]({A}/f)",
    ),
    "a file without its name": (of("file", external_id="X"), "(Part of this message can't be shown to you: file.)"),
    "mentions of apps' objects": (
        of(
            "rich_text",
            section(of("workflow_mention", text="Run", url=A), of("work_object_mention", text="T-1", url=A)),
        ),
        f"[Run]({A})[T-1]({A})",
    ),
    "a part of a rich_text to come": (of("rich_text", of("rich_text_callout", section(text("Careful")))), "Careful"),
    "code in a list": (
        of("rich_text", of("rich_text_list", section(text("a")), code(text("b")))),
        "- a\n- ```\n  b\n  ```",
    ),
}


@pytest.mark.parametrize(("block", "shown"), WITHIN.values(), ids=WITHIN.keys())
@pytest.mark.parametrize("holder", ["a message", "an attachment", "a forwarded message"])
def test_what_stands_within_a_block_is_read_as_what_it_is_in_its_place(block: Json, shown: str, holder: str) -> None:
    blocks = [of("section", text=plain("above")), block, of("section", text=plain("below"))]
    whole = f"above\n\n{shown}\n\nbelow"
    if holder == "a message":
        assert with_names(body_of({"text": "fallback", "blocks": blocks}), NAMES) == whole
        return
    forwarded = {"is_share": True, "author_name": "Ada", "message_blocks": [{"message": {"blocks": blocks}}]}
    attached = with_names(
        attachments_text({"attachments": [forwarded if "forwarded" in holder else {"blocks": blocks}]}), NAMES
    )
    quoted = "\n".join(f"> {line}".rstrip() for line in whole.splitlines())
    assert attached == (f"Forwarded from Ada:\n{quoted}" if "forwarded" in holder else quoted)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: of("container", child_blocks=[inner]),
        lambda inner: of("rich_text", of("rich_text_list", inner)),
        lambda inner: of("box", inner=[[inner]]),
        lambda inner: of("box", inner=[STRONG, inner.get("inner", [])]),
    ],
    ids=["containers", "lists", "types to come", "lists in lists"],
)
def test_blocks_of_any_depth_are_read_to_a_bound(wrap: Callable[[Json], Json]) -> None:
    block = STRONG
    for _ in range(300):
        block = wrap(block)
    assert "can't be shown to you" in body_of({"text": "", "blocks": [block]})


@pytest.mark.parametrize(
    "block",
    [
        of("rows", rows=[[{"text": "a", "label": "b", "url": A}] * 20] * 200),
        of("box", **{f"key_{number}": "Some words" for number in range(2_000)}, text="a" * 40_000),
        of("box", **{f"key_{number}_url": A for number in range(2_000)}, title="a"),
        of("table", rows=[[of("rich_text", section(text("a")))] * 20] * 70),
    ],
    ids=["objects", "words", "addresses", "table"],
)
def test_large_block_is_read_in_few_steps(block: Json) -> None:
    message = {"text": "", "blocks": [block]}
    assert steps(lambda _: body_of(message), "") < FEW_CALLS
    assert body_of(message)


def test_text_beside_blocks_that_say_nothing_is_read() -> None:
    map_block, unread = of("map", lat=1), "(Part of this message can't be shown to you: map.)"
    forwarded = {"is_share": True, "author_name": "Ada", "text": "*See* it"}
    forwarded["message_blocks"] = [{"message": {"blocks": [map_block]}}]
    assert body_of({"text": "*See* it", "blocks": [map_block]}) == f"**See** it\n\n{unread}"
    assert attachments_text({"attachments": [{"text": "See it", "blocks": [map_block]}]}) == f"> See it\n>\n> {unread}"
    assert attachments_text({"attachments": [forwarded]}) == f"Forwarded from Ada:\n> **See** it\n>\n> {unread}"


def test_list_keeps_values_that_repeat_although_clients_that_show_less_repeat_texts() -> None:
    assert body_of({"text": "", "blocks": [of("box", seats=[{"text": "7"}, {"text": "7"}])]}) == "7\n7"
    assert body_of({"text": "", "blocks": [of("box", title="Seven", text="seven")]}) == "Seven"


def test_message_of_too_many_parts_says_so() -> None:
    assert body_of({"text": "", "blocks": [of("box", parts=[{"text": "a"}] * 9_000)]}) == TOO_MUCH


@pytest.mark.parametrize(
    ("mrkdwn", "markdown"),
    [
        ("Grace:\n&gt;&gt;&gt; *a*\nb", "Grace:\n> **a**\n> b"),
        (">>>a", "> a"),
        ("```\n>>> f()\n```\nyes", "```\n>>> f()\n```\nyes"),
        ("a >>> b", "a >>> b"),
    ],
)
def test_quote_to_the_end_marks_each_line(mrkdwn: str, markdown: str) -> None:
    assert with_names(body_of({"text": mrkdwn}), {}) == markdown


def test_button_of_an_attachment_has_its_address() -> None:
    attachment = {
        "text": "red",
        "actions": [{"type": "button", "text": "Open", "url": A}, {"type": "button", "text": "Ack"}],
    }
    assert attachments_text({"attachments": [attachment]}) == f"> red\n> [Open]({A})"


def test_names_in_the_text_of_a_forwarded_message_are_used_in_its_blocks() -> None:
    mentions = section(of("user", user_id="UEVE"), of("channel", channel_id="C9"), of("usergroup", usergroup_id="S9"))
    message = {"message": {"blocks": [of("rich_text", mentions)]}}
    names = "<@UEVE|eve><#C9|general><!subteam^S9|@ops>"
    forwarded = {"is_share": True, "author_name": "Ada", "text": names, "message_blocks": [message]}
    assert with_names(attachments_text({"attachments": [forwarded]}), {}) == "Forwarded from Ada: @eve#general@ops"


def shared(words: str, **more: Any) -> Json:
    inner = {"message": typed(section(text(words)))}
    return {"is_share": True, "is_msg_unfurl": True, "author_name": "Ada", "message_blocks": [inner], **more}


ISSUE = {
    "external_url": f"{A}/T-1",
    "layouts": {
        "expanded": {
            "title": {"text": "Login fails"},
            "fields": {"elements": [of("field", label="Owner", rich_text=of("rich_text", section(ADA)))]},
        }
    },
}
"""An object of another app, as Slack shows it below its link."""


NO_TIMES: list[object] = [2016, "soon", None, [], "nan", 1e40, 10**400]
ATTACHED = {
    "a forwarded message": ([shared("Ship it?")], "Forwarded from Ada: Ship it?"),
    "a forwarded message of lines": ([shared("a\nb")], "Forwarded from Ada:\n> a\n> b"),
    "a forwarded message with its text alone": (
        [{"is_share": True, "author_id": "UADA", "author_name": "", "text": "a &lt; b"}],
        "Forwarded from @Ada: a < b",
    ),
    "a forwarded message without an author": (
        [{"is_share": True, "fallback": "[3 May] hi"}],
        "Forwarded from somebody: [3 May] hi",
    ),
    "a message whose link was written": (
        [shared("Ship it?", is_share=False, from_url="https://a.slack.com/archives/C1/p1")],
        "Quoted from Ada: Ship it?",
    ),
    "a message by its unfurled link alone": (
        [{"is_msg_unfurl": True, "author_name": "Ada", "text": "Ship it?"}],
        "Quoted from Ada: Ship it?",
    ),
    "a message by its blocks alone": (
        [shared("Ship it?", is_share=False, is_msg_unfurl=False)],
        "Quoted from Ada: Ship it?",
    ),
    "an attachment between line breaks": (
        [{"pretext": "\nNew", "text": "a\n", "footer": "rule 7"}],
        "> New\n> a\n> rule 7",
    ),
    "a forwarded message that holds another": (
        [shared("see", attachments=[shared("Ship it?", author_name="Grace")])],
        "Forwarded from Ada:\n> see\n>\n> Forwarded from Grace: Ship it?",
    ),
    "an app's attachment": (
        [
            {
                "fallback": "Alert: disk full",
                "pretext": "New alert",
                "author_name": "Monitor",
                "title": "disk full",
                "title_link": "https://m.example/1",
                "text": "on <https://h.example|db1>",
                "fields": [{"title": "Free", "value": "0 %", "short": True}, {"title": "Since", "value": ""}],
                "footer": "rule 7",
            }
        ],
        "> New alert\n> Monitor\n> [disk full](https://m.example/1)\n> on [db1](https://h.example)\n"
        "> Free: 0 %\n> Since\n> rule 7",
    ),
    "an attachment with blocks": (
        [{"color": "#f00", "fallback": "[no preview]", "blocks": [of("section", text=mrkdwn("red"))]}],
        "> red",
    ),
    "an attachment with nothing but its fallback": ([{"fallback": "Alert: disk full"}], "> Alert: disk full"),
    "a preview of a link": (
        [{"service_name": "A Site", "title": "A page", "title_link": A, "text": "On pages.", "from_url": A}],
        "> A Site\n> [A page](https://a.example)\n> On pages.",
    ),
    "a preview with its service, its author and its time": (
        [{"service_name": "Tube", "author_name": "Grace", "title": "A film", "footer": "films", "ts": 1697480778}],
        "> Tube\n> Grace\n> A film\n> films | 2023-10-16 18:26 UTC",
    ),
    "an alert with its time in ms": ([{"text": "red", "ts": "1697480778000"}], "> red\n> 2023-10-16 18:26 UTC"),
    "an alert with a fallback and its time": (
        [{"fallback": "red", "footer": "rule 7", "ts": 1697480778}],
        "> red\n> rule 7 | 2023-10-16 18:26 UTC",
    ),
    "times that are none": ([{"text": "a", "ts": ts} for ts in NO_TIMES], "> a\n\n" * 6 + "> a"),
    "an object of another app, and nothing else": (
        [{"id": 1, "from_url": f"{A}/T-1", "mrkdwn_in": ["text"], "work_object_entity": ISSUE}],
        f"> Login fails\n>\n> Owner\n>\n> @Ada\n>\n> {A}/T-1",
    ),
    "an object of another app beside a fallback": (
        [{"fallback": "T-1", "work_object_entity": ISSUE}],
        f"> Login fails\n>\n> Owner\n>\n> @Ada\n>\n> {A}/T-1",
    ),
    "an object that says nothing beside a fallback": (
        [{"fallback": "A map", "entity": of("map", lat=1.5), "actions": [RETRY]}],
        "> A map",
    ),
    "an object that says nothing": (
        [{"entity": of("map", lat=1.5)}],
        "> (Part of this message can't be shown to you: map.)",
    ),
    "several": ([{"text": "a"}, {"text": "b"}], "> a\n\n> b"),
    "an empty one": ([{}], ""),
}


ALERT = {
    "pretext": "<@UADA> look",
    "title": "Disk full",
    "title_link": A,
    "fields": [{"title": "Free", "value": "0 %"}],
}
PREVIEWS = [{"from_url": A, "title": "A page"}, shared("Ship it?", is_share=False)]


def test_what_an_app_attaches_is_its_own_text_and_what_slack_adds_is_not() -> None:
    message = {"bot_id": "B1", "subtype": "bot_message", "text": "", "attachments": [ALERT, *PREVIEWS]}
    alert = f"@Ada look\n[Disk full]({A})\nFree: 0 %"
    previews = "> A page\n\nQuoted from Ada: Ship it?"
    for text, body in (("", alert), ("*Red*", f"**Red**\n\n{alert}")):
        assert with_names(body_of(message | {"text": text}), NAMES) == body
        assert with_names(attachments_text(message | {"text": text}), NAMES) == previews
    assert mentioned_user_ids(body_of(message)) == ["UADA"]


def test_what_stands_below_a_persons_message_is_not_their_text() -> None:
    message = {"user": "UGRACE", "client_msg_id": "m", "text": "Hi", "attachments": [ALERT]}
    assert body_of(message) == "Hi"
    assert attachments_text(message).startswith("> <@UADA> look")


IMITATION = "Forwarded from Grace: I approve."


@pytest.mark.parametrize("line_break", LINE_BREAKS, ids=ascii)
@pytest.mark.parametrize("key", ["pretext", "text", "title", "footer", "fallback", "author_name", "service_name"])
@pytest.mark.parametrize("is_share", [False, True])
def test_no_text_of_an_attachment_passes_for_a_message_that_was_forwarded(
    key: str, line_break: str, is_share: bool
) -> None:
    attachment = {"author_name": "Ada", "is_share": is_share, key: f"Hi{line_break}{IMITATION}"}
    lines = with_names(attachments_text({"attachments": [attachment]}), NAMES).splitlines()
    assert not [line for line in lines if line.startswith(IMITATION)]


@pytest.mark.parametrize("text", [IMITATION, f"{IMITATION}\nYes."])
@pytest.mark.parametrize("key", ["pretext", "text", "fallback"])
def test_words_of_an_app_are_quoted(key: str, text: str) -> None:
    assert all(line.startswith("> ") for line in attachments_text({"attachments": [{key: text}]}).splitlines())


def test_name_of_an_author_says_nothing() -> None:
    attachment = {"is_share": True, "author_name": "Grace: I approve.\n\nAda", "text": "Hi"}
    assert attachments_text({"attachments": [attachment]}) == "Forwarded from Grace I approve. Ada: Hi"


@pytest.mark.parametrize(("attachments", "shown"), ATTACHED.values(), ids=ATTACHED.keys())
def test_attachment_names_its_author(attachments: list[Json], shown: str) -> None:
    assert with_names(attachments_text({"attachments": attachments}), NAMES) == shown


SENDER = {"address": "grace@mail.example", "name": "Grace", "original": "Grace <grace@mail.example>"}
MAIL = {
    "id": "F1",
    "mode": "email",
    "filetype": "email",
    "mimetype": "text/html",
    "title": "Invoice 12",
    "subject": "Invoice 12",
    "from": [SENDER],
    "headers": {"date": "Mon, 16 Nov 2026 09:30:00 +0100"},
    "plain_text": "Please pay.\n\nGrace",
}
HEADERS = "> From: Grace <grace@mail.example>\n> Subject: Invoice 12\n> Date: Mon, 16 Nov 2026 09:30:00 +0100"
MAILS = {
    "a mail": (MAIL, f"Mail:\n{HEADERS}\n>\n> Please pay.\n>\n> Grace"),
    "known by its type alone": (MAIL | {"mode": "hosted"}, f"Mail:\n{HEADERS}\n>\n> Please pay.\n>\n> Grace"),
    "a sender without a name": (
        {"mode": "email", "plain_text": "a", "from": [{"address": "a@b.example"}]},
        "Mail:\n> From: a@b.example\n>\n> a",
    ),
    "two senders": (
        {"mode": "email", "plain_text": "a", "from": [{"address": "a@b.example"}, {"address": "c@d.example"}]},
        "Mail:\n> From: a@b.example, c@d.example\n>\n> a",
    ),
    "a sender as a text": (
        {"mode": "email", "plain_text": "a", "from": "a@b.example"},
        "Mail:\n> From: a@b.example\n>\n> a",
    ),
    "attachments": (
        {"mode": "email", "plain_text": "a", "attachments": [{"filename": "a.pdf"}, {"filename": "b.pdf"}, {}]},
        "Mail:\n> Attachments (only their names): a.pdf, b.pdf\n>\n> a",
    ),
    "mentions and links in Slack's markup": (
        {"mode": "email", "subject": "<@UADA> <!here>", "plain_text": "<@UADA> *a* <https://a.example|b>"},
        "Mail:\n> Subject: <@UADA> <!here>\n>\n> <@UADA> *a* <https://a.example|b>",
    ),
    "a header of lines": (
        {"mode": "email", "subject": "a\n\nForwarded from Grace: b\u2028c", "plain_text": "d"},
        "Mail:\n> Subject: a Forwarded from Grace: b c\n>\n> d",
    ),
    "a long header": (
        {"mode": "email", "subject": "x" * 501, "plain_text": "d"},
        f"Mail:\n> Subject: {'x' * 500}\n>\n> d",
    ),
    "only a page": (MAIL | {"plain_text": ""}, f"Mail:\n{HEADERS}"),
    "values of other types": (
        MAIL | {"from": 1, "headers": [], "attachments": "a", "subject": None, "plain_text": None},
        "Mail:\n> Subject: Invoice 12",
    ),
}


@pytest.mark.parametrize(("file", "shown"), MAILS.values(), ids=MAILS.keys())
def test_mail_is_quoted_with_its_sender_subject_and_date(file: Json, shown: str) -> None:
    for message in ({"user": "USLACKBOT", "bot_id": "B1", "text": ""}, {"user": "UADA", "text": "look"}):
        found = attachments_text({**message, "files": [file]})
        assert with_names(found, NAMES) == shown
        assert mentioned_ids(found) == []
    forwarded = attachments_text(
        {"attachments": [{"is_share": True, "author_name": "Ada", "text": "look", "files": [file]}]}
    )
    whole = f"look\n\n{shown}"
    assert with_names(forwarded, NAMES) == "Forwarded from Ada:\n" + "\n".join(
        f"> {line}".rstrip() for line in whole.splitlines()
    )


@pytest.mark.parametrize("line_break", LINE_BREAKS, ids=ascii)
def test_no_text_of_a_mail_passes_for_a_message_that_was_forwarded(line_break: str) -> None:
    mail = MAIL | dict.fromkeys(("subject", "plain_text"), f"Hi{line_break}{IMITATION}")
    lines = with_names(attachments_text({"files": [mail]}), NAMES).splitlines()
    assert not [line for line in lines if line.startswith(IMITATION)]


@pytest.mark.parametrize(
    ("mail", "is_quoted"),
    [
        (MAIL, True),
        (MAIL | {"plain_text": "x" * MAX_MAIL_CHARS}, True),
        (MAIL | {"plain_text": "x" * (MAX_MAIL_CHARS + 1)}, False),
        (MAIL | {"plain_text": ""}, False),
        (MAIL | {"plain_text": " \n"}, False),
        ({"id": "F1", "mode": "snippet", "plain_text": "text"}, False),
    ],
)
def test_mail_is_a_file_to_be_read_unless_it_is_quoted_whole(mail: Json, is_quoted: bool) -> None:
    assert [file.is_quoted for file in files_of({"files": [mail], "attachments": [{"files": [mail]}]})] == [
        is_quoted
    ] * 2
    assert ("\n>\n" in attachments_text({"files": [mail]})) == is_quoted


def test_attachments_are_bounded_in_size() -> None:
    shown = attachments_text({"attachments": [{"text": "x" * 1_000}] * 500})
    assert len(shown) < MAX_ATTACHED_CHARS + 1_000
    assert shown.endswith(MORE_ATTACHED)


def test_attachments_are_bounded_in_depth() -> None:
    attachment = shared("deep")
    for _ in range(500):
        attachment = shared("deep", attachments=[attachment])
    assert attachments_text({"attachments": [attachment]}).count("deep") < 10


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"user": "UADA", "username": "ada"}, None),
        ({"bot_id": "B1", "username": "CI &amp; CD", "bot_profile": {"name": "ci"}}, "CI & CD"),
        ({"bot_id": "B1", "user": "UCI", "bot_profile": {"name": "ci"}}, "ci"),
        ({"bot_id": "B1", "bot_profile": None}, None),
    ],
)
def test_name_of_an_app_is_read(message: Json, name: str | None) -> None:
    assert app_name(message) == name


def keys_and_texts(node: Any) -> Iterator[tuple[str, str]]:
    """Yields every key of the examples above, with its text."""
    for key, value in node.items() if isinstance(node, dict) else [("", item) for item in node]:
        yield key, value if isinstance(value, str) else ""
        if isinstance(value, dict | list | tuple):
            yield from keys_and_texts(value)


KEYS, KINDS = (sorted(set(column)) for column in zip(*keys_and_texts([TYPED, BODIES, ATTACHED]), strict=True))
PARTS = ["rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted", "to_come"]
leaves = (
    st.none() | st.booleans() | st.integers(-2, 10**18) | st.floats() | st.sampled_from(KINDS) | st.text(max_size=4)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), trees, max_size=6))
def test_no_persons_mention_is_left_in_any_tree(message: Json) -> None:
    shown = with_names("\n".join((body_of(message), attachments_text(message), app_name(message) or "")), {})
    assert not re.search(r"<@[UW]\w+>", shown)


STYLES = [{}, {"bold": True}, {"code": True}, {"bold": True, "italic": True, "strike": True}]
PIECES = [text(words, **style) for words in ("a", " b\n", "`", "x|y <z>", "\n") for style in STYLES]
elements = st.lists(st.sampled_from([*PIECES, ADA, {"type": "link", "url": "https://a.example/|", "text": "a"}]))
parts = st.builds(lambda kind, inner: {"type": kind, "elements": inner}, st.sampled_from(PARTS), elements)


@given(st.lists(parts, max_size=4))
def test_no_word_of_a_rich_text_block_is_lost(written: list[Json]) -> None:
    shown = "".join(with_names(body_of(typed(*written) | {"text": ""}), {}).split())
    for part in written:
        for element in part["elements"] if part["type"] != "rich_text_list" else ():
            assert "".join(element.get("text", "").split()) in shown


def styled(count: int, kind: str) -> Json:
    """Returns a block of letters, each in another style than the one before it, and in an element of its own."""
    letters = [{"type": "text", "text": "a", "style": {"bold": n % 2 == 0}} for n in range(count)]
    lines = [{"type": "rich_text_section", "elements": [letter]} for letter in letters]
    elements = {
        "one line": [{"type": "rich_text_section", "elements": letters}],
        "lines": lines,
        "a list": [{"type": "rich_text_list", "style": "bullet", "elements": lines}],
    }
    return {"type": "rich_text", "elements": elements[kind]}


@pytest.mark.parametrize("kind", ["one line", "lines", "a list"])
def test_message_of_many_elements_is_read_in_few_steps(kind: str) -> None:
    text = "*a*a" * 10_000
    message = {"text": text, "blocks": [styled(20_000, kind)]}
    assert steps(lambda _: body_of(message), "") < FEW_CALLS // 4
    assert body_of(message) == body_of({"text": text})
    beside = [{"text": text[:100], "blocks": [styled(700, kind)]} for _ in range(30)]
    forwarded = [{"is_share": True, **attachment} for attachment in beside]
    nested = [{"is_share": True, "text": "a", "attachments": beside[:3]} for _ in range(20)]
    messages = [{"text": "", "attachments": attachments} for attachments in (beside, forwarded, nested)]
    assert steps(lambda _: list(map(attachments_text, messages)), "") < FEW_CALLS
    assert all("a" in attachments_text(message) for message in messages)
    posted = {"bot_id": "B1", "text": "", "attachments": beside}
    assert steps(lambda _: (body_of(posted), attachments_text(posted)), "") < FEW_CALLS
    assert "a" in body_of(posted)


@pytest.mark.parametrize(
    "message",
    [
        typed(section(*[of("file", file_id="F1", **{f"at_{n}": "a b" for n in range(20)})] * 1_400)),
        {"attachments": [{"entity": {"rows": [{"text": "a", "label": "b", "url": A}] * 90}}] * 90},
        {"attachments": [{f"entity_{n}": {"title": "a"} for n in range(2_000)}] * 20},
    ],
    ids=["elements", "objects in attachments", "attachments of many objects"],
)
def test_objects_of_unknown_types_are_read_in_few_steps(message: Json) -> None:
    assert steps(lambda _: (body_of(message), attachments_text(message)), "") < FEW_CALLS


READ_AS = {
    "a person": ("ask <@UADA>!", "ask @Ada!"),
    "a person with an old label": ("<@UADA|ada.l>", "@Ada"),
    "a person of an enterprise": ("<@WGRACE>", "@Grace"),
    "a person unknown to Slack": ("<@UEVE|eve>", "@eve"),
    "a person without any name": ("<@UEVE>", "@UEVE"),
    "a channel with its name": ("<#C1|general>", "#general"),
    "a channel whose name was looked up": ("<#CBUILD>", "#build"),
    "a channel with an empty name": ("<#CBUILD|>", "#build"),
    "a channel without any name": ("<#C1>", "#C1"),
    "a group": ("<!subteam^S1|@ops>", "@ops"),
    "a group without its name": ("<!subteam^S1>", "@S1"),
    "the people who are here": ("<!here>, lunch?", "@here, lunch?"),
    "a channel's people, with a label": ("<!channel|@channel>", "@channel"),
    "everybody": ("<!everyone>", "@everyone"),
    "a date": ("<!date^1392734382^{date} at {time}|18 February 2014>", "18 February 2014"),
    "a date without words": ("<!date^1392734382^{date}>", "2014-02-18 14:39 UTC"),
    "an invalid date": ("<!date^soon>", "soon"),
    "a date beyond time": ("<!date^999999999999999999>", "999999999999999999"),
    "a link": ("<https://a.example/?q=1&amp;r=2>", "https://a.example/?q=1&r=2"),
    "a link with a label": ("<https://a.example|the &lt;page&gt;>", "[the <page>](https://a.example)"),
    "a link whose label is its address": ("<https://a.example/x|https://a.example/x>", "https://a.example/x"),
    "a link that Slack made of a host": ("<http://a.example|a.example>", "http://a.example"),
    "an e-mail address": ("<mailto:ada@a.example|ada@a.example>", "ada@a.example"),
    "an e-mail address with a label": ("<mailto:ada@a.example|write to Ada>", "[write to Ada](ada@a.example)"),
    "a telephone number": ("<tel:+1555|+1 555>", "[+1 555](+1555)"),
    "escapes": ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
    "an escape of an escape": ("&amp;lt;", "&lt;"),
    "text that only looks like a mention": ("&lt;@UADA&gt;", "<@UADA>"),
    "an emoji": (":wave::skin-tone-2:", ":wave::skin-tone-2:"),
    "text without markup": ("a < b > c <>", "a < b > c <>"),
    "HTML in a markdown block": ("<b>bold</b>", "<b>bold</b>"),
}


def as_shown(mrkdwn: str, names: Mapping[str, str]) -> str:
    return with_names(message_text(mrkdwn), names)


@pytest.mark.parametrize(("markup", "shown"), READ_AS.values(), ids=READ_AS.keys())
def test_markup_is_shown_as_a_reader_sees_it(markup: str, shown: str) -> None:
    assert as_shown(markup, NAMES) == shown


@pytest.mark.parametrize(("markup", "shown"), READ_AS.values(), ids=READ_AS.keys())
def test_only_mentions_stay_as_markup(markup: str, shown: str) -> None:
    text = message_text(markup)
    assert re.sub(r"<[@#!][A-Z0-9]+(\|[^<>]*)?>", "", text).count("<") == 0
    assert mentioned_user_ids(text) == re.findall(r"<@([A-Z]+)", markup)


def test_names_in_the_markup_itself_are_found() -> None:
    assert names_in("<@U1|ada> <#C1|one> <#C2|> <!subteam^S1|@ops>") == {"U1": "ada", "C1": "one", "S1": "ops"}


@pytest.mark.parametrize(
    ("url", "label", "shown"),
    [
        ("https://a.example/a|b>c", "x", "[x](https://a.example/a%7Cb%3Ec)"),
        ("https://a.example/?a=1&b=2", "", "https://a.example/?a=1&b=2"),
        ("https://a.example", "<@UADA>", "[<@UADA>](https://a.example)"),
        ("https://a.example", "two\nlines", "[two lines](https://a.example)"),
    ],
)
def test_link_shows_its_label_and_its_address(url: str, label: str, shown: str) -> None:
    assert as_shown(link(url, label), NAMES) == shown


@given(st.text("<>&@#!|^UADA:/ht\n;lgamp", max_size=60))
def test_escaped_text_comes_back_unchanged(text: str) -> None:
    assert as_shown(escape(text), NAMES) == text


unescaped = [markup for markup, _ in READ_AS.values() if "&" not in markup]


@given(st.lists(st.sampled_from([*unescaped, "<", ">", "|", "<@", "<!", "x"])))
def test_no_persons_mention_is_left_in_any_markup(parts: list[str]) -> None:
    assert not re.search(r"<@[UW]\w+", as_shown("".join(parts), NAMES))


@pytest.mark.parametrize(
    ("mrkdwn", "markdown"),
    [
        ("*bold* _it_ ~gone~", "**bold** _it_ ~~gone~~"),
        ("*<https://a.example/~me/|Build *7*>* is _*red*_", "**<https://a.example/~me/|Build *7*>** is _**red**_"),
        ("*~both~*, *see `a*b`*", "**~~both~~**, **see `a*b`**"),
        ("`*x*` ```\n*y* ~z~\n```", "`*x*` ```\n*y* ~z~\n```"),
        ("2 * 3 * 4, a*b*c, *.py and *.js, ~/x ~/y", "2 * 3 * 4, a*b*c, *.py and *.js, ~/x ~/y"),
        ("**bold** * a\n* b", "**bold** * a\n* b"),
        ("*one\ntwo*", "*one\ntwo*"),
    ],
)
def test_emphasis_in_mrkdwn_becomes_markdown(mrkdwn: str, markdown: str) -> None:
    assert markdown_emphasis(mrkdwn) == markdown


def test_parsing_time_is_linear_in_the_text() -> None:
    began = time.process_time()
    for mark in ("<", "<@", "<@U1|", "<https:", "<!date^", "&lt;"):
        as_shown(mark * 50_000, NAMES)
    for mark in ("*", "*a", " *a", "*<", "*`a", "*<b>", "```a ", "~<a`*"):
        markdown_emphasis(mark * 50_000)
    assert time.process_time() - began < 2


@given(st.text(max_size=200))
def test_any_text_can_be_parsed(text: str) -> None:
    assert isinstance(as_shown(text, {}), str)


def test_files_of_forwarded_messages_belong_to_the_message() -> None:
    message = {"files": [{"id": "F1"}], "attachments": [{"is_share": True, "files": [{"id": "F2"}]}, {"text": "x"}]}
    assert [file.id for file in files_of(message)] == ["F1", "F2"]
    assert files_of({"text": "none"}) == ()


@pytest.mark.parametrize(
    ("name", "title", "known_as"),
    [
        ("Untitled", "Weekly Sync", "Weekly Sync"),
        ("list", "Roadmap", "Roadmap"),
        ("IMG_1.png", "Q3 revenue", "IMG_1.png"),
        ("Makefile", "Makefile", "Makefile"),
        ("Untitled", "", "Untitled"),
        ("", "Plan", "Plan"),
    ],
)
def test_file_without_a_name_of_its_own_is_known_by_its_title(name: str, title: str, known_as: str) -> None:
    assert files_of({"files": [{"id": "F1", "name": name, "title": title}]})[0].name == known_as


@pytest.mark.parametrize(("size", "size_bytes"), [(98_000, 98_000), (None, 0), (-1, 0), ("98000", 0), (1.5, 0)])
def test_size_counts_only_if_it_is_one(size: object, size_bytes: int) -> None:
    (file,) = files_of({"files": [{"id": "F1", "size": size}]})
    assert file.size_bytes == size_bytes


def test_only_canvases_of_forwarded_messages_are_checked_and_have_no_title_before() -> None:
    canvas = {"id": "F1", "title": "Layoffs", "mimetype": "application/vnd.slack-docs"}
    image = {"id": "F2", "name": "chart.png", "mimetype": "image/png"}
    files = files_of({"files": [canvas], "attachments": [{"files": [canvas, image]}]})
    assert [(file.name, file.access) for file in files] == [
        ("Layoffs", ""),
        (texts.canvases.UNNAMED, "check_file_info"),
        ("chart.png", ""),
    ]


CHANNEL, DIRECT = ThreadKey("T1", "C1", "1.0"), ThreadKey("T1", "D1", None)
PLACES: dict[str, tuple[dict[str, object], ThreadKey, bool]] = {
    "shared nowhere": ({"user": "U1"}, CHANNEL, False),
    "shared in the channel": ({"channels": ["C1"]}, CHANNEL, True),
    "shared in a private channel": ({"groups": ["C1"]}, CHANNEL, True),
    "shared by a message": ({"shares": {"private": {"C1": [{"ts": "1.0"}]}}}, CHANNEL, True),
    "the channel's own": ({"linked_channel_id": "C1"}, CHANNEL, True),
    "shared elsewhere": ({"channels": ["C2"], "is_public": True, "user": "U1"}, CHANNEL, False),
    "shared in the direct message": ({"ims": ["D1"]}, DIRECT, True),
    "the asker's own": ({"user": "U1"}, DIRECT, True),
    "another person's": ({"user": "U2"}, DIRECT, False),
    "without an answer": ({}, DIRECT, False),
    "of an unknown form": ({"channels": "C1", "shares": ["C1"], "user": None}, CHANNEL, False),
}


@pytest.mark.parametrize(("file", "thread", "is_for_them"), PLACES.values(), ids=PLACES)
def test_canvas_is_for_the_readers_of_a_thread_where_it_is_shared(
    file: dict[str, object], thread: ThreadKey, is_for_them: bool
) -> None:
    assert is_visible_to_readers(file, thread, "U1") is is_for_them
