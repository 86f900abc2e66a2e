import asyncio
import functools
import gc
from typing import Any

import pytest

from django_paiementpro.models import Payment
from django_paiementpro.signals import PaymentSignal

PHONE = "07 07 12 34 56"


def one(sender: Any, **kwargs: Any) -> str:
    return "one"


def other(sender: Any, **kwargs: Any) -> str:
    return "other"


async def later(sender: Any, **kwargs: Any) -> str:
    raise KeyError


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


def test_payment_signal_behaves_like_a_signal() -> None:
    signal = PaymentSignal()
    signal.connect(one)

    assert signal.send(sender=Payment) == [(one, "one")]


def test_one_receiver_is_called_and_its_error_returned() -> None:
    signal = PaymentSignal()
    signal.connect(one)
    signal.connect(later)

    assert signal.send_to("tests.test_signals.one", Payment) is None
    assert isinstance(signal.send_to("tests.test_signals.later", Payment), KeyError)


def test_receiver_without_a_name_may_raise_too() -> None:
    signal = PaymentSignal()
    listener = Listener()
    signal.connect(listener)
    signal.connect(listener.hear)
    signal.connect(other)

    for name in signal.receiver_names(Payment)[:2]:
        assert signal.send_to(name, Payment) is not None
    assert signal.send_to("tests.test_signals.other", Payment) is None


def test_receiver_of_another_sender_is_not_called() -> None:
    signal = PaymentSignal()
    signal.connect(one, sender=Listener)

    assert signal.receiver_names(Payment) == []


def test_collected_receiver_is_not_called() -> None:
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


def test_receivers_with_one_name_are_numbered() -> None:
    def make() -> Any:
        def receive(sender: Any, **kwargs: Any) -> None: ...

        return receive

    signal = PaymentSignal()
    receivers = [make(), make(), make()]
    for receiver in [*receivers, *receivers]:
        signal.connect(receiver)

    name = f"{__name__}.test_receivers_with_one_name_are_numbered.<locals>.make.<locals>.receive"
    assert signal.receiver_names(Payment) == [name, f"{name}#2", f"{name}#3"]
    signal.disconnect(receivers[0])
    assert signal.receiver_names(Payment) == [f"{name}#2", f"{name}#3"]
    signal.connect(successor := make())
    assert signal.receiver_names(Payment) == [name, f"{name}#2", f"{name}#3"]
    assert signal.disconnect(successor)


def test_receiver_under_the_same_uid_is_the_same() -> None:
    signal = PaymentSignal()
    signal.connect(one, dispatch_uid="uid")
    signal.connect(other, dispatch_uid="uid")

    assert signal.receiver_names(Payment) == ["uid"]
    assert signal.send(sender=Payment) == [(one, "one")]


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, asyncio.CancelledError])
def test_system_exit_in_a_receiver_stops_no_other(error: type[BaseException]) -> None:
    def end(sender: Any, **kwargs: Any) -> None:
        raise error

    signal = PaymentSignal()
    signal.connect(end, dispatch_uid="end")

    assert isinstance(signal.send_to("end", Payment), error)


def test_keyboard_interrupt_is_raised() -> None:
    def interrupt(sender: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    signal = PaymentSignal()
    signal.connect(interrupt, dispatch_uid="interrupt")

    with pytest.raises(KeyboardInterrupt):
        signal.send_to("interrupt", Payment)


def test_collected_receiver_is_not_counted_as_called() -> None:
    signal = PaymentSignal()
    signal.connect(one, dispatch_uid="uid")
    signal.disconnect(dispatch_uid="uid")

    assert isinstance(signal.send_to("uid", Payment), LookupError)


async def indiscreet_later(sender: Any, **kwargs: Any) -> None:
    raise ValueError(PHONE)


def indiscreet(sender: Any, **kwargs: Any) -> None:
    raise ValueError(PHONE)


@pytest.mark.parametrize("receiver", [indiscreet, indiscreet_later])
def test_receiver_error_is_not_logged_by_django(receiver: Any, caplog: pytest.LogCaptureFixture) -> None:
    signal = PaymentSignal()
    signal.connect(receiver, dispatch_uid="indiscreet")

    assert isinstance(signal.send_to("indiscreet", Payment), ValueError)

    assert caplog.records == []


class Slotted:
    __slots__ = ()

    def __call__(self, sender: Any, **kwargs: Any) -> str:
        return "slotted"


def test_receiver_without_weakref_support_may_be_connected() -> None:
    signal = PaymentSignal()
    signal.connect(Slotted(), weak=False)

    assert signal.receiver_names(Payment) == ["tests.test_signals.Slotted"]
    assert signal.send_to("tests.test_signals.Slotted", Payment) is None
