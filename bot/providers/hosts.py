"""Whose servers are whose, by their addresses. Apart from openai.py, which imports its SDK."""

from urllib.parse import urlsplit


def speaks_responses(base_url: str) -> bool:
    """Whether this is OpenAI itself or Azure's v1 endpoint; others are only sure to know Chat Completions."""
    host = urlsplit(base_url).hostname or ""
    return host.endswith((".openai.com", ".azure.com"))
