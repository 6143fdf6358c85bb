"""The paper as one function: read `quickstart.quickstart` from top to bottom."""
