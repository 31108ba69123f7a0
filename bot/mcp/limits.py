"""How much is read of one message of a server. Both transports stop there, so no server can fill Typist's memory."""

MAX_MESSAGE_BYTES = 8_000_000
"""Of one line, one event or one body. Enough for the images of most tools, though Typist doesn't pass them on."""
TOO_LONG = f"exceeded the {MAX_MESSAGE_BYTES} byte limit"
"""Stands in each error that tells of a longer message. The SDK's error about events has these words."""
