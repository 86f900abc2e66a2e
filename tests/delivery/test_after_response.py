"""Slow work that waits for the response."""

import threading
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import include, path

from django_paiementpro.delivery import after_response
from django_paiementpro.delivery.after_response import begin_request, run_after_response, watch_requests
from django_paiementpro.models import Payment
from django_paiementpro.signals import payment_succeeded

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

done: list[str] = []

#: Django 6.1 sends its signals in the context of the request under ASGI too.
UNDER_ASGI = ["view", "response sent", "work"] if django.VERSION >= (6, 1) else ["work", "view", "response sent"]


def note() -> None:
    done.append("work")


def fail() -> None:
    raise OSError("no mail server")


class Response(HttpResponse):
    def close(self) -> None:
        done.append("response sent")
        super().close()


@login_not_required
def answer(request: HttpRequest) -> HttpResponse:
    if "own" in request.GET:  # a view of the app
        begin_request(request)
    for work in request.GET.getlist("work"):
        run_after_response({"note": note, "fail": fail, "other": lambda: done.append("other")}[work])
    done.append("view")
    if "raise" in request.GET:
        raise ValueError
    return Response("OK")


urlpatterns = [path("", answer), path("paiementpro/", include("django_paiementpro.urls"))]


@pytest.fixture(autouse=True)
def watched() -> None:
    watch_requests()
    after_response._finish()  # of a response that another test has not closed
    done.clear()


def test_work_follows_the_response(client: Client) -> None:
    assert client.get("/?work=note").content == b"OK"
    assert done == ["view", "response sent", "work"]


def test_work_of_a_request_is_not_done_by_the_next(client: Client) -> None:
    client.get("/?work=note")
    done.clear()

    client.get("/")

    assert done == ["view", "response sent"]


def test_same_work_is_done_once_per_request(client: Client) -> None:
    client.get("/?work=note&work=note&work=other")
    assert done == ["view", "response sent", "work", "other"]

    client.get("/?work=note")
    assert done.count("work") == 2


def test_work_outside_of_requests_is_done_now() -> None:
    run_after_response(note)
    run_after_response(note)
    assert done == ["work", "work"]


def test_view_called_without_a_server_defers_nothing(rf: RequestFactory) -> None:
    answer(rf.get("/?own=1"))
    run_after_response(note)
    assert done == ["view", "work"]


def test_work_in_another_thread_is_done_now(client: Client) -> None:
    thread = threading.Thread(target=run_after_response, args=[note])
    thread.start()
    thread.join()
    assert done == ["work"]


def test_error_is_logged_and_stops_no_other_work(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert client.get("/?work=fail&work=note").status_code == 200

    assert done == ["view", "response sent", "work"]
    [record] = [record for record in caplog.records if record.getMessage().startswith("deferred_work_failed")]
    assert record.levelname == "ERROR"
    assert vars(record)["error"] == "builtins.OSError"
    assert "no mail server" not in record.getMessage()


def test_work_is_done_if_the_view_raises_afterwards() -> None:
    client = Client(raise_request_exception=False)

    assert client.get("/?work=note&raise=1").status_code == 500

    assert done == ["view", "work"]


@pytest.mark.parametrize("client", [AsyncClient(), Client()])
def test_views_of_the_app_defer_work_under_asgi_too(client: Any) -> None:
    async def ask() -> Any:
        return await client.get("/?own=1&work=note&work=note")

    answer = async_to_sync(ask)() if isinstance(client, AsyncClient) else client.get("/?own=1&work=note&work=note")

    assert answer.content == b"OK"
    assert done == ["view", "response sent", "work"]


def test_other_views_do_it_at_once_under_asgi() -> None:
    async def ask() -> Any:
        return await AsyncClient().get("/?work=note")

    async_to_sync(ask)()

    assert done == UNDER_ASGI


def test_views_of_the_app_defer_nothing_while_no_app_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_response, "_watched", threading.Event())

    async def ask() -> Any:
        return await AsyncClient().get("/?own=1&work=note")

    async_to_sync(ask)()

    assert done == UNDER_ASGI


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("client", [AsyncClient(), Client()])
def test_gateway_is_answered_before_the_work_of_receivers(
    client: Any, payment: Payment, caplog: pytest.LogCaptureFixture
) -> None:
    """The view writes its log line last."""
    caplog.set_level("INFO", "django_paiementpro")
    fields = {"merchantId": "PP-F324", "referenceNumber": payment.reference, "amount": 12500, "responsecode": 0}
    lines: list[str] = []

    def look() -> None:
        lines.extend(record.getMessage().split()[0] for record in caplog.records)

    def defer(**_kwargs: Any) -> None:
        run_after_response(look)

    async def ask() -> Any:
        return await client.post(payment.get_notification_url(), fields, content_type="application/json")

    payment_succeeded.connect(defer, dispatch_uid="tests.defer")
    try:
        if isinstance(client, AsyncClient):
            answer = async_to_sync(ask)()
        else:
            answer = client.post(payment.get_notification_url(), fields, content_type="application/json")
    finally:
        payment_succeeded.disconnect(dispatch_uid="tests.defer")

    assert answer.content == b"OK"
    assert "notification_received" in lines
