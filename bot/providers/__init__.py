"""Models behind the port Provider: two vendors and a scripted one, and what can be wrapped around each.

From the inside out: Fallback([Stall(Retry(vendor.model(name)))]).
"""
