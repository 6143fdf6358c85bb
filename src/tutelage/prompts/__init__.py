"""Pure rules for prompts: personal data, repeats, language, split and purpose. No files, no clock."""
