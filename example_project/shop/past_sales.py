"""
The sales that the demonstration starts with: 60 days of them up to now, invented.

A fixed seed makes them the same each time. The customers have common names of the region, and addresses at example.org.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Max, OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from django_paiementpro.conf import conf
from django_paiementpro.enums import PAYABLE, Channel, Kind, Outcome, Reason, RefundKind, SettledBy, Status
from django_paiementpro.gateway.messages import FAILURE_CODE, SUCCESS_CODE, Notification
from django_paiementpro.models import Finding, Payment, PaymentEvent, Refund
from shop.models import Order, Product

DAYS = 60
SALES_PER_DAY = 9
CUSTOMERS = 350
SEED = 225

# How busy the hours are, from midnight, and the days of the week, from Monday.
HOURS = [2, 1, 0, 0, 0, 1, 3, 6, 9, 11, 12, 13, 16, 14, 10, 9, 10, 13, 17, 21, 22, 18, 11, 5]
WEEKDAYS = [0.9, 0.9, 1.0, 1.0, 1.25, 1.4, 0.7]

POPULARITY = {
    "attieke": 30,
    "beurre-de-karite": 20,
    "bissap": 18,
    "cafe-de-man": 14,
    "pagne-wax": 13,
    "panier-tresse": 5,
}

# Of how many customers in 100 each is the payment method, and what their phone numbers look like.
METHODS = [
    (28, Channel.WAVE_CI, "07 ## ## ## ##"),
    (26, Channel.ORANGE_CI, "07 ## ## ## ##"),
    (16, Channel.MTN_CI, "05 ## ## ## ##"),
    (8, Channel.MOOV_CI, "01 ## ## ## ##"),
    (5, Channel.CARD, "07 ## ## ## ##"),
    (4, Channel.CARD, "+33 6 ## ## ## ##"),
    (5, Channel.WAVE_SN, "+221 77 ### ## ##"),
    (3, Channel.ORANGE_SN, "+221 78 ### ## ##"),
    (3, Channel.ORANGE_BF, "+226 76 ## ## ##"),
    (2, Channel.ORANGE_ML, "+223 79 ## ## ##"),
]

FIRST_NAMES = (
    "Adama Adjoua Affoué Aïcha Akissi Alimata Aminata Amoin Aya Bakary Bintou Brahima Cheick Djénéba Fanta Fatou "
    "Fatoumata Ibrahim Issouf Kadiatou Koffi Konan Kouadio Kouamé Lassina Mamadou Mariam Moussa Nadège Oumar Rokia "
    "Salif Seydou Souleymane Sylvie Thérèse Yacouba Yao Yvette Zénab"
)
LAST_NAMES = (
    "Bamba Camara Cissé Coulibaly Dembélé Diabaté Diallo Diarra Diop Doumbia Fofana Kaboré Kacou Keita Konaté Koné "
    "Kouassi Kourouma N’Dri N’Guessan Ndiaye Ouattara Ouédraogo Sangaré Sanogo Sawadogo Sissoko Sow Sylla Tanoh Touré "
    "Traoré Yapi Zadi"
)
TO_ASCII = str.maketrans("éèï", "eei", "’")


class Customer:
    def __init__(self, number: int, chance: Random) -> None:
        _weight, self.channel, phone = chance.choices(METHODS, [method[0] for method in METHODS])[0]
        first_name, last_name = chance.choice(FIRST_NAMES.split()), chance.choice(LAST_NAMES.split())
        name = f"{first_name}.{last_name}".translate(TO_ASCII).lower()
        self.buyer = f"{chance.getrandbits(128):032x}"
        self.person = {
            "first_name": first_name,
            "last_name": last_name,
            "email": f"{name}{number}@example.org",
            "phone": "".join(str(chance.randrange(10)) if sign == "#" else sign for sign in phone),
        }


class Sale:
    """An order with its payment and what has happened to it since, as the app would have recorded it."""

    def __init__(
        self, customer: Customer, product: Product, at: datetime, staff: AbstractBaseUser, chance: Random
    ) -> None:
        self.at, self.staff, self.chance, self.channel = at, staff, chance, customer.channel
        is_chosen = customer.channel in conf.channels and chance.random() < 0.7
        quantity = chance.choices([1, 2, 3, 5], [60, 25, 10, 5] if product.price < 5000 else [80, 17, 3, 0])[0]
        self.order = Order(
            buyer=customer.buyer,
            product=product,
            quantity=quantity,
            total=quantity * product.price,
            channel=customer.channel if is_chosen else "",
            created_at=at,
            **customer.person,
        )
        self.payment = Payment(
            reference=f"{chance.getrandbits(96):024x}",
            amount=self.order.total,
            channel=self.order.channel,
            success_url=f"{reverse('shop:products')}thanks/{{reference}}/",
            created_at=at,
            **{f"customer_{name}": value for name, value in customer.person.items()},
        )
        self.events: list[PaymentEvent] = []
        self.findings: list[Finding] = []
        self.refunds: list[Refund] = []

    def wait(self, shortest: float, longest: float) -> None:
        """Let some seconds pass."""
        self.at += timedelta(seconds=self.chance.uniform(shortest, longest))

    def change(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.payment, name, value)

    def record(self, kind: Kind, data: dict[str, Any] | None = None, **values: Any) -> PaymentEvent:
        values = {"outcome": Outcome.ACCEPTED, "data": data or {}, "created_at": self.at, **values}
        self.events.append(PaymentEvent(payment=self.payment, kind=kind, **values))
        return self.events[-1]

    def open_page(self, **event: Any) -> None:
        self.wait(1, 4)
        self.payment.attempt += 1
        payment = self.payment
        data = {
            "merchantId": payment.merchant_id,
            "amount": payment.amount,
            "referenceNumber": payment.gateway_reference,
            "customerEmail": payment.customer_email,
            "customerFirstName": payment.customer_first_name,
            "customerLastname": payment.customer_last_name,
            "customerPhoneNumber": payment.customer_phone,
        }
        if self.record(Kind.INITIALIZE, data, **event).outcome == Outcome.ACCEPTED:
            self.change(status=Status.PENDING, initialized_at=self.at, opened_attempt=payment.attempt)

    def settle(self, status: Status, settled_by: SettledBy = SettledBy.NOTIFICATION) -> None:
        self.change(
            status=status,
            settled_by=settled_by,
            settled_at=self.at,
            settled_attempt=self.payment.attempt,
            gateway_id=self.new_gateway_id(),
            gateway_channel=self.channel,
            transaction_date=self.at.replace(microsecond=0),
            response_code=SUCCESS_CODE if status.is_paid else FAILURE_CODE,
        )
        if status.is_paid:
            self.order.paid_at = self.at
            self.order.status = Order.Status.PAID if self.order.is_open else Order.Status.TO_REFUND

    def new_gateway_id(self) -> str:
        return f"CI{self.at:%Y%m%d%H%M%S}{self.chance.randrange(10**6):06}"

    def notify(self, outcome: Outcome = Outcome.ACCEPTED, **changes: Any) -> PaymentEvent:
        """Record a notification of what the payment was settled with, or of something else."""
        payment = self.payment
        fields = {
            "merchant_id": payment.merchant_id,
            "reference": payment.gateway_reference,
            "amount": payment.amount,
            "response_code": payment.response_code,
            "currency_number": "952",
            "gateway_id": payment.gateway_id,
            "channel": str(self.channel),
            "session_id": f"{self.chance.getrandbits(128):032x}",
            "transaction_date": self.at,
        }
        data = Notification(**(fields | changes)).as_fields()
        texts = {name: str(value) for name, value in data.items()}
        return self.record(Kind.NOTIFICATION, texts, outcome=outcome, remote_address="127.0.0.1")

    def flag(self, event: PaymentEvent, reason: Reason, detail: str) -> None:
        event.reason, event.message = reason, f"{reason}: {detail}"
        finding = Finding(payment=self.payment, reason=reason, detail=detail, event=event, created_at=self.at)
        self.findings.append(finding)
        self.change(needs_review=True)

    def act(self, action: str, reason: str, **data: Any) -> PaymentEvent:
        """Record what a staff user does, some hours later."""
        self.wait(2 * 3600, 20 * 3600)
        user = {"user": self.staff.get_username(), "user_id": str(self.staff.pk)}
        return self.record(Kind.STAFF, {"action": action, **user, **data}, message=reason)

    def refund(self, amount: int, reason: str, kind: RefundKind = RefundKind.REFUND, fee: int = 0) -> None:
        number = f"RB-{self.chance.randrange(10**6):06}"
        event = self.act("refund", reason, amount=amount, refund_reference=number, kind=str(kind), fee=fee)
        refund = Refund(payment=self.payment, amount=amount, fee=fee, kind=kind, reference=number, reason=reason)
        refund.event, refund.user, refund.created_at = event, self.staff, self.at
        refund.refunded_on = timezone.localdate(self.at)
        event.data["refunded_on"] = refund.refunded_on.isoformat()
        self.refunds.append(refund)
        self.change(refunded_amount=amount)
        if amount == self.payment.amount:
            self.change(status=Status.REFUNDED)
            self.order.status = Order.Status.REFUNDED

    def review(self, note: str) -> None:
        self.act("review", note, findings=[str(finding) for finding in self.findings])
        for finding in self.findings:
            finding.reviewed_at, finding.reviewed_by, finding.note = self.at, self.staff, note
        self.change(needs_review=False)

    def expire(self) -> None:
        """Expire, as the reconciliation does every five minutes, if it is not paid by then."""
        if self.payment.status in PAYABLE:
            dates = [self.payment.created_at, self.payment.initialized_at, self.payment.settled_at]
            self.at = max(filter(None, dates)) + conf.expires_after
            self.wait(0, 300)
            if self.at < timezone.now():
                self.change(status=Status.EXPIRED, checked_at=self.at)
                self.record(Kind.EXPIRY)

    def store(self) -> None:
        """Store the order and its payment, which the rest refers to."""
        self.order.save()
        self.payment.content_object = self.order
        self.payment.description = f"{self.order} ({self.order.quantity} × {self.order.product})"
        self.payment.save()
        if self.order.paid_at:
            self.order.paid_with = self.payment
            self.order.save(update_fields=["paid_with"])


# What may become of a sale.


def paid(sale: Sale) -> None:
    sale.open_page()
    sale.at += timedelta(seconds=sale.chance.lognormvariate(3.8, 0.6))
    sale.settle(Status.SUCCEEDED)
    sale.notify()


def paid_and_notified_twice(sale: Sale) -> None:
    paid(sale)
    sale.wait(5, 20)
    sale.notify(Outcome.DUPLICATE)


def paid_at_second_attempt(sale: Sale) -> None:
    declined(sale)
    sale.wait(30, 600)
    paid(sale)


def paid_without_notification(sale: Sale) -> None:
    sale.open_page()
    sale.wait(60, 300)
    sale.settle(Status.SUCCEEDED, SettledBy.STATUS)
    sale.record(Kind.STATUS, {"success": "True", "pay_id": sale.payment.gateway_id, "amount": str(sale.payment.amount)})


def declined(sale: Sale) -> None:
    sale.open_page()
    sale.wait(15, 90)
    sale.settle(Status.FAILED)
    sale.notify()


def left(sale: Sale) -> None:
    sale.open_page()


def cancelled(sale: Sale) -> None:
    sale.open_page()
    sale.wait(60, 900)
    sale.change(status=Status.CANCELLED)
    sale.order.status = Order.Status.CANCELLED
    sale.record(Kind.HOST, message=_("The customer cancelled the order."))


def unavailable(sale: Sale) -> None:
    sale.open_page(outcome=Outcome.FAILED, message="no answer from the gateway (ReadTimeout)")


def confirmed_by_staff(sale: Sale) -> None:
    sale.open_page()
    event = sale.act("confirm", _("Seen in the gateway’s back office."), amount=sale.payment.amount)
    sale.settle(Status.SUCCEEDED, SettledBy.STAFF)
    event.data["gateway_id"] = sale.payment.gateway_id


def refunded(sale: Sale) -> None:
    paid(sale)
    sale.refund(sale.payment.amount, _("Out of stock."))


def partly_refunded(sale: Sale) -> None:
    paid(sale)
    sale.refund(round(sale.payment.amount / 4, -2), _("A packet was damaged."))


def charged_back(sale: Sale) -> None:
    sale.channel = Channel.CARD
    sale.order.channel = sale.payment.channel = Channel.CARD
    paid(sale)
    sale.refund(sale.payment.amount, _("The customer disputed the payment at the bank."), RefundKind.CHARGEBACK, 5000)


def paid_too_little(sale: Sale) -> None:
    sale.open_page()
    sale.wait(30, 90)
    amount = sale.payment.amount // 2
    event = sale.notify(Outcome.REFUSED, amount=amount, response_code=SUCCESS_CODE, gateway_id=sale.new_gateway_id())
    sale.flag(event, Reason.AMOUNT, f"{amount} != {sale.payment.amount}")


def paid_too_little_and_reviewed(sale: Sale) -> None:
    paid_too_little(sale)
    sale.review(_("Money returned in the gateway’s back office."))


def paid_twice(sale: Sale) -> None:
    sale.open_page()
    sale.wait(300, 600)
    paid(sale)
    sale.wait(10, 60)
    second = sale.new_gateway_id()
    event = sale.notify(Outcome.CONFLICT, reference=sale.payment.reference, gateway_id=second)
    sale.flag(event, Reason.PAID_TWICE, f"{sale.payment.reference} {second}")


def paid_twice_and_reviewed(sale: Sale) -> None:
    paid_twice(sale)
    sale.review(_("Second payment returned in the gateway’s back office."))


def paid_after_cancellation(sale: Sale) -> None:
    cancelled(sale)
    sale.wait(20, 120)
    sale.settle(Status.SUCCEEDED)
    sale.flag(sale.notify(), Reason.PAID_AFTER_CANCELLATION, sale.payment.gateway_id)


def failed_after_success(sale: Sale) -> None:
    paid(sale)
    sale.wait(60, 600)
    event = sale.notify(Outcome.CONFLICT, response_code=FAILURE_CODE)
    sale.flag(event, Reason.FAILURE_AFTER_SUCCESS, sale.payment.gateway_reference)


Course = Callable[[Sale], None]

# Of how many sales in 100 this is the course.
COURSES: dict[Course, int] = {
    paid: 73,
    paid_at_second_attempt: 7,
    paid_and_notified_twice: 4,
    paid_without_notification: 3,
    left: 6,
    declined: 4,
    cancelled: 2,
    unavailable: 1,
}

# The course of the first sale of a day, by how many days ago it was.
SPECIAL_COURSES: dict[int, Course] = {
    2: paid_twice,
    3: paid_too_little,
    4: refunded,
    5: paid_after_cancellation,
    6: partly_refunded,
    7: failed_after_success,
    11: confirmed_by_staff,
    16: paid_too_little_and_reviewed,
    19: charged_back,
    23: partly_refunded,
    31: refunded,
    37: paid_twice_and_reviewed,
    42: partly_refunded,
    50: refunded,
}


def record_past_sales(staff: AbstractBaseUser) -> None:
    """Record the sales of the last 60 days, once: nothing is added to a shop that has had an order."""
    with transaction.atomic():
        if Order.objects.exists() or Payment.objects.exists():
            return
        sales = [*_sales(staff, Random(SEED))]
        for sale in sales:
            sale.store()
        for event in sorted((event for sale in sales for event in sale.events), key=lambda event: event.created_at):
            event.save()
        Finding.objects.bulk_create(finding for sale in sales for finding in sale.findings)
        Refund.objects.bulk_create(refund for sale in sales for refund in sale.refunds)
        events = PaymentEvent.objects.filter(payment=OuterRef("pk")).order_by().values("payment")
        Payment.objects.update(updated_at=Subquery(events.values(latest=Max("created_at"))))


def _sales(staff: AbstractBaseUser, chance: Random) -> Iterator[Sale]:
    """Return the sales, the oldest first."""
    now = timezone.now()
    customers = [Customer(number, chance) for number in range(1, CUSTOMERS + 1)]
    loyalty = [1 / (60 + number) for number in range(CUSTOMERS)]
    products = {product.slug: product for product in Product.objects.filter(slug__in=POPULARITY)}

    def sell(at: datetime, course: Course) -> Sale:
        customer = chance.choices(customers, loyalty)[0]
        [slug] = chance.choices(list(POPULARITY), list(POPULARITY.values()))
        sale = Sale(customer, products[slug], at, staff, chance)
        course(sale)
        sale.expire()
        return sale

    for days in range(DAYS, -1, -1):
        moments = sorted(_moments(timezone.localdate(now) - timedelta(days=days), chance))
        courses = chance.choices(list(COURSES), list(COURSES.values()), k=len(moments))
        courses[0] = SPECIAL_COURSES.get(days, courses[0])
        sales = map(sell, moments, courses)
        yield from (sale for sale in sales if sale.order.created_at < now - timedelta(hours=1))
    yield sell(now - timedelta(minutes=50), declined)
    lost = sell(now - timedelta(minutes=25), left)
    _pay_in_sandbox(lost)
    yield lost
    yield sell(now - timedelta(minutes=8), left)


def _moments(day: date, chance: Random) -> Iterator[datetime]:
    """Return when the sales of a day are made: more on some weekdays, and when wages have been paid."""
    payday = 1.3 if day.day >= 26 or day.day <= 3 else 1.0
    mean = SALES_PER_DAY * WEEKDAYS[day.weekday()] * payday
    for _number in range(max(1, round(chance.gauss(mean, mean**0.5)))):
        [hour] = chance.choices(range(24), HOURS)
        moment = time(hour, chance.randrange(60), chance.randrange(60))
        yield timezone.make_aware(datetime.combine(day, moment))


def _pay_in_sandbox(sale: Sale) -> None:
    """Let the gateway have the money of a sale, and its notification get lost."""
    payment = sale.payment
    apps.get_model("paiementpro_sandbox.SandboxSession").objects.update_or_create(
        merchant_id=payment.merchant_id,
        reference=payment.gateway_reference,
        defaults={
            "amount": payment.amount,
            "channel": sale.channel,
            "created_at": sale.at,
            "state": "paid",
            "pay_id": sale.new_gateway_id(),
            "transaction_date": f"{sale.at:%Y-%m-%d %H:%M:%S}",
        },
    )
