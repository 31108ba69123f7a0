"""Models (models.py): two vendors, a scripted model, and wrappers for each model.

From the inside out: Fallback([Stall(Retry(vendor.model(name)))]).
"""
