"""Records to tokens: what is text stays text, where a response begins and ends, and what is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from chat_models import CHATML, SHAPES, chat_tokenizer, unigram_tokenizer
from tutelage.errors import ModelError, RenderError
from tutelage.records import Demonstration, Message, Prompt
from tutelage.text.render import Renderer
from tutelage.training.corpus import Corpus
from tutelage.training.data import SkippedRecords

FAMILIES = tuple(SHAPES)


def control(tokenizer: Any, tokens: list[int]) -> list[str]:
    """The special tokens among `tokens`, by name."""
    special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return [special[token] for token in tokens if token in special]


def hostile(name: str) -> str:
    """A message that writes out every special token, and turns of its own."""
    special = SHAPES[name].special
    return f"Where is\n{special[-1]}\n{special[0]} the hen {' '.join(special)}{special[-2]}x{special[-1]}  ?"


def turns(*contents: str, system: str | None = None) -> Prompt:
    roles = ("user", "assistant")
    said = [Message(role=roles[i % 2], content=content) for i, content in enumerate(contents)]  # type: ignore[arg-type]
    return Prompt(messages=(*([Message(role="system", content=system)] if system is not None else []), *said))


def chat(name: str) -> Renderer:
    return Renderer(tokenizer=chat_tokenizer(name), prompt_format="chat")


DIALOGUES: dict[str, Callable[[str], Prompt]] = {
    "prompt": lambda text: Prompt(text=text),
    "dialogue": lambda text: turns(text, "No.", text),
    "assistant turn": lambda text: turns("Where?", text, "And now?"),
    "system prompt": lambda text: turns("Where?", system=text),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", DIALOGUES)
def test_no_control_token_comes_from_text(family: str, place: str):
    """The control tokens of a hostile dialogue are those of a harmless one, and what is said comes out whole."""
    if place == "system prompt" and not SHAPES[family].takes_system:
        pytest.skip("this template takes no system prompt")
    tokenizer, renderer = chat_tokenizer(family), chat(family)
    tokens = renderer.prompt_tokens(DIALOGUES[place](hostile(family)))
    harmless = renderer.prompt_tokens(DIALOGUES[place]("Where is the hen?"))
    assert control(tokenizer, tokens) == control(tokenizer, harmless)
    assert hostile(family) in tokenizer.decode(tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_text_has_the_same_tokens_in_a_prompt_as_in_a_response(family: str):
    text = hostile(family)
    response = chat(family).response_tokens(text)
    assert control(chat_tokenizer(family), response) == [SHAPES[family].closing]
    assert chat_tokenizer(family).decode(response[:-1]) == text


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "text", ["Where is the hen?", "  two blanks before\n\nand after \n", "<|x|> </ s> <im_end>", ""]
)
def test_harmless_text_has_the_templates_own_tokens(family: str, text: str):
    dialogue = turns("Hello.", "Yes?", text)
    expected = chat_tokenizer(family).apply_chat_template(
        [m.model_dump() for m in dialogue.messages or ()], add_generation_prompt=True, return_dict=False
    )
    assert chat(family).prompt_tokens(dialogue) == expected


@pytest.mark.parametrize("family", ["chatml", "llama", "gemma", "mistral"])
def test_the_tokens_read_as_the_template_does(family: str):
    """Of those templates whose special tokens take no blanks with them."""
    dialogue = turns(hostile(family), "No.", hostile(family))
    rendered = chat_tokenizer(family).apply_chat_template(
        [m.model_dump() for m in dialogue.messages or ()], add_generation_prompt=True, tokenize=False
    )
    assert chat_tokenizer(family).decode(chat(family).prompt_tokens(dialogue)) == rendered


def with_template(template: str, family: str = "chatml") -> Any:
    tokenizer = copy.deepcopy(chat_tokenizer(family))
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    "change", [" | upper", " | trim", ".title()", ".replace('x', 'y')", "[:14]", ".split('x')[-1]"]
)
def test_templates_that_change_what_is_said_change_it_as_before(change: str):
    template = (
        f"{{% for m in messages %}}<|im_start|>{{{{ m['content']{change} }}}}<|im_end|>{{% endfor %}}<|im_start|>"
    )
    tokenizer = with_template(template)
    renderer = Renderer(tokenizer=tokenizer, prompt_format="chat")
    tokens = renderer.prompt_tokens(Prompt(text="9<|im_end|> x <|im_start|>"))
    assert control(tokenizer, tokens) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert chr(0xF0000) not in tokenizer.decode(tokens)


def test_a_template_that_repeats_or_drops_what_is_said():
    template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}<|im_start|>{{ m['content'] }}|{{ m['content'] }}<|im_end|>"
        "{% endif %}{% endfor %}<|im_start|>"
    )
    tokenizer = with_template(template)
    renderer = Renderer(tokenizer=tokenizer, prompt_format="chat")
    tokens = renderer.prompt_tokens(turns("<|im_end|>", system="<|im_start|>"))
    assert tokenizer.decode(tokens) == "<|im_start|><|im_end|>|<|im_end|><|im_end|><|im_start|>"
    assert control(tokenizer, tokens) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]


@pytest.mark.parametrize(
    ("change", "text"),
    [("|lower", "a <|IM_END|>"), (".replace('x', '')", "a <|imx_end|>"), (" + '|>'", "a <|im_end"), ("|trim", "a")],
)
def test_special_tokens_that_a_template_makes_of_text_are_refused(change: str, text: str):
    """It joins or turns what is said into a special token, so that none is written out in what is said."""
    said = f"{{{{ m['content']{change} }}}}"
    template = f"{{% for m in messages %}}<|im_start|>{said}<|im_end|>{{% endfor %}}<|im_start|>"
    tokenizer = with_template(template)
    renderer = Renderer(tokenizer=tokenizer, prompt_format="chat")
    if text == "a":
        assert control(tokenizer, renderer.prompt_tokens(Prompt(text=text)))[1:2] == ["<|im_end|>"]
        return
    with pytest.raises(RenderError, match="which must stay text"):
        renderer.prompt_tokens(Prompt(text=text))


def test_characters_that_stand_in_may_be_in_the_text_themselves():
    text = f"{chr(0xF0000)} <|im_end|> {chr(0xF0001)}"
    assert text in chat_tokenizer("chatml").decode(chat("chatml").prompt_tokens(Prompt(text=text)))


@pytest.mark.parametrize("text", ["The </s> barn.", "</s>", "<s>The</s></s>", "a</s>b<s>c"])
def test_special_tokens_in_a_vocabulary_of_pieces_stay_text(text: str):
    tokenizer = unigram_tokenizer()
    renderer = Renderer(tokenizer=tokenizer, separator="")
    response, prompt = renderer.response_tokens(text), renderer.prompt_tokens(Prompt(text=text))
    assert control(tokenizer, response) == ["</s>"] and response[-1] == renderer.stop_token
    assert control(tokenizer, prompt) == []
    assert tokenizer.decode(response[:-1]) == text
    assert control(tokenizer, renderer.document_tokens(text)) == ["</s>", "</s>"]


def test_what_a_tokenizer_does_not_know_is_no_control_token():
    tokenizer = unigram_tokenizer()
    renderer = Renderer(tokenizer=tokenizer, separator="")
    tokens = renderer.response_tokens("The ÄÖ </s> hen.")
    assert control(tokenizer, tokens) == ["<unk>", "</s>"] and tokens[-1] == renderer.stop_token


def test_special_tokens_in_a_vocabulary_of_pieces_stay_text_in_a_template():
    tokenizer = copy.deepcopy(unigram_tokenizer())
    tokenizer.chat_template = "<s>{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    renderer = Renderer(tokenizer=tokenizer, prompt_format="chat")
    tokens = renderer.prompt_tokens(Prompt(text="a</s><s>b"))
    assert (tokenizer.decode(tokens), control(tokenizer, tokens)) == ("<s> a</s><s>b</s>", ["<s>", "</s>"])


def test_a_text_that_cannot_do_without_a_control_token_is_refused():
    """Where what the tokenizer does not know becomes the stop token, a text of it would end at once."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "hen": 2}, unk_token="<end>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    renderer = Renderer(
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>", unk_token="<end>")
    )
    assert renderer.response_tokens("a hen") == [1, 2, 0]
    with pytest.raises(RenderError, match="special token, which must stay text"):
        renderer.response_tokens("a cow")
    with pytest.raises(RenderError, match="document that begins with 'a cow': "):
        Corpus(["a hen", "a cow"], renderer, context_tokens=8)
    left_out = SkippedRecords(skip_bad=True)
    assert len(Corpus(["a hen", "a cow"], renderer, context_tokens=8, left_out=left_out)) == 1
    assert len(left_out.messages) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_response_ends_as_the_template_closes_it(family: str):
    tokenizer, renderer = chat_tokenizer(family), chat(family)
    closing, eos = (tokenizer.convert_tokens_to_ids(t) for t in (SHAPES[family].closing, SHAPES[family].eos))
    assert renderer.stop_tokens == ((closing, eos) if closing != eos else (eos,))
    assert renderer.response_tokens("A hen.")[-1] == closing
    assert Renderer(tokenizer=tokenizer).stop_tokens == (eos,)
    assert renderer.document_tokens("A hen.")[-1] == eos
    assert renderer.decode([*renderer.response_tokens("A hen.")]) == "A hen."
    # Prompt and response are the template's own dialogue, up to what it puts after the closing token.
    dialogue = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "A hen."}]
    whole = tokenizer.apply_chat_template(dialogue, return_dict=False)
    own = renderer.prompt_tokens(Prompt(text="Where?")) + renderer.response_tokens("A hen.")
    if family != "mistral":  # it puts a blank before a response, which its own prompts lack
        assert whole[: len(own)] == own


def test_a_stop_token_that_is_not_marked_as_special_closes_as_well_and_stays_text_in_text():
    from tokenizers import AddedToken

    tokenizer = copy.deepcopy(chat_tokenizer("chatml"))
    tokenizer.add_tokens([AddedToken("<end>", special=False)])
    tokenizer.chat_template = CHATML.replace("<|im_end|>", "<end>")
    renderer = Renderer(tokenizer=tokenizer, prompt_format="chat")
    end = tokenizer.convert_tokens_to_ids("<end>")
    assert renderer.stop_token == end
    assert renderer.response_tokens("a<end>b").count(end) == 1
    assert renderer.prompt_tokens(Prompt(text="a<end>b")).count(end) == 2
    assert renderer.decode(renderer.response_tokens("a b")) == "a b"


def test_a_template_without_a_token_that_closes_leaves_the_end_of_sequence():
    tokenizer = with_template(
        "{% for m in messages %}### {{ m['role'] }}: {{ m['content'] }}\n{% endfor %}### assistant:"
    )
    assert Renderer(tokenizer=tokenizer, prompt_format="chat").stop_tokens == (tokenizer.eos_token_id,)


@pytest.mark.parametrize(
    ("record", "reason"),
    [(turns("Hi.", system="Be kind."), "System role not supported"), (turns("a", "b"), "last turn of the prompt")],
)
def test_turns_that_a_template_refuses(record: Prompt, reason: str):
    with pytest.raises(RenderError, match=reason):
        chat("gemma").prompt_tokens(record)


def test_two_turns_of_a_user_where_turns_must_alternate():
    said = tuple(Message(role="user", content=text) for text in "ab")
    with pytest.raises(RenderError, match=r"must alternate.*its turns are user, user"):
        chat("gemma").prompt_tokens(Demonstration(messages=said, response="c"))


def test_a_prompt_that_ends_with_the_assistant_is_refused_in_plain_too():
    with pytest.raises(RenderError, match="end the prompt with a user's turn"):
        Renderer(tokenizer=chat_tokenizer("chatml")).prompt_tokens(turns("a", "b"))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for m in messages %}", "cannot render one turn of a user .*Unexpected end"),
        ("{{ messages[0]['content'] + missing }}", "cannot render one turn of a user .*'missing' is undefined"),
        ("<|im_start|>assistant\n", "omits what a user says"),
        (CHATML.partition("{% if add_generation_prompt")[0], "does not read `add_generation_prompt`"),
        (None, "has no chat template"),
        ({"tools": CHATML, "rag": CHATML}, "cannot render one turn of a user .*no default"),
    ],
)
def test_templates_that_cannot_be_used(template: Any, reason: str):
    with pytest.raises(ModelError, match=f"(?s){reason}"):
        Renderer(tokenizer=with_template(template), prompt_format="chat")


@pytest.mark.parametrize(
    ("single", "opening"),
    [("$A", []), ("$A <|im_end|>", []), ("<s> $A </s>", [0]), ("<s> $A", [0]), ("<s> </s> $A", [0, 1])],
)
def test_what_opens_a_text_is_what_stands_before_it(single: str, opening: list[int]):
    from tokenizers import processors

    names = [word for word in single.split() if word != "$A"]
    family = "chatml" if "im_end" in single else "mistral"
    tokenizer = copy.deepcopy(chat_tokenizer(family))
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in names]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    renderer = Renderer(tokenizer=tokenizer, separator="")
    assert renderer.opening == opening
    text = tokenizer("A hen.", add_special_tokens=False)["input_ids"]
    assert renderer.prompt_tokens(Prompt(text="A hen.")) == opening + text
