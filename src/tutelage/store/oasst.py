"""OASST message trees: alternating prompter and assistant, replies ranked (0 best); as trees or single messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from tutelage.records import Completion, Demonstration, Message, Prompt, Ranking
from tutelage.store.annotated import tie_groups
from tutelage.store.forms import Row, UnusableRow, UnusedPart

_ROLES = {"prompter": "user", "assistant": "assistant"}
# Trees that moderators stopped, or that reviewers found too bad to continue.
_STOPPED_STATES = ("aborted_low_grade", "halted_by_moderator")
NumberedRow = tuple[int, dict[str, Any]]


class Node(BaseModel):
    """A message of a tree with its replies."""

    message_id: str
    parent_id: str | None = None
    text: str
    role: Literal["prompter", "assistant"]
    rank: float | None = None
    lang: str | None = None
    user_id: str | None = None
    deleted: bool | None = None
    review_result: bool | None = None
    synthetic: bool | None = None
    model_name: str | None = None
    replies: list[Node] = []

    @property
    def is_kept(self) -> bool:
        return not self.deleted and self.review_result is not False and bool(self.text.strip())


class Tree(BaseModel):
    """A tree, under the key `prompt`."""

    prompt: Node
    tree_state: str | None = None


def is_tree(row: Row) -> bool:
    """Whether a row is a message tree."""
    return isinstance(row.get("prompt"), dict) and "replies" in row["prompt"] and "role" in row["prompt"]


def _is_message(row: Row) -> bool:
    return all(key in row for key in ("message_id", "role", "text", "message_tree_id"))


def trees_from_messages(rows: Iterator[NumberedRow]) -> Iterator[NumberedRow]:
    """Join rows that are single messages into one row per tree (numbered by its last message); others are unchanged.

    The messages of a tree must be consecutive, as in the published files. A message whose parent is not among them is a
    separate row, which gives no record: what was said before it is unknown.
    """
    tree: list[dict[str, Any]] = []
    last = 0
    for number, row in rows:
        is_message = _is_message(row)
        if tree and not (is_message and row["message_tree_id"] == tree[0]["message_tree_id"]):
            yield from ((last, joined) for joined in _joined(tree))
            tree = []
        if is_message:
            tree.append(row)
            last = number
        else:
            yield number, row
    if tree:
        yield from ((last, joined) for joined in _joined(tree))


def _joined(messages: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    nodes = {message["message_id"]: {**message, "replies": []} for message in messages}
    roots: list[dict[str, Any]] = []
    for node in nodes.values():
        parent = nodes.get(node.get("parent_id"))
        (roots if parent is None else parent["replies"]).append(node)
    for root in roots:
        yield {"message_tree_id": root["message_tree_id"], "tree_state": root.get("tree_state"), "prompt": root}


def _tree(row: Row) -> Node:
    tree = Tree.model_validate(row)
    if tree.tree_state in _STOPPED_STATES:
        raise UnusableRow(f"'tree_state' is {tree.tree_state!r}: the tree was abandoned")
    if tree.prompt.parent_id is not None:
        raise UnusableRow(
            f"message {tree.prompt.message_id} replies to one that is not among its neighbors, so what was said "
            "before it is unknown; the messages of a tree must be consecutive"
        )
    return tree.prompt


def _lost(row: Row) -> list[UnusedPart]:
    """Unused messages that have replies: with them, everything after them is lost."""
    lost, waiting = [], [_tree(row)]
    while waiting:
        node = waiting.pop()
        if node.is_kept:
            waiting.extend(node.replies)
        elif node.replies:
            lost.append(
                UnusedPart(f"message {node.message_id} is deleted, refused in review or blank; so are its replies")
            )
    return lost


def _prompters(row: Row) -> Iterator[tuple[Node, tuple[Message, ...]]]:
    """Every prompter message with the dialogue up to and including it, in the order of the tree."""
    waiting: list[tuple[Node, tuple[Message, ...]]] = [(_tree(row), ())]
    while waiting:
        node, before = waiting.pop()
        if not node.is_kept:
            continue
        path = (*before, Message.model_validate({"role": _ROLES[node.role], "content": node.text}))
        if node.role == "prompter":
            yield node, path
        waiting.extend((reply, path) for reply in reversed(node.replies))


def _policy(node: Node) -> str:
    return node.model_name or ("synthetic" if node.synthetic else "human")


def _replies(node: Node) -> list[Node]:
    return [reply for reply in node.replies if reply.role == "assistant" and reply.is_kept]


def _ranking(node: Node, path: tuple[Message, ...]) -> Ranking | None:
    ranked = [(reply, reply.rank) for reply in _replies(node) if reply.rank is not None]
    if len(ranked) < 2:
        return None
    completions = tuple(Completion(id=reply.message_id, text=reply.text, policy=_policy(reply)) for reply, _ in ranked)
    groups = tie_groups([reply.message_id for reply, _ in ranked], [-rank for _, rank in ranked])
    extra: dict[str, Any] = {"language": node.lang} if node.lang else {}
    return Ranking(messages=path, completions=completions, ranking=groups, prompt_id=node.message_id, **extra)


def rankings_of_tree(row: Row) -> list[Ranking | UnusedPart]:
    """The ranking of the replies to each prompter message. Raises `UnusableRow` if none has two ranked replies."""
    rankings = [ranking for node, path in _prompters(row) if (ranking := _ranking(node, path))]
    if not rankings:
        raise UnusableRow("no message of the tree has two ranked replies, so there is no ranking")
    return [*rankings, *_lost(row)]


def demonstrations_of_tree(row: Row) -> list[Demonstration | UnusedPart]:
    """The best reply to each prompter message: the one of the lowest rank, or the only one. Raises `UnusableRow`."""
    found = []
    for node, path in _prompters(row):
        replies = _replies(node)
        ranked = [reply for reply in replies if reply.rank is not None]
        if ranked:
            best = min(ranked, key=lambda reply: reply.rank or 0.0)
        elif len(replies) == 1:
            best = replies[0]
        else:
            continue
        extra: dict[str, Any] = {"labeler_id": best.user_id, "prompt_id": node.message_id}
        found.append(Demonstration(messages=path, response=best.text, **extra))
    if not found:
        raise UnusableRow("no message of the tree has one reply or ranked replies, so there is no demonstration")
    return [*found, *_lost(row)]


def prompts_of_tree(row: Row) -> list[Prompt | UnusedPart]:
    """Every prompter message with the dialogue before it. Raises `UnusableRow` if all are deleted or blank."""
    prompts = [
        Prompt(messages=path, user_id=node.user_id, language=node.lang, id=node.message_id)
        for node, path in _prompters(row)
    ]
    if not prompts:
        raise UnusableRow("every prompt of the tree is deleted or blank")
    return [*prompts, *_lost(row)]
