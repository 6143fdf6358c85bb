"""Pure rules on prompts: what is private, what repeats, which language, split and purpose. No file, no clock."""
