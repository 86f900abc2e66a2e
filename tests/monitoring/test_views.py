import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from django.utils.log import AdminEmailHandler

from django_paiementpro.models import Payment, PaymentEvent, ReconciliationRun
from django_paiementpro.monitoring.checks import check_health_token
from django_paiementpro.monitoring.views import HealthView
from django_paiementpro.testing import make_payment
from tests.conftest import Notify, Statements
from tests.host.models import Member

pytestmark = pytest.mark.django_db

TOKEN = "0123456789-abcdefghij_KLMNOP.~xyz"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def token(settings: Any) -> str:
    settings.PAIEMENTPRO_HEALTH_TOKEN = TOKEN
    return TOKEN


@pytest.fixture
def staff(client: Client) -> Client:
    """A client of staff who may view payments, and no more."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client.force_login(user)
    return client


@pytest.fixture
def reconciled() -> None:
    now = timezone.now()
    ReconciliationRun.objects.create(host="web", process_id=1, seen_at=now, finished_at=now)


def get(client: Client, query: str = "", method: str = "get", **headers: str) -> Any:
    return getattr(client, method)(reverse("paiementpro_monitoring:health") + query, headers=headers)


# What it reports


@pytest.mark.usefixtures("reconciled", "token")
def test_healthy_installation_is_answered_200(client: Client) -> None:
    response = get(client, **BEARER)

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    found = response.json()
    assert (found["ok"], found["problems"]) == (True, [])
    assert found["last_notification"] is None
    assert found["last_success"]["OMCIV2"] is None
    assert found["pending"] == {"count": 0, "oldest": None}
    assert found["last_reconciliation"]["age"] < 60
    assert found["channels"]["OMCIV2"]["status"] == "unknown"


@pytest.mark.usefixtures("token")
def test_problem_is_answered_503(client: Client) -> None:
    for method in ("get", "head"):
        assert get(client, method=method, **BEARER).status_code == 503
    found = get(client, **BEARER).json()
    assert (found["ok"], found["problems"]) == (False, ["unreconciled"])
    assert get(client, method="post", **BEARER).status_code == 405


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("token")
def test_figures_are_those_of_the_installation(client: Client, payment: Payment, notify: Notify) -> None:
    other = make_payment(status="pending", channel="WAVECI")
    old, now = timezone.now() - timedelta(hours=1), timezone.now()
    PaymentEvent.objects.create(payment=other, kind="host", outcome="accepted", created_at=old, deliver_at=now)
    notify(payment)

    found = get(client, **BEARER).json()

    assert found["last_notification"]["age"] < 60
    assert found["last_success"]["OMCIV2"]["age"] < 60
    settled_at = Payment.objects.get(pk=payment.pk).settled_at
    assert datetime.fromisoformat(found["last_success"]["OMCIV2"]["at"]) == settled_at
    assert found["pending"]["count"] == found["undelivered"]["count"] == 1
    assert found["undelivered"]["oldest"]["age"] == pytest.approx(3600, abs=60)
    assert found["problems"] == ["undelivered", "unreconciled"]
    assert found["channels"]["OMCIV2"]["last_hour"]["success_rate"] == 1


# Who may read it


@pytest.mark.usefixtures("reconciled", "token")
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (BEARER, ""),
        ({"Authorization": f"bearer  {TOKEN} "}, ""),
        ({}, f"?token={TOKEN}"),
        # The host may ask for a password of its own.
        ({"Authorization": "Basic YXdhOnNlY3JldA=="}, f"?token={TOKEN}"),
    ],
)
def test_monitoring_reads_it_with_the_token(client: Client, headers: dict[str, str], query: str) -> None:
    assert get(client, query, **headers).status_code == 200


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({"Authorization": "Bearer"}, ""),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, ""),
        ({"Authorization": f"Basic {TOKEN}"}, ""),
        ({"Authorization": "Bearer é"}, f"?token={TOKEN}"),
        ({"X-Token": TOKEN}, ""),
        ({}, "?token="),
        ({}, f"?token={TOKEN}x"),
    ],
)
def test_wrong_token_is_answered_401(
    client: Client, headers: dict[str, str], query: str, statements: Statements
) -> None:
    with statements:
        response = get(client, query, **headers)

    assert (response.status_code, response.json()) == (401, {"error": "Authentication required."})
    assert response["WWW-Authenticate"] == "Bearer"
    assert "no-store" in response["Cache-Control"]
    assert statements == []


@pytest.mark.parametrize("query", ["", "?token=", "?token=None"])
def test_without_the_setting_no_token_is_right(client: Client, query: str) -> None:
    assert get(client, query).status_code == 401


def test_empty_token_is_a_wrong_setting(client: Client, settings: Any) -> None:
    settings.PAIEMENTPRO_HEALTH_TOKEN = ""

    with pytest.raises(ImproperlyConfigured):
        get(client, "?token=")


@pytest.mark.usefixtures("reconciled")
def test_staff_who_may_view_payments_read_it(staff: Client) -> None:
    assert get(staff).status_code == 200


@pytest.mark.parametrize(
    ("flags", "permission"),
    [
        ({}, "view_payment"),
        ({"is_staff": True}, "export_payment"),
        ({"is_staff": True, "is_active": False}, "view_payment"),
    ],
)
def test_other_users_are_answered_401(client: Client, flags: dict[str, bool], permission: str) -> None:
    user = User.objects.create_user("other", **flags)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(user)

    assert get(client).status_code == 401


@pytest.mark.parametrize("flags", [None, {}, {"is_staff": True}, {"is_staff": True, "is_active": True}])
def test_user_model_without_permissions_is_answered_401(flags: dict[str, bool] | None) -> None:
    request = RequestFactory().get("/")
    if flags is not None:
        request.user = Member(name="awa")
        vars(request.user).update(flags)
    assert HealthView.as_view()(request).status_code == 401
    request.user = AnonymousUser()
    assert HealthView.as_view()(request).status_code == 401


# What it leaves behind


@pytest.mark.usefixtures("token")
def test_monitoring_gets_no_cookie_and_reads_no_session(staff: Client, statements: Statements, settings: Any) -> None:
    # Django 5.2's reads the session before any view is called.
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.endswith(".LoginRequiredMiddleware")]
    with statements:
        response = get(staff, **BEARER)

    assert not response.cookies
    assert "Cookie" not in response.get("Vary", "")
    assert "no-store" in response["Cache-Control"]
    assert len(statements) == 9
    assert not [sql for sql in statements if "session" in sql]


@pytest.mark.usefixtures("token", "admins")
def test_token_is_in_no_log_and_no_mail_to_admins(caplog: pytest.LogCaptureFixture) -> None:
    # As uWSGI and Gunicorn pass the URL on.
    client = Client(REQUEST_URI=f"/health/?token={TOKEN}", RAW_URI=f"/health/?token={TOKEN}")
    handler = AdminEmailHandler(include_html=True)
    logging.getLogger("django.request").addHandler(handler)
    client.raise_request_exception = False
    try:
        assert get(client, **BEARER).status_code == 503
        assert get(client, f"?token={TOKEN}").status_code == 503
        with connection.execute_wrapper(away):
            assert get(client, **BEARER).status_code == 500
            assert get(client, f"?token={TOKEN}").status_code == 500
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    assert len(mail.outbox) >= 4
    for message in mail.outbox:
        assert TOKEN not in f"{message.subject}{message.body}{message.alternatives}"
    assert TOKEN not in caplog.text
    assert TOKEN not in str([record.request for record in caplog.records if hasattr(record, "request")])


def away(*arguments: Any) -> None:
    raise DatabaseError


def test_health_view_is_exempt_from_transactions_and_login() -> None:
    view = HealthView.as_view()

    assert view._non_atomic_requests == set(connections)
    assert view.login_required is False


# The check


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, []),
        ("x" * 32, []),
        ("x" * 31, ["paiementpro_monitoring.W001"]),
        ("two words", []),  # a wrong setting, which another check reports
    ],
)
def test_short_token_is_a_warning(settings: Any, value: str | None, ids: list[str]) -> None:
    settings.PAIEMENTPRO_HEALTH_TOKEN = value

    messages = check_health_token()

    assert [message.id for message in messages] == ids
    assert all(value not in f"{message.msg} {message.hint}" for message in messages if value)
