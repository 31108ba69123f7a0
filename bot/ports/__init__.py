"""What the services need of the world: small protocols, grouped by what they stand for.

A service takes exactly the ports that it calls. bot/store, bot/slack and bot/providers implement them, and bot/app.py
puts both together. A port has one contract test (tests/contracts), which runs on everything that implements it.
"""
