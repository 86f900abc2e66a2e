"""The normalised forms in which names, addresses and transaction ids are compared."""

import re
import unicodedata

# What decomposition leaves as one letter, and people type as two.
LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})

MAX_KEY = 254

# How much of a transaction id the database keeps.
MAX_TRANSACTION = 128

# Longer names are found by their first words.
MAX_WORDS = 12


def fold(text: str) -> str:
    """Return text without accents, case, and marks that cannot be seen: ``KONÉ`` and ``kone`` become equal."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(
        character for character in decomposed if unicodedata.category(character) not in {"Mn", "Cf"}
    ).translate(LIGATURES)


def name_words(text: str) -> list[str]:
    """Return the words of a name, folded: ``N’Guessan`` is ``n`` and ``guessan``."""
    # Modifier letters serve as apostrophes.
    return re.findall(r"[^\W_\u02b0-\u02ff]+", fold(text))


def name_keys(first_name: str, last_name: str) -> set[str]:
    """
    Return what a customer's name is found by: for each of its words the name from there on, and round to it again.

    So the beginning of a key is the beginning of any word, or of several in a row, whichever name comes first. A word
    that a hyphen or an apostrophe divides counts as several words and as one.
    """
    name = f"{first_name} {last_name}"
    whole_words = [whole for part in name.split() if (whole := "".join(name_words(part)))]
    keys = set()
    for words in (name_words(name)[:MAX_WORDS], whole_words[:MAX_WORDS]):
        keys |= {" ".join([*words[place:], *words[:place]])[:MAX_KEY] for place in range(len(words))}
    return keys


def email_key(text: str) -> str:
    """Return what an e-mail address is found by, ``@awa@example.com``; two different addresses may share it."""
    folded = fold(text).strip()
    return f"@{folded}"[:MAX_KEY] if folded else ""


def transaction_key(text: str) -> str:
    """
    Return the form in which transaction ids are compared: letters and digits, NFKC, case folded.

    The gateway documents no shape for ``payId``, and people paste what they have been sent: with spaces, invisible
    marks, full-width letters or in another case.
    """
    folded = unicodedata.normalize("NFKC", text[:MAX_TRANSACTION]).casefold()
    return "".join(character for character in folded if character.isalnum())[:MAX_TRANSACTION]
