"""Hugging Face models as policies, reward models and value models: loading, packing, heads, sampling, checkpoints.

Shapes, everywhere in this room: G groups (one prompt each), M responses, T tokens laid end to end without padding, N
response tokens laid end to end, S longest sequence of a batch, H heads, D width, V vocabulary.
"""
