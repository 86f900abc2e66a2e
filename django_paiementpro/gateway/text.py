"""Text from outside, and what of it may be stored, shown and compared."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import unquote

# What a decoder leaves where bytes were no text.
UNDECODABLE = "\N{REPLACEMENT CHARACTER}"

# PostgreSQL stores neither of them, in text as in JSON.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# How the signed part of a payment's or a probe's URL ends: what was signed, and 256 bits in base64, which may have been
# cut short.
_SIGNED = re.compile(r"(?:-[0-9a-f]{8}|(?<=[0-9a-f]{24})\.\w{5,8})\.[\w-]{24,43}", re.ASCII | re.IGNORECASE)
_SHORTEST_SIGNED = len("-12345678.") + 24
_CUT = "[URL]"

# Soft hyphens and other invisible characters inside a word; a backslash escapes what follows.
_UNSEEN = re.compile("[\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\\\\]")

# What breaks a long word into lines: whitespace, also escaped, or a line break in HTML. Before a short word it may be
# what separates two words.
_LINE_BREAK = re.compile(r"(?<=[a-z0-9_.-])(?:\s|\\[nrt]|<w?br ?/?>){1,40}(?=[a-z0-9_.-]{12})", re.IGNORECASE)


def clean(text: str) -> str:
    """Return the text without what some databases cannot store: NUL and lone surrogates."""
    return _UNSTORABLE.sub(UNDECODABLE, text)


def without_signed_urls(text: str) -> str:
    """
    Return text from outside without the signatures of this site's URLs.

    The gateway knows the notification URL and may quote it, in any encoding, broken into lines; anyone who reads it
    could notify.
    """
    if len(text) < _SHORTEST_SIGNED:
        return text
    text = _SIGNED.sub(_CUT, text)
    decoded = _LINE_BREAK.sub("", decode_fully(_LINE_BREAK.sub("", text)))
    return _SIGNED.sub(_CUT, decoded) if decoded != text and _SIGNED.search(decoded) else text


def decode_fully(text: str) -> str:
    """Return text without percent-encoding, HTML entities, backslashes and invisible characters, as it may be read."""
    for _layer in range(3):
        text = _UNSEEN.sub("", unescape(unquote(text)))
    return text


def escape(value: Any, encoding: str) -> Any:
    """Return a text, or JSON of texts, with backslash escapes for the characters that an encoding lacks."""
    if isinstance(value, Mapping):
        return {escape(name, encoding): escape(each, encoding) for name, each in value.items()}
    if isinstance(value, list):
        return [escape(each, encoding) for each in value]
    if isinstance(value, str):
        return clean(value).encode(encoding, "backslashreplace").decode(encoding)
    return value
