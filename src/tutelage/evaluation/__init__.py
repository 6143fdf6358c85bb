"""Judging models: completions of several arms on the same prompts, compared and rated by the judges passed in."""
