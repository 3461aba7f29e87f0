"""What all tables are made of: the metadata, 64-bit integers on both databases, and the kinds of columns."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text
from sqlalchemy.types import TypeEngine

Int64: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()


def id_column(name: str, *, primary_key: bool = True, nullable: bool = False) -> Column[str]:
    """A part of the key, unless said otherwise."""
    return Column(name, Text, primary_key=primary_key, nullable=nullable)


def int_column(name: str, *, nullable: bool = False, default: int | None = None) -> Column[int]:
    """A number, with its default as the databases want it."""
    server_default = None if default is None else str(default)
    return Column(name, Int64, nullable=nullable, server_default=server_default)


def text_column(name: str, *, nullable: bool = False, default: str | None = None) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=nullable, server_default=default)
