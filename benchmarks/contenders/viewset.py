"""A plain viewset of REST framework that shows the same fields, to the same people."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import pagination, routers, serializers, viewsets

from django_paiementpro.api.serializers import PaymentSerializer
from django_paiementpro.models import Payment


class Serializer(serializers.ModelSerializer[Payment]):
    class Meta:
        model = Payment
        fields = [name for name in PaymentSerializer().fields if name in {field.name for field in Payment._meta.fields}]


class Pagination(pagination.PageNumberPagination):
    page_size = 20


class PaymentViewSet(viewsets.ReadOnlyModelViewSet[Payment]):
    serializer_class = Serializer
    pagination_class = Pagination
    lookup_field = "reference"

    def get_queryset(self) -> QuerySet[Payment, Any]:
        return Payment.objects.filter(user=self.request.user.pk)


plain = routers.SimpleRouter()
plain.register("payments", PaymentViewSet, basename="plain")
