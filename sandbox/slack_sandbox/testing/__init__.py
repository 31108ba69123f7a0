"""Helpers for bots' tests: a fixture, Bolt apps, manifests, requests, pages in a browser, Slack's shapes."""
