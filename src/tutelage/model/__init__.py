"""Hugging Face models as policies, reward models and value models: loading, packing, heads, sampling, checkpoints.

Shapes, throughout this package: G groups (one prompt each), M responses, T packed tokens without padding, N packed
response tokens, S longest sequence of a batch, H heads, D width, V vocabulary.
"""
