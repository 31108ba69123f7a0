"""Implements Typist's behaviors with Slack and the store. Each module is one behavior."""
