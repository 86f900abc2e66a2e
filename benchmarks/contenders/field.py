"""The contenders that are installed here."""

from importlib import import_module

from django.conf import settings

from benchmarks.contenders.contender import Contender

CLASSES = {
    "payments": "benchmarks.contenders.with_payments.contender.DjangoPayments",
    "djstripe": "benchmarks.contenders.with_stripe.contender.DjStripe",
    "getpaid": "benchmarks.contenders.with_getpaid.contender.DjangoGetpaid",
}


def contenders() -> list[Contender]:
    """Return ours first, then the views written by hand, then the peers that are installed."""
    names = [
        "benchmarks.contenders.ours.Ours",
        "benchmarks.contenders.floor.contender.Floor",
        "benchmarks.contenders.honest.contender.HonestFloor",
        "benchmarks.contenders.floor.contender.Least",
        *(CLASSES[name] for name in settings.HERE),
    ]
    found = []
    for name in names:
        module, _, class_name = name.rpartition(".")
        found.append(getattr(import_module(module), class_name)())
    return found
