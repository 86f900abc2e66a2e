"""The normalised forms in which names, addresses and transaction ids are compared."""

import re
import unicodedata

# Letters that decomposition leaves whole, and people type as two.
LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})

MAX_KEY = 254

# How many characters of a transaction id the database keeps.
MAX_TRANSACTION = 128

# Longer names are found by their first words.
MAX_WORDS = 12


def fold(text: str) -> str:
    """Return text without accents, case and invisible characters: ``KONÉ`` and ``kone`` become equal."""
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
    Return the search keys of a customer's name: its words, rotated to start at each of them.

    A prefix of a key is thus the beginning of any word, or of several consecutive ones, whichever name comes first. A
    word with a hyphen or an apostrophe counts as several words and as one.
    """
    name = f"{first_name} {last_name}"
    whole_words = [whole for part in name.split() if (whole := "".join(name_words(part)))]
    keys = set()
    for words in (name_words(name)[:MAX_WORDS], whole_words[:MAX_WORDS]):
        keys |= {" ".join([*words[place:], *words[:place]])[:MAX_KEY] for place in range(len(words))}
    return keys


def canonical_email(text: str) -> str:
    """Return the form in which an address is compared: without case and invisible characters, but with its accents."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character) != "Cf").strip()


def email_key(text: str) -> str:
    """Return the search key of an e-mail address, ``@awa@example.com``; two different addresses may share it."""
    folded = fold(text).strip()
    return f"@{folded}"[:MAX_KEY] if folded else ""


def transaction_key(text: str) -> str:
    """
    Return the form in which transaction ids are compared: letters and digits, NFKC, case folded.

    The gateway documents no shape for ``payId``, and people paste what they have been sent: with spaces, invisible
    characters, full-width letters, the digits of another script, or in another case. The letters of other alphabets are
    escaped, so that a column of any character set can hold the key, and be compared with it.
    """
    folded = unicodedata.normalize("NFKC", text[:MAX_TRANSACTION]).casefold()
    characters = (str(unicodedata.decimal(character, character)) for character in folded if character.isalnum())
    return "".join(characters).encode("ascii", "backslashreplace").decode()[:MAX_TRANSACTION]
