"""Money that comes too late, or over the limit, is a success that staff look at."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from django_paiementpro import services as core
from django_paiementpro import testing
from django_paiementpro.links import services
from django_paiementpro.links.models import PaymentLink
from django_paiementpro.models import Finding, Payment, PaymentEvent
from django_paiementpro.testing import make_payment
from tests.conftest import Heard, just_before
from tests.links.conftest import MakeLink, another, buy

# Signals are sent after real commits.
pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def pending(link: PaymentLink, **values: Any) -> Payment:
    return make_payment(content_object=link, status="pending", attempt=1, **values)


def settle(payment: Payment) -> Payment:
    testing.pay(payment)
    payment.refresh_from_db()
    assert payment.status == "succeeded"
    return payment


def reasons(payment: Payment) -> list[str]:
    return [finding.reason for finding in payment.findings.all()]


# Too late


def test_money_in_time_is_not_flagged(make_link: MakeLink, heard: Heard) -> None:
    payment = settle(pending(make_link(expires_at=timezone.now() + HOUR)))
    assert reasons(payment) == []
    assert heard.names == ["payment_succeeded"]


def test_money_after_the_date_is_a_success_with_a_finding(make_link: MakeLink, heard: Heard) -> None:
    link = make_link(expires_at=timezone.now() - HOUR)
    payment = settle(pending(link))

    [finding] = payment.findings.all()
    assert finding.reason == "link_expired"
    assert finding.detail.count(" > ") == 1
    assert finding.detail.isascii()
    assert payment.needs_review
    assert sorted(heard.names) == ["payment_flagged", "payment_succeeded"]


def test_money_after_the_link_was_switched_off_is_flagged(link: PaymentLink) -> None:
    payment = pending(link)
    link.is_active = False
    link.save()
    assert reasons(settle(payment)) == ["link_expired"]


def test_money_before_the_link_was_switched_off_is_not_flagged_later(link: PaymentLink) -> None:
    payment = settle(pending(link))
    link.is_active = False
    link.save()
    services.flag_money(payment)
    assert reasons(payment) == []


def test_link_whose_switching_off_is_not_dated_flags_nothing(link: PaymentLink) -> None:
    payment = pending(link)
    PaymentLink.objects.update(is_active=False)
    assert reasons(settle(payment)) == []


def test_earliest_end_is_named(make_link: MakeLink) -> None:
    first, second = timezone.now() - 2 * HOUR, timezone.now() - HOUR
    link = make_link(expires_at=second)
    PaymentLink.objects.update(switched_off_at=first)
    [finding] = settle(pending(link)).findings.all()
    assert finding.detail.endswith(
        f"> {first.astimezone(timezone.get_default_timezone()).isoformat(timespec='seconds')}"
    )


# Over the limit


def test_money_within_the_limit_is_not_flagged(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=2)
    assert [reasons(settle(pending(link))) for _ in range(2)] == [[], []]


def test_money_over_the_limit_is_a_success_with_a_finding(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    first, second, third = (settle(pending(link)) for _ in range(3))

    assert (reasons(first), reasons(second), reasons(third)) == ([], ["link_over_limit"], ["link_over_limit"])
    assert [finding.detail for finding in Finding.objects.order_by("pk")] == ["2 > 1", "3 > 1"]


def test_failed_payment_that_its_own_checkout_retries_may_be_over_the_limit(
    client: Client, make_link: MakeLink, gateway: testing.FakeGateway
) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    failed = buy(client, link)
    Payment.objects.update(status="failed", attempt=1)
    settle_other = buy(client, link, **another(2))
    client.get(settle_other.get_checkout_url())

    response = client.get(failed.get_checkout_url())

    assert response["Location"] == gateway.page_url
    assert link.places_taken == 2
    assert reasons(settle(settle_other)) == []
    assert reasons(settle(failed)) == ["link_over_limit"]


def test_link_without_limit_flags_nothing(reusable: PaymentLink) -> None:
    assert [reasons(settle(pending(reusable))) for _ in range(3)] == [[]] * 3


def test_refunded_payment_keeps_its_place(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    make_payment(content_object=link, status="refunded", settled_at=timezone.now() - HOUR)
    assert reasons(settle(pending(link))) == ["link_over_limit"]


def test_single_link_that_was_paid_twice_is_flagged(link: PaymentLink) -> None:
    """An expired payment of an earlier customer may be paid late."""
    expired = make_payment(content_object=link, status="expired", attempt=1)
    assert reasons(settle(pending(link))) == []
    assert reasons(settle(expired)) == ["link_over_limit"]


def test_single_link_that_is_paid_again_after_a_refund_is_not_flagged(link: PaymentLink) -> None:
    make_payment(content_object=link, status="refunded", settled_at=timezone.now() - HOUR)
    assert reasons(settle(pending(link))) == []


def test_lower_limit_does_not_flag_earlier_money(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=3)
    earlier = [settle(pending(link)) for _ in range(3)]
    PaymentLink.objects.update(max_payments=1)

    assert reasons(settle(pending(link))) == ["link_over_limit"]
    assert [reasons(payment) for payment in earlier] == [[]] * 3


def test_payment_stored_late_flags_those_that_settled_after_it(make_link: MakeLink) -> None:
    """Their own receivers ran before it was committed, and found nothing wrong."""
    link = make_link(is_reusable=True, max_payments=1)
    now = timezone.now()
    late = make_payment(content_object=link, status="succeeded", settled_at=now)
    early = make_payment(content_object=link, status="succeeded", settled_at=now - timedelta(seconds=1))

    services.flag_money(early)

    assert (reasons(early), reasons(late)) == ([], ["link_over_limit"])


def test_payments_of_the_same_moment_rank_by_their_key(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    now = timezone.now()
    first, second = (make_payment(content_object=link, status="succeeded", settled_at=now) for _ in range(2))
    for payment in (second, first):
        services.flag_money(payment)
    assert (reasons(first), reasons(second)) == ([], ["link_over_limit"])


# Once


def test_finding_is_raised_once_whatever_is_repeated(make_link: MakeLink, heard: Heard) -> None:
    link = make_link(is_reusable=True, max_payments=1, expires_at=timezone.now() - HOUR)
    first, second = settle(pending(link)), settle(pending(link))
    user = User.objects.create_user("staff")
    core.review_payment(second, user, "Refunded by hand.")
    count = PaymentEvent.objects.count()

    for payment in (first, second, second):
        services.flag_money(payment)

    assert reasons(first) == ["link_expired"]
    assert sorted(reasons(second)) == ["link_expired", "link_over_limit"]
    assert PaymentEvent.objects.count() == count
    # Both facts of the second payment are raised one after the other.
    assert heard.names.count("payment_flagged") == 3


def test_receiver_that_fails_is_called_again(make_link: MakeLink) -> None:
    payment = pending(make_link(expires_at=timezone.now() - HOUR))

    def fail() -> None:
        raise OperationalError("server has gone away")

    with just_before(fail, "SELECT", "paiementpro_links_paymentlink"):
        testing.notify(payment)
    assert reasons(payment) == []

    core.reconcile()

    assert reasons(payment) == ["link_expired"]


def test_other_payments_are_not_looked_at(payment: Payment) -> None:
    assert reasons(settle(payment)) == []


def test_payment_of_a_vanished_link_is_left_alone(link: PaymentLink) -> None:
    payment = pending(link)
    PaymentLink.objects.filter(pk=link.pk).delete()
    assert reasons(settle(payment)) == []


def test_figures_survive_the_erasure_of_personal_data(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1, expires_at=timezone.now() - HOUR)
    payments = [settle(pending(link)) for _ in range(2)]
    details = {finding.detail for finding in Finding.objects.all()}
    assert len(details) >= 2

    core.erase_personal_data(email="awa@example.com")

    assert {finding.detail for finding in Finding.objects.all()} == details
    assert {event.message for event in payments[1].events.filter(kind="host")} == {""}
