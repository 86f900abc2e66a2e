from django.contrib import admin

from benchmarks.orders.models import Order

admin.site.register(Order)
