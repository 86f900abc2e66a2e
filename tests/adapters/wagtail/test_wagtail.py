import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from wagtail.models import ReferenceIndex
from wagtail.permissions import policy_registry

from django_paiementpro.contrib.wagtail import views
from django_paiementpro.models import Payment, format_amount
from django_paiementpro.services import flag_payment, refund_payment
from django_paiementpro.templatetags import paiementpro_admin
from django_paiementpro.testing import FakeGateway, decline, expire, make_payment, notify, pay
from tests.adapters.cases import warnings

LIST = "/admin/payments/"
HOME = "/admin/"

CHECK_WITHOUT_ADMIN = """
import django
from django.core.management import call_command
from tests.adapters.wagtail import settings

settings.INSTALLED_APPS.remove("django.contrib.admin")
settings.ROOT_URLCONF = "tests.adapters.wagtail.urls_without_admin"
django.setup()
call_command("check", fail_level="WARNING")
"""


@pytest.fixture(autouse=True)
def shop(db: None) -> Iterator[None]:
    with FakeGateway():
        yield


@pytest.fixture
def clerk() -> Client:
    return client_with("view_payment")


def client_with(*permissions: str, **values: Any) -> Client:
    """Return the browser of a user who may enter Wagtail's admin, and has these permissions."""
    user = get_user_model().objects.create_user("-".join(permissions) or "clerk", **values)
    user.user_permissions.set(Permission.objects.filter(codename__in=["access_admin", *permissions]))
    client = Client()
    client.force_login(user)
    return client


def page_of(payment: Payment) -> str:
    return f"{LIST}{payment.pk}/"


def listed(client: Client, url: str = LIST, **parameters: Any) -> list[str]:
    """Return the references in the list, in its order."""
    response = client.get(url, parameters)
    assert response.status_code == 200
    return [payment.reference for payment in response.context["object_list"]]


def sample() -> None:
    """Make a payment for each filter."""
    user = get_user_model().objects.create_user("customer")
    make_payment(reference="open", content_object=user)
    pay(make_payment(reference="paid", status="pending", attempt=1, channel="OMSN", merchant_id="PP-F900"))
    decline(make_payment(reference="refused", status="pending", attempt=1))
    flag_payment(make_payment(reference="flagged", customer_first_name="Moussa"), "Sold out.")
    make_payment(reference="old", created_at=timezone.now() - timedelta(days=40))


def test_list_shows_payments_newest_first(clerk: Client) -> None:
    sample()
    assert listed(clerk) == ["flagged", "refused", "paid", "open", "old"]
    page = clerk.get(LIST).content.decode()
    for text in (
        format_amount(12500, "XOF"),
        "User ",
        "Moussa Koné 07 07 12 34 56",
        "Not paid",
        "To review",
        "Senegal",
    ):
        assert text in page
    payment = Payment.objects.get(reference="paid")
    assert f'href="{page_of(payment)}"' in page


@pytest.mark.parametrize(
    ("parameters", "references"),
    [
        ({"status": "failed"}, ["refused"]),
        ({"review": "1"}, ["flagged"]),
        ({"channel": "OMSN"}, ["paid"]),
        ({"country": "SN"}, ["paid"]),
        ({"settled_by": "notification"}, ["refused", "paid"]),
        ({"merchant": "PP-F900"}, ["paid"]),
        ({"country": "SN", "status": "failed"}, []),
    ],
)
def test_list_is_filtered(clerk: Client, parameters: Any, references: list[str]) -> None:
    sample()
    assert listed(clerk, **parameters) == references
    assert listed(clerk, f"{LIST}results/", **parameters) == references


def test_list_is_filtered_by_days(clerk: Client) -> None:
    sample()
    day = timezone.localdate() - timedelta(days=40)
    assert listed(clerk, created_at_from=day, created_at_to=day) == ["old"]
    assert "old" not in listed(clerk, created_at_from=day + timedelta(days=1))


def test_filters_offer_the_payment_methods_of_the_shop(clerk: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = ["WAVESN"]
    filters = clerk.get(LIST).context["filters"].form.fields
    assert [value for value, _label in filters["channel"].choices] == ["", "WAVESN"]
    assert [value for value, _label in filters["country"].choices] == ["", "SN"]


@pytest.mark.parametrize("parameters", [{"status": "nonsense"}, {"created_at_from": "32.13."}, {"merchant": "A" * 65}])
def test_invalid_filter_shows_nothing_instead_of_all(parameters: Any) -> None:
    sample()
    clerk = client_with("view_payment", "export_payment")
    assert listed(clerk, **parameters) == []
    assert len(rows(clerk, **parameters)) == 1


@pytest.mark.parametrize("text", ["mous", "KONE moussa", "flagg", "07 07 12 34 56", "awa@", "#flagged"])
def test_search_finds_a_payment_by_its_keys(clerk: Client, text: str) -> None:
    make_payment(
        reference="other", customer_first_name="Ali", customer_email="x@example.com", customer_phone="0500000001"
    )
    make_payment(reference="flagged", customer_first_name="Moussa")
    with CaptureQueriesContext(connection) as queries:
        assert listed(clerk, q=text) == ["flagged"]
    assert not [query for query in queries if "LIKE '%" in query["sql"]]


def test_search_finds_an_order(clerk: Client) -> None:
    sample()
    key = Payment.objects.get(reference="open").object_id
    assert "open" in listed(clerk, q=f"user {key}")


def test_search_and_filters_are_combined(clerk: Client) -> None:
    sample()
    assert listed(clerk, q="koné", status="succeeded") == ["paid"]


@pytest.mark.parametrize("ordering", ["", "created_at", "-created_at", "reference", "-reference", "amount"])
def test_pages_show_each_payment_once(clerk: Client, ordering: str) -> None:
    moment = timezone.now()
    Payment.objects.bulk_create(
        [Payment(amount=500, reference=f"p{number:02}", created_at=moment) for number in range(60)]
    )
    shown = [listed(clerk, ordering=ordering, p=page) for page in (1, 2, 3)]
    assert [len(references) for references in shown] == [25, 25, 10]
    forwards = [f"p{number:02}" for number in range(60)]
    assert [*chain.from_iterable(shown)] == (forwards if ordering in {"created_at", "reference"} else forwards[::-1])


def test_count_stops_at_a_maximum(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views.PaymentPaginator, "max_rows", 30)
    monkeypatch.setattr(views, "MAX_RESULTS", 26)
    Payment.objects.bulk_create([Payment(amount=500, customer_last_name="Koné") for _ in range(40)])
    page = clerk.get(LIST).content.decode()
    assert "30+ payments" in page
    assert "Page 1 of 2" in page
    page = clerk.get(LIST, {"q": "koné"}).content.decode()
    assert "26+ payments" in page
    assert "matches" not in page
    assert len(listed(clerk, p=99)) == 5


def test_number_of_matches_is_shown(clerk: Client) -> None:
    sample()
    assert "There are 3 matches" in " ".join(clerk.get(LIST, {"status": "created"}).content.decode().split())


def test_cost_does_not_grow_with_the_table(clerk: Client) -> None:
    pages = [
        LIST,
        f"{LIST}?p=2",
        f"{LIST}?status=created&country=CI",
        f"{LIST}?review=1",
        f"{LIST}?q=koné",
        f"{LIST}results/?ordering=created_at",
        HOME,
    ]

    def make(number: int) -> None:
        Payment.objects.bulk_create(
            [Payment(amount=500, channel="WAVECI", customer_last_name="Koné") for _ in range(number)]
        )

    def queries(page: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert clerk.get(page).status_code == 200
        return [query["sql"] for query in captured]

    make(30)
    flag_payment(Payment.objects.all()[0], "Sold out.")
    queries(HOME)  # fills caches
    few = {page: len(queries(page)) for page in pages}
    make(2970)
    many = {page: queries(page) for page in pages}
    assert {page: len(sqls) for page, sqls in many.items()} == few
    # Every query stops at a number of rows, also those that count.
    of_payments = {page: [sql for sql in sqls if "FROM " in sql and "_payment" in sql] for page, sqls in many.items()}
    assert all(of_payments.values())
    assert all("LIMIT" in sql for sqls in of_payments.values() for sql in sqls)


def test_page_shows_a_payment_in_words(clerk: Client) -> None:
    staff = get_user_model().objects.create_user("staff")
    payment = pay(make_payment(status="pending", attempt=1, content_object=staff))
    notify(payment, payId="PAY-AGAIN")
    payment.refresh_from_db()
    refund_payment(payment, staff, amount=500, reason="Broken.")
    response = clerk.get(page_of(payment))
    page = response.content.decode()
    fields = {field["label"]: field["value"] for field in response.context["fields"]}
    assert fields["Order"] == f"User {staff.pk}"
    assert fields["Status"] == "Paid"
    assert fields["Amount"] == format_amount(12500, "XOF")
    assert fields["Amount refunded"] == format_amount(500, "XOF")
    assert fields["Payment method"] == "Orange Money Côte d’Ivoire"
    assert "User" not in fields
    for text in ("Paid twice", "Refund the second payment", "Notification: paid", "staff recorded a refund", "Broken."):
        assert text in page


def test_page_of_a_new_payment_has_no_empty_fields(clerk: Client) -> None:
    response = clerk.get(page_of(make_payment()))
    assert "Nothing yet." in response.content.decode()
    assert not {"Amount refunded", "Order", "Gateway id"} & {field["label"] for field in response.context["fields"]}


def test_page_shows_the_newest_events(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    payment = pay(decline(make_payment(status="pending", attempt=1)))
    monkeypatch.setattr("django_paiementpro.admin.columns.MAX_EVENTS", 1)
    page = clerk.get(page_of(payment)).content.decode()
    assert "Only the newest" in page
    assert "Notification: paid" in page
    assert "Notification: not paid" not in page


def test_texts_of_customers_are_escaped(clerk: Client) -> None:
    payment = make_payment(customer_last_name="<script>alert(1)", description="<b>x")
    for url in (LIST, page_of(payment)):
        page = clerk.get(url).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page
        assert "<b>x" not in page


def test_unknown_payment_is_not_found(clerk: Client) -> None:
    assert clerk.get(f"{LIST}123456/").status_code == 404


@pytest.mark.parametrize(("is_staff", "is_linked"), [(True, True), (False, False)])
def test_page_links_to_the_staff_actions(is_staff: bool, is_linked: bool) -> None:
    payment = make_payment()
    page = client_with("view_payment", is_staff=is_staff).get(page_of(payment)).content.decode()
    url = reverse("admin:paiementpro_payment_change", args=[payment.pk])
    assert (f'href="{url}"' in page) == is_linked
    assert ("Staff actions" in page) == is_linked


def test_site_without_the_admin_of_django_has_no_link(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.adapters.wagtail.urls_without_admin"
    page = client_with("view_payment", is_staff=True).get(page_of(make_payment())).content.decode()
    assert "Nothing yet." in page
    assert "Staff actions" not in page


@pytest.mark.parametrize("url", [LIST, f"{LIST}results/", f"{LIST}1/", f"{LIST}?export=csv"])
def test_others_see_no_payments(url: str) -> None:
    make_payment(pk=1, customer_last_name="Kouassi")
    assert Client().get(url).status_code == 302
    editor = client_with("add_payment", "change_payment", "delete_payment", "export_payment")
    response = editor.get(url)
    assert response.status_code == 302
    assert response["Location"] == HOME
    assert LIST not in editor.get(HOME).content.decode()


def test_menu_has_payments_for_those_who_may_view_them(clerk: Client) -> None:
    assert LIST in clerk.get(HOME).content.decode()


def test_superuser_views_payments_and_cannot_edit_them() -> None:
    root = get_user_model().objects.create_superuser("root")
    policy = policy_registry.get_by_type(Payment)
    assert policy.user_has_permission(root, "view")
    assert policy.user_has_permission(root, "export")
    assert not policy.user_has_any_permission(root, ["add", "change", "delete"])
    client = Client()
    client.force_login(root)
    payment = make_payment()
    assert client.get(page_of(payment)).status_code == 200
    for path in ("new/", f"edit/{payment.pk}/", f"delete/{payment.pk}/", f"copy/{payment.pk}/"):
        assert client.get(LIST + path).status_code == 404
        assert client.post(LIST + path).status_code == 404
    for url in (LIST, page_of(payment)):
        assert client.post(url).status_code == 405


def test_policy_names_those_who_may_view_payments() -> None:
    client_with("view_payment")
    client_with("change_payment")
    policy = policy_registry.get_by_type(Payment)
    assert [user.username for user in policy.users_with_permission("view")] == ["view_payment"]
    assert not policy.users_with_permission("change").exists()


def test_groups_are_given_the_permissions_in_wagtail() -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root"))
    group = Group.objects.create(name="Clerks")
    offered = client.get(f"/admin/groups/edit/{group.pk}/").context["form"].fields["permissions"].queryset
    codenames = {permission.codename for permission in offered if permission.content_type.app_label == "paiementpro"}
    assert codenames == {
        *("view_payment", "export_payment", "check_payment", "confirm_payment"),
        *("refund_payment", "redeliver_payment", "review_payment"),
    }


def rows(client: Client, **parameters: Any) -> list[str]:
    """Return the lines of the export."""
    response = client.get(LIST, {"export": "csv", **parameters})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return b"".join(response).decode("utf-8-sig").splitlines()


def test_export_holds_what_the_list_shows() -> None:
    sample()
    clerk = client_with("view_payment", "export_payment")
    assert "?export=csv" in clerk.get(LIST).content.decode()
    header, *lines = rows(clerk, country="SN", q="koné")
    assert header.startswith("Reference,Status,Amount")
    assert [line.split(",")[0] for line in lines] == ["paid"]
    assert len(rows(clerk)) == 6


def test_export_needs_its_permission(clerk: Client) -> None:
    sample()
    assert "export=" not in clerk.get(LIST).content.decode()
    assert clerk.get(LIST, {"export": "csv"})["Location"] == HOME
    assert listed(clerk, export="xlsx")


@pytest.mark.parametrize(
    ("to_review", "text"),
    [(0, "0 payments to review"), (1, "1 payment to review"), (3, "More than 2 payments to review")],
)
def test_home_page_has_the_number_of_payments_to_review(
    clerk: Client, monkeypatch: pytest.MonkeyPatch, to_review: int, text: str
) -> None:
    monkeypatch.setattr(paiementpro_admin, "MAX_COUNT", 2)
    for _ in range(to_review):
        flag_payment(make_payment(), "Sold out.")
    make_payment()
    page = clerk.get(HOME).content.decode()
    assert text in page
    assert f'href="{LIST}?review=1"' in page


def test_home_page_of_others_has_no_number() -> None:
    assert "to review" not in client_with("change_payment").get(HOME).content.decode()


def test_saving_a_payment_writes_nothing_for_wagtail() -> None:
    user = get_user_model().objects.create_user("customer")
    expire(make_payment(user=user, content_object=user, status="pending", attempt=1))
    assert not ReferenceIndex.objects.exists()


def test_app_needs_no_admin_of_django() -> None:
    command = [sys.executable, "-W", "error", "-c", CHECK_WITHOUT_ADMIN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_installation_has_no_warnings() -> None:
    assert [name for name in warnings() if name.startswith(("paiementpro", "urls"))] == []
