"""The paper as one function, for any model and any data: from prompts and labels to policies and their evaluation."""
