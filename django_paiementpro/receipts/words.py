"""Amounts in words."""

from django.utils.module_loading import import_string
from django.utils.translation import get_language, ngettext, pgettext

#: How many of them French counts with "de": un million de francs, but un million cinq cent mille francs.
MILLION = 1_000_000


def amount_in_words(amount: int, currency: str) -> str:
    """Return whole francs in words, in French or else in English: ``Twelve thousand five hundred CFA francs``."""
    language = "fr" if (get_language() or "").startswith("fr") else "en"
    # Imported when it is needed: it knows fifty languages.
    words = str(import_string("num2words.num2words")(amount, lang=language)).replace(",", "")
    params = {"amount": words, "currency": currency}
    if currency not in {"XOF", "XAF"}:
        text = "%(amount)s %(currency)s"
    elif amount and amount % MILLION == 0:
        text = pgettext("a whole number of millions", "%(amount)s CFA francs")
    else:
        text = ngettext("%(amount)s CFA franc", "%(amount)s CFA francs", amount)
    text %= params
    return text[:1].upper() + text[1:]
