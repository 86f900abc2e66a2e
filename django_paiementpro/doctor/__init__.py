"""
A check-up of an installation, in the order in which things go wrong, with how to fix each problem.

Its output never holds a secret, a signed URL or a customer's data, and it changes no payment.
"""

from django_paiementpro.doctor.results import Level, Result
from django_paiementpro.doctor.runner import TOPICS, examine
from django_paiementpro.doctor.target import Target

__all__ = ["TOPICS", "Level", "Result", "Target", "examine"]
