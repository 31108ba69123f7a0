"""Examples of every form of message and view that Typist sends, which Slack can validate without sending them.

Slack publishes no schema of its blocks, and the sandbox only implements rules that were documented or seen.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bot.core import texts
from bot.core.actions import LABELS, ActionResponse, ReplyAction
from bot.core.asks import ApprovalCard, ApprovalPlace, ArgumentField
from bot.core.calls import NOTIFY, SCHEDULE, DecidedCalls, Decision
from bot.core.caps import (
    Amount,
    CapOwner,
    CapUsage,
    OwnCap,
    OwnerCaps,
    Period,
    Scope,
    UsageToDate,
    caps_by_field,
    parse_caps,
)
from bot.core.channel_settings import (
    ChannelSettings,
    DefaultSettings,
    SettingsPlace,
)
from bot.core.conversation import Question, ThreadKey
from bot.core.job import AnswerRecord, End, Notice, NoticeKind, State, sentence_notice
from bot.core.kept_tests import proposed_checks
from bot.core.memory import Memory
from bot.core.notify import heading
from bot.core.picture import Picture, picture
from bot.core.schedules import PauseReason, Proposal, Rule, Run, RunReport, Schedule, Weekly
from bot.core.surfaces import CommandResponse, Help, HomeView, MonthUsage, Quotas, WorkspaceUsage
from bot.core.unposted import MessageQuestion, QuotedMessage, reaction_view_id, suggestion_view_id
from bot.errors import EndReason
from bot.models.events import Citation
from bot.reply import blocks as reply_blocks
from bot.reply.messages import PageView
from bot.slack import notices, plain, posted_questions, quotas
from bot.slack.blockkit import Json, remark
from bot.slack.views import (
    accounts,
    arguments,
    caps,
    home,
    kept_tests,
    memory,
    modal,
    question,
    schedules,
    settings,
    sign_in,
)
from bot.slack.views.schedules import ListPlace


def below(end: End, text: str = "", *, optional: Collection[ReplyAction] = (), **record: Any) -> Picture:
    """Returns the picture of an answer with this end and text. `record`: the record's other fields (AnswerRecord)."""
    asked = Question(ThreadKey("T", "C", "1.0"), "1.0", "UADA", "why?")
    record = {"question": asked, "state": State.ENDED, **record}
    return picture(AnswerRecord(7, text=text, end=end, **record), optional=optional)


def ended(text: str, end: End, **record: Any) -> PageView:
    """Returns the last page of an answer that has ended."""
    return PageView(text, end=below(end, text, **record))


TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"
TEXTS: Mapping[str, str] = {
    "no text": "",
    "a paragraph": "Some words.",
    "a heading": "# Title",
    "a table": TABLE,
    "a rule": "---",
    "a heading and a table": f"# Title\n\n{TABLE}",
    "a definition": "[a]: https://a.example",
    "code": "```py\nx = 1\n```",
    "a list": "- one\n- two",
    "spaces": " \n\n",
    "a long heading": f"# {'word ' * 100}",
    "a chart": f"{TABLE}\n\n```chart\nbar: Sales\n```",
    "a pie": f"{TABLE}\n\n```chart\npie\n```",
    "a wide table": "|".join("a" * 30) + "\n" + "|".join("-" * 30) + "|\n1|2\n",
}
"""Texts of an answer's page."""
SOURCES = (Citation("https://a.example/<b>", "<!channel> & *more*"), Citation("https://b.example"))
WHOLE = End(EndReason.WHOLE, footer="openai/gpt-test")
STATES: Mapping[str, PageView] = {
    "placeholder or growing": PageView("", growing=True),
    "queued": PageView("", growing=True, queued=True),
    "a full page": PageView(""),
    "a page before a file": PageView("", rest_in_file=True),
    "a page before a file and the end": PageView("", left_out=texts.answers.continues_in_file(1, 0)),
    "ended": ended("", End(EndReason.WHOLE)),
    "ended with a footer": PageView("", end=below(WHOLE, "…", has_previous=True)),
    "ended with a notice": PageView(
        "", end=below(replace(WHOLE, notices=sentence_notice("Not read: <@U0ADA>.zip (too large).")), "…")
    ),
    "ended with sources": PageView("", end=below(replace(WHOLE, sources=SOURCES), "…")),
    "searching": PageView("", growing=True, activity=texts.answers.searching("<@U0ADA> https://evil.example")),
    "cut": ended("", End(EndReason.LENGTH_LIMIT, footer="openai/gpt-test")),
    "stopped": ended("", End(EndReason.STOPPED)),
    "failed": ended("", End(EndReason.CUT, sentence_notice("The model's server can't be reached."))),
    "a new version begins": PageView("", growing=True, version=2),
    "plain and growing": PageView("", plain=True, growing=True),
    "plain with sources": PageView("", plain=True, end=below(End(EndReason.WHOLE, sources=SOURCES))),
    "plain and ended": PageView("", plain=True, end=below(WHOLE)),
}
"""Pages with everything that they can show besides their text."""

_ASK = ApprovalCard(
    "notes.add",
    '{"text": "x"}',
    "5 0",
    (ArgumentField("text", "x"), ArgumentField('"to"', "a\nb")),
    "Add a note",
    "Adds it.",
    1_764_000_000.0,
    can_allow_always=True,
)
_PROPOSED = Proposal("Sum up.", Rule("Europe/Berlin", "0 9 * * 1-5"))
_PROPOSAL = ApprovalCard(
    SCHEDULE, json.dumps({**_PROPOSED.arguments, "next": [1_764_000_000.0]}), "5 0", expires_at=1_764_000_000.0
)
_NOTIFY = {"people": {"U0ADA": "Ada", "U0BEN": "<!channel>"}, "text": "Please <@U0ADA>.", "also_to_channel": True}
_NOTIFYING = ApprovalCard(NOTIFY, json.dumps(_NOTIFY), "5 0", expires_at=1_764_000_000.0)
_SCHEDULE = Schedule(
    1,
    "T0SANDBOX",
    "C0GENERAL",
    "U0ADA",
    _PROPOSED.words,
    _PROPOSED.rule,
    only_if_changed=True,
    run_tokens=100_000,
    day_tokens=300_000,
    next_at=1_764_000_000.0,
    last_at=None,
    failures=0,
    pause_reason=None,
    created_at=1_764_000_000.0,
)
_PAUSED = replace(_SCHEDULE, id=2, next_at=None, pause_reason=PauseReason.CAP)
_RULED = replace(_SCHEDULE, only_if="something changed", runs=12, posts=1)
_LONG_ASK = replace(_ASK, fields=(*_ASK.fields, ArgumentField("more", "y" * 2_000)))
_TYPED = "Take milk &amp; <bread>", "", "x" * 3_000
_EDITABLE_ASK = replace(
    _ASK, fields=(*_LONG_ASK.fields, *(ArgumentField(f"text_{at}", text, text) for at, text in enumerate(_TYPED)))
)
_DECIDED_ASK = replace(_ASK, decision=Decision.DENIED, is_repeat=True)
RARE_STATES: Mapping[str, PageView] = {
    "asking about calls": PageView("Words.", growing=True, asks=(_ASK, _LONG_ASK, _DECIDED_ASK)),
    "proposing a schedule": PageView("Words.", growing=True, asks=(_PROPOSAL,)),
    "proposing to notify people": PageView("Words.", growing=True, asks=(_NOTIFYING,)),
    "a schedule that was agreed to": PageView(
        "Words.", growing=True, asks=(replace(_PROPOSAL, decision=Decision.APPROVED, is_repeat=True),)
    ),
    "scheduled": ended("Words.", replace(WHOLE, notices=(Notice(NoticeKind.SCHEDULED, "Scheduled.", 1),))),
    "beside Slack's own Stop": PageView("Words.", growing=True, has_stop=True),
    "late, with a transcript": replace(ended("Words.", WHOLE), transcript="What is said.", asked_on="Asked on Monday."),
    "with choices": ended("1. one\n2. two", replace(WHOLE, choices=("one", "two"))),
    "with all buttons": PageView(
        "Words.",
        end=replace(
            below(WHOLE, "Words."),
            decisions=(DecidedCalls(Decision.APPROVED, "U0ADA", 1, "Ada"),),
            buttons=(*list(LABELS)[1:-1], ReplyAction.FEEDBACK, ReplyAction.DELETE),
        ),
    ),
    "above a later answer": ended("Words.", WHOLE, is_followed=True),
    "remembered": ended(
        "", End(EndReason.COMMAND, (Notice(NoticeKind.REMEMBERED, texts.memory.remembered_notice("#general", 1)),))
    ),
    "offered later": ended("", End(EndReason.OFFERED, sentence_notice(texts.answers.late_offer("1764000000.000100")))),
}
_PLACE = SettingsPlace("C0GENERAL", "https://hooks.example/1")
_AUTH = "https://auth.example/authorize?state=1&scope=read"
_DEFAULTS = DefaultSettings(
    ("openai/one", "anthropic/two"),
    "Be helpful.",
    web_search=True,
    read_channel=True,
    gate=True,
    has_alerts=True,
    mcp_servers=("notes",),
)
_ABOUT = QuotedMessage("C0GENERAL", "2.000100", "1.000100", "A quote of some words", "https://hooks.example/1")
_SPENT = dict.fromkeys(Period, Amount(1_234, 0.02))
_CAPS = parse_caps("user/day=2000tokens,user/month=7usd,channel/day=5usd")
_USAGE = UsageToDate(_SPENT, [CapUsage(cap, 50, 1_764_000_000.0) for cap in _CAPS])
_OWNED = OwnerCaps(
    CapOwner(Scope.CHANNEL, "C0GENERAL"),
    caps_by_field(_CAPS, Scope.CHANNEL),
    caps_by_field(_CAPS, Scope.CHANNEL),
    _SPENT,
)


def forms() -> dict[str, Json]:
    """Returns an example of each form by its name: arguments of chat.postMessage, or a view, which has a type."""
    return dict([*_answers(), *_messages(), *_views()])


def _answers() -> Iterator[tuple[str, Json]]:
    """Yields each state with a text, and each text in a state. Tests have all pairs of them."""
    ended = STATES["ended with a footer"]
    for name, view in STATES.items():
        yield f"answer: {name}", reply_blocks.message(replace(view, markdown=f"# Title\n\n{TABLE}\n\nWords."))
    for name, text in TEXTS.items():
        yield f"answer: {name}", reply_blocks.message(replace(ended, markdown=text))
    for name, view in RARE_STATES.items():
        yield f"answer: {name}", reply_blocks.message(view)
    yield "below a native stream", {"text": "Words.", "blocks": reply_blocks.blocks_below(replace(ended, markdown="a"))}


def _messages() -> Iterator[tuple[str, Json]]:
    yield "notice", {"text": "A sentence.", "blocks": remark("A sentence.")}
    yield "notification", notices.notification("A sentence.")
    yield "notice with a button", plain.message(notices.offer("A.", texts.access.STAY_QUIET, "stay_quiet"))
    days = [("Mon", 1.5), ("Tue", 0.0)]
    yield "notice about a quota", quotas.cap_notification("A.", "dollars", days)
    ended = RunReport(1, 1_764_000_000.0)
    yield "notice of a paused schedule", schedules.run_notice(_PAUSED, ended)
    signed_out = replace(_PAUSED, pause_reason=PauseReason.SIGNED_OUT)
    yield (
        "notice of a schedule that waits for a sign-in",
        schedules.run_notice(signed_out, ended, ["jira"]),
    )
    stopped = ActionResponse(
        texts.schedules.SCHEDULE_STOPPED,
        follow_ups={"schedule_restore": texts.memory.UNDO},
        value="1 1.0",
    )
    yield "response to Stop of a schedule", plain.message(notices.follow_up_blocks(stopped))
    skipped = RunReport(1, 1_764_000_000.0, PauseReason.QUOTA)
    yield "notice of a skipped run", schedules.run_notice(_SCHEDULE, skipped)
    run = Run(replace(_SCHEDULE, changed_by="U0GRACE"), 1_764_000_000.0, None)
    asked = MessageQuestion("T0SANDBOX", "schedule:1:1764000000", "U0ADA", _ABOUT, _SCHEDULE.words, 0.0, schedule_id=1)
    posted = schedules.posted_run(asked, run, {"U0ADA": "Ada", "U0GRACE": "Grace"}, is_late=True)
    yield "run of a schedule", posted
    yield "run of a stopped schedule", schedules.restated_run(posted, 1, "Grace")
    yield "welcome", notices.welcome(texts.welcome.WELCOME_IN_DIRECT_MESSAGE, texts.welcome.SEEN_IN_DIRECT_MESSAGE)
    contents: Mapping[str, str | Help | UsageToDate] = {
        "help": Help("/typist", "halp"),
        "usage": _USAGE,
        "a sentence": "Done.",
    }
    for name, content in contents.items():
        yield f"command: {name}", notices.command_message(CommandResponse(content, "Model: one"))
    reasons = {f"feedback_reason-{reason}": label for reason, label in texts.actions.DOWN_REASONS.items()}
    why = ActionResponse(texts.actions.THANKS_NOT_HELPED, follow_ups=reasons, value="2.000100")
    yield "why an answer didn't help", plain.message(notices.follow_up_blocks(why))
    sure = ActionResponse(
        texts.actions.DELETE_QUESTION, follow_ups={"delete-confirmed": texts.actions.DELETE}, value="2.000100"
    )
    yield "whether to delete an answer", plain.message(notices.follow_up_blocks(sure))
    yield (
        "details of an answer",
        notices.action_message(ActionResponse(texts.approvals.TOOLS_USED, f"- one\n\n{TABLE}")),
    )
    yield "text for people", notices.passed_on(heading(["U0GRACE"], "Ada"), "Please *look* at <this>.")
    yield "copy of an answer in its channel", plain.message(notices.copy_of_answer(f"# Title\n\n{TABLE}", "Ada"))
    for name, view_id in {
        "in a modal": "V1",
        "by a reaction": reaction_view_id("question", "C0GENERAL", "2.000100"),
        "by a suggested prompt": suggestion_view_id("D0ADA", "U0ADA", 0, "2.000100"),
    }.items():
        for where, elsewhere in {"in its thread": False, "in a direct message": True}.items():
            question = MessageQuestion("T0SANDBOX", view_id, "U0ADA", _ABOUT, "Why?", 0.0)
            yield f"question {name}, {where}", posted_questions.posted_question(question, elsewhere=elsewhere)


_CALL = ApprovalPlace("C0GENERAL", "1.000100", "2.000100", "5 0")


def _views() -> Iterator[tuple[str, Json]]:
    chosen = ChannelSettings("anthropic/two", "Be brief.", new_posts=True, gate=True, reaction="eyes", web_search=False)
    yield (
        "modal: settings of a channel",
        settings.SETTINGS.build(_PLACE, chosen, _DEFAULTS, "model", ("notes.add",), _OWNED, ("notes is down.",)),
    )
    direct = replace(_PLACE, channel_id="D0ADA")
    yield (
        "modal: settings of a direct message",
        settings.SETTINGS.build(direct, ChannelSettings(), _DEFAULTS, "system_prompt"),
    )
    memories = Memory(1, 1, "<@U0ADA> &lt;x&gt;", "U0ADA", "", "2.000100", "U0BEN", True, True, 1_764_000_000.0)
    yield (
        "modal: memories",
        memory.MEMORY.build(_PLACE, [memories], "https://a.example/archives/C0GENERAL/p", is_private=False),
    )
    checks, _ = proposed_checks("Is it `ready`? It takes 12 days: https://a.example", ())
    yield "modal: a kept test", kept_tests.KEEP_TEST.build(_CALL, checks, checks[:2], is_kept=True)
    yield "modal: quotas", caps.CAPS.build(_OWNED)
    yield "modal: a sentence", modal.sentence_modal("A sentence.", texts.quotas.QUOTAS_TITLE)
    yield "modal: a question about a message", question.ASK_MODAL.build(_ABOUT, "U0ADA")
    place = _CALL
    yield "modal: arguments of a call", arguments.arguments_modal(_LONG_ASK, place)
    yield "modal: texts of a call", arguments.EDIT_ARGUMENTS.build(_EDITABLE_ASK, place)
    yield "modal: details of a call", arguments.arguments_modal(_ASK, None)
    signed_in = {"jira": (1_764_000_000.0, "read write"), "notes": (1_764_100_000.0, "")}
    yield "modal: accounts", accounts.ACCOUNTS.build(signed_in, {})
    yield "modal: accounts of everybody", accounts.ACCOUNTS.build(signed_in, {"jira": 7, "files": 1})
    for name, (url, with_code, code) in {
        "an address": (_AUTH, False, ""),
        "a code": (_AUTH, True, ""),
        "an address, or a code to confirm": (_AUTH, False, "WDJB-MJHT"),
        "a code to confirm": ("", False, "WDJB-MJHT"),
    }.items():
        yield (
            f"modal: sign-in by {name}",
            sign_in.SIGN_IN_MODAL.build(
                "jira", url, place, with_code=with_code, user_code=code, device_url="https://device.example/d"
            ),
        )
    listed = schedules.ScheduleList("C0GENERAL", [_SCHEDULE, _PAUSED], "U0ADA", is_admin=True, outcome="Paused.")
    yield "modal: schedules", schedules.schedules_modal(listed)
    yield "modal: silent runs", schedules.silent_runs_modal(_RULED, [(1764000000.0, "Nothing has changed.")])
    listed = schedules.ScheduleList("C0GENERAL", [_RULED], "U0ADA", is_admin=True)
    yield "modal: a schedule with a rule in words", schedules.schedules_modal(listed)
    yield (
        "modal: a schedule",
        schedules.CHANGE_SCHEDULE.build(
            _SCHEDULE, ListPlace("C0GENERAL", "V1"), Weekly("1,2", "09:00"), "Europe/Berlin"
        ),
    )
    month = MonthUsage(Amount(60_000, 2.5), {"U0ADA": Amount(9_000, 0.5)}, {}, {"openai/one": Amount(9_000)}, {"a": 1})
    [daily, *_] = _CAPS
    quotas = Quotas(_CAPS, [OwnCap(CapOwner(Scope.USER, "U0ADA"), daily, Amount(10))], ["model"])
    workspace = WorkspaceUsage(_SPENT, month, month, quotas, {"Access": "members"}, 1_764_000_000.0)
    links = [(channel_id, "https://a.example/archives/C0GENERAL/p1", 1_764_000_000.0) for channel_id in ("C1", "D1")]
    member = HomeView(_DEFAULTS, _USAGE, ("C0GENERAL",), None, [_SCHEDULE], links, {"jira": (1_764_000_000.0, "read")})
    yield "Home of a member", home.home_view(member)
    yield "Home of an admin", home.home_view(HomeView(_DEFAULTS, _USAGE, (), workspace))
    yield "Home without access", home.denied_view("You don't have access.")
