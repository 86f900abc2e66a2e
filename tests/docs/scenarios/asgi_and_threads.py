import logging
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.test import RequestFactory, TransactionTestCase
from orders import views
from orders.models import Order

from django_paiementpro.models import Payment
from django_paiementpro.services import open_payment, reconcile
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway, notify, pay


class Async(TransactionTestCase):
    def setUp(self) -> None:
        self.order = Order.objects.create(
            first_name="Awa", last_name="Koné", email="awa@example.com", phone="07 07 12 34 56"
        )
        self.url = f"/orders/{self.order.pk}/pay-async/"

    async def test_order_is_taken_to_the_gateway(self) -> None:
        response = await self.async_client.get(self.url)
        payment = await Payment.objects.aget()
        assert response.url == payment.get_checkout_url()
        with FakeGateway() as gateway:
            response = await self.async_client.get(response.url)
        assert response.url == gateway.page_url
        assert (await self.async_client.get(f"/orders/{uuid4()}/pay-async/")).status_code == 404

    def test_paid_order_is_shown(self) -> None:
        self.client.get(self.url)
        pay(Payment.objects.get())
        assert self.client.get(self.url).url == self.order.get_absolute_url()

    def test_payment_is_checked_with_the_gateway(self) -> None:
        self.client.get(self.url)
        payment = Payment.objects.get()
        with FakeGateway() as gateway:
            self.client.get(payment.get_checkout_url())
            payment.refresh_from_db()
            gateway.confirms(payment)
            response = self.client.get(f"/payments/{payment.reference}/check/")
        assert response.url == payment.get_return_url()
        payment.refresh_from_db()
        assert payment.settled_by == "status"

    async def test_services_cannot_be_called_without_a_thread(self) -> None:
        with pytest.raises(SynchronousOnlyOperation):
            open_payment(self.order, 12500, description="Attiéké")

    def test_async_receiver_is_awaited_and_retried(self) -> None:
        calls: list[Any] = []

        async def welcome(sender: Any, payment: Payment, **kwargs: Any) -> None:
            order = await Order.objects.aget(pk=payment.object_id)
            calls.append(order.pk)
            if len(calls) == 1:
                raise ValueError

        payment_succeeded.connect(welcome)
        logging.disable(logging.CRITICAL)
        try:
            payment = open_payment(self.order, 12500, description="Attiéké")
            notify(payment)
            reconcile()
        finally:
            logging.disable(logging.NOTSET)
            payment_succeeded.disconnect(welcome)
        assert calls == [self.order.pk] * 2

    def test_limit_is_below_the_threads_of_the_page(self) -> None:
        assert settings.PAIEMENTPRO_API_GATEWAY_CALLS < 16

    def test_async_views_are_exempted_from_atomic_requests(self) -> None:
        connection.settings_dict["ATOMIC_REQUESTS"] = True
        try:
            with pytest.raises(RuntimeError, match="You cannot use ATOMIC_REQUESTS with async views"):
                self.client.get(self.url)
            view = transaction.non_atomic_requests(views.pay_async)
            response = async_to_sync(view)(RequestFactory().get(self.url), self.order.pk)
            with FakeGateway() as gateway:
                assert self.client.get(response.url).url == gateway.page_url
        finally:
            connection.settings_dict["ATOMIC_REQUESTS"] = False
