# cython: boundscheck=False, wraparound=False, auto_pickle=False
"""Rows of SQLite as columns of int64, taken and given through its C interface without a Python object a row.

What the words of a row are stands in `_rows`. The functions are those of the library that the Python driver has
loaded, so that locks are shared with it. A query runs on a read-only connection of its own, or on one of the driver's,
of which it sees the transaction: each connection that is opened after `prepare_connections` can be asked for its handle.
"""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t, uintptr_t
from libc.stdlib cimport calloc, free

from server.store._rows cimport Rows, none

FUNCTIONS = (
    "sqlite3_open_v2", "sqlite3_prepare_v2", "sqlite3_step", "sqlite3_column_type", "sqlite3_column_int64",
    "sqlite3_column_text", "sqlite3_column_bytes", "sqlite3_finalize", "sqlite3_close", "sqlite3_errmsg",
    "sqlite3_auto_extension", "sqlite3_create_function_v2", "sqlite3_context_db_handle", "sqlite3_result_int64",
    "sqlite3_db_config", "sqlite3_bind_int64", "sqlite3_bind_text", "sqlite3_bind_null", "sqlite3_reset",
    "sqlite3_changes", "sqlite3_bind_parameter_count",
)
HANDLE = "SELECT estate645_handle()"  # asks a connection for its handle
cdef enum:
    SQLITE_OK = 0
    SQLITE_MISUSE = 21
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
ctypedef int (*BindInt64)(void *, int, int64_t) noexcept nogil
ctypedef int (*BindText)(void *, int, const char *, int, void *) noexcept nogil

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


cdef int _bind_all(tuple functions, void *statement, tuple values) except -1:
    """Bind a number, a text or nothing to each mark; texts must outlive the statement. SQLite's code.

    ValueError unless there are as many values as marks.
    """
    cdef int marks = (<OfStatement><uintptr_t>functions[20])(statement)
    if marks != len(values):
        raise ValueError(f"{len(values)} values for {marks} marks")
    cdef BindInt64 number = <BindInt64><uintptr_t>functions[15]
    cdef BindText text = <BindText><uintptr_t>functions[16]
    cdef const char *letters
    cdef Py_ssize_t size
    cdef int mark = 0, code = SQLITE_OK
    for value in values:
        mark += 1
        if isinstance(value, str):
            letters = PyUnicode_AsUTF8AndSize(value, &size)
            code = text(statement, mark, letters, <int>size, NULL)
        elif isinstance(value, int):
            code = number(statement, mark, value)
        elif value is not None:
            raise TypeError(f"mark {mark} is {type(value).__name__}, not a number, a text or None")
        if code != SQLITE_OK:
            break
    return code


cdef struct Given:
    const int64_t *words  # numbers, or places of texts; NULL for one value, which is bound already
    const char **texts  # NULL for numbers
    int *sizes


cdef class SqliteWrite:
    """One statement executed for each row of some columns, within the transaction of an open connection.

    `failure` is None, or SQLite's code and message after a row that failed; rows before it stand.
    """

    cdef readonly object failure
    cdef object _columns
    cdef list _texts  # the very strings whose letters are bound
    cdef Given *_given
    cdef Py_ssize_t _marks
    cdef Py_ssize_t _count

    def __cinit__(self, tuple columns not None, Py_ssize_t rows):
        """A column of so many `rows` for each mark: a contiguous array of int64 (ABSENT is NULL), (places, texts) with
        -1 for NULL, or a number, a text or None for all rows.
        """
        cdef Py_ssize_t mark, place, size, known
        cdef const int64_t[::1] words
        self._count = rows
        self._columns, self._texts = columns, []
        self._marks = len(columns)
        self._given = <Given *>calloc(self._marks + 1, sizeof(Given))
        if self._given is NULL:
            raise MemoryError
        for mark in range(self._marks):
            column = columns[mark]
            if column is None or isinstance(column, (int, str)):
                continue
            if isinstance(column, tuple):
                places, given = column
                words, texts = places, tuple(given)
                self._texts.append(texts)
                known = len(texts)
                self._given[mark].texts = <const char **>calloc(known + 1, sizeof(char *))
                self._given[mark].sizes = <int *>calloc(known + 1, sizeof(int))
                if self._given[mark].texts is NULL or self._given[mark].sizes is NULL:
                    raise MemoryError
                for place in range(known):
                    self._given[mark].texts[place] = PyUnicode_AsUTF8AndSize(<str?>texts[place], &size)
                    self._given[mark].sizes[place] = <int>size
                for place in range(words.shape[0]):
                    if not -1 <= words[place] < known:
                        raise IndexError(f"text {words[place]} of {known} in column {mark}")
            else:
                words = column
            if words.shape[0] != rows:
                raise ValueError(f"column {mark} has {words.shape[0]} rows, not {rows}")
            self._given[mark].words = &words[0] if rows else NULL

    def __dealloc__(self):
        cdef Py_ssize_t mark
        if self._given is NULL:
            return
        for mark in range(self._marks):
            free(self._given[mark].texts)
            free(self._given[mark].sizes)
        free(self._given)

    def run(self, tuple functions not None, handle: int, bytes sql not None) -> int:
        """How many rows of the table were touched; `failure` says what went wrong, if anything did.

        `functions`: addresses in the order of FUNCTIONS; `handle` is that of the connection, which runs nothing else
        meanwhile.
        """
        cdef void *database = <void *><uintptr_t>handle
        cdef void *statement = NULL
        cdef int code = (<PrepareV2><uintptr_t>functions[1])(database, sql, -1, &statement, NULL)
        cdef int64_t touched = 0
        cdef tuple alike = tuple([one if one is None or isinstance(one, (int, str)) else None for one in self._columns])
        try:
            if code == SQLITE_OK:
                code = _bind_all(functions, statement, alike)
            if code == SQLITE_OK:
                code = self._rows(functions, database, statement, &touched)
            if code != SQLITE_OK:
                said = (<ErrorMessage><uintptr_t>functions[9])(database)
                self.failure = code, (<bytes>said).decode("utf-8", "replace")
        finally:
            (<OfStatement><uintptr_t>functions[7])(statement)
        return touched

    cdef int _rows(self, tuple functions, void *database, void *statement, int64_t *touched) except -1:
        cdef OfStatement step = <OfStatement><uintptr_t>functions[2], reset = <OfStatement><uintptr_t>functions[18]
        cdef BindInt64 number = <BindInt64><uintptr_t>functions[15]
        cdef BindText text = <BindText><uintptr_t>functions[16]
        cdef OfColumn null = <OfColumn><uintptr_t>functions[17]
        cdef OfStatement changes = <OfStatement><uintptr_t>functions[19]
        cdef Py_ssize_t row, mark
        cdef int code = SQLITE_OK
        cdef int64_t word
        cdef Given *given
        with nogil:
            for row in range(self._count):
                for mark in range(self._marks):
                    given = &self._given[mark]
                    if given.words is NULL:
                        continue
                    word = given.words[row]
                    if given.texts is not NULL and word >= 0:
                        code = text(statement, <int>mark + 1, given.texts[word], given.sizes[word], NULL)
                    elif given.texts is not NULL or word == none():
                        code = null(statement, <int>mark + 1)
                    else:
                        code = number(statement, <int>mark + 1, word)
                    if code != SQLITE_OK:
                        return code
                code = step(statement)
                if code != SQLITE_DONE:
                    return SQLITE_MISUSE if code == SQLITE_ROW else code
                touched[0] += changes(database)
                code = reset(statement)
                if code != SQLITE_OK:
                    return code
        return SQLITE_OK


cdef class SqliteRows:
    """A query on a read-only connection of its own, or on an open one; OSError with what SQLite says."""

    cdef Rows _rows
    cdef void *_database
    cdef void *_statement
    cdef bint _borrowed
    cdef tuple _given
    cdef PrepareV2 _prepare
    cdef OfStatement _step, _finalize, _close
    cdef OfColumn _type, _bytes
    cdef ColumnInt64 _int64
    cdef ColumnText _text
    cdef ErrorMessage _message

    def __cinit__(
        self, Rows rows not None, tuple functions not None, source not None, bytes sql not None, parameters=()
    ):
        """`functions`: addresses in the order of FUNCTIONS; `parameters`: a number or a text for each mark in `sql`.

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
        self._given = tuple(parameters)  # whose letters are bound where they lie
        if _bind_all(functions, self._statement, self._given) != SQLITE_OK:
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
