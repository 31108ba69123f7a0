"""Models of Amazon Bedrock, Google Vertex AI, Microsoft Foundry and Azure OpenAI, by the identity of the process.

The servers verify it: AWS's signatures are computed again, and tokens count only if the token service gave them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot import settings
from bot.core import texts
from bot.errors import EndReason
from bot.models import clouds
from bot.models.events import Opaque, ToolCall, Usage
from bot.models.failures import RequestAttempt
from bot.models.prompt import Effort, Prompt, ToolDefinition, ToolResult, Turn, WebSearch
from bot.models.registry import VENDORS, open_models
from bot.models.wrappers import Fallback
from bot.settings import model_setup
from tests.contracts.in_process import AnyVendor, InProcessVendor
from tests.contracts.notifications import PROMPT, Received, collect
from tests.streams import speech, steps
from tests.streams.clouds import (
    AWS_KEYS,
    AWS_REGION,
    AZURE,
    BEDROCK,
    BEDROCK_OPENAI,
    FOUNDRY,
    VERTEX,
    WORDS,
    AwsKeys,
    CloudApi,
    TokenServices,
    aws_exception,
    aws_message,
    aws_stream,
    guarded,
    identities,
    no_identity,
)
from tests.streams.server import Script, VendorRequest, VendorResponse, VendorServer, refusal

TEXT = "".join(WORDS)
ARN = "arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/abc123"


CLOUDS = [BEDROCK, BEDROCK_OPENAI, VERTEX, FOUNDRY, AZURE]
OPENAIS = (BEDROCK_OPENAI, AZURE)
ALL_CLOUDS = pytest.mark.parametrize("cloud", CLOUDS, ids=str)
WITH_TOKENS = pytest.mark.parametrize("cloud", [VERTEX, FOUNDRY, AZURE], ids=str)
CLAUDES = pytest.mark.parametrize("cloud", [BEDROCK, VERTEX, FOUNDRY], ids=str)


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[TokenServices]:
    async with identities(tmp_path) as services:
        yield services


def proves(cloud: CloudApi, tokens: TokenServices, keys: AwsKeys = AWS_KEYS) -> Callable[[VendorRequest], bool]:
    if cloud.vendor == "bedrock":
        return lambda request: keys.is_signature_good(request, AWS_REGION, "bedrock")
    return tokens.has_given


def if_proved(cloud: CloudApi, tokens: TokenServices) -> Script:
    return guarded(proves(cloud, tokens), cloud.denied, cloud.answer)


def as_container(monkeypatch: pytest.MonkeyPatch, tokens: TokenServices) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    for name, value in tokens.aws_environment().items():
        monkeypatch.setenv(name, value)


async def asked(
    cloud: CloudApi, server: AnyVendor, *answers: Script, prompt: Prompt = PROMPT, **changes: str
) -> Received:
    server.script(*answers or [cloud.answer])
    ours = settings.read({**cloud.env(server.url), **changes})
    async with open_models(model_setup(ours)) as models:
        return await collect(models, prompt)


class TestAnIdentity:
    """A request carries what the cloud verifies, and no key."""

    @ALL_CLOUDS
    async def test_answer_streams_to_an_identity_that_is_proved(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        received = await asked(cloud, vendor, if_proved(cloud, tokens))
        assert (received.text, received.error) == (TEXT, None)
        assert received.deltas == WORDS
        assert received.completions[0].model == cloud.model
        assert received.completions[0].usage == Usage(speech.INPUT_TOKENS, len(speech.tokens(TEXT)))
        assert [request.target for request in vendor.requests] == [cloud.target]

    async def test_role_of_a_container_signs(
        self, vendor: VendorServer, tokens: TokenServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        as_container(monkeypatch, tokens)
        elsewhere = "eu-west-3"
        signed = partial(AWS_KEYS.is_signature_good, region=elsewhere, service="bedrock")
        received = await asked(BEDROCK, vendor, guarded(signed, BEDROCK.denied, BEDROCK.answer), AWS_REGION=elsewhere)
        assert (received.text, received.error) == (TEXT, None)
        assert tokens.given

    @pytest.mark.parametrize("cloud", [BEDROCK, BEDROCK_OPENAI], ids=str)
    async def test_key_of_bedrock_in_its_own_variable_needs_no_identity(
        self, vendor: VendorServer, tmp_path: Path, cloud: CloudApi
    ) -> None:
        with no_identity(tmp_path) as environment:
            environment.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-bedrock-key")
            environment.setenv("AWS_PROFILE", "not-in-any-file")
            received = await asked(cloud, vendor)
        assert (received.text, received.error) == (TEXT, None)
        assert vendor.requests[0].headers["Authorization"] == "Bearer a-bedrock-key"

    async def test_request_signed_with_another_secret_is_refused(
        self, vendor: VendorServer, tokens: TokenServices
    ) -> None:
        said = "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String"
        mismatch = refusal(
            403, {"message": f"{said} should have been\n'POST\nx-amz-security-token:{AWS_KEYS.token}\n'"}
        )
        is_good = proves(BEDROCK, tokens, replace(AWS_KEYS, secret="other"))
        received = await asked(BEDROCK, vendor, guarded(is_good, mismatch, BEDROCK.answer))
        assert received.failure is EndReason.BAD_KEY
        assert received.error is not None
        assert "does not match the signature" in received.error.detail
        assert AWS_KEYS.token not in received.error.detail

    @pytest.mark.parametrize("name", [ARN, "anthropic.claude-haiku-5-5"])
    async def test_any_name_of_a_bedrock_model_is_signed_as_it_is_sent(
        self, vendor: VendorServer, tokens: TokenServices, name: str
    ) -> None:
        received = await asked(BEDROCK, vendor, if_proved(BEDROCK, tokens), BOT_MODELS=f"bedrock/{name}")
        assert (received.text, received.error) == (TEXT, None)

    async def test_models_of_two_vendors_answer_at_one_cloud(self, vendor: VendorServer, tokens: TokenServices) -> None:
        answers, models = (VendorResponse(status=403), BEDROCK_OPENAI.answer), (BEDROCK.model, BEDROCK_OPENAI.model)
        received = await asked(BEDROCK, vendor, *answers, BOT_MODELS=",".join(models))
        assert received.completions[0].model == BEDROCK_OPENAI.model
        assert [request.target for request in vendor.requests] == [BEDROCK.target, BEDROCK_OPENAI.target]

    @pytest.mark.parametrize("cloud", CLOUDS, ids=str)
    async def test_keys_of_the_vendors_stay_at_home(
        self, vendor: VendorServer, tokens: TokenServices, monkeypatch: pytest.MonkeyPatch, cloud: CloudApi
    ) -> None:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
            monkeypatch.setenv(name, "sk-of-another-vendor")
        received = await asked(cloud, vendor, if_proved(cloud, tokens), OPENAI_API_KEY="sk-of-another-vendor")
        assert (received.text, received.error) == (TEXT, None)
        assert "sk-of-another-vendor" not in str(vendor.requests)

    @WITH_TOKENS
    async def test_a_token_serves_many_requests(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        vendor.script(guarded(tokens.has_given, cloud.denied, cloud.answer))
        async with open_models(model_setup(settings.read(cloud.env(vendor.url)))) as models:
            for _ in range(3):
                assert (await collect(models)).text == TEXT
        assert len(tokens.given) == 1

    @WITH_TOKENS
    async def test_a_token_of_somebody_else_is_refused(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        received = await asked(cloud, vendor, guarded(lambda request: False, cloud.denied, cloud.answer))
        assert received.failure is EndReason.BAD_KEY


@ALL_CLOUDS
async def test_service_of_credentials_that_hangs_holds_up_nothing_else(
    vendor: VendorServer, tokens: TokenServices, monkeypatch: pytest.MonkeyPatch, cloud: CloudApi
) -> None:
    monkeypatch.setattr(clouds, "CREDENTIALS_WITHIN_S", 0.5)
    as_container(monkeypatch, tokens)
    tokens.answering.clear()
    vendor.script(cloud.answer)
    elsewhere = {"AWS_REGION": "eu-south-1"} if cloud.vendor == "bedrock" else {}
    setup = model_setup(settings.read({**cloud.env(vendor.url), **elsewhere}))
    async with open_models(setup, patience_s=0.0) as models:
        asking = [asyncio.create_task(collect(models)) for _ in range(40)]
        # Threads that the whole process shares.
        async with asyncio.timeout(10):
            await asyncio.gather(*(asyncio.to_thread(int) for _ in range(8)))
        assert {(await received).failure for received in asking} == {EndReason.UNREACHABLE}
        tokens.answering.set()
        monkeypatch.setattr(clouds, "CREDENTIALS_WITHIN_S", 30.0)
        received = await collect(models)
        assert (received.text, received.error) == (TEXT, None)


class TestAMissingPermission:
    """The log names the role or permission; Slack doesn't."""

    @ALL_CLOUDS
    async def test_permission_is_named_to_the_operator_and_not_in_slack(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        received = await asked(cloud, vendor, cloud.denied)
        assert received.failure is EndReason.BAD_KEY
        assert received.error is not None
        known = VENDORS[cloud.vendor].cloud
        assert known is not None
        assert received.error.detail.startswith(f"needs {known.access}: ")
        assert cloud.named in received.error.detail
        name = texts.models.OWN_NAMES.label(cloud.model)
        shown = texts.models.error_text(received.error)
        assert shown == f"I don't have access to {name}. Ask your Typist admin to check its credentials."

    @pytest.mark.parametrize(("status", "detail"), [(403, "needs the role: 403 No."), (429, "429 No.")])
    def test_permission_is_named_only_where_it_may_be_missing(self, status: int, detail: str) -> None:
        attempt = RequestAttempt("bedrock/m", "", access="the role")
        assert attempt.reported_failure({"message": "No."}, status).detail == detail

    @ALL_CLOUDS
    async def test_process_without_credentials_says_what_it_needs(
        self, vendor: VendorServer, tmp_path: Path, cloud: CloudApi
    ) -> None:
        # The SDK keeps credentials by region.
        elsewhere: Any = {"AWS_REGION": "eu-north-1"} if cloud.vendor == "bedrock" else {}
        with no_identity(tmp_path):
            received = await asked(cloud, vendor, **elsewhere)
        assert received.failure is EndReason.BAD_KEY
        assert received.error is not None
        assert "needs the " in received.error.detail
        assert "no usable credentials" in received.error.detail
        assert vendor.requests == []

    @WITH_TOKENS
    async def test_refusal_of_the_token_service_is_a_refused_identity(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        tokens.refuses = True
        assert (await asked(cloud, vendor)).failure is EndReason.BAD_KEY
        assert vendor.requests == []


class TestRequests:
    """A cloud gets the API's own request, without what it doesn't take."""

    @ALL_CLOUDS
    async def test_effort_is_sent_without_asking_the_cloud_about_the_model(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        await asked(cloud, vendor, prompt=replace(PROMPT, effort=Effort.THOROUGH))
        [request] = vendor.requests
        sent = request.body.get("output_config") or request.body["reasoning"]
        assert sent["effort"] == "xhigh"

    @pytest.mark.parametrize("cloud", [BEDROCK, VERTEX], ids=str)
    async def test_clouds_that_cache_no_requests_get_the_last_blocks_of_both_questions_to_cache(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        await asked(cloud, vendor)
        [request] = vendor.requests
        first, between, last = PROMPT.turns
        marked = [
            {"role": "user", "content": [{"type": "text", "text": turn.text, "cache_control": {"type": "ephemeral"}}]}
            for turn in (first, last)
        ]
        assert "cache_control" not in request.body
        assert request.body["messages"] == [marked[0], {"role": "assistant", "content": between.text}, marked[1]]
        assert request.body["anthropic_version"]

    @CLAUDES
    @pytest.mark.parametrize(
        ("prompt", "tools"),
        [
            (replace(PROMPT, web_search=WebSearch()), {"bedrock": [], "vertex": ["web_search"]}),
            (PROMPT, {}),
        ],
        ids=["web search", "none"],
    )
    async def test_web_tools_are_offered_where_the_cloud_has_them(
        self,
        vendor: VendorServer,
        tokens: TokenServices,
        cloud: CloudApi,
        prompt: Prompt,
        tools: Mapping[str, list[str]],
    ) -> None:
        await asked(cloud, vendor, prompt=prompt)
        [request] = vendor.requests
        usual = ["web_search", "web_fetch"] if prompt.web_search else []
        assert [tool["name"] for tool in request.body.get("tools", [])] == tools.get(cloud.vendor, usual)

    @ALL_CLOUDS
    async def test_step_goes_on_with_what_the_same_cloud_gave(
        self, vendor: VendorServer, tokens: TokenServices, cloud: CloudApi
    ) -> None:
        call = steps.responses(steps.REASONING, steps.function_call("c1", "look", "{}"))
        blocks = [{"type": "thinking", "thinking": "", "signature": "s1"}, steps.tool_use("c1", "look", {})]
        claude = steps.messages(*blocks, stop_reason="tool_use")
        vendor.script(cloud.stream(call if cloud in OPENAIS else claude), cloud.answer)
        tool = ToolDefinition("look", "Looks.", {"type": "object", "properties": {}})
        prompt = Prompt("", (Turn("user", "Look."),), tools=(tool,))
        ours = settings.read(cloud.env(vendor.url))
        async with open_models(model_setup(ours)) as models:
            assert isinstance(models, Fallback)
            step = await collect(models, prompt)
            opaque = [part for part in step.others if isinstance(part, Opaque)]
            calls = [part for part in step.others if isinstance(part, ToolCall)]
            assert {part.vendor for part in opaque} == {cloud.vendor}
            made = Turn("assistant", "", parts=(*opaque, *calls))
            result = Turn("user", "", parts=(ToolResult(calls[0].call_id, "look", "Found."),))
            go_on = replace(prompt, turns=(*prompt.turns, made, result))
            assert (await collect(models, go_on)).text == TEXT
        second = str(vendor.requests[1].body)
        assert ("gAAAAABqk1Zz" if cloud in OPENAIS else "'signature': 's1'") in second


class TestBedrocksStream:
    """Messages with checksums; failures are messages of their own."""

    @pytest.mark.parametrize(
        ("name", "said", "failure"),
        [
            ("throttlingException", "Too many requests.", EndReason.RATE_LIMITED),
            ("serviceUnavailableException", "Try again.", EndReason.OVERLOADED),
            ("modelTimeoutException", "Too slow.", EndReason.UNREACHABLE),
            ("internalServerException", "No.", EndReason.SERVER_ERROR),
            ("validationException", "Input is too long for requested model.", EndReason.CONTEXT_TOO_LONG),
        ],
    )
    async def test_exception_in_mid_stream_has_its_reason(
        self, in_process: InProcessVendor, name: str, said: str, failure: EndReason
    ) -> None:
        begun = aws_stream(speech.messages(WORDS)[:3])
        received = await asked(BEDROCK, in_process, replace(begun, chunks=[*begun.chunks, aws_exception(name, said)]))
        assert (received.text, received.failure) == (WORDS[0], failure)
        assert received.error is not None
        assert name in received.error.detail

    async def test_stream_without_its_end_is_cut(self, in_process: InProcessVendor) -> None:
        received = await asked(BEDROCK, in_process, aws_stream(speech.messages(WORDS)[:-2]))
        assert (received.text, received.failure) == (TEXT, EndReason.CUT)

    async def test_message_may_be_split_anywhere(self, in_process: InProcessVendor) -> None:
        whole = b"".join(BEDROCK.answer.chunks)
        received = await asked(BEDROCK, in_process, replace(BEDROCK.answer, chunks=speech.split(whole, 7)))
        assert (received.text, received.error) == (TEXT, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            aws_message(b'{"bytes": "e30="}', event_type="chunk", message_type="event")[:-1] + b"\0",
            aws_message(b"{", event_type="chunk", message_type="event"),
            aws_message(b'{"bytes": "?"}', event_type="chunk", message_type="event"),
        ],
        ids=["checksum", "no JSON", "no base64"],
    )
    async def test_message_that_is_none_fails_the_answer(self, in_process: InProcessVendor, wrong: bytes) -> None:
        received = await asked(BEDROCK, in_process, replace(BEDROCK.answer, chunks=[wrong, *BEDROCK.answer.chunks]))
        assert received.failure is EndReason.CUT

    async def test_event_without_bytes_is_skipped(self, in_process: InProcessVendor) -> None:
        first, *others = BEDROCK.answer.chunks
        added = aws_message(b'{"p": "abc"}', event_type="metrics", message_type="event")
        received = await asked(BEDROCK, in_process, replace(BEDROCK.answer, chunks=[first, added, *others]))
        assert (received.text, received.error) == (TEXT, None)

    @pytest.mark.parametrize(
        "said",
        [
            "The provided model identifier is invalid.",
            "Invocation of model ID anthropic.claude-haiku-5-5 with on-demand throughput isn't supported. Retry your "
            "request with the ID or ARN of an inference profile that contains this model.",
        ],
    )
    async def test_name_that_bedrock_does_not_know_is_an_unknown_model(
        self, in_process: InProcessVendor, said: str
    ) -> None:
        invalid = refusal(400, {"message": said}, x_amzn_ErrorType="ValidationException")
        assert (await asked(BEDROCK, in_process, invalid)).failure is EndReason.UNKNOWN_MODEL
