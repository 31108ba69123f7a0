"""Implements Typist's behaviors on top of Slack and the store. Each module is one behavior."""
