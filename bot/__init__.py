"""Typist: streams LLM answers into Slack."""

__version__ = "0.1.0"
