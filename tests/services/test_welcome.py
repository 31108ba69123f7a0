"""Who is welcomed, with what and how often, and what a suggested prompt asks once it is pressed."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.access import AccessRules, UserKind
from bot.core.actions import ActionResponse
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import ThreadKey
from bot.core.texts.access import Denial
from bot.core.unposted import QuotedMessage
from bot.errors import RateLimited, StoreError
from bot.services.access_control import AccessControl
from bot.services.notifications import Notifier
from bot.services.welcome import WELCOME_PAUSE_S, SuggestionPress, Welcome
from bot.slack.blockkit import Json
from bot.slack.notices import welcome
from bot.slack.views.modal import sentence_modal
from bot.store import Stores
from tests.clocks import InstantClock, idle
from tests.services.answering import Accounts
from tests.services.parts import ME, having, workspace_of

LABELS = list(texts.welcome.PANE_SUGGESTIONS)
HOOK = "https://hooks.example/1"
IN_CHANNEL = SuggestionPress("UADA", "C1", "11.5", LABELS[1], "119.5", "trigger", HOOK)
GREETING = texts.welcome.welcome_in_channel(f"<@{ME.user_id}>")
TO_PERSON = welcome(texts.welcome.WELCOME_IN_DIRECT_MESSAGE, texts.welcome.SEEN_IN_DIRECT_MESSAGE)


class Slack(Accounts):
    def __init__(self) -> None:
        super().__init__()
        self.posts: list[tuple[str, Json]] = []
        self.deleted: list[tuple[str, str]] = []
        self.responses: list[tuple[ThreadKey, str, str, ActionResponse]] = []
        self.opened: list[tuple[str, Json]] = []
        self.has_written: list[bool] = []
        """Whether a person has written before: at the first look, and after the welcome."""
        self.looks: list[tuple[str, str | None]] = []
        self.error: RateLimited | None = None

    async def post_in_channel(self, channel_id: str, message: Json) -> str:
        self.posts.append((channel_id, message))
        return "11.5"

    async def has_messages(self, channel_id: str, before_ts: str | None = None) -> bool:
        self.looks.append((channel_id, before_ts))
        return self.has_written.pop(0) if self.has_written else False

    async def delete_post(self, channel_id: str, ts: str) -> None:
        self.deleted.append((channel_id, ts))

    async def respond_to_action(self, *shown: Any) -> None:
        self.responses.append(shown)

    async def open(self, trigger_id: str, view: Json) -> None:
        if self.error:
            raise self.error
        self.opened.append((trigger_id, view))


@dataclass
class Questions:
    """Questions on record; `is_new` is whether nobody has asked, or what is raised."""

    is_new: bool | StoreError = True
    asked: list[tuple[str, str, QuotedMessage, str]] = field(default_factory=list)

    async def ask_once(self, *asked: Any) -> bool:
        if isinstance(self.is_new, StoreError):
            raise self.is_new
        self.asked.append(asked)
        return self.is_new


@dataclass
class Stage:
    stores: Stores
    slack: Slack = field(default_factory=Slack)
    questions: Questions = field(default_factory=Questions)
    woken: list[tuple[str, str]] = field(default_factory=list)

    def welcome(
        self,
        *,
        is_on: bool = True,
        reads_channel: bool = True,
        rules: AccessRules | None = None,
        has_pane: bool = False,
    ) -> Welcome:
        slack: Any = self.slack
        shortcut: Any = self.questions
        access = AccessControl(
            rules or AccessRules(), slack, Notifier(self.stores, workspace_of(ephemeral=slack)), frozenset({"UADMIN"})
        )
        workspace = workspace_of(me=replace(ME, has_pane=has_pane), surfaces=slack, users=slack)
        stores = having(self.stores, outbox=self, clock=self.clock)
        return Welcome(stores, workspace, access, shortcut, is_on, reads_channel)

    @property
    def clock(self) -> InstantClock:
        assert isinstance(self.stores.database.clock, InstantClock)
        return self.stores.database.clock

    async def wake(self, team_id: str, channel_id: str) -> None:
        self.woken.append((team_id, channel_id))


@pytest.fixture
def stage(stores: Stores) -> Stage:
    return Stage(stores)


@pytest.mark.parametrize("reads_channel", [True, False])
async def test_channel_is_welcomed_once_and_the_outbox_goes_on_there_each_time(
    stage: Stage, reads_channel: bool
) -> None:
    here = stage.welcome(reads_channel=reads_channel)
    await here.on_joined("UADA", "C1", "UBEN")
    assert stage.woken == [], "a person who joins is no news"
    for channel_id in ("C1", "C1", "C2"):
        await here.on_joined(ME.user_id, channel_id, "UADA")
        await idle()
    greeting = welcome(GREETING, texts.welcome.SEEN_IN_CHANNEL[reads_channel])
    assert stage.slack.posts == [("C1", greeting), ("C2", greeting)]
    assert stage.woken == [("T1", "C1"), ("T1", "C1"), ("T1", "C2")]
    assert stage.clock.sleeps == [WELCOME_PAUSE_S, WELCOME_PAUSE_S]


@pytest.mark.parametrize(
    ("is_on", "rules", "kind", "inviter", "is_welcomed"),
    [
        (True, AccessRules(), UserKind.MEMBER, "UADA", True),
        (True, AccessRules(), UserKind.GUEST, "UADA", False),
        (True, AccessRules(), UserKind.GUEST, "", True),
        (True, AccessRules(allow_channels=frozenset({"C2"})), UserKind.MEMBER, "UADA", False),
        (False, AccessRules(), UserKind.MEMBER, "UADA", False),
    ],
    ids=["member", "guest", "nobody", "channel", "turned off"],
)
async def test_channel_is_not_welcomed_where_its_inviter_may_not_ask(
    stage: Stage, is_on: bool, rules: AccessRules, kind: UserKind, inviter: str, is_welcomed: bool
) -> None:
    stage.slack.kind_of_all = kind
    await stage.welcome(is_on=is_on, rules=rules).on_joined(ME.user_id, "C1", inviter)
    await idle()
    assert len(stage.slack.posts) == int(is_welcomed)
    assert stage.woken == [("T1", "C1")]


@pytest.mark.parametrize(("of", "is_welcomed"), [("C1", False), ("C2", True)])
async def test_channel_with_settings_of_its_own_knows_typist(stage: Stage, of: str, is_welcomed: bool) -> None:
    await stage.stores.channel_settings.write("T1", of, ChannelSettings(new_posts=True))
    await stage.welcome().on_joined(ME.user_id, "C1", "UADA")
    await idle()
    assert len(stage.slack.posts) == int(is_welcomed)


@pytest.mark.parametrize(
    ("has_written", "kind", "has_pane", "is_on", "is_welcomed", "is_taken_back"),
    [
        ([False, False], UserKind.MEMBER, False, True, True, False),
        ([False, True], UserKind.MEMBER, False, True, True, True),
        ([True], UserKind.MEMBER, False, True, False, False),
        ([], UserKind.GUEST, False, True, False, False),
        ([], UserKind.MEMBER, True, True, False, False),
        ([], UserKind.MEMBER, False, False, False, False),
    ],
    ids=["new", "writes meanwhile", "has written", "guest", "pane", "turned off"],
)
async def test_person_is_welcomed_once_above_all_that_they_write(
    stage: Stage,
    has_written: list[bool],
    kind: UserKind,
    has_pane: bool,
    is_on: bool,
    is_welcomed: bool,
    is_taken_back: bool,
) -> None:
    stage.slack.kind_of_all, stage.slack.has_written = kind, [*has_written]
    here = stage.welcome(is_on=is_on, has_pane=has_pane)
    for _ in range(2):
        here.on_direct_message_opened("UADA", "D1")
        await idle()
    assert stage.slack.posts == ([("D1", TO_PERSON)] if is_welcomed else [])
    assert stage.slack.deleted == ([("D1", "11.5")] if is_taken_back else [])
    assert stage.slack.looks == [("D1", None), ("D1", "11.5")][: len(has_written)]


@pytest.mark.parametrize(
    ("press", "id_", "about", "said"),
    [
        (IN_CHANNEL, "suggestion:C1:11.5:UADA:1:1", QuotedMessage("C1", "11.5", "11.5", "", ""), ""),
        (
            replace(IN_CHANNEL, channel_id="D1", label=LABELS[0], clicked_ts="120.0"),
            "suggestion:D1:11.5:UADA:0:2",
            QuotedMessage("DUADA", "", "", "", ""),
            "",
        ),
        (
            replace(IN_CHANNEL, channel_id="", message_ts="", label=LABELS[2]),
            "suggestion:DUADA::UADA:2:1",
            QuotedMessage("DUADA", "", "", "", ""),
            texts.welcome.ASKED_FROM_HOME,
        ),
    ],
    ids=["channel", "direct message", "home"],
)
async def test_press_asks_in_the_pressers_name_where_they_see_the_question(
    stage: Stage, press: SuggestionPress, id_: str, about: QuotedMessage, said: str
) -> None:
    await stage.welcome().on_press(press)
    assert stage.questions.asked == [("UADA", id_, about, texts.welcome.PANE_SUGGESTIONS[press.label])]
    view = sentence_modal(said, texts.welcome.SUGGESTION_TITLE)
    assert stage.slack.opened == ([("trigger", view)] if said else [])
    assert stage.slack.responses == []


@pytest.mark.parametrize("channel_id", ["C1", ""], ids=["channel", "home"])
@pytest.mark.parametrize(
    ("label", "kind", "is_new", "said"),
    [
        ("Gone", UserKind.MEMBER, True, texts.welcome.SUGGESTION_GONE),
        (LABELS[0], UserKind.MEMBER, False, texts.welcome.SUGGESTION_ASKED),
        (LABELS[0], UserKind.MEMBER, StoreError("away"), texts.shortcut.QUESTION_NOT_SAVED),
        (LABELS[0], UserKind.GUEST, True, texts.access.with_admins(Denial.GUEST, ["<@UADMIN>"])),
    ],
    ids=["gone", "asked", "away", "guest"],
)
async def test_presser_reads_why_nothing_is_asked(
    stage: Stage, channel_id: str, label: str, kind: UserKind, is_new: bool | StoreError, said: str
) -> None:
    stage.slack.kind_of_all, stage.questions.is_new = kind, is_new
    await stage.welcome().on_press(replace(IN_CHANNEL, channel_id=channel_id, label=label))
    response = ThreadKey("T1", "C1", None), "UADA", HOOK, ActionResponse(said)
    opened = "trigger", sentence_modal(said, texts.welcome.SUGGESTION_TITLE)
    shown: tuple[Sequence[Any], Sequence[Any]] = ([response], []) if channel_id else ([], [opened])
    assert (stage.slack.responses, stage.slack.opened) == shown


async def test_outcome_that_slack_does_not_show_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.slack.error = RateLimited("views.open", 1.0)
    with caplog.at_level(logging.WARNING):
        await stage.welcome().on_press(replace(IN_CHANNEL, channel_id=""))
    assert "outcome of a click not shown: " in caplog.text
    assert len(stage.questions.asked) == 1
