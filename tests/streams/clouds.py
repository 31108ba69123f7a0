"""What the clouds verify, on this machine: AWS's signatures, and the tokens of Google and Entra.

Both follow the documentation and share no code with the clouds' libraries, which make the requests.
"""

import asyncio
import binascii
import hashlib
import hmac
import json
import os
import struct
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.streams import speech
from tests.streams.server import VendorRequest, VendorResponse, refusal

AWS_REGION = "eu-west-1"
_ENTRA_VARIABLES = "EnvironmentCredential"
"""Entra's only place to look for an identity."""
WORDS = ["Yes", ", a word", " or two."]
"""What the clouds' models answer."""


@dataclass(frozen=True)
class AwsKeys:
    """A session's credentials."""

    key_id: str = "ASIAQEXAMPLE"
    secret: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    token: str = "FwoGZXIvYXdzEXAMPLETOKEN=="

    def is_signature_good(self, request: VendorRequest, region: str, service: str) -> bool:
        """Returns whether a request carries the signature that it should.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
        """
        algorithm, _, rest = request.headers.get("Authorization", "").partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        at = request.headers.get("X-Amz-Date", "")
        scope = f"{at[:8]}/{region}/{service}/aws4_request"
        signed = fields.get("SignedHeaders", "").split(";")
        if algorithm != "AWS4-HMAC-SHA256" or fields.get("Credential") != f"{self.key_id}/{scope}":
            return False
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed):
            return False
        path, _, query = request.target.partition("?")
        headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in signed)
        canonical = "\n".join(
            [
                request.method,
                quote(path, safe="/-_.~"),
                query,
                headers,
                ";".join(signed),
                hashlib.sha256(request.content).hexdigest(),
            ]
        )
        to_sign = "\n".join([algorithm, at, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        has_token = request.headers.get("X-Amz-Security-Token") == self.token
        return has_token and hmac.compare_digest(expected, fields.get("Signature", ""))


AWS_KEYS = AwsKeys()


def aws_message(payload: bytes, **headers: str) -> bytes:
    """Returns one message of AWS's event stream; `_` in a header's name stands for `-`, and each gets its colon."""
    packed = b""
    for name, value in headers.items():
        named = f":{name.replace('_', '-')}".encode()
        packed += struct.pack(f">B{len(named)}sBH", len(named), named, 7, len(value)) + value.encode()
    prelude = struct.pack(">II", 12 + len(packed) + len(payload) + 4, len(packed))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", binascii.crc32(message))


def aws_stream(events: Sequence[bytes]) -> VendorResponse:
    """Returns a stream of server-sent events in the form in which Bedrock sends them."""
    chunks = []
    for event in events:
        data = event.partition(b"data: ")[2].strip()
        payload = json.dumps({"bytes": b64encode(data).decode(), "p": "abcdefgh"}).encode()
        types = {"event_type": "chunk", "content_type": "application/json", "message_type": "event"}
        chunks.append(aws_message(payload, **types))
    return VendorResponse(chunks, content_type="application/vnd.amazon.eventstream")


def aws_exception(name: str, message: str) -> bytes:
    """Returns the message by which a Bedrock stream fails."""
    types = {"exception_type": name, "content_type": "application/json", "message_type": "exception"}
    return aws_message(json.dumps({"message": message}).encode(), **types)


@cache
def _google_key() -> rsa.RSAPrivateKey:
    """Returns a key, which takes half a second to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TokenServices:
    """`async with TokenServices() as tokens:` gives tokens to who proves its identity, at Google and at Entra."""

    def __init__(self) -> None:
        self.url = ""
        self.given: list[str] = []
        """The tokens, in the order in which they were given."""
        self.refuses = False
        """Whether no identity is good enough."""
        self.answering = asyncio.Event()
        """Set if requests for tokens and credentials get an answer."""
        self.answering.set()
        self._key = _google_key()
        self._header = "an-identity-header"
        app = web.Application()
        app.router.add_post("/google/token", self._google)
        app.router.add_get("/entra/token", self._entra)
        app.router.add_get("/aws/credentials", self._aws)
        app.middlewares.append(self._hang)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    def google_environment(self, folder: Path) -> Mapping[str, str]:
        """Returns the variables by which Google's library finds a service account's key, written to `folder`."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": "our-project",
            "private_key_id": "k1",
            "private_key": pem.decode(),
            "client_email": "typist@our-project.iam.gserviceaccount.com",
            "token_uri": f"{self.url}/google/token",
        }
        file = folder / "service-account.json"
        file.write_text(json.dumps(account))
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}

    def entra_environment(self) -> Mapping[str, str]:
        """Returns the variables by which a managed identity of Azure's App Service is found."""
        only = {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        return {"IDENTITY_ENDPOINT": f"{self.url}/entra/token", "IDENTITY_HEADER": self._header, **only}

    def aws_environment(self) -> Mapping[str, str]:
        """Returns the variables by which a container of AWS finds the credentials of its role."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/aws/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._header,
        }

    def has_given(self, request: VendorRequest) -> bool:
        """Returns whether a request carries a token from here."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and token in self.given

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _google(self, request: web.Request) -> web.Response:
        """https://developers.google.com/identity/protocols/oauth2/service-account#httprest"""
        form = await request.post()
        signed, _, signature = str(form["assertion"]).rpartition(".")
        header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert header["alg"] == "RS256"
        # Raises InvalidSignature.
        self._key.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        assert claims["aud"] == "https://oauth2.googleapis.com/token"
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        if self.refuses:
            return web.json_response({"error": "invalid_grant", "error_description": "account not found"}, status=400)
        return web.json_response({"access_token": self._token(), "expires_in": 3600, "token_type": "Bearer"})

    async def _entra(self, request: web.Request) -> web.Response:
        """https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference"""
        assert request.query["resource"] == "https://ai.azure.com"
        if self.refuses or request.headers.get("X-IDENTITY-HEADER") != self._header:
            return web.json_response({"statusCode": 400, "message": "no identity"}, status=400)
        expires = str(int(time.time()) + 3600)
        answer = {"access_token": self._token(), "expires_on": expires, "resource": "https://ai.azure.com"}
        return web.json_response({**answer, "token_type": "Bearer"})

    async def _aws(self, request: web.Request) -> web.Response:
        """https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html"""
        assert request.headers["Authorization"] == self._header
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        keys = {"AccessKeyId": AWS_KEYS.key_id, "SecretAccessKey": AWS_KEYS.secret, "Token": AWS_KEYS.token}
        self.given.append(AWS_KEYS.key_id)
        return web.json_response({**keys, "Expiration": expires})

    @web.middleware
    async def _hang(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        await self.answering.wait()
        return await handler(request)

    def _token(self) -> str:
        self.given.append(f"token-{len(self.given)}")
        return self.given[-1]


def guarded(
    is_good: Callable[[VendorRequest], bool], refused: VendorResponse, answer: VendorResponse
) -> Callable[[VendorRequest], VendorResponse]:
    """Returns a script that gives the answer to good requests, and refuses others."""
    return lambda request: answer if is_good(request) else refused


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def google_error(code: int, status: str, message: str) -> dict[str, Any]:
    """Returns the body of an error of a Google API."""
    return {"error": {"code": code, "message": message, "status": status}}


def _streamed(chunks: list[bytes]) -> VendorResponse:
    return VendorResponse(chunks)


@dataclass(frozen=True)
class CloudApi:
    """A cloud: its settings, the request that it gets, and how it refuses an identity without the permission."""

    vendor: str
    name: str
    url_variable: str
    url_path: str
    target: str
    """The path of the request."""
    speak: Callable[[list[str]], list[bytes]]
    denied: VendorResponse
    named: str
    """The permission, as the cloud writes it."""
    places: Mapping[str, str] = field(default_factory=dict)
    stream: Callable[[list[bytes]], VendorResponse] = _streamed

    def __str__(self) -> str:
        return f"{self.vendor} {'OpenAI' if self.speak is speech.responses else 'Claude'}"

    @property
    def model(self) -> str:
        return f"{self.vendor}/{self.name}"

    @property
    def answer(self) -> VendorResponse:
        return self.stream(self.speak(WORDS))

    def env(self, url: str) -> dict[str, str]:
        return {"BOT_MODELS": self.model, self.url_variable: f"{url}{self.url_path}", **self.places}


BEDROCK = CloudApi(
    "bedrock",
    "eu.anthropic.claude-haiku-5-5-v1:0",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "",
    "/model/eu.anthropic.claude-haiku-5-5-v1:0/invoke-with-response-stream",
    speech.messages,
    refusal(
        403,
        {
            "Message": "User: arn:aws:sts::111122223333:assumed-role/typist/i-1 is not authorized to perform: "
            "bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:eu-west-1:111122223333:"
            "inference-profile/eu.anthropic.claude-haiku-5-5-v1:0 because no identity-based policy allows the "
            "bedrock:InvokeModelWithResponseStream action"
        },
        x_amzn_ErrorType="AccessDeniedException",
    ),
    "is not authorized to perform: bedrock:InvokeModelWithResponseStream",
    {"AWS_REGION": AWS_REGION},
    aws_stream,
)
BEDROCK_OPENAI = replace(
    BEDROCK,
    name="us.openai.gpt-6-luna",
    target="/openai/v1/responses",
    speak=speech.responses,
    stream=_streamed,
)
VERTEX = CloudApi(
    "vertex",
    "claude-haiku-5-5",
    "ANTHROPIC_VERTEX_BASE_URL",
    "/v1",
    "/v1/projects/our-project/locations/global/publishers/anthropic/models/claude-haiku-5-5:streamRawPredict",
    speech.messages,
    refusal(
        403,
        [
            google_error(
                403,
                "PERMISSION_DENIED",
                "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/"
                "our-project/locations/global/publishers/anthropic/models/claude-haiku-5-5' (or it may not exist).",
            )
        ],
    ),
    "Permission 'aiplatform.endpoints.predict' denied",
    {"GOOGLE_CLOUD_PROJECT": "our-project", "GOOGLE_CLOUD_LOCATION": "global"},
)
FOUNDRY = CloudApi(
    "foundry",
    "claude-haiku-5-5",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "/anthropic",
    "/anthropic/v1/messages",
    speech.messages,
    refusal(
        401,
        {
            "error": {
                "code": "PermissionDenied",
                "message": "The principal `0c1d` lacks the required data action `Microsoft.CognitiveServices/accounts/"
                "AIServices/providers/action` to perform `POST /anthropic/v1/*` operation.",
            }
        },
    ),
    "Microsoft.CognitiveServices/accounts/AIServices/providers/action",
)
AZURE = CloudApi(
    "azure",
    "our-deployment",
    "AZURE_OPENAI_BASE_URL",
    "/openai/v1/",
    "/openai/v1/responses",
    speech.responses,
    refusal(
        401,
        {"error": {"code": "PermissionDenied", "message": "Principal does not have access to API/Operation."}},
    ),
    "PermissionDenied Principal does not have access to API/Operation.",
)


@contextmanager
def no_identity(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """A process without an identity at any cloud, whatever this machine has."""
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ:
            if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "MSI_", "ANTHROPIC_", "OPENAI_")):
                environment.delenv(name)
        # Of what the machine's user has, and of the addresses at which virtual machines ask.
        others = {"HOME": str(folder), "CLOUDSDK_CONFIG": str(folder), "PATH": "", "AWS_EC2_METADATA_DISABLED": "true"}
        for name, value in {**others, "NO_GCE_CHECK": "true", "AZURE_TOKEN_CREDENTIALS": _ENTRA_VARIABLES}.items():
            environment.setenv(name, value)
        yield environment


@asynccontextmanager
async def identities(folder: Path) -> AsyncIterator[TokenServices]:
    """A process with an identity at each cloud, and the token services that know it."""
    with no_identity(folder) as environment:
        async with TokenServices() as services:
            aws = {"AWS_ACCESS_KEY_ID": AWS_KEYS.key_id, "AWS_SECRET_ACCESS_KEY": AWS_KEYS.secret}
            aws |= {"AWS_SESSION_TOKEN": AWS_KEYS.token}
            for name, value in {**aws, **services.google_environment(folder), **services.entra_environment()}.items():
                environment.setenv(name, value)
            yield services
