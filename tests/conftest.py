"""One thread for every test, so that a busy machine slows them evenly; and what several test files share."""

from __future__ import annotations

import importlib.util
import os

# Before torch is imported anywhere; processes that tests start inherit it.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

from postgresql_server import postgresql_socket, postgresql_url  # noqa: E402, F401
from stage_world import project, stages  # noqa: E402, F401
from tiny import encoded, tiny, tokenizer  # noqa: E402, F401

# The labeling studio is an extra; its tests say so where it is not installed.
if importlib.util.find_spec("fastapi"):
    from studio_world import clock, studio  # noqa: F401

    if importlib.util.find_spec("playwright"):
        from browser_world import address, chromium, open_page  # noqa: F401
