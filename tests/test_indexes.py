import pytest
from django.db import connection

from django_paiementpro.indexes import LowerIndex, PhoneIndex
from django_paiementpro.models import Payment

INDEXES = [index for index in Payment._meta.indexes if isinstance(index, (LowerIndex, PhoneIndex))]


@pytest.mark.django_db
@pytest.mark.parametrize("index", INDEXES, ids=lambda index: index.name)
def test_a_database_without_indexes_of_expressions_gets_one_of_the_column(
    index: LowerIndex | PhoneIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = connection.schema_editor(collect_sql=True)
    monkeypatch.setattr(connection.features, "supports_expression_indexes", False)
    sql = str(index.create_sql(Payment, editor))
    monkeypatch.setattr(connection.features, "supports_expression_indexes", True)
    expression = str(index.create_sql(Payment, editor))
    assert "LOWER" not in sql
    assert "REPLACE" not in sql
    assert index.fields[0] in sql
    assert "LOWER" in expression or "REPLACE" in expression


def test_postgresql_finds_how_a_text_begins_by_the_index() -> None:
    assert LowerIndex(fields=["x"], name="x").expression_sql("postgresql") == "(LOWER(%(columns)s)) text_pattern_ops"
    assert LowerIndex(fields=["x"], name="x").expression_sql("sqlite") == "(LOWER(%(columns)s))"


def test_a_number_is_indexed_by_its_end() -> None:
    index = PhoneIndex(fields=["x"], name="x")
    assert index.expression_sql("postgresql").startswith("(RIGHT(REPLACE(")
    assert index.expression_sql("sqlite").startswith("(SUBSTR(REPLACE(")


@pytest.mark.django_db
def test_every_index_is_there() -> None:
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, Payment._meta.db_table)
    assert {index.name for index in INDEXES} <= {name for name, constraint in there.items() if constraint["index"]}
