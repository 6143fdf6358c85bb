"""A tokenizer's chat template: what it renders, what closes an assistant's turn, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tutelage.errors import ModelError, RenderError

Turns = Sequence[dict[str, str]]
# Words that no template contains, and that remain recognizable after trimming or case changes.
_USER_WORD, _ASSISTANT_WORD = "7301946528", "9182736450"


def render(tokenizer: Any, turns: Turns, *, with_generation_prompt: bool) -> str:
    """Render `turns` with the template. Raises `RenderError` if it refuses them."""
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=with_generation_prompt)
        )
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        roles = ", ".join(turn["role"] for turn in turns)
        raise RenderError(
            f"the tokenizer's chat template refuses it ({first_line(error)}); its turns are {roles}. Give turns that "
            "the template accepts"
        ) from error


def check_template(tokenizer: Any, *, has_system_prompt: bool = False) -> None:
    """Refuse, with `ModelError`, a template that is missing, renders nothing, or does not open the assistant's turn.

    With a system prompt, also one that refuses or omits a system turn.
    """
    if not tokenizer.chat_template:
        raise ModelError("prompt_format is 'chat', but the tokenizer has no chat template; use prompt_format: plain")
    user = [{"role": "user", "content": _USER_WORD}]
    try:
        prompt, bare = (render(tokenizer, user, with_generation_prompt=wanted) for wanted in (True, False))
    except RenderError as error:
        raise ModelError(
            f"the tokenizer's chat template cannot render one turn of a user ({first_line(error.__cause__ or error)}); "
            "correct chat_template, or use prompt_format: plain"
        ) from error
    if has_system_prompt:
        _check_system_turn(tokenizer, user)
    if _USER_WORD not in prompt:
        raise ModelError(
            "the tokenizer's chat template omits what a user says; correct chat_template, or use prompt_format: plain"
        )
    before, _ = _around_response(tokenizer)
    missing = before.removeprefix(prompt).strip()
    # Templates such as Mistral's have no opening of an assistant's turn; others fail to check for it.
    if prompt == bare and before.startswith(prompt) and missing:
        raise ModelError(
            f"the tokenizer's chat template opens an assistant's turn with {missing!r}, but omits that from a "
            "prompt: it does not read `add_generation_prompt`. Correct chat_template, or use prompt_format: plain"
        )


def _check_system_turn(tokenizer: Any, user: Turns) -> None:
    turns = [{"role": "system", "content": _ASSISTANT_WORD}, *user]
    try:
        is_shown = _ASSISTANT_WORD in render(tokenizer, turns, with_generation_prompt=True)
    except RenderError:
        is_shown = False
    if not is_shown:
        raise ModelError(
            "a system_prompt is given, but the tokenizer's chat template accepts no system turn; correct "
            "chat_template, omit system_prompt, or use prompt_format: plain"
        )


def closing_text(tokenizer: Any) -> str:
    """What the template puts after the last assistant's turn; empty if that cannot be determined."""
    return _around_response(tokenizer)[1]


def _around_response(tokenizer: Any) -> tuple[str, str]:
    """What the template puts before and after a response; both empty if it does not render one."""
    turns = [{"role": "user", "content": _USER_WORD}, {"role": "assistant", "content": _ASSISTANT_WORD}]
    try:
        before, found, after = render(tokenizer, turns, with_generation_prompt=False).rpartition(_ASSISTANT_WORD)
    except RenderError:
        return "", ""
    return (before, after) if found else ("", "")


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
