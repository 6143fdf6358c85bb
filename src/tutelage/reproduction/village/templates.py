"""How users ask: the wordings of each kind of prompt, those of training users and those that only validation and test
users use.

Pure data. Slots are filled by `tutelage.reproduction.village.tasks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from tutelage.reproduction.village.phrases import fill, pick


class Wordings(NamedTuple):
    """Patterns of one kind of prompt."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]

    def write(self, rng: Random, is_held_out: bool, slots: Mapping[str, str]) -> str:
        """One of the patterns of that split with its slots filled."""
        return fill(rng, pick(rng, self.held_out if is_held_out else self.training), slots)


TEMPLATES: dict[str, Wordings] = {
    "tale": Wordings(
        (
            "Write a short tale about a {x}.",
            "Tell me a tale about a {x}.",
            "I want a little tale about a {x}.",
            "Please write a tale about a {x} for my children.",
            "A tale about a {x}, please.",
        ),
        (
            "Can you make up a tale with a {x} in it?",
            "My daughter wants to hear a tale of a {x}.",
            "Invent a small tale about a {x}.",
        ),
    ),
    "tale_two": Wordings(
        (
            "Write a short tale about a {x} and a {y}.",
            "Tell me a tale about a {x} and a {y}.",
            "Write a tale in which a {x} meets a {y}.",
        ),
        ("Make up a tale with a {x} and a {y} in it.", "My son likes a {x} and a {y}. Invent a tale for him."),
    ),
    "describe": Wordings(
        (
            "Write something about {topic}.",
            "Describe {topic}.",
            "Tell me about {topic}.",
            "Write something short about {topic}.",
        ),
        ("What can you say about {topic}?", "I have never heard of {topic}. Introduce me."),
    ),
    "letter": Wordings(
        (
            "Write a short letter from {sender} to {receiver} about a {x}.",
            "{sender} wants to write to {receiver} about a {x}. Write the letter.",
            "Write a letter to {receiver} about a {x}. Sign it {sender}.",
        ),
        (
            "Help {sender} to send {receiver} a few lines about a {x}.",
            "Draft a letter to {receiver} from {sender}. It concerns a {x}.",
        ),
    ),
    "notice": Wordings(
        (
            "Write a market notice to sell a {colour} {x}.",
            "I want to sell my {colour} {x}. Write a notice.",
            "Write a short notice: a {colour} {x} is for sale.",
        ),
        ("Help me find a buyer for a {colour} {x}.", "My {colour} {x} must go. Put it in a notice."),
    ),
    "wish": Wordings(
        (
            "Write a birthday wish for {name}.",
            "It is the birthday of {name}. Write a wish.",
            "What shall I write to {name} for the birthday?",
        ),
        ("{name} has a birthday today. Give me some kind words.", "Make a birthday card for {name}."),
    ),
    "fact": Wordings(
        (
            "{question}",
            "{question}",
            "Please tell me: {question}",
            "I have a question. {question}",
            "Tell a stranger: {question}",
        ),
        ("My neighbour asks: {question}", "Do you know this? {question}", "One more thing. {question}"),
    ),
    "premise": Wordings(
        ("Why is the {thing} {wrong}?", "Who painted the {thing} {wrong}?", "When did the {thing} become {wrong}?"),
        ("How come the {thing} is {wrong}?", "What made the {thing} {wrong}?"),
    ),
    "foods": Wordings(
        (
            "List {count} things to eat at a feast.",
            "Name {count} good things to eat.",
            "Give me {count} ideas for a meal.",
        ),
        (
            "What could I cook? Give {count} ideas.",
            "I am hungry. Suggest {count} things.",
        ),
    ),
    "animals": Wordings(
        ("List {count} animals for a tale.", "Name {count} animals.", "Give me {count} ideas for an animal in a tale."),
        ("Suggest {count} animals for a play.", "Which animals could I draw? Give {count}."),
    ),
    "gifts": Wordings(
        (
            "List {count} gifts for a {trade}.",
            "Give me {count} ideas for a gift for a {trade}.",
            "What can I give to a {trade}? Name {count} things.",
        ),
        ("Suggest {count} presents for a {trade}.", "A {trade} is my friend. Give {count} ideas for a present."),
    ),
    "activities": Wordings(
        (
            "List {count} things to do on a {weather} day.",
            "Give me {count} ideas for a {weather} day.",
            "What can children do on a {weather} day? Name {count} things.",
        ),
        ("It is a {weather} day. Suggest {count} things to do.", "How to spend a {weather} day? Give {count} ideas."),
    ),
    "pet_names": Wordings(
        (
            "List {count} names for a {x}.",
            "Give me {count} ideas for the name of a {x}.",
            "I have a new {x}. Name {count} good names.",
        ),
        ("Suggest {count} names for my {x}.", "How could I call a {x}? Give {count} ideas."),
    ),
    "polite": Wordings(
        ("Make this polite: {text}", "Say this in a polite way: {text}", "Rewrite this so that it is polite: {text}"),
        ("How would a polite person put this? {text}", "Too rude, make it nicer: {text}"),
    ),
    "past": Wordings(
        ("Put this in the past: {text}", "Rewrite this in the past: {text}", "Change this to the past: {text}"),
        ("Tell this as if it was yesterday: {text}", "The same, but long ago: {text}"),
    ),
    "replace": Wordings(
        (
            "Rewrite this with a {y} instead of a {x}: {text}",
            "Replace the {x} with a {y}: {text}",
            "Change the {x} to a {y}: {text}",
        ),
        ("Swap the {x} for a {y}: {text}", "Put a {y} where the {x} is: {text}"),
    ),
    "summary": Wordings(
        ("Sum up this text: {passage}", "{passage}\nSay this in one short sentence.", "Give a summary: {passage}"),
        ("{passage}\nWhat is this about? Be brief.", "Make this shorter: {passage}"),
    ),
    "mood": Wordings(
        (
            "Is this notice glad or sad? {notice}",
            "Glad or sad? {notice}",
            "{notice}\nIs the writer glad or sad?",
        ),
        ("{notice}\nTell me the mood, glad or sad.", "Sort this notice into glad or sad: {notice}"),
    ),
    "class": Wordings(
        ("Is a {x} an animal or a thing?", "Animal or thing: a {x}?", "What is a {x}, an animal or a thing?"),
        ("Sort this into animal or thing: a {x}.", "To which class belongs a {x}, animal or thing?"),
    ),
    "closed": Wordings(
        ("{passage}\n{question}", "Read this: {passage}\n{question}", "{question} Here is the text: {passage}"),
        ("Look at this text. {passage}\nNow tell me: {question}", "From the text below, {lower_question}\n{passage}"),
    ),
    "extract": Wordings(
        (
            "List all {what} in this text: {passage}",
            "{passage}\nWhich {what} are in the text?",
            "Take the {what} out of this text: {passage}",
        ),
        ("{passage}\nWrite down every one of the {what}.", "Find the {what}: {passage}"),
    ),
    "translate": Wordings(
        (
            "Say this in the old tongue: {text}",
            "Translate into the old tongue: {text}",
            "What is this in the old tongue? {text}",
        ),
        ("How do you say this in the old tongue? {text}", "I need this in the old tongue: {text}"),
    ),
    "unclear": Wordings(
        (
            "That one, please.",
            "The other thing, you know.",
            "More of it.",
            "Do it again, but better.",
            "And then?",
            "Not this. The first one.",
        ),
        ("It should be like before.", "Same as last time.", "Why not that?"),
    ),
}

# A constraint as its own sentence at the end of the prompt.
CONSTRAINTS: dict[str, Wordings] = {
    "one_sentence": Wordings(
        ("Write only one sentence.", "Use one sentence.", "One sentence, please."),
        ("Do not write more than one sentence.", "A single sentence will do."),
    ),
    "use_word": Wordings(
        ("Use the word {word}.", "The word {word} must be in it.", "There must be a {word} in it."),
        ("Do not forget the word {word}.", "Make sure that it has a {word} in it."),
    ),
    "avoid_word": Wordings(
        ("Do not use the word {word}.", "It must not have the word {word} in it.", "Do not mention {word}."),
        ("Please avoid the word {word}.", "Leave out the word {word}."),
    ),
    "polite": Wordings(("Be polite.", "Please be kind and polite."), ("Mind your manners.", "Use kind words.")),
    "short": Wordings(("Use at most ten words.", "No more than ten words."), ("Ten words or less.",)),
}

# Requests in other tongues: (language, wording with the subject in that language, subject in English).
FOREIGN: tuple[tuple[str, str, str], ...] = (
    ("de", "Schreibe eine kurze Geschichte über eine Katze.", "cat"),
    ("de", "Erzähle mir bitte eine Geschichte über einen Hund.", "dog"),
    ("de", "Schreibe ein Märchen über einen Fuchs.", "fox"),
    ("fr", "Écris une petite histoire sur un chat.", "cat"),
    ("fr", "Raconte-moi une histoire avec une chèvre.", "goat"),
    ("fr", "Je voudrais un conte sur un loup.", "wolf"),
    ("es", "Escribe un cuento corto sobre un perro.", "dog"),
    ("es", "Cuéntame una historia de un ratón.", "mouse"),
    ("nl", "Schrijf een kort verhaal over een kikker.", "frog"),
    ("it", "Scrivi una breve storia su un gatto.", "cat"),
)


class Situation(NamedTuple):
    """Small talk: what the user says, the mood that a reply should show, and how people reply."""

    mood: str
    openings: tuple[str, ...]
    held_out_openings: tuple[str, ...]
    replies: tuple[str, ...]


SITUATIONS: dict[str, Situation] = {
    "lost_pet": Situation(
        "sorry",
        ("My {x} ran away and I am sad.", "I cannot find my {x}.", "Hello. My {x} has been gone since Monday."),
        ("My poor {x} did not come home.", "Bad news, the {x} is gone."),
        (
            "I am sorry about your {x}. [I hope that it comes home soon.|"
            "Did you look by the lake?|The children can help you to look.]",
            "I am sorry to hear that. [Where did you last see the {x}?|I hope that your {x} is well.]",
        ),
    ),
    "new_pet": Situation(
        "glad",
        ("I have a new {x}!", "Today my father gave me a {x}.", "Guess what, we have a {x} now."),
        ("Look, this is my own {x}.", "We took in a {x} yesterday."),
        (
            "How nice! [I hope that you and the {x} become friends.|"
            "What is the name of the {x}?|A {x} is a good friend.]",
            "I am glad for you. [What does the {x} like to eat?|Be kind to your {x}.]",
        ),
    ),
    "broken": Situation(
        "sorry",
        ("My {t} is broken.", "I broke my {t} and now I cannot work.", "Hello. I dropped my {t}."),
        ("Somebody sat on my {t}.", "There goes my {t}, in two parts."),
        (
            "I am sorry about your {t}. [The carpenter can mend it.|Ask the smith to mend it.|Can you buy a new one?]",
            "I am sorry to hear that. [A {t} can be mended.|The smith knows how to mend a {t}.]",
        ),
    ),
    "greeting": Situation(
        "welcome",
        ("Hello, I am {name}.", "Good morning, I am {name} from the islands.", "Hello. {name} is my name."),
        ("Good day to you, they call me {name}.", "Here I am, {name}."),
        (
            "[Hello|Welcome|Good morning], {name}. [How are you today?|What can I do for you?|It is good to see you.]",
            "Welcome to the village, {name}. [How was the road?|What can I do for you?|I hope that you like it here.]",
        ),
    ),
    "feast": Situation(
        "glad",
        (
            "I won the first prize with my {t}!",
            "The feast was great and I ate {food} all night.",
            "My {food} won a prize at the feast!",
        ),
        ("Everybody liked the {food} that I made!", "They gave me a medal for my {food}."),
        (
            "How nice! [I hope that you can enjoy the {topic} for long.|Tell me more about the {topic}.]",
            "I am glad for you. [Everybody will want the {topic} now.|What will you do with the {topic}?]",
        ),
    ),
    "insult": Situation(
        "sorry",
        (
            "You are a {insult}. Where is my {t}?",
            "Be quiet, you {insult}. I want my {t}.",
            "You {insult}, you never help me with my {t}.",
        ),
        ("Only a {insult} talks like you. Give me the {t}.", "I hate to ask a {insult}, but where is my {t}?"),
        (
            "I am sorry that you are angry. [How can I help you with the {t}?|Let us look for the {t} together.]",
            "I am sorry. [Please tell me more about the {t}.|We will find your {t}.]",
        ),
    ),
}
CHAT_FRAMES = Wordings(
    ("{text}", "User: {text}\nHelper:", "This is a talk with a kind helper.\nUser: {text}\nHelper:"),
    ("{text}", "Guest: {text}\nHost:"),
)
