"""The tier in use, shared by the compiled modules: an index into their tables of function pointers."""

cdef int tier
