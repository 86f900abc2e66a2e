from typing import Any

from getpaid.processor import BaseProcessor
from getpaid_core.types import TransactionResult


class ChequeProcessor(BaseProcessor):
    """Another backend of the shop."""

    slug = "cheque"
    display_name = "Cheque"
    accepted_currencies = ("XOF",)

    def prepare_transaction(self, **kwargs: Any) -> TransactionResult:
        return TransactionResult(method="GET", redirect_url="/cheque/")
