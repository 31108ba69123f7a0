"""Amazon Bedrock's stream: binary messages with checksums, each with one event of the model's own stream as JSON.

The format: https://docs.aws.amazon.com/AmazonS3/latest/developerguide/RESTSelectObjectAppendix.html#RESTSelectObjectAppendix-message-format
and what is in it: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
"""

import json
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import Any

AWS_EVENTS = "application/vnd.amazon.eventstream"
"""The media type of such a stream."""


async def read_aws_events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[Any, None]:
    """Yields the JSON of each event. A failure is yielded in Anthropic's form of an error event.

    Only an event with `bytes` holds one of the model's: others, which Amazon may add, are skipped.

    Raises ValueError for what is not in the format, botocore's errors for a wrong checksum or a message that is too
    long, and the transport's errors.
    """
    # Of the extra bedrock.
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    async for chunk in chunks:
        buffer.add_data(chunk)
        for message in buffer:
            body = json.loads(message.payload or b"{}")
            if message.headers.get(":message-type") != "event":
                yield _failure(message.headers, body)
            elif "bytes" in body:
                yield json.loads(b64decode(body["bytes"]))


def _failure(headers: Mapping[str, Any], body: Any) -> Any:
    code = headers.get(":exception-type") or headers.get(":error-code")
    message = body.get("message") or headers.get(":error-message")
    return {"type": "error", "error": {"type": code, "message": message}}
