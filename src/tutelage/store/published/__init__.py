"""Sets of preferences as the hub publishes them, each read by its own columns."""
