"""The two front pages: what they show works, as it stands there."""

import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import Http404, HttpResponse
from django.test import Client, RequestFactory

from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded
from django_paiementpro.testing import FakeGateway
from tests.conftest import Notify
from tests.docs.test_howto import run
from tests.host.models import Order

ROOT = Path(__file__).parent.parent


@dataclass
class Orders:
    """What the host's views know as ``Order``: the only one that there is, and whose it is."""

    order: Order
    buyer: User
    model = Order

    def get(self, *, pk: int, user: User) -> Order:
        if (pk, user) != (self.order.pk, self.buyer):
            raise Order.DoesNotExist
        return self.order


def sample(page: str) -> str:
    """Return the only block of Python of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    [block] = re.findall(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    return textwrap.dedent(block)


@pytest.mark.parametrize("page", ["README.rst", "LISEZMOI.rst"])
@pytest.mark.django_db(transaction=True)
def test_the_sample_sells_an_order_once(
    page: str, notify: Notify, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, buyer = Order.objects.create(), User.objects.create(username="awa")
    vars(order).update(email="awa@example.com", first_name="Awa", last_name="Koné", phone="07 07 12 34 56")
    monkeypatch.setattr(Order, "mark_paid", lambda order: paid.append(order.pk), raising=False)
    monkeypatch.setenv("PAIEMENTPRO_MERCHANT_ID", "PP-F324")
    models = ModuleType("orders.models")
    vars(models)["Order"] = Orders(order, buyer)
    monkeypatch.setitem(sys.modules, "orders", ModuleType("orders"))
    monkeypatch.setitem(sys.modules, models.__name__, models)
    paid: list[int] = []
    # What Django wrote into the host's files.
    host: dict[str, Any] = {"INSTALLED_APPS": [], "urlpatterns": []}
    exec(sample(page), host)

    def pay(user: User | AnonymousUser) -> HttpResponse:
        request = RequestFactory().get("/")
        request.user = user
        response = host["pay"](request, order.pk)
        assert isinstance(response, HttpResponse)
        return response

    with FakeGateway() as gateway:
        try:
            assert pay(AnonymousUser()).headers["Location"].startswith("/admin/login/")
            with pytest.raises(Http404):
                pay(User.objects.create(username="another"))
            assert not Payment.objects.exists()

            # What has expired or was cancelled is over; what waits is gone on with.
            for status in ("expired", "cancelled"):
                pay(buyer)
                Payment.objects.filter(status="created").update(status=status)
            to_pay = pay(buyer).headers["Location"]
            [payment] = Payment.objects.for_object(order).filter(status="created")
            assert to_pay == payment.get_checkout_url()
            assert client.get(to_pay).headers["Location"] == gateway.page_url
            assert notify(payment).status_code == 200

            # Once it is paid, the same link offers no page.
            assert pay(buyer).headers["Location"] == to_pay
            assert client.get(to_pay).headers["Location"] != gateway.page_url
            assert len(gateway.page_requests) == 1
        finally:
            payment_succeeded.disconnect(host["fulfil"])

    assert paid == [order.pk]
    assert Payment.objects.count() == 3
    assert payment.amount == order.total
    assert payment.customer_email == "awa@example.com"
    assert host["LANGUAGE_CODE"] == {"README.rst": "en", "LISEZMOI.rst": "fr"}[page]
    assert host["INSTALLED_APPS"] == ["django_paiementpro"]
    assert host["PAIEMENTPRO_MERCHANT_ID"] == payment.merchant_id
    assert host["PAIEMENTPRO_SITE_URL"] == "https://shop.example.com"
    assert host["urlpatterns"][0].app_name == "paiementpro"


@pytest.mark.process
@pytest.mark.parametrize("page", ["README.rst", "LISEZMOI.rst"])
def test_a_new_project_can_still_run_its_own_tests(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Django's test runner turns DEBUG off, and runs the system checks."""
    monkeypatch.setenv("PAIEMENTPRO_MERCHANT_ID", "PP-F324")
    run(tmp_path, "-m", "django", "startproject", "shop", ".")
    [_, settings, urls, *_] = re.split(r"^# \w+\.py.*\n", sample(page), flags=re.MULTILINE)
    for name, text in {"settings": settings, "urls": urls}.items():
        path = tmp_path / "shop" / f"{name}.py"
        path.write_text(path.read_text() + text, encoding="utf-8")
    (tmp_path / "tests.py").write_text(
        "from django.conf import settings\nfrom django.test import TestCase\n\n\n"
        "class Shop(TestCase):\n    def test_debug_is_off(self):\n        self.assertFalse(settings.DEBUG)\n"
    )

    said = run(tmp_path, "manage.py", "test")

    assert "Ran 1 test" in said
    assert "System check identified no issues" in said


@pytest.mark.parametrize("page", ["README.rst", "LISEZMOI.rst"])
def test_linked_pages_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    names = [name for name in re.findall(r"[`<](docs/[\w./-]+)[`>]", text) if not name.startswith("docs/_build/")]

    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []
