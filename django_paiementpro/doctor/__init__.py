"""
A check-up of an installation, in the order in which things go wrong, in the words of who has to mend them.

Nothing that it says holds a secret, a signed URL or a payer's data; nothing that it does touches a payment.
"""

from django_paiementpro.doctor.examination import TOPICS, examine
from django_paiementpro.doctor.findings import Finding, Verdict
from django_paiementpro.doctor.visits import Visit

__all__ = ["TOPICS", "Finding", "Verdict", "Visit", "examine"]
