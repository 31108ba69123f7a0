"""Helpers for tests of bots: a fixture, Bolt apps, manifests, requests, pages in a browser, and payload shapes."""
