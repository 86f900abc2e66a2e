import secrets
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import F
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from django_paiementpro.models import Payment, PaymentQuerySet
from django_paiementpro.phones import normalize_phone
from django_paiementpro.services import cancel_payment, open_payment


class Product(models.Model):
    class Picture(models.TextChoices):
        """The drawings in templates/shop/art/."""

        WAX = "wax", _("Wax print")
        SHEA = "shea", _("Shea butter")
        COFFEE = "coffee", _("Coffee")
        ATTIEKE = "attieke", _("Attiéké")
        BASKET = "basket", _("Basket")
        HIBISCUS = "hibiscus", _("Hibiscus flowers")

    slug = models.SlugField(_("slug"), unique=True)
    name_fr = models.CharField(_("name in French"), max_length=100)
    name_en = models.CharField(_("name in English"), max_length=100)
    description_fr = models.TextField(_("description in French"))
    description_en = models.TextField(_("description in English"))
    picture = models.CharField(_("picture"), max_length=16, choices=Picture)
    price = models.PositiveIntegerField(
        _("price"), validators=[MinValueValidator(100)], help_text=_("In whole francs.")
    )
    stock = models.PositiveIntegerField(_("stock"), default=0)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shop:product", args=[self.slug])

    @property
    def name(self) -> str:
        return self.name_fr if _is_french() else self.name_en

    @property
    def description(self) -> str:
        return self.description_fr if _is_french() else self.description_en

    @property
    def art(self) -> str:
        return f"shop/art/{self.picture}.svg"

    @property
    def is_nearly_gone(self) -> bool:
        return 0 < self.stock <= 3

    def take(self, quantity: int) -> bool:
        """Take goods from the stock; False, and nothing is taken, where there are not enough."""
        enough = Product.objects.filter(pk=self.pk, stock__gte=quantity)
        return bool(enough.update(stock=F("stock") - quantity))


def buyer_of(request: HttpRequest) -> str:
    """Return who buys in this browser. Guests have no account: their session holds the key to their orders."""
    return request.session.setdefault("buyer", secrets.token_hex(16))


class OrderQuerySet(models.QuerySet["Order"]):
    def of_buyer(self, request: HttpRequest) -> "OrderQuerySet":
        """Return the orders that were made in this browser."""
        return self.filter(buyer=request.session.get("buyer"))

    def visible_to(self, request: HttpRequest) -> "OrderQuerySet":
        """Return what the buyer may see, which is their own, and what the staff may, which is all."""
        return self if request.user.has_perm("shop.view_order") else self.of_buyer(request)

    def place(self, buyer: str, product: Product, **details: Any) -> "Order":
        """Return the open order of a buyer for just this: a new one, unless they ask twice."""
        with transaction.atomic():
            # The lock makes two clicks take turns, and the second find the order of the first.
            product = Product.objects.select_for_update().get(pk=product.pk)
            wanted = {"buyer": buyer, "product": product, **details}
            wanted["total"] = wanted["quantity"] * product.price
            return self.filter(status=Order.Status.OPEN, **wanted).first() or self.create(**wanted)


def validate_phone(value: str) -> None:
    try:
        normalize_phone(value)
    except ValueError as error:
        raise ValidationError(_("Enter a telephone number, like 07 07 12 34 56."), code="invalid") from error


class Order(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", _("To be paid")
        PAID = "paid", pgettext_lazy("order", "Paid")
        CANCELLED = "cancelled", pgettext_lazy("order", "Cancelled")
        TO_REFUND = "to_refund", _("To be refunded")
        REFUNDED = "refunded", pgettext_lazy("order", "Refunded")

    buyer = models.CharField(max_length=32, db_index=True, editable=False)
    product = models.ForeignKey(Product, models.PROTECT, verbose_name=_("product"))
    quantity = models.PositiveSmallIntegerField(_("quantity"))
    total = models.PositiveIntegerField(_("total"), help_text=_("In whole francs."))
    first_name = models.CharField(_("first name"), max_length=100)
    last_name = models.CharField(_("last name"), max_length=100)
    email = models.EmailField(_("e-mail"))
    phone = models.CharField(_("phone"), max_length=32, validators=[validate_phone])
    channel = models.CharField(_("payment method"), max_length=32, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.OPEN)
    paid_with = models.ForeignKey(
        Payment, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("paid with")
    )
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    created_at = models.DateTimeField(_("ordered"), default=timezone.now, editable=False)

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return _("Order %(number)d") % {"number": self.pk}

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.status == self.Status.OPEN

    @property
    def is_sold_out(self) -> bool:
        return self.is_open and self.product.stock < self.quantity

    @property
    def payments(self) -> PaymentQuerySet:
        return Payment.objects.for_object(self)

    @property
    def is_payable(self) -> bool:
        return self.is_open and not self.is_sold_out

    def open_payment(self, return_to: str = "") -> Payment:
        """
        Return the payment to send the buyer to.

        Once it is paid, it leads to the order; if it fails, back to ``return_to``, if that is given. Raises
        ``ValidationError`` if the order is paid already.
        """
        return open_payment(
            self,
            amount=self.total,
            description=f"{self} ({self.quantity} × {self.product})",
            channel=self.channel,
            customer_first_name=self.first_name,
            customer_last_name=self.last_name,
            customer_email=self.email,
            customer_phone=self.phone,
            success_url=f"{reverse('shop:products')}thanks/{{reference}}/",
            failure_url=return_to,
        )

    def cancel(self) -> None:
        """
        Give the order up, and its payment with it; call it with the order locked.

        Raises ``ValidationError`` where the money has come in the meantime.
        """
        statuses = Payment.Status
        for payment in self.payments.exclude(status__in=[statuses.EXPIRED, statuses.CANCELLED, statuses.REFUNDED]):
            cancel_payment(payment, reason=str(self))
        self.status = self.Status.CANCELLED
        self.save(update_fields=["status"])


def _is_french() -> bool:
    return (get_language() or "fr").startswith("fr")
