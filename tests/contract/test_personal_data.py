"""No column that may hold what people said comes in unnoticed: a purge has to know it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Enum, LargeBinary, String
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from callytics.db.models import Base
from callytics.db.personal import PERSONAL, PLAIN

DOCS = Path(__file__).parents[2] / "docs" / "retention.md"


def columns_of_text() -> Iterator[tuple[str, str]]:
    """Enums are words of our own."""
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, Enum):
                continue
            if isinstance(column.type, String | JSONB | ARRAY | LargeBinary):
                yield table.name, column.name


def pairs(known: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    return [(table, column) for table, columns in known.items() for column in columns]


def test_every_column_of_text_json_or_bytes_is_personal_or_plain() -> None:
    assert sorted(columns_of_text()) == sorted([*pairs(PERSONAL), *pairs(PLAIN)])


@pytest.mark.parametrize(("table", "column"), pairs(PERSONAL))
def test_every_personal_column_stands_in_the_documentation(table: str, column: str) -> None:
    [row] = [
        line for line in DOCS.read_text("utf-8").splitlines() if line.startswith(f"| `{table}` |")
    ]
    assert f"`{column}`" in row
