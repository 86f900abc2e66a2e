import pytest
from django.core import checks
from django.db import connection
from django.db.models import Index

from django_paiementpro.indexes import FirstFilledIndex, LowerIndex, PartialIndex, PhoneIndex
from django_paiementpro.models import Payment

OURS = [index for index in Payment._meta.indexes if type(index) is not Index]
WORDS = {FirstFilledIndex: "COALESCE", LowerIndex: "LOWER", PartialIndex: "WHERE", PhoneIndex: "REPLACE"}


@pytest.mark.django_db
@pytest.mark.parametrize("index", OURS, ids=lambda index: index.name)
def test_a_database_without_such_indexes_gets_one_of_the_columns(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = connection.schema_editor(collect_sql=True)
    word = WORDS[type(index)]
    for has_such in (False, True):
        monkeypatch.setattr(connection.features, "supports_expression_indexes", has_such)
        monkeypatch.setattr(connection.features, "supports_partial_indexes", has_such)
        sql = str(index.create_sql(Payment, editor))
        # MariaDB's SQL has no place for a condition at all.
        assert (word in sql) is (has_such and (word, connection.vendor) != ("WHERE", "mysql"))
        assert index.fields[0] in sql


def test_postgresql_finds_how_a_text_begins_by_the_index() -> None:
    index = LowerIndex(fields=["x"], name="x")
    assert index.expression_sql("postgresql", "x") == "(LOWER(x)) text_pattern_ops"
    assert index.expression_sql("sqlite", "x") == "(LOWER(x))"


def test_a_number_is_indexed_by_its_end() -> None:
    index = PhoneIndex(fields=["x"], name="x")
    assert index.expression_sql("postgresql", "x").startswith("(RIGHT(REPLACE(")
    assert index.expression_sql("sqlite", "x").startswith("(SUBSTR(REPLACE(")


@pytest.mark.django_db
def test_every_index_is_there() -> None:
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, Payment._meta.db_table)
    assert {index.name for index in OURS} <= {name for name, constraint in there.items() if constraint["index"]}


@pytest.mark.django_db
def test_no_database_has_a_warning_for_the_host() -> None:
    messages = checks.run_checks(databases=["default"])
    assert [message for message in messages if message.obj is Payment] == []
