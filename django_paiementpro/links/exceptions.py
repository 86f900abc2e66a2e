"""Why a payment link was not paid."""

from django_paiementpro.exceptions import PaiementProError
from django_paiementpro.links.models import LinkState


class LinkClosedError(PaiementProError):
    """The link is paid, switched off, full or past its date: ``state``."""

    def __init__(self, state: LinkState) -> None:
        super().__init__(f"the payment link is {state}")
        self.state = state


class TooManyPostsError(PaiementProError):
    """The same telephone number or e-mail address has been used too often: try again in ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many payments were started by one customer; wait {retry_after} s")
        self.retry_after = retry_after
