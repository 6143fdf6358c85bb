"""Raw prompts to the three prompt sets of the paper: the rules of `prompts` joined with files."""
