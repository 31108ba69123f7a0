"""Models (model.py): two vendors, and wrappers for each model.

From the inside out: Fallback([Stall(Measured(vendor.model(name)))]).
"""
