"""From raw prompts to the three prompt sets of the paper: the rules of `prompts` applied to files."""
