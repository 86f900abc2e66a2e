from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from pretix.base.models import OrderPayment
from pretix.base.payment import BasePaymentProvider, PaymentException
from pretix.multidomain.urlreverse import eventreverse

from django_paiementpro.models import Payment
from django_paiementpro.services import cancel_payment, open_payment, validate_payment


class PaiementPro(BasePaymentProvider):
    identifier = "paiementpro"
    verbose_name = "Paiement Pro"
    public_name = _("Mobile money or card")
    abort_pending_allowed = True

    @property
    def settings_form_fields(self):
        merchant_id = forms.CharField(label=_("Merchant ID"), required=False)
        return {**super().settings_form_fields, "merchant_id": merchant_id}

    def is_allowed(self, request, total=None):
        return super().is_allowed(request, total) and self._can_be_charged(total)

    def order_change_allowed(self, order, request=None):
        return super().order_change_allowed(order, request) and self._can_be_charged(order.pending_sum)

    def _can_be_charged(self, amount):
        try:
            validate_payment(Payment(amount=amount, currency=self.event.currency, description="-"), customer=False)
        except ValidationError:
            return False
        return True

    def payment_is_valid_session(self, request):
        return True

    def checkout_confirm_render(self, request, order=None, info_data=None):
        return _("You will continue at Paiement Pro.")

    def execute_payment(self, request, payment):
        order, values = payment.order, {}
        if merchant_id := self.settings.get("merchant_id"):
            values["merchant_id"] = merchant_id
        try:
            opened = open_payment(
                payment,
                amount=payment.amount,
                currency=self.event.currency,
                description=f"{self.event.slug} {order.code}",
                customer_email=order.email or "",
                customer_phone=str(order.phone or ""),
                success_url=eventreverse(
                    self.event, "presale:event.order", kwargs={"order": order.code, "secret": order.secret}
                ),
                **values,
            )
        except ValidationError as error:
            raise PaymentException(" ".join(error.messages)) from error
        payment.info_data = {"reference": opened.reference}
        payment.state = OrderPayment.PAYMENT_STATE_PENDING
        payment.save(update_fields=["info", "state"])
        return opened.get_checkout_url()

    def payment_pending_render(self, request, payment):
        return _("We are waiting for your payment.")

    def cancel_payment(self, payment):
        """Cancel ours too, so that a customer who starts again cannot pay both."""
        super().cancel_payment(payment)
        for opened in Payment.objects.for_object(payment).payable():
            cancel_payment(opened, "Cancelled in pretix.")

    def matching_id(self, payment):
        return payment.info_data.get("reference")
