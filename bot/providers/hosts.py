"""Whose servers are at an address. Apart from openai.py, which imports OpenAI's SDK."""

from urllib.parse import urlsplit


def speaks_responses(base_url: str) -> bool:
    """Returns whether this is OpenAI or Azure's v1 endpoint. Other servers are only sure to know Chat Completions."""
    host = urlsplit(base_url).hostname or ""
    return host.endswith((".openai.com", ".azure.com"))
