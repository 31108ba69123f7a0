"""Offers the tools of MCP servers to models: reads the configuration, keeps one connection to each server, pins tool
definitions, and makes calls.

All modules except `config.py` need the SDK. Importing the SDK takes 27 MB and half a second, so `bot/wiring.py` does so
only if servers are configured.
"""
