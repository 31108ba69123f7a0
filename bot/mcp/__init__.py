"""MCP servers as tools: their configuration, one connection each, pinned definitions, and calls.

All modules except `config.py` need the SDK. Importing it takes 27 MB and half a second, so `bot/wiring.py` does that
only if servers are configured.
"""
