import pytest
from django.template import Context, Template

from django_paiementpro.testing import make_payment
from tests.host.models import Order

URL = Template("{% load paiementpro %}{% checkout_url order %}")
BUTTON = Template("{% load paiementpro %}{% pay_now order %}")


@pytest.mark.parametrize("status", ["created", "pending", "failed"])
def test_object_that_can_be_paid_has_a_link(db: None, status: str) -> None:
    order = Order.objects.create()
    payment = make_payment(content_object=order, status=status)
    context = Context({"order": order})
    assert URL.render(context) == payment.get_checkout_url()
    assert f'href="{payment.get_checkout_url()}">Pay now</a>' in BUTTON.render(context)


@pytest.mark.parametrize("status", ["succeeded", "refunded", "expired", "cancelled"])
def test_object_that_cannot_be_paid_has_none(db: None, status: str) -> None:
    order = Order.objects.create()
    make_payment(content_object=order, status=status)
    make_payment(content_object=Order.objects.create())
    context = Context({"order": order})
    assert URL.render(context) == ""
    assert BUTTON.render(context).strip() == ""
