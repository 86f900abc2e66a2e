"""The words that people search for lead to a page in both languages."""

import re

import pytest

from tests.docs.pages import page

WORDS = {
    ("quickstart", "démarrage rapide"): "tutorial/first-sale",
    ("webhook", "webhook"): "explanation/signed-urls",
    ("IPN", "IPN"): "explanation/signed-urls",
    ("FAQ", "FAQ"): "howto/faq",
    ("troubleshooting", "dépannage"): "howto/troubleshooting",
    ("monitoring", "supervision"): "howto/reconcile-and-watch",
    ("refund", "remboursement"): "howto/review-queue",
    ("receipt", "reçu"): "howto/review-queue",
    ("gunicorn", "gunicorn"): "howto/nginx-and-passenger",
    ("ASGI", "ASGI"): "howto/asgi-and-threads",
    ("Docker", "Docker"): "howto/docker",
    ("upgrade", "mise à jour"): "howto/upgrading",
    ("unfold", "unfold"): "howto/admin-themes",
    ("WhatsApp", "WhatsApp"): "howto/faq",
    ("AUTH_USER_MODEL", "AUTH_USER_MODEL"): "howto/custom-users",
}


@pytest.mark.parametrize(("words", "name"), WORDS.items(), ids=[words[0] for words in WORDS])
def test_word_is_in_the_index(words: tuple[str, str], name: str) -> None:
    for language, word in zip(("en", "fr"), words, strict=True):
        [entries] = re.findall(r"^\.\. index:: (.*)$", page(language, name), re.MULTILINE)
        assert word in entries.split(", ")
