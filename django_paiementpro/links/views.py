"""The pages of payment links, as a thin layer over ``services``. They are open to anyone who has the link."""

from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from django_paiementpro import log, qr
from django_paiementpro.conf import conf
from django_paiementpro.http import page_context
from django_paiementpro.links.exceptions import LinkClosedError, TooManyPostsError
from django_paiementpro.links.forms import LinkForm
from django_paiementpro.links.models import LinkState, PaymentLink
from django_paiementpro.links.services import find_link, pay_link
from django_paiementpro.models import CUSTOMER_FIELDS
from django_paiementpro.services.checkout import absolute_url
from django_paiementpro.views import OpenView

#: The links are for people who have received them: no search engine, and no address in the logs of other sites.
HEADERS = {"Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


class AnyoneView(OpenView):
    """A view for anyone who has the link."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.link = find_link(kwargs["token"])
        if self.link is None:
            response = self.page("not_found", 404)
        else:
            try:
                response = super().dispatch(request, *args, **kwargs)
            except PaymentLink.DoesNotExist:  # deleted since it was read
                response = self.page("not_found", 404)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def page(self, name: str, status: int, **context: Any) -> HttpResponseBase:
        """Render a page of the shop."""
        context |= page_context()
        return render(self.request, f"paiementpro_links/{name}.html", context, status=status)


class LinkView(AnyoneView):
    """
    The page of a payment link: who sells what, and a form for the customer's details.

    GET changes nothing, so crawlers and the link previews of messengers are harmless. POST makes one payment for each
    form, however often it is sent, and redirects to its checkout. It needs neither session nor CSRF token: the signed
    one-time key in the form stands in, since browsers that send no referrer post with ``Origin: null``.

    A link that is paid says so (200), one that is off, full or past its date too (410), an unknown one is 404. An
    invalid form is shown again (400), and so is one by a customer who has tried too often (429, ``Retry-After``).
    """

    http_method_names = ["get", "post", "head", "options"]
    link: PaymentLink

    def get(self, request: HttpRequest, token: str) -> HttpResponseBase:
        state = self.link.state
        return self.closed(state) if state != LinkState.OPEN else self.form_page(LinkForm(self.link), 200)

    def post(self, request: HttpRequest, token: str) -> HttpResponseBase:
        form = LinkForm(self.link, request.POST)
        if not form.is_valid():
            state = self.link.state
            return self.closed(state) if state != LinkState.OPEN else self.form_page(form.renewed(), 400)
        answers = {name: form.cleaned_data[name] for name in ("channel", *CUSTOMER_FIELDS) if name in form.cleaned_data}
        try:
            payment = pay_link(
                self.link, form.cleaned_data["form_key"], amount=form.cleaned_data.get("amount"), **answers
            )
        except LinkClosedError as error:
            return self.closed(error.state)
        except TooManyPostsError as error:
            response = self.form_page(form, 429, minutes=-(-error.retry_after // 60))
            response.headers["Retry-After"] = str(error.retry_after)
            return response
        except ValidationError as error:
            log.write("link_invalid", outcome="refused", pk=self.link.pk, fields=sorted(error.message_dict))
            return self.page("closed", 400, link=self.link, state="invalid")
        return HttpResponseRedirect(payment.get_checkout_url())

    def form_page(self, form: LinkForm, status: int, **context: Any) -> HttpResponseBase:
        url = absolute_url(self.link.get_absolute_url(), self.request)
        logo = conf.shop.logo_url
        if logo and "://" not in logo:
            logo = absolute_url(logo, self.request)
        return self.page("link", status, link=self.link, form=form, url=url, logo_url=logo, **context)

    def closed(self, state: LinkState) -> HttpResponseBase:
        return self.page("closed", 200 if state == LinkState.PAID else 410, link=self.link, state=str(state))


class QRView(AnyoneView):
    """The QR code of the link's https address, as SVG (``qr.svg``) or PNG (``qr.png``), whatever its state."""

    http_method_names = ["get", "head", "options"]
    link: PaymentLink

    def get(self, request: HttpRequest, token: str, kind: str) -> HttpResponseBase:
        url = absolute_url(reverse("paiementpro_links:link", args=[self.link.token]), request)
        content, content_type = (qr.svg(url), "image/svg+xml") if kind == "svg" else (qr.png(url), "image/png")
        return HttpResponse(content, content_type=content_type)
