"""
What can be done with a payment, one function each, for hosts that do without the views.

Each function stores its decision with an event in the audit trail, in one commit, and sends the signals after it. The
gateway is never called inside a transaction.
"""

from django_paiementpro.services.checkout import initialize_payment
from django_paiementpro.services.orders import open_payment
from django_paiementpro.services.privacy import (
    Blanked,
    count_personal_data,
    erase_personal_data,
    prunable_payments,
    prune_personal_data,
)
from django_paiementpro.services.reconciliation import (
    Reconciliation,
    preview_reconciliation,
    reconcile,
)
from django_paiementpro.services.staff import (
    ask_gateway,
    cancel_payment,
    confirm_payment,
    count_payments_to_review,
    discard_signals,
    flag_payment,
    preview_replay,
    redeliver_signals,
    refund_payment,
    replay_notification,
    review_payment,
)
from django_paiementpro.services.statements.imports import (
    ImportedStatement,
    delete_statement,
    import_statement,
    preview_statement,
)
from django_paiementpro.services.status import check_payment, check_waiting_payment
from django_paiementpro.services.validation import validate_payment

__all__ = [
    "Blanked",
    "ImportedStatement",
    "Reconciliation",
    "ask_gateway",
    "cancel_payment",
    "check_payment",
    "check_waiting_payment",
    "confirm_payment",
    "count_payments_to_review",
    "count_personal_data",
    "delete_statement",
    "discard_signals",
    "erase_personal_data",
    "flag_payment",
    "import_statement",
    "initialize_payment",
    "open_payment",
    "preview_reconciliation",
    "preview_replay",
    "preview_statement",
    "prunable_payments",
    "prune_personal_data",
    "reconcile",
    "redeliver_signals",
    "refund_payment",
    "replay_notification",
    "review_payment",
    "validate_payment",
]
