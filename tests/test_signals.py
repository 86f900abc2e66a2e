import functools
import gc
from typing import Any

from django_paiementpro.models import Payment
from django_paiementpro.signals import PaymentSignal


def one(sender: Any, **kwargs: Any) -> str:
    return "one"


def other(sender: Any, **kwargs: Any) -> str:
    return "other"


async def later(sender: Any, **kwargs: Any) -> str:
    raise LookupError


class Listener:
    def hear(self, sender: Any, **kwargs: Any) -> None:
        raise LookupError

    def __call__(self, sender: Any, **kwargs: Any) -> None:
        raise LookupError


def test_receivers_are_known_by_their_names() -> None:
    signal = PaymentSignal()
    listener = Listener()
    partial = functools.partial(one)
    signal.connect(one)
    signal.connect(other, dispatch_uid="shop.other")
    signal.connect(listener.hear, sender=Payment)
    signal.connect(listener)
    signal.connect(partial)

    assert signal.receiver_names(Payment) == [
        "tests.test_signals.one",
        "shop.other",
        "tests.test_signals.Listener.hear",
        "tests.test_signals.Listener",
        "functools.partial",
    ]


def test_it_is_an_ordinary_signal_too() -> None:
    signal = PaymentSignal()
    signal.connect(one)

    assert signal.send(sender=Payment) == [(one, "one")]


def test_a_receiver_is_called_alone_and_its_error_returned() -> None:
    signal = PaymentSignal()
    signal.connect(one)
    signal.connect(later)

    assert signal.send_to("tests.test_signals.one", Payment) == []
    assert [type(error) for error in signal.send_to("tests.test_signals.later", Payment)] == [LookupError]


def test_a_receiver_without_a_name_may_raise_too() -> None:
    signal = PaymentSignal()
    listener = Listener()
    signal.connect(listener)
    signal.connect(listener.hear)
    signal.connect(other)

    for name in signal.receiver_names(Payment)[:2]:
        assert len(signal.send_to(name, Payment)) == 1
    assert signal.send_to("tests.test_signals.other", Payment) == []


def test_another_sender_does_not_listen() -> None:
    signal = PaymentSignal()
    signal.connect(one, sender=Listener)

    assert signal.receiver_names(Payment) == []


def test_a_receiver_that_is_gone_does_not_listen() -> None:
    signal = PaymentSignal()
    listener = Listener()
    signal.connect(listener.hear)
    del listener
    gc.collect()

    assert signal.receiver_names(Payment) == []
    assert not signal.has_listeners(Payment)


def test_disconnecting_takes_one_receiver_away() -> None:
    signal = PaymentSignal()
    signal.connect(one)
    signal.connect(other, dispatch_uid="shop.other")

    assert signal.disconnect(one)
    assert signal.receiver_names(Payment) == ["shop.other"]
    assert signal.disconnect(dispatch_uid="shop.other")
    assert signal.receiver_names(Payment) == []
    assert not signal.disconnect(one)
