from django.contrib.contenttypes.admin import GenericTabularInline
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_paiementpro.admin.columns import ColumnsMixin, ReadOnlyMixin
from django_paiementpro.models import Payment


class PaymentInline(ColumnsMixin, ReadOnlyMixin, GenericTabularInline):
    """The payments of an order, read-only. Set ``inlines = [PaymentInline]`` in the admin of your orders."""

    model = Payment
    ct_field = "content_type"
    ct_fk_field = "object_id"
    fields = readonly_fields = ("amount_display", "badge", "channel_display", "customer", "created", "settled")
    ordering = ("-pk",)
    extra = 0
    show_change_link = True
    verbose_name_plural = _("Payments")

    class Media:
        css = {"all": ("paiementpro/admin.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        return super().get_queryset(request).prefetch_related("findings")
