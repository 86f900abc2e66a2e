from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.contenttypes.fields import GenericRelation
from django.db import models

from django_paiementpro.models import Payment


class Customer(AbstractBaseUser):
    """A customer model beside the site's user model."""


class Order(models.Model):
    """What a host sells; it counts how often it was paid."""

    total = models.PositiveIntegerField(default=12500)
    times_paid = models.PositiveIntegerField(default=0)


class Gift(Order):
    """A proxy of the order."""

    class Meta:
        proxy = True


class Booking(models.Model):
    """What a host sells, with a GenericRelation to its payments."""

    payments = GenericRelation(Payment)


class ReceiverCall(models.Model):
    """One call of a receiver; it has no end if its process was killed."""

    receiver = models.CharField(max_length=16)
    reference = models.CharField(max_length=64)
    process = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)


class Member(AbstractBaseUser):
    """A user model without staff flag or permissions, and with a UUID as its primary key."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=16, unique=True)

    USERNAME_FIELD = "name"

    class Meta:
        managed = False
