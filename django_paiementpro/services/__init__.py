"""
What may happen to a payment: one function a verb, for hosts that want no view between.

Each stores what it decides with an event in the audit trail, in one commit, and the signals go out after it. The
gateway is never called inside a transaction.
"""

from django_paiementpro.services.bulkhead import Bulkhead
from django_paiementpro.services.checkout import absolute_url, initialize_payment, require_payable
from django_paiementpro.services.evidence import (
    check_payment,
    check_waiting_payment,
    find_payment,
    forget_silence,
    is_just_checked,
    receive_notification,
    receive_webhook,
    refuse_notification,
)
from django_paiementpro.services.keys import Claim, recall, store_payment
from django_paiementpro.services.privacy import (
    Blanked,
    count_personal_data,
    erase_personal_data,
    prunable_payments,
    prune_personal_data,
)
from django_paiementpro.services.reconciliation import (
    Reconciliation,
    due_payments,
    foresee,
    newest_first,
    oldest_first,
    overdue_payments,
    reconcile,
    undelivered_events,
)
from django_paiementpro.services.staff import (
    SIGNAL_OF_STATUS,
    ask_gateway,
    cancel_payment,
    confirm_payment,
    count_payments_to_review,
    discard_signals,
    is_confirmable,
    missing_receivers_of,
    preview_replay,
    redeliver_signals,
    refund_payment,
    replay_notification,
    review_payment,
    undelivered_events_of,
)
from django_paiementpro.services.transitions import Decision

__all__ = [
    "SIGNAL_OF_STATUS",
    "Blanked",
    "Bulkhead",
    "Claim",
    "Decision",
    "Reconciliation",
    "absolute_url",
    "ask_gateway",
    "cancel_payment",
    "check_payment",
    "check_waiting_payment",
    "confirm_payment",
    "count_payments_to_review",
    "count_personal_data",
    "discard_signals",
    "due_payments",
    "erase_personal_data",
    "find_payment",
    "foresee",
    "forget_silence",
    "initialize_payment",
    "is_confirmable",
    "is_just_checked",
    "missing_receivers_of",
    "newest_first",
    "oldest_first",
    "overdue_payments",
    "preview_replay",
    "prunable_payments",
    "prune_personal_data",
    "recall",
    "receive_notification",
    "receive_webhook",
    "reconcile",
    "redeliver_signals",
    "refund_payment",
    "refuse_notification",
    "replay_notification",
    "require_payable",
    "review_payment",
    "store_payment",
    "undelivered_events",
    "undelivered_events_of",
]
