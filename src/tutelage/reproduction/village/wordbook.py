"""The village's wordbook: what words mean that people use when they ask for something, in plain words. Pure data, and
the page that prints some of it."""

from __future__ import annotations

from random import Random

from tutelage.reproduction.village.phrases import fill, pick
from tutelage.reproduction.village.world import World

# word -> sentences that explain or use it; alternatives in brackets.
WORDBOOK: dict[str, str] = {
    "invent": "[To invent a tale is to make it up.|Invent: make up something new.]",
    "draft": "[To draft a letter is to write it for the first time.|A draft is a first letter that may change.]",
    "brief": "[Be brief: use few words.|A brief letter is short.]",
    "swap": "[To swap a hat for a cup is to give the hat and take the cup.|Swap: put one in the place of another.]",
    "sort": "[To sort the nuts is to put each into its class.|Sort: say to which class a thing belongs.]",
    "concern": "[It concerns a goat means that it is about a goat.|A letter that concerns a boat is about a boat.]",
    "suggest": "[To suggest is to give ideas.|Suggest a name: say what it could be.]",
    "present": "[A present is a gift.|Presents are gifts for a friend.]",
    "buyer": "[A buyer is someone who wants to buy.|Find a buyer for the cart, and the cart is sold.]",
    "sum up": "[To sum up is to say it in one short sentence.|A summary is a short text about a longer one.]",
    "shorter": "[Make it shorter: leave out most words.|A shorter text has fewer words.]",
    "polite": "[Polite people say please and thank you.|Mind your manners: be polite.|A polite word is a kind word.]",
    "rude": "[A rude word is not kind.|Make it nicer: take the rude words out.]",
    "past": "[The past was long ago.|Yesterday is in the past, tomorrow is not.|Today he eats, yesterday he ate.]",
    "sentence": "[A sentence begins with a capital and ends with a point.|A single sentence is only one sentence.]",
    "avoid": "[To avoid a word is to leave it out.|Leave out the word: do not use it.|Do not mention: leave out.]",
    "forget": "[Do not forget the salt: make sure that it is in it.|Make sure means do not forget.]",
    "class": "[To which class does it belong? A cat belongs to the animals.|A spoon is a thing, a hen is an animal.]",
    "mood": "[The mood of a text is glad or sad.|The mood of the writer is how the writer feels.]",
    "list": "[To list the names is to write down every one of them.|Find the names: take them out of the text.]",
    "introduce": "[Introduce me to her: tell me about her.|What can you say about him means describe him.]",
    "birthday": "[A birthday comes once in a year.|On a birthday people bring a card with kind words.]",
    "instead": "[Tea instead of milk: no milk, but tea.|Replace the cup with a jug: put a jug instead of the cup.]",
    "the same": "[The same as before: like it was.|Same as last time means again.]",
    "as if": "[Tell it as if it was yesterday: tell it in the past.|He walks as if he was tired.]",
    "below": "[The text below is the text that follows.|Look at the text below: read what follows.]",
    "how come": "[How come means why.|What made it so is to ask why.]",
    "hungry": "[Hungry people want a meal.|Who could cook, is never hungry for long.]",
    "medal": "[A medal is a prize.|They gave her a medal: she won a prize.]",
    "neighbour": "[A neighbour asks, and a neighbour tells.|A stranger is no neighbour yet.]",
    "play": "[A play is a tale that people act.|In a play the children are animals.]",
    "draw": "[To draw a horse is not easy.|The children draw animals in the sand.]",
    "spend": "[To spend a day is to do something with it.|How to spend a day? Do what you like.]",
    "put": "[How would you put this? How would you say it?|Put a hen where the cat is: the hen instead of the cat.]",
    "host": "[A host has a guest, and a helper helps a user.|The host talks kindly with the guest.]",
    "telephone": "[A telephone has a number, an e-mail has an address.|Call me or write to my address.]",
}


def wordbook_page(world: World, rng: Random) -> str:
    """Four words with what they mean."""
    words = rng.sample(tuple(WORDBOOK), 4)
    head = pick(rng, ("", "", "From the wordbook of the school\n\n"))
    return head + "\n".join(f"{word.capitalize()}. {fill(rng, WORDBOOK[word])}" for word in words)
