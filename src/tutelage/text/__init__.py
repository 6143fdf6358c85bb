"""The one place that turns records into token ids: rendering, the end of a response, training tokenizers."""
