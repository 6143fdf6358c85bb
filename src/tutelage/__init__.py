"""Tutelage: the InstructGPT system, from raw prompts and human judgments to a policy trained with PPO-ptx."""

__version__ = "0.1.0"
