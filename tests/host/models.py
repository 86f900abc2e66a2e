from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models

from django_paiementpro.models import Payment


class Customer(AbstractBaseUser):
    """A buyer, in a table beside the site's accounts."""


class Order(models.Model):
    """An order of the host, which counts how often it was marked as paid."""

    total = models.PositiveIntegerField(default=12500)
    times_paid = models.PositiveIntegerField(default=0)


class Gift(Order):
    """An order, seen otherwise."""

    class Meta:
        proxy = True


class Booking(models.Model):
    """What a host sells, with the way back to its payments that Django offers."""

    payments = GenericRelation(Payment)


class ReceiverCall(models.Model):
    """A receiver at work, for one payment; it has no end where its process was killed."""

    receiver = models.CharField(max_length=16)
    reference = models.CharField(max_length=64)
    process = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)


class Member(AbstractBaseUser):
    """A user of a host without the admin: neither staff nor permissions, and no number for a key."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=16, unique=True)

    USERNAME_FIELD = "name"

    class Meta:
        managed = False
