"""Compute tables on DuckDB, in this process, or on Spark; both run the same Ibis expressions.

Every step is written to Parquet files in a work folder, from which the next step reads. So data need not fit
into memory, a step is computed once, and no table has to be stored in the engine itself.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_llminit.prepare.files import parse_json, records
from recbole_llminit.utils.errors import NO_SPACE, UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

ENGINES = ("duckdb", "spark")
_ROWS = 100_000  # rows per batch, at most


class Engine:
    """An engine that computes tables and keeps them as Parquet files in a work folder.

    Args:
        name: ``duckdb`` or ``spark``.
        work: An empty folder, which the caller removes.
        memory: Memory that the engine may use before it spills to disk, e.g. ``2GB``.

    Raises:
        ImportError: If the engine's package is not installed.
        UserError: If there is no engine of this name, Spark finds no Java, or `memory` is not a size.
    """

    def __init__(self, name: str, work: Path, memory: str) -> None:
        if name not in ENGINES:
            raise UserError(f"--engine '{name}' must be one of {', '.join(ENGINES)}")
        self.work = work
        self._backend = _DuckDB(work, memory) if name == "duckdb" else _Spark(work, memory)
        self.version = f"{self._backend.version}, ibis {metadata.version('ibis-framework')}"
        self._steps = 0
        self._lines: list[Path] = []  # JSON files read so far, for error messages
        self._tables: list[Path] = []  # other files read so far

    def json(self, file: Path, columns: Sequence[str]) -> Table:
        """Read JSON lines; every column is a string, with nested values as JSON text and absent ones null.

        Raises:
            UserError: If a line is not JSON; the message gives the number of the first such line. The
                error may come later, when a table that depends on this one is computed.
        """
        self._lines.append(file)
        with self._explained():
            return self._backend.json(file, columns)

    def csv(self, file: Path, separator: str = ",", quoted: bool = True) -> Table:
        """Read a text table with a header line; every column is a string."""
        self._tables.append(file)
        with self._explained():
            return self._backend.csv(file, separator, quoted)

    def parquet(self, path: Path) -> Table:
        """Read a Parquet file, or a folder of them."""
        with self._explained():
            return self._backend.parquet(path)

    def step(self, table: Table) -> Table:
        """Compute a table now, and return a table that reads the result from its files."""
        return self.parquet(self._write(table))

    def batches(self, table: Table) -> Iterator[pa.RecordBatch]:
        """Compute a table and yield its rows in their order, in batches."""
        from pyarrow import parquet

        path = self._write(table)
        for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
            yield from parquet.ParquetFile(file).iter_batches(_ROWS)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def row(self, table: Table) -> Mapping[str, Any]:
        """Return the first row of a table."""
        with self._explained():
            rows: list[dict[str, Any]] = self._backend.connection.to_pyarrow(table.limit(1)).to_pylist()
        return rows[0]

    def count(self, table: Table) -> int:
        """Return the number of rows of a table."""
        return int(self.row(table.agg(rows=table.count()))["rows"])

    def scratch(self, name: str) -> Path:
        """Return a new path in the work folder."""
        self._steps += 1
        return self.work / f"step-{self._steps}-{name}"

    def _write(self, table: Table) -> Path:
        path = self.scratch("table.parquet")
        with self._explained():
            self._backend.connection.to_parquet(table, str(path))
        return path

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an engine's error into a one-line error.

        JSON files are read again to find the line that caused it; other files are named.
        """
        try:
            yield
        except self._backend.errors as error:
            for file in self._lines:
                for _ in records(file, parse_json):
                    pass
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            told = next(
                (line for line in lines if "Caused by" in line), lines[0] if lines else type(error).__name__
            )
            if "No space left" in told or "File too large" in told:
                raise UserError(f"{told}: {NO_SPACE}") from error
            unnamed = [str(file) for file in self._tables if str(file) not in told]
            read = f" (while reading {', '.join(unnamed)})" if unnamed else ""
            raise UserError(f"{self._backend.version}: {told}{read}") from error


class _DuckDB:
    def __init__(self, work: Path, memory: str) -> None:
        import duckdb
        import ibis

        self.version = f"duckdb {duckdb.__version__}"
        self.errors = (duckdb.Error,)
        try:
            self.connection = ibis.duckdb.connect(
                temp_directory=str(work / "spill"), memory_limit=memory, preserve_insertion_order=True
            )
        except duckdb.ParserException as error:
            raise UserError(f"--memory '{memory}' is not a size like 2GB: {error}") from None

    def json(self, file: Path, columns: Sequence[str]) -> Table:
        return self.connection.read_json(
            _no_pattern(file), columns=dict.fromkeys(columns, "VARCHAR"), format="newline_delimited"
        )

    def csv(self, file: Path, separator: str, quoted: bool) -> Table:
        quote = '"' if quoted else ""
        return self.connection.read_csv(
            _no_pattern(file),
            delim=separator,
            header=True,
            all_varchar=True,
            quote=quote,
            escape=quote,
            comment="",
        )

    def parquet(self, path: Path) -> Table:
        return self.connection.read_parquet(_no_pattern(path))


class _Spark:
    def __init__(self, work: Path, memory: str) -> None:
        try:
            import pyspark
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ModuleNotFoundError as error:
            raise ImportError(
                "--engine spark needs pyspark: pip install 'recbole-llminit[spark]'", name="pyspark"
            ) from error
        import ibis

        self.version = f"spark {pyspark.__version__}"
        self.errors = (PySparkException, Py4JError)
        try:
            session = (
                SparkSession.builder.appName("recbole-llminit")
                .config("spark.driver.memory", memory.lower().removesuffix("b"))
                .config("spark.sql.session.timeZone", "UTC")
                .config("spark.sql.warehouse.dir", str(work / "warehouse"))
                .config("spark.ui.showConsoleProgress", "false")
                .config("spark.ui.enabled", "false")
                .getOrCreate()
            )
        except Exception as error:  # py4j raises various ones, depending on why Java did not start
            raise UserError(f"--engine spark: no Spark session ({error}); it needs Java 17") from None
        session.sparkContext.setLogLevel("OFF")
        self.connection = ibis.pyspark.connect(session)

    def json(self, file: Path, columns: Sequence[str]) -> Table:
        from pyspark.sql.types import StringType, StructField, StructType

        schema = StructType([StructField(column, StringType()) for column in columns])
        return self.connection.read_json(_literally(file), schema=schema, mode="FAILFAST")

    def csv(self, file: Path, separator: str, quoted: bool) -> Table:
        quote = '"' if quoted else ""
        return self.connection.read_csv(
            _literally(file),
            sep=separator,
            quote=quote,
            escape=quote or "\\",
            multiLine=quoted,
            inferSchema=False,
            mode="FAILFAST",
        )

    def parquet(self, path: Path) -> Table:
        return self.connection.read_parquet(_literally(path))


def _no_pattern(file: Path) -> str:
    """Return a path for DuckDB, with the characters escaped that it would read as a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def _literally(file: Path) -> str:
    """Return a path for Spark, with the characters escaped that it would read as a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(file.absolute()))
