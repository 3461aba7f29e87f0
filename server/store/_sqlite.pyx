# cython: boundscheck=False, wraparound=False, auto_pickle=False
"""Rows of SQLite as columns of int64, taken through its C interface without a Python object a row.

What the words of a row are stands in `_rows`. The functions are those of the library that the Python driver has
loaded, so that locks are shared with it. A query runs on a read-only connection of its own, or on one of the driver's,
of which it sees the transaction: each connection that is opened after `prepare_connections` can be asked for its handle.
"""

from libc.stdint cimport int64_t, uint8_t, uintptr_t

from server.store._rows cimport Rows, none

FUNCTIONS = (
    "sqlite3_open_v2", "sqlite3_prepare_v2", "sqlite3_step", "sqlite3_column_type", "sqlite3_column_int64",
    "sqlite3_column_text", "sqlite3_column_bytes", "sqlite3_finalize", "sqlite3_close", "sqlite3_errmsg",
    "sqlite3_auto_extension", "sqlite3_create_function_v2", "sqlite3_context_db_handle", "sqlite3_result_int64",
    "sqlite3_db_config",
)
HANDLE = "SELECT estate645_handle()"  # asks a connection for its handle
cdef enum:
    SQLITE_OK = 0
    SQLITE_ROW = 100
    SQLITE_DONE = 101
    SQLITE_INTEGER = 1
    SQLITE_TEXT = 3
    SQLITE_NULL = 5
    OPEN_READONLY_NOMUTEX = 0x8001
    UTF8_DIRECTONLY = 0x80001
    SQLITE_DBCONFIG_ENABLE_QPSG = 1007

ctypedef int (*OpenV2)(const char *, void **, int, const char *) noexcept nogil
ctypedef int (*PrepareV2)(void *, const char *, int, void **, const char **) noexcept nogil
ctypedef int (*OfStatement)(void *) noexcept nogil
ctypedef int (*OfColumn)(void *, int) noexcept nogil
ctypedef int64_t (*ColumnInt64)(void *, int) noexcept nogil
ctypedef const uint8_t *(*ColumnText)(void *, int) noexcept nogil
ctypedef const char *(*ErrorMessage)(void *) noexcept nogil
ctypedef void (*ScalarFunction)(void *, int, void **) noexcept nogil
ctypedef int (*CreateFunctionV2)(
    void *, const char *, int, int, void *, ScalarFunction, void *, void *, void *
) noexcept nogil
ctypedef void *(*ContextDbHandle)(void *) noexcept nogil
ctypedef void (*ResultInt64)(void *, int64_t) noexcept nogil
ctypedef int (*EntryPoint)(void *, char **, const void *) noexcept nogil
ctypedef int (*AutoExtension)(EntryPoint) noexcept nogil
ctypedef int (*DbConfig)(void *, int, ...) noexcept nogil

cdef CreateFunctionV2 _create_function = NULL
cdef ContextDbHandle _db_handle = NULL
cdef ResultInt64 _result_int64 = NULL
cdef DbConfig _db_config = NULL


cdef void _handle(void *context, int count, void **values) noexcept nogil:
    _result_int64(context, <int64_t><uintptr_t>_db_handle(context))


cdef int _opened(void *database, char **message, const void *routines) noexcept nogil:
    cdef int code = _db_config(database, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL)
    if code != SQLITE_OK:
        return code
    return _create_function(database, b"estate645_handle", 0, UTF8_DIRECTONLY, NULL, _handle, NULL, NULL, NULL)


def prepare_connections(tuple functions not None):
    """Let connections that are opened from now on answer HANDLE and plan each statement once.

    `functions`: addresses in the order of FUNCTIONS. Otherwise SQLite plans a statement again for each value of a LIMIT
    and of what is compared with the condition of a partial index, and half of a page's statements are such
    (sqlite.org/queryplanner-ng.html, "query planner stability guarantee").
    """
    global _create_function, _db_handle, _result_int64, _db_config
    _create_function = <CreateFunctionV2><uintptr_t>functions[11]
    _db_handle = <ContextDbHandle><uintptr_t>functions[12]
    _result_int64 = <ResultInt64><uintptr_t>functions[13]
    _db_config = <DbConfig><uintptr_t>functions[14]
    if (<AutoExtension><uintptr_t>functions[10])(_opened) != SQLITE_OK:
        raise MemoryError


cdef class SqliteRows:
    """A query on a read-only connection of its own, or on an open one; OSError with what SQLite says."""

    cdef Rows _rows
    cdef void *_database
    cdef void *_statement
    cdef bint _borrowed
    cdef PrepareV2 _prepare
    cdef OfStatement _step, _finalize, _close
    cdef OfColumn _type, _bytes
    cdef ColumnInt64 _int64
    cdef ColumnText _text
    cdef ErrorMessage _message

    def __cinit__(self, Rows rows not None, tuple functions not None, source not None, bytes sql not None):
        """`functions`: addresses in the order of FUNCTIONS.

        `source` is the path of a file as bytes, or the handle of a connection, which outlives this and runs nothing
        else meanwhile.
        """
        cdef list at = list(functions)
        cdef OpenV2 opened = <OpenV2><uintptr_t>at[0]
        self._rows = rows
        self._prepare = <PrepareV2><uintptr_t>at[1]
        self._step = <OfStatement><uintptr_t>at[2]
        self._type = <OfColumn><uintptr_t>at[3]
        self._int64 = <ColumnInt64><uintptr_t>at[4]
        self._text = <ColumnText><uintptr_t>at[5]
        self._bytes = <OfColumn><uintptr_t>at[6]
        self._finalize = <OfStatement><uintptr_t>at[7]
        self._close = <OfStatement><uintptr_t>at[8]
        self._message = <ErrorMessage><uintptr_t>at[9]
        self._borrowed = not isinstance(source, bytes)
        if self._borrowed:
            self._database = <void *><uintptr_t>source
        elif opened(source, &self._database, OPEN_READONLY_NOMUTEX, NULL) != SQLITE_OK:
            raise self._failure()
        if self._prepare(self._database, sql, -1, &self._statement, NULL) != SQLITE_OK:
            raise self._failure()

    def __dealloc__(self):
        if self._statement is not NULL:
            self._finalize(self._statement)
        if self._database is not NULL and not self._borrowed:
            self._close(self._database)

    cdef object _failure(self):
        return OSError((<bytes>self._message(self._database)).decode("utf-8", "replace"))

    def fill(self, int64_t[:, ::1] out not None) -> int:
        """Take rows until `out` (width by rows) is full; fewer rows mean that there are no more."""
        cdef Py_ssize_t row
        if out.shape[0] != self._rows.width:
            raise ValueError(f"rows have {self._rows.width} words, not {out.shape[0]}")
        with nogil:
            row = self._fill(out)
        if row == -1:
            raise self._failure()
        if row == -2:
            raise MemoryError
        return row

    cdef Py_ssize_t _fill(self, int64_t[:, ::1] out) noexcept nogil:
        cdef Py_ssize_t row, column, step = out.shape[1]
        cdef int kind, code, words
        cdef const uint8_t *text
        cdef int64_t *at
        cdef int64_t *odd
        for row in range(out.shape[1]):
            code = self._step(self._statement)
            if code == SQLITE_DONE:
                return row
            if code != SQLITE_ROW:
                return -1
            at, odd = &out[0, row], &out[self._rows.width - 1, row]
            odd[0] = 0
            for column in range(self._rows._columns):
                kind = self._type(self._statement, <int>column)
                if kind == SQLITE_INTEGER and self._rows._kinds[column] == b"q":
                    at[0], words = self._int64(self._statement, <int>column), 1
                elif kind == SQLITE_TEXT:
                    text = self._text(self._statement, <int>column)
                    words = self._bytes(self._statement, <int>column)
                    words = self._rows.put_text(column, text, words, at, step, odd)
                elif kind == SQLITE_INTEGER:
                    words = self._rows.put_other(
                        column, self._int64(self._statement, <int>column), False, at, step, odd
                    )
                else:
                    words = self._rows.put_other(column, none(), True, at, step, odd)
                    odd[0] += kind != SQLITE_NULL
                if words < 0:
                    return -2
                at += words * step
        return out.shape[1]
