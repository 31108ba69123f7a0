"""What forms about sign-ins, settings and quotas change, what a command shows, and when App Home is built."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bot.core import texts
from bot.core.access import AccessRules, UserKind
from bot.core.calls import AllowedTool
from bot.core.caps import Amount, CapField, CapOwner, Scope, UsageToDate, parse_caps
from bot.core.channel_settings import ChannelSettings, DefaultSettings, SettingsPlace, settings_line
from bot.core.conversation import Question, ThreadKey
from bot.core.surfaces import (
    MAX_LISTED,
    ChannelsWithSettings,
    CommandResponse,
    Help,
    HomeView,
    Invocation,
    TypedCommand,
)
from bot.core.texts.access import Denial
from bot.core.triage import Engagement
from bot.errors import RateLimited
from bot.models.prices import ModelPrices
from bot.models.prompt import Effort
from bot.services.access_control import AccessControl
from bot.services.commands import MAX_BUILDS, AppHome, SlashCommands
from bot.services.notifications import Notifier
from bot.services.own_accounts import OwnAccounts
from bot.services.quota import CapSettings, Quota
from bot.slack.blockkit import Json, remark
from bot.slack.views.accounts import ACCOUNTS, SubmittedAccounts
from bot.slack.views.settings import SETTINGS, SubmittedSettings
from bot.store import Stores
from bot.store.accounts import Owner
from tests.clocks import idle, turns
from tests.services.answering import MODEL, Accounts
from tests.services.notified import told_directly
from tests.services.parts import having, workspace_of

HOOK = "https://hooks.example/1"
DEFAULTS = DefaultSettings((MODEL, "openai/other"), "Be brief.", mcp_servers=("jira", "wiki"))
CAPS = parse_caps("user/day=100tokens,channel/month=2usd")
PLACE = SettingsPlace("C1", HOOK)


@dataclass
class SignOuts:
    """Ends sign-ins, but for those at a server where they change meanwhile."""

    changes_at: str
    owners: list[Owner] = field(default_factory=list)

    async def sign_out(self, owner: Owner) -> bool:
        self.owners.append(owner)
        return owner.server != self.changes_at


@pytest.mark.parametrize(
    ("changes_at", "said", "servers", "told"),
    [("", "", ["jira", "github"], ["jira", "github"]), ("jira", texts.accounts.SIGN_OUT_FAILED, ["jira"], [])],
    ids=["both end", "the first one changes"],
)
async def test_person_is_signed_out_of_all_servers_that_they_unchecked_or_reads_that_it_failed(
    stores: Stores, changes_at: str, said: str, servers: list[str], told: list[str]
) -> None:
    sign_ins = SignOuts(changes_at)
    parts: Any = (stores, workspace_of(), None, sign_ins)
    assert await OwnAccounts(*parts).sign_out("U1", SubmittedAccounts(["jira", "github"])) == said
    assert sign_ins.owners == [Owner("T1", "U1", server) for server in servers]
    assert await told_directly(stores) == [("U1", texts.accounts.signed_out_message(server)) for server in told]


class Slack(Accounts):
    """Slack, in which Ada has created #general and has the direct message D1, and which keeps what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[str, Json]] = []
        self.responses: list[tuple[str, CommandResponse]] = []
        self.announced: list[tuple[str, Json]] = []
        self.homes: list[tuple[str, HomeView | str]] = []
        self.may_publish = asyncio.Event()
        self.channels: frozenset[str] | Exception = frozenset({"C1", "C3"})

    async def names(self, ids: Sequence[str], *, in_channel: str = "") -> Mapping[str, str]:
        return {id_: "Ada & Co" for id_ in ids if id_ == "UADA"}

    async def creator(self, channel_id: str) -> str | None:
        return {"C1": "UADA", "C2": "UBEN"}.get(channel_id)

    async def user_in_direct_message(self, channel_id: str) -> str:
        return "UADA" if channel_id == "D1" else "UBEN"

    async def channels_of(self, user_id: str) -> frozenset[str]:
        if isinstance(self.channels, Exception):
            raise self.channels
        return self.channels

    async def open(self, trigger_id: str, view: Json) -> None:
        self.opened.append((trigger_id, view))

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        self.responses.append((response_url, response))

    async def post_in_channel(self, channel_id: str, message: Json) -> None:
        self.announced.append((channel_id, message))

    async def publish_home(self, user_id: str, content: HomeView | str) -> None:
        self.homes.append((user_id, content))
        await self.may_publish.wait()


@dataclass
class Approvals:
    """The tool that is always allowed in #general, until it is revoked."""

    revoked: list[tuple[Sequence[str], str, str, str]] = field(default_factory=list)

    async def allowed_tools(self, team_id: str, channel_id: str) -> Sequence[AllowedTool]:
        return [AllowedTool(team_id, channel_id, "wiki__find", "hash", "UADMIN", 0.0)] if channel_id == "C1" else []

    async def revoke(self, tools: Sequence[str], by: str, team_id: str, channel_id: str) -> None:
        self.revoked.append((tools, by, team_id, channel_id))


@dataclass
class Opening:
    """Opens the modal of a feature, or says why not."""

    sentence: str
    opened: list[Invocation] = field(default_factory=list)

    async def on_command(self, invocation: Invocation) -> str:
        self.opened.append(invocation)
        return self.sentence


@dataclass
class Stage:
    """Commands and App Home with their database, and Slack. UADMIN is an admin."""

    stores: Stores
    slack: Slack = field(default_factory=Slack)
    rules: AccessRules = field(default_factory=AccessRules)
    signs_in: Any = None
    approvals: Approvals = field(default_factory=Approvals)
    asked: list[Question] = field(default_factory=list)

    def __post_init__(self) -> None:
        slack: Any = self.slack
        self.workspace = workspace_of(surfaces=slack, users=slack, channel_reader=slack)
        notifier = Notifier(self.stores, self.workspace)
        self.access = AccessControl(self.rules, self.slack, notifier, frozenset({"UADMIN"}))
        self.quota = Quota(self.stores, notifier, CAPS, (MODEL,), 1_000, ModelPrices())
        self.caps = CapSettings(self.stores, self.workspace, CAPS, ("my-own",), self.access)
        self.schedules, self.remembering = Opening(""), Opening("")

    def commands(self, defaults: DefaultSettings = DEFAULTS) -> SlashCommands:
        return SlashCommands(
            having(self.stores, approvals=self.approvals),
            self.workspace,
            self.access,
            self.quota,
            self.caps,
            defaults,
            {
                "schedules": self.schedules.on_command,
                "memory": self.remembering.on_command,
                "accounts": self.accounts().on_command,
            },
            None,
        )

    def accounts(self) -> OwnAccounts:
        return OwnAccounts(self.stores, self.workspace, self.access, self.signs_in)

    def home(self, *, has_accounts: bool = False) -> AppHome:
        parts = self.stores, self.workspace, self.quota, self.caps, self.access, DEFAULTS, {"Access": "members"}
        return AppHome(*parts, has_accounts=has_accounts)

    async def asked_in(self, channel_id: str, user_id: str) -> None:
        """Has a person ask something in a channel, which uses 7 tokens for half a dollar."""
        asked = Question(ThreadKey("T1", channel_id, None), f"{len(self.asked)}.0", user_id, "Why?")
        self.asked.append(asked)
        await self.stores.question_queue.enqueue(f"Ev{asked.ts}", asked)
        await self.stores.usage.charge_message(asked, Amount(7, 0.5), CAPS)

    async def respond(self, text: str, user_id: str = "UADA", channel_id: str = "C1") -> CommandResponse | None:
        invocation = Invocation(user_id, channel_id, "trigger", HOOK)
        return await self.commands().respond(invocation, TypedCommand("/typist", text))

    async def save(
        self, user_id: str, entered: ChannelSettings, place: SettingsPlace = PLACE, **submitted: Any
    ) -> dict[str, str]:
        """Submits the modal of a channel that had no settings when it was opened."""
        form: dict[str, Any] = {"initial_settings": ChannelSettings(), "revoked_tools": (), "caps": (), **submitted}
        problems = await self.commands().save_channel_settings(user_id, SubmittedSettings(place, entered, **form))
        await idle()
        return problems


@pytest.fixture
def stage(stores: Stores) -> Stage:
    return Stage(stores)


async def test_command_without_a_modal_ends_with_what_is_set_for_its_channel(stage: Stage) -> None:
    own = ChannelSettings("openai/other", effort=Effort.FAST)
    await stage.stores.channel_settings.write("T1", "C1", own)
    line = settings_line(own, DEFAULTS, "C1")
    for text, of_help in (("", ""), ("help", ""), ("halp me", "halp")):
        assert await stage.respond(text) == CommandResponse(Help("/typist", of_help), line)
    assert line != (elsewhere := settings_line(ChannelSettings(), DEFAULTS, "C2"))
    assert await stage.respond("help", channel_id="C2") == CommandResponse(Help("/typist", ""), elsewhere)
    await stage.asked_in("C1", "UBEN")
    await stage.asked_in("C1", "UADA")
    usage = await stage.quota.personal_usage("T1", "UADA", "C1")
    assert [(use.cap.setting, use.percent) for use in usage.caps] == [
        ("user/day=100tokens", 7),
        ("channel/month=2usd", 50),
    ]
    assert await stage.respond("usage") == CommandResponse(usage, line)


@pytest.mark.parametrize("sentence", ["", "Not here."])
async def test_command_opens_the_modal_of_a_feature_or_says_why_not(stage: Stage, sentence: str) -> None:
    stage.schedules.sentence = stage.remembering.sentence = sentence
    for text in ("schedules", "memory"):
        assert await stage.respond(text) == (CommandResponse(sentence) if sentence else None)
    assert stage.schedules.opened == stage.remembering.opened == [Invocation("UADA", "C1", "trigger", HOOK)]


@pytest.mark.parametrize("text", ["help", "settings", "schedules", "memory", "accounts", "usage"])
async def test_person_without_access_is_told_whom_to_ask_at_any_command(stage: Stage, text: str) -> None:
    stage.slack.kind_of_all = UserKind.GUEST
    assert await stage.respond(text) == CommandResponse(stage.access.with_admin_mentions(Denial.GUEST))
    assert (stage.slack.opened, stage.schedules.opened, stage.remembering.opened) == ([], [], [])
    assert stage.slack.presses == [True]


@pytest.mark.parametrize(
    ("user_id", "signs_in", "accounts", "people"),
    [
        ("UADA", True, {"jira"}, {}),
        ("UADMIN", True, set(), {"jira": 2, "wiki": 1}),
        ("UBEN", True, {"jira", "wiki"}, {}),
        ("UCY", True, None, {}),
        ("UADMIN", False, None, {}),
    ],
)
async def test_person_sees_their_accounts_and_an_admin_how_many_there_are(
    stage: Stage, user_id: str, signs_in: bool, accounts: set[str] | None, people: Mapping[str, int]
) -> None:
    stage.signs_in = SignOuts("") if signs_in else None
    for owner in (Owner("T1", "UADA", "jira"), Owner("T1", "UBEN", "jira"), Owner("T1", "UBEN", "wiki")):
        await stage.stores.accounts.sign_in(owner, "secret", "read")
    response = await stage.respond("accounts", user_id)
    if accounts is None:
        assert (response, stage.slack.opened) == (CommandResponse(texts.accounts.NO_ACCOUNTS), [])
        return
    theirs = {server: (stage.stores.clock.now(), "read") for server in sorted(accounts)}
    assert response is None
    assert stage.slack.opened == [("trigger", ACCOUNTS.build(theirs, people))]


@pytest.mark.parametrize("user_id", ["UADA", "UADMIN"])
async def test_settings_have_servers_tools_and_quotas_for_admins_alone(stage: Stage, user_id: str) -> None:
    own = ChannelSettings("openai/other", mcp_servers=("wiki",))
    await stage.stores.channel_settings.write("T1", "C1", own)
    assert await stage.respond("mentions", user_id) is None
    is_admin = user_id == "UADMIN"
    defaults = DEFAULTS if is_admin else replace(DEFAULTS, mcp_servers=())
    caps = await stage.caps.of(CapOwner(Scope.CHANNEL, "C1")) if is_admin else None
    view = SETTINGS.build(PLACE, own, defaults, "engagement", ["wiki__find"] if is_admin else [], caps, ())
    assert stage.slack.opened == [("trigger", view)]


@pytest.mark.parametrize(
    ("channel_id", "sentence"),
    [
        ("C2", texts.commands.NOT_YOUR_CHANNEL),
        ("C3", f"{texts.commands.NOT_YOUR_CHANNEL} {texts.commands.INVITE_ME_FIRST}"),
    ],
)
async def test_whoever_did_not_create_a_channel_reads_who_may_set_it(
    stage: Stage, channel_id: str, sentence: str
) -> None:
    line = settings_line(ChannelSettings(), DEFAULTS, channel_id)
    expected = CommandResponse(stage.access.with_admin_mentions(sentence), line)
    assert await stage.respond("settings", channel_id=channel_id) == expected
    assert stage.slack.opened == []


@pytest.mark.parametrize(
    ("user_id", "fields"),
    [
        ("UADMIN", {"system_prompt", CapField.TOKENS_A_DAY, CapField.DOLLARS_A_DAY}),
        ("UADA", {"system_prompt", CapField.TOKENS_A_DAY}),
    ],
)
async def test_all_wrong_fields_of_a_form_are_named_at_once(stage: Stage, user_id: str, fields: set[str]) -> None:
    caps = ((CapField.TOKENS_A_DAY, "many"), (CapField.TOKENS_A_MONTH, "7"), (CapField.DOLLARS_A_DAY, "1"))
    problems = await stage.save(user_id, ChannelSettings(system_prompt="x" * 2_001), caps=caps)
    assert {*problems} == fields
    assert await stage.stores.channel_settings.read("T1", "C1") == ChannelSettings()
    assert stage.slack.responses == []


@pytest.mark.parametrize("user_id", ["UADA", "UADMIN"])
async def test_only_an_admins_form_changes_servers_approvals_and_quotas(stage: Stage, user_id: str) -> None:
    before = ChannelSettings(mcp_servers=("wiki",), reaction="eyes")
    await stage.stores.channel_settings.write("T1", "C1", before)
    is_admin = user_id == "UADMIN"
    entered = ChannelSettings("openai/other", mcp_servers=("jira",), engagement=Engagement.EVERYONE)
    caps = ((CapField.TOKENS_A_DAY, "7"),) if is_admin else ()
    assert await stage.save(user_id, entered, revoked_tools=["wiki__find"], caps=caps) == {}
    settings = replace(entered, reaction="eyes", mcp_servers=("jira",) if is_admin else ("wiki",))
    assert await stage.stores.channel_settings.read("T1", "C1") == settings
    assert stage.approvals.revoked == ([(["wiki__find"], user_id, "T1", "C1")] if is_admin else [])
    own = [(one.owner, one.cap.setting) for one in await stage.stores.caps.all_caps("T1")]
    assert own == ([(CapOwner(Scope.CHANNEL, "C1"), "channel/day=7tokens")] if is_admin else [])
    saved = CommandResponse(texts.commands.SETTINGS_SAVED, settings_line(settings, DEFAULTS, "C1"))
    assert stage.slack.responses == [(HOOK, saved)]
    [(channel_id, announced)] = stage.slack.announced
    assert (channel_id, announced["blocks"]) == ("C1", remark(announced["text"]))
    # Slack doesn't tell the admin's name.
    assert announced["text"].startswith("<@UADMIN> " if is_admin else "Ada &amp; Co ")


@pytest.mark.parametrize(
    ("user_id", "channel_id", "entered", "is_saved", "is_announced"),
    [
        ("UADA", "C1", ChannelSettings(new_posts=True), True, True),
        ("UADA", "D1", ChannelSettings(system_prompt="Rhyme."), True, False),
        ("UADA", "C1", ChannelSettings(), True, False),
        ("UADA", "C1", ChannelSettings(MODEL), True, False),
        ("UADA", "C2", ChannelSettings(new_posts=True), False, False),
        ("UADA", "D2", ChannelSettings(new_posts=True), False, False),
        ("UADMIN", "C2", ChannelSettings(new_posts=True), True, True),
        ("UADMIN", "D2", ChannelSettings(new_posts=True), False, False),
    ],
)
async def test_form_is_saved_for_whoever_may_set_the_place_and_a_channel_is_told_of_a_new_effect(
    stage: Stage, user_id: str, channel_id: str, entered: ChannelSettings, is_saved: bool, is_announced: bool
) -> None:
    refused = {"model": texts.access.with_admins(texts.commands.NOT_YOUR_CHANNEL, [])}
    assert await stage.save(user_id, entered, SettingsPlace(channel_id, HOOK)) == ({} if is_saved else refused)
    stored = await stage.stores.channel_settings.read("T1", channel_id)
    assert stored == (entered if is_saved else ChannelSettings())
    assert [where for where, _ in stage.slack.announced] == ([channel_id] if is_announced else [])
    assert len(stage.slack.responses) == int(is_saved)


@pytest.mark.parametrize("user_id", ["UADA", "UADMIN"])
async def test_only_an_admin_signs_everybody_of_their_workspace_out(stage: Stage, user_id: str) -> None:
    jira = [Owner("T1", "UADA", "jira"), Owner("T1", "UBEN", "jira")]
    for owner in (*jira, Owner("T2", "UCY", "jira"), Owner("T1", "UADA", "wiki"), Owner("T1", "UADA", "other")):
        await stage.stores.accounts.sign_in(owner, "secret", "")

    @dataclass
    class OfAll(SignOuts):
        async def sign_out(self, owner: Owner, by: str = "") -> bool:
            assert by == "UADMIN"
            return await super().sign_out(owner)

    stage.signs_in = sign_ins = OfAll("wiki")
    await stage.accounts().sign_everybody_out(user_id, SubmittedAccounts(["other"], ["jira", "wiki"]))
    await idle()
    if user_id == "UADA":
        assert (sign_ins.owners, await told_directly(stage.stores)) == ([], [])
        return
    assert sorted(sign_ins.owners, key=str) == sorted([*jira, Owner("T1", "UADA", "wiki")], key=str)
    said = [("jira", 2, 2), ("wiki", 0, 1)]
    assert sorted(await told_directly(stage.stores)) == sorted(
        (user_id, texts.accounts.everybody_signed_out(*one)) for one in said
    )


def home_view(usage: UsageToDate, channels: Sequence[str], accounts: Mapping[str, tuple[float, str]]) -> HomeView:
    """Returns the Home of a person without schedules and approvals, who is no admin."""
    return HomeView(DEFAULTS, usage, channels, None, [], [], accounts)


async def test_home_shows_what_a_person_may_see(stage: Stage) -> None:
    stage.slack.may_publish.set()
    for channel_id in ("C1", "C2", "C3"):
        await stage.asked_in(channel_id, "UADA")
    await stage.stores.accounts.sign_in(Owner("T1", "UADA", "jira"), "secret", "read")
    usage = await stage.quota.personal_usage("T1", "UADA")
    accounts = {"jira": (stage.stores.clock.now(), "read")}
    nobodys = await stage.quota.personal_usage("T1", "UBEN")
    assert nobodys != usage
    for user_id, has_accounts, view in (
        ("UADA", True, home_view(usage, ["C3", "C1"], accounts)),
        ("UADA", False, home_view(usage, ["C3", "C1"], {})),
        ("UBEN", True, home_view(nobodys, [], {})),
    ):
        stage.home(has_accounts=has_accounts).on_home_opened(user_id)
        await idle()
        assert stage.slack.homes.pop() == (user_id, view)
    stage.slack.channels = RateLimited("users.conversations", 1.0)
    stage.home().on_home_opened("UADA")
    await idle()
    assert stage.slack.homes == [("UADA", home_view(usage, [], {}))]


async def test_home_of_a_person_without_access_says_so(stage: Stage) -> None:
    stage.slack.may_publish.set()
    stage.slack.kind_of_all = UserKind.GUEST
    stage.home().on_home_opened("UADA")
    await idle()
    assert stage.slack.homes == [("UADA", stage.access.with_admin_mentions(Denial.GUEST))]


@pytest.mark.parametrize(("channels", "others"), [(MAX_LISTED - 1, 0), (MAX_LISTED, 0), (MAX_LISTED + 1, 1)])
async def test_admins_home_lists_ten_channels_with_settings_of_their_own(
    stage: Stage, channels: int, others: int
) -> None:
    stage.slack.may_publish.set()
    for number in range(channels):
        own = ChannelSettings(new_posts=True)
        await stage.stores.channel_settings.write("T1", f"C{number:03}", own)
    await stage.stores.channel_settings.write("T1", "C999", ChannelSettings("openai/gone"))
    stage.home().on_home_opened("UADMIN")
    await idle()
    [(_, shown)] = stage.slack.homes
    assert isinstance(shown, HomeView)
    assert shown.workspace is not None
    listed = shown.workspace.channels
    assert ([channel_id for channel_id, _ in listed.listed_channels], listed.other_count) == (
        [f"C{number:03}" for number in range(min(MAX_LISTED, channels))],
        others,
    )
    assert isinstance(listed, ChannelsWithSettings)
    assert (shown.workspace.settings, shown.workspace.built_at) == ({"Access": "members"}, stage.stores.clock.now())
    assert (shown.workspace.quotas.defaults, shown.workspace.quotas.unpriced) == (CAPS, ("my-own",))


async def test_home_is_built_once_at_a_time_and_again_after_a_change(stage: Stage) -> None:
    home = stage.home()
    home.on_home_opened("UADA")
    home.on_home_opened("UADA")
    home.on_changed("UADA")
    home.on_changed("UADA")
    home.on_changed("UBEN")
    stage.slack.may_publish.set()
    await turns()
    assert sorted(user_id for user_id, _ in stage.slack.homes) == ["UADA", "UADA", "UBEN"]
    home.on_home_opened("UADA")
    await turns()
    assert len(stage.slack.homes) == 4, "the next opening builds again what was shown"


async def test_no_more_than_fifty_homes_are_built_at_once(stage: Stage) -> None:
    home = stage.home()
    for number in range(MAX_BUILDS + 1):
        home.on_home_opened(f"U{number}")
    stage.slack.may_publish.set()
    await idle()
    assert sorted(user_id for user_id, _ in stage.slack.homes) == sorted(f"U{number}" for number in range(MAX_BUILDS))
