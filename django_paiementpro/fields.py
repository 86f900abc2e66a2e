"""Model fields for amounts and transaction ids."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.utils.translation import gettext_lazy as _

from django_paiementpro.normalization import transaction_key

if TYPE_CHECKING:
    from django.db.models.expressions import Combinable

    CharField = models.CharField[str, str]
    # float is listed as documentation: a whole one becomes an int, any other is refused.
    BigIntegerField = models.BigIntegerField[int | float | Decimal | Combinable, int]
    PositiveBigIntegerField = models.PositiveBigIntegerField[int | float | Decimal | Combinable, int]
else:
    CharField = models.CharField
    BigIntegerField = models.BigIntegerField
    PositiveBigIntegerField = models.PositiveBigIntegerField


class WholeNumberAttribute(DeferredAttribute):
    """Turn a whole ``Decimal`` or ``float`` into an ``int`` when it is assigned."""

    field: "models.Field[Any, Any]"

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = int(value) if _is_whole(value) else value


def _is_whole(value: Any) -> bool:
    return (isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()) or (
        isinstance(value, float) and value.is_integer()
    )


class FrancsField(BigIntegerField):
    """
    Whole francs. A whole ``Decimal`` becomes an ``int`` when it is assigned.

    Anything else that Django would silently turn into an integer is refused: a fraction, a boolean, and text that does
    not consist of ASCII digits (``"1_000"``).
    """

    descriptor_class = WholeNumberAttribute

    def to_python(self, value: Any) -> Any:
        if not self._is_number(value):
            raise ValidationError(_("Enter a whole number of francs."), code="invalid")
        return super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        if not self._is_number(value):
            raise ValueError(f"{self.name} is in whole francs, not {value!r}: round it")
        return super().get_prep_value(value)

    @staticmethod
    def _is_number(value: Any) -> bool:
        if isinstance(value, (float, Decimal)):
            return _is_whole(value)
        if isinstance(value, str):
            return re.fullmatch("-?[0-9]+", value) is not None
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return is_integer or value is None or hasattr(value, "resolve_expression")


class AmountField(FrancsField, PositiveBigIntegerField):
    """Francs to pay, which the database checks to be positive."""


class TransactionKeyField(CharField):
    """The normalised form of the ``gateway_id`` beside it, used to compare transactions."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = transaction_key(getattr(model_instance, "gateway_id", ""))
        setattr(model_instance, self.attname, key)
        return key
