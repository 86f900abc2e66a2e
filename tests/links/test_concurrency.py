"""Crowds: real threads on real sockets, each with a database connection of its own."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connections

from django_paiementpro import testing
from django_paiementpro.links.models import LinkPayment, PaymentLink
from django_paiementpro.links.services import MAX_POSTS, new_form_key
from django_paiementpro.models import Finding, Payment
from django_paiementpro.testing import make_payment
from tests.links.conftest import CUSTOMER, MakeLink, another
from tests.server import moments, wire
from tests.server.site import Site, running
from tests.server.threads import Gate, at_once, meanwhile

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.django_db(transaction=True)]

FORM = "application/x-www-form-urlencoded"

# PostgreSQL takes a hundred connections by default.
CROWD = 40


@pytest.fixture
def site(transactional_db: None, settings: Any) -> Iterator[Site]:
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    with running(Site()) as site:
        yield site


def post(site: Site, link: PaymentLink, form_key: str, **values: str) -> Callable[[], wire.Answer]:
    body = urlencode({**CUSTOMER, **values, "form_key": form_key}).encode()
    return partial(wire.post, site.url + link.get_absolute_url(), body, FORM)


def crowd(calls: list[Callable[[], wire.Answer]]) -> list[wire.Answer]:
    """Make all calls, as many at once as a server of some size takes."""

    def run(call: Callable[[], wire.Answer]) -> wire.Answer:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(run, calls))


def test_two_hundred_customers_share_fifty_places(site: Site, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=50)
    answers = crowd([post(site, link, new_form_key(link), **another(number)) for number in range(200)])

    assert Counter(answer.status for answer in answers) == {302: 50, 410: 150}
    assert link.places_taken == Payment.objects.count() == LinkPayment.objects.count() == 50
    assert len({answer.location for answer in answers}) == 51


@pytest.mark.parametrize("is_reusable", [True, False])
def test_same_form_twenty_times_makes_one_payment(site: Site, make_link: MakeLink, *, is_reusable: bool) -> None:
    link = make_link(is_reusable=is_reusable, max_payments=1 if is_reusable else None)
    form_key = new_form_key(link)
    answers = at_once(*[post(site, link, form_key)] * 20)

    [payment] = Payment.objects.all()
    assert Counter(answer[:2] for answer in answers) == {(302, payment.get_checkout_url()): 20}
    assert LinkPayment.objects.count() == 1


def test_twenty_customers_of_a_single_link_share_its_payment(site: Site, link: PaymentLink) -> None:
    answers = at_once(*[post(site, link, new_form_key(link), **another(number)) for number in range(20)])

    [payment] = Payment.objects.all()
    assert Counter(answer[:2] for answer in answers) == {(302, payment.get_checkout_url()): 20}
    assert LinkPayment.objects.count() == 20


def test_forms_of_one_customer_at_once_are_counted(site: Site, reusable: PaymentLink) -> None:
    answers = at_once(*[post(site, reusable, new_form_key(reusable)) for _ in range(20)])
    assert Counter(answer.status for answer in answers) == {302: MAX_POSTS, 429: 20 - MAX_POSTS}
    assert Payment.objects.count() == MAX_POSTS


def test_corrected_amount_and_repeated_form_at_once_leave_one_payment(site: Site, make_link: MakeLink) -> None:
    link = make_link(amount=None, is_reusable=True)
    form_key = new_form_key(link)
    amounts = [str(1000 + 500 * (number % 4)) for number in range(20)]
    answers = at_once(*[post(site, link, form_key, amount=amount) for amount in amounts])

    assert {answer.status for answer in answers} == {302}
    payment = Payment.objects.payable().get()
    assert LinkPayment.objects.get().payment == payment
    assert set(Payment.objects.exclude(pk=payment.pk).values_list("status", flat=True)) <= {"cancelled"}


def test_second_form_waits_for_the_last_place(site: Site, make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=1)
    insert = Gate()

    with moments.at("INSERT", "linkpayment", before=insert), meanwhile(post(site, link, new_form_key(link))) as first:
        insert.await_arrival()
        with meanwhile(post(site, link, new_form_key(link), **another(2))) as second:
            insert.open()

    assert first.result().status == 302
    assert second.result().status == 410
    assert Payment.objects.count() == 1


# Money over the limit


def test_only_payments_beyond_the_limit_are_flagged_when_all_settle_at_once(make_link: MakeLink) -> None:
    link = make_link(is_reusable=True, max_payments=5)
    payments = [make_payment(content_object=link, status="pending", attempt=1) for _ in range(12)]

    at_once(*[partial(testing.pay, payment) for payment in payments])

    ranked = list(link.payments.filter(status="succeeded").order_by("settled_at", "pk"))
    assert len(ranked) == 12
    flagged = Finding.objects.filter(reason="link_over_limit").order_by("payment__settled_at", "payment")
    assert [finding.payment for finding in flagged] == ranked[5:]
