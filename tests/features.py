"""Counts the lines of the product that name a feature outside its own modules. `make check` fails if one is named more.

The fewer there are, the easier the feature is to change and to remove. `python -m tests.features memory` lists them.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SLACK = 20
"""How many lines a count can fall before its record has to be lowered."""


class Feature(NamedTuple):
    modules: str
    """What the paths of its own modules contain."""
    words: str
    """What names it elsewhere."""
    recorded: int
    """The lines elsewhere. Lower it when they become fewer; a higher number needs its reason in the commit."""


FEATURES: Mapping[str, Feature] = {
    "schedules": Feature(
        r"schedul|texts/rules",
        r"(?<!edit_)\bschedul(?:e|es|ed_runs|e_tool|e_id|e_accounts)\b|SCHEDULE[DS]?\b|Schedules?\b|schedule_\w+|ScheduleTool|ScheduledRuns|ScheduleAction|RUN_RULE|run_times",
        214,  # house questions have a weekly rule
    ),
    "memory": Feature(
        r"memor",
        r"\b[Mm]emories\b|MEMOR(?:Y|IES)\w*|REMEMBER\w*|FORGOTTEN|MemoryCommands|texts\.memory|core\.memory|is_forgotten|OPEN_MEMORY|memory_commands",
        95,
    ),
    "sign-in": Feature(
        r"accounts|sign_in",
        r"sign_ins?\b|SignIns?\b|SIGN_IN\w*|own_accounts?|texts\.accounts|bot\.accounts|SIGNED_OUT|has_accounts|sign_in_\w+|SignIn\w+|secret_keys",
        262,  # a kept test leaves out calls with the asker's account
    ),
    "mcp": Feature(
        r"mcp|checks/servers",
        r"\bmcp\b|\bMcp\w+|MCP_\w+|mcp_\w+|bot\.mcp",
        108,
    ),
    "caps, usage": Feature(
        r"caps|usage|quota|prices",
        r"\bcaps\b|\bCap\w*|quota(?!tion)|Quota|texts\.quotas|UsageLedger|CAPS",
        221,  # a run of kept tests has a limit, and says first what it will cost
    ),
    "notifying people": Feature(
        r"notify|channel_copy",
        r"\bNOTIFY\b|NotifyTool|texts\.notify|settings\.notify|ChannelCop\w+|channel_cop\w+|CHANNEL_COPY|SEND_TO_CHANNEL|send_to_channel|\bnotify\.CARDS",
        40,
    ),
    "alerts": Feature(
        r"alert(?:s|_)",
        r"\balerts\b|alert_(?:kind|runs|apps)|can_be_alert|ALERT_APPS\w*|enqueue_alert|_add_alert|with_later_alert|has_alerts|BURST_S",
        65,
    ),
    "canvases": Feature(
        r"canvas",
        r"[Cc]anvas\w*|CANVAS\w*",
        135,
    ),
    "pane": Feature(
        r"pane|texts/statuses",
        r"\bpane\b|in_pane|PaneContexts?|AssistantPane|pane_\w+|ThreadStatuses",
        66,
    ),
    "asking about a message": Feature(
        r"shortcut|unposted|choices|posted_questions|views/question",
        r"shortcut|[Uu]nposted\w*|POST_QUESTION|(?<!tool_)[Cc]hoices?\b|CHOOSE|posted_questions|QuestionPosts|Reactions?\b|ASK_ABOUT|ASK_MODAL",
        208,
    ),
    "catching up": Feature(
        r"catching_up|listening",
        r"[Cc]atching\w*|catch_up\w*|Listening|OFFERED",
        28,
    ),
    "weekly report": Feature(
        r"weekly",
        r"weekly_(?:report|rule)|WeeklyReport|weekly report|texts\.weekly|weekly as weekly|\b_weekly\b",
        18,  # house questions have the same times
    ),
    "replay": Feature(
        r"replay|kept_test|house_question",
        r"[Rr]eplay\w*|REPLAY",
        14,
    ),
    "house questions": Feature(
        r"kept_test|house_question",
        r"kept_tests?\b|KeptTest\w*|KEEP_TEST|house_questions?|HouseQuestions|HOUSE_QUESTIONS",
        42,
    ),
    "smoke": Feature(
        r"smoke",
        r"[Ss]moke\w*",
        9,
    ),
    "probing Slack": Feature(
        r"probe",
        r"\bprobe_slack\b|slack_probe",
        2,
    ),
    "when to speak": Feature(
        r"engagement|closings",
        r"[Ee]ngagement\w*|QuietThreads|quiet_threads|\bgate\b|Gate\b|closings",
        65,  # kept tests know question marks from there
    ),
    "charts": Feature(
        r"charts|core/tables",
        r"charts?\b|CHART\w*",
        42,
    ),
    "transcripts": Feature(
        r"transcri",
        r"[Tt]ranscri\w+|TRANSCRI\w+",
        156,
    ),
    "a channel's settings": Feature(
        r"channel_settings|views/settings|texts/settings",
        r"ChannelSettings\w*|channel_settings|SettingsPlace|DefaultSettings",
        72,  # a change of them runs a channel's kept tests, and one query reads them all
    ),
}


def named_elsewhere(feature: Feature) -> Iterator[str]:
    """Yields the lines outside a feature's own modules that name it, with their places."""
    for path in sorted(file for package in ("bot", "handlers") for file in (ROOT / package).rglob("*.py")):
        place = str(path.relative_to(ROOT))
        if re.search(feature.modules, place) or "migrations" in place:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if re.search(feature.words, line):
                yield f"{place}:{number}: {line.strip()}"


def complaints() -> Iterator[str]:
    """Yields a sentence for each feature whose count isn't the recorded one."""
    for name, feature in FEATURES.items():
        count = sum(1 for _ in named_elsewhere(feature))
        if count > feature.recorded:
            yield f"{name}: {count} lines name it elsewhere, and {feature.recorded} are recorded in tests/features.py"
        elif count < feature.recorded - SLACK:
            yield f"{name}: only {count} lines name it elsewhere; lower its {feature.recorded} in tests/features.py"


if __name__ == "__main__":
    lines = list(named_elsewhere(FEATURES[sys.argv[1]]) if sys.argv[1:] else complaints())
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.exit(bool(lines) and not sys.argv[1:])
