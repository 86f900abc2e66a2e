"""What a tax administration's platform returns for a receipt."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FiscalDocument:
    """
    A document of the tax administration, which a receipt refers to.

    ``url`` is where it can be verified, ``qr_text`` what its QR code says (``url`` by default), and ``raw`` what your
    issuer needs later, such as the document's own id for a credit note: anything that can be stored as JSON.
    """

    reference: str
    url: str = ""
    qr_text: str = ""
    raw: Any = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` if the document cannot be stored."""
        texts = (self.reference, self.url, self.qr_text)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("reference, url and qr_text of a fiscal document are texts")
        if not 1 <= len(self.reference) <= 255:
            raise ValueError("the reference of a fiscal document has 1 to 255 characters")
        if self.url and not (self.url.startswith(("https://", "http://")) and len(self.url) <= 2000):
            raise ValueError("the URL of a fiscal document begins with https://, and has at most 2000 characters")
        try:
            json.dumps(self.raw, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError("what a fiscal document has in raw cannot be stored as JSON") from error
