"""Preference datasets as published on the hub, each read by its own columns."""
