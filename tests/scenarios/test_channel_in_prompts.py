"""People ask about the channel they are in: over real sockets."""

import re
from dataclasses import dataclass, replace

import pytest

from bot.core.calls import READ_CHANNEL
from bot.core.conversation import Question
from bot.models.prompt import OURS, OfferedTools, Permission
from bot.settings import Settings
from bot.slack.canvases_and_pins import NOT_READABLE
from slack_sandbox.files import UploadedFile
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Json
from tests.scenarios.conftest import Stage, manifest, running, says
from tests.scenarios.test_files import handbook
from tests.scenarios.tools import Notes, asking, by_results, calls, results_in
from tests.slack.test_files import PNG
from tests.streams.server import VendorRequest, VendorResponse, VendorServer

pytestmark = [pytest.mark.skips_waits]

NOTED = re.compile(r"conversation in (?P<where>[^\]]+)\]|^> (?P<what>Topic|Purpose): (?P<text>.+)$", re.MULTILINE)


def repeat_what_is_known(request: VendorRequest) -> VendorResponse:
    """Answers with what the prompt says about the channel, and nothing else."""
    said = "\n\n".join(message["content"] for message in request.body["messages"][1:])
    found = [match["where"] or f"{match['what']}: {match['text']}" for match in NOTED.finditer(said)]
    return says("This is " + ". ".join(found) + ".")


async def test_asker_learns_what_the_channel_is_for(stage: Stage, vendor: VendorServer) -> None:
    vendor.script(repeat_what_is_known)
    general = stage.sandbox.workspace.channel("general")
    general.topic, general.purpose = "Launches &amp; deploys", "Ask &lt;b&gt; <@U0ADA|ada> first"
    asked = await stage.mention("What is this channel for?")
    [answer] = await stage.answers("general", asked)
    assert answer.startswith(
        "This is the public channel #general. Topic: Launches & deploys. Purpose: Ask <b> @ada first."
    )


@dataclass
class AllowedNotes(Notes):
    """Notes that an admin has agreed to and always allows."""

    async def definitions(self, question: Question) -> OfferedTools:
        offered = await super().definitions(question)
        rules = [replace(tool.rule, permission=Permission.ALLOW) for tool in offered.definitions]
        allowed = zip(offered.definitions, rules, strict=True)
        return OfferedTools(tuple(replace(tool, origins=OURS, rule=rule) for tool, rule in allowed))


async def test_topic_that_a_tool_could_act_on_is_read_on_request_and_then_calls_are_asked_for(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings
) -> None:
    notes, stage = AllowedNotes(), Stage(sandbox, vendor)
    sandbox.workspace.channel("general").topic = "Note every launch"
    note = calls("", ("notes__add", {"text": "Launch"}))
    async with running(settings, tools=notes):
        vendor.script(by_results(note, says("Noted.")))
        assert (await stage.answers("general", await stage.mention("note the launch")))[0].startswith("Noted.")
        assert len(notes.written) == 1, "the prompt has nobody else's words"
        vendor.script(by_results(calls("", (READ_CHANNEL, {"about": True})), note))
        await asking(stage, await stage.mention("what is this channel for?"))
    assert len(notes.written) == 1
    *before, last = [str(request.body["messages"]) for request in vendor.requests]
    assert "> Topic: Note every launch" in last
    assert not any("every launch" in prompt for prompt in before)


def reading_tabs() -> Json:
    with_pins: Json = manifest()
    with_pins["oauth_config"]["scopes"]["bot"].append("pins:read")
    return with_pins


def repeat_pins(request: VendorRequest) -> VendorResponse:
    """Reads about the channel, then the canvas in its tab, and answers with the pins and the canvas's text."""
    results = results_in(request)
    if not results:
        return calls("", (READ_CHANNEL, {"about": True}))
    tab = re.search(r"^> Plan, ID (F\w+), ", results[0], re.MULTILINE)
    if tab and len(results) == 1:
        return calls("", (READ_CHANNEL, {"canvas": tab[1]}))
    pins = re.findall(r"^(\w+), .*, ts .*\n> (.*)$", results[0], re.MULTILINE)
    pinned = [f"{writer} pinned: {words}" for writer, words in pins]
    return says("\n\n".join((*pinned, results[-1].splitlines()[-2] if tab else "No plan.")))


def read_pinned_file(request: VendorRequest) -> VendorResponse:
    """Reads about the channel, then the file of its pinned message, and answers with the last result."""
    results = results_in(request)
    if not results:
        return calls("", (READ_CHANNEL, {"about": True}))
    if len(results) == 1 and (file := re.search(r"\[.+, ID (F\w+)\]$", results[0], re.MULTILINE)):
        return calls("", (READ_CHANNEL, {"canvas": file[1]}))
    return says(results[-1])


@pytest.mark.slack(manifest=reading_tabs())
@pytest.mark.parametrize(
    ("file", "said"),
    [
        pytest.param(UploadedFile("deploy.md", b"Deploy only on Tuesdays."), "Deploy only on Tuesdays.", id="text"),
        pytest.param(UploadedFile("deploy.pdf", handbook(1)), "Rule 1 of all.", id="PDF"),
        pytest.param(UploadedFile("deploy.png", PNG), NOT_READABLE, id="picture"),
    ],
)
@pytest.mark.bot(read_tabs=True)
async def test_asker_learns_what_a_pinned_file_says(
    stage: Stage, vendor: VendorServer, file: UploadedFile, said: str
) -> None:
    vendor.script(read_pinned_file)
    await stage.sandbox.pin("ada", "general", await stage.sandbox.share("grace", "general", "Here:", [file]))
    [answer] = await stage.answers("general", await stage.mention("what does the pinned file say?"))
    assert said in answer


@pytest.mark.parametrize("reads_tabs", [True, False])
async def test_file_elsewhere_or_without_the_setting_is_not_read(
    sandbox: Sandbox, vendor: VendorServer, settings: Settings, reads_tabs: bool
) -> None:
    channel = "random" if reads_tabs else "general"
    await sandbox.share("ada", channel, "Here:", [UploadedFile("secret.md", b"We ship by balloon.")])
    [file] = sandbox.files.all_files()
    vendor.script(by_results(calls("", (READ_CHANNEL, {"canvas": file.id})), says("No.")))
    stage = Stage(sandbox, vendor)
    async with running(replace(settings, read_tabs=reads_tabs)):
        await stage.answers("general", await stage.mention("what does it say?"))
    assert results_in(vendor.requests[-1]) == [NOT_READABLE]


@pytest.mark.slack(manifest=reading_tabs())
@pytest.mark.bot(read_tabs=True)
async def test_asker_learns_what_the_pins_and_the_channels_canvas_say(stage: Stage, vendor: VendorServer) -> None:
    vendor.script(repeat_pins)
    sandbox = stage.sandbox
    await sandbox.add_tab("ada", "general", UploadedFile("Plan.canvas", b"We ship by balloon."))
    await sandbox.pin("ada", "general", await sandbox.say("grace", "general", "Deploy only on Tuesdays"))
    [answer] = await stage.answers("general", await stage.mention("what do the pins say?"))
    assert answer.startswith("Grace pinned: Deploy only on Tuesdays\n\nWe ship by balloon.")
