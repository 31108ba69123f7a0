"""Recognizes servers by their address. It is apart from openai.py because that imports OpenAI's SDK."""

from urllib.parse import urlsplit


def speaks_responses(base_url: str) -> bool:
    """Returns whether this is OpenAI or Azure's v1 endpoint. Other servers reliably support only Chat Completions."""
    return (urlsplit(base_url).hostname or "").endswith(".openai.com") or is_azure(base_url)


def is_azure(base_url: str) -> bool:
    """Returns whether this is Azure's v1 endpoint, also in Azure Government (.azure.us)."""
    return (urlsplit(base_url).hostname or "").endswith((".azure.com", ".azure.us"))


def speaks_responses_api(api: str, base_url: str) -> bool:
    """Returns whether requests go to the Responses API: by the setting of the API, or else by the server."""
    return api == "responses" or (api != "chat" and speaks_responses(base_url))
