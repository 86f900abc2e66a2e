from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_paiementpro.testing import make_payment

pytestmark = pytest.mark.django_db


def test_takings_page_names_channels_with_problems(client: Client) -> None:
    user = User.objects.create_user("cashier", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client.force_login(user)
    url = reverse("admin:paiementpro_payment_daybook")
    assert "right now" not in client.get(url).content.decode()
    minute, lately = timedelta(minutes=1), timezone.now() - timedelta(minutes=40)
    last_week = lately - timedelta(days=3)
    for channel, minutes in (("WAVECI", 10), ("OMCIV2", None), ("UNKNOWN", None), ("MOMOCI", 1)):
        for number in range(20):
            opened_at, taken = (last_week, 1) if number < 10 else (lately, minutes)
            make_payment(
                channel=channel,
                customer_phone=f"07071234{number:02}",
                status="succeeded" if taken else "pending",
                attempt=1,
                created_at=opened_at,
                initialized_at=opened_at,
                settled_at=opened_at + taken * minute if taken else None,
            )
    cache.clear()

    text = client.get(url).content.decode()

    assert "Having problems right now: Orange Money Côte d’Ivoire, UNKNOWN." in text
    assert "Slow right now: Wave Côte d’Ivoire." in text
