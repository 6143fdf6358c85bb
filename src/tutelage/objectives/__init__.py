"""Pure math on tensors: no module, no file, no configuration, no global random state.

Shapes, throughout this package: B responses, R response tokens (right-padded), N concatenated tokens of any kind, V
vocabulary, D width, C concatenated completions, P comparisons. A mask is named for what its True means, and True always
counts.

Every loss returns a `LossTerm`: a sum, its count, and sums of its metrics. The training loop divides by the count of
the whole batch, so that micro-batches and processes cannot change the objective.
"""
