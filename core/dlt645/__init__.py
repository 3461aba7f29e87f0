"""DL/T 645-2007: frames, values, data identifiers and commands.

`frame` turns bytes into frames and back, `values` turns data bytes into integers and civil times,
`identifiers` is the data table that says what the bytes of an identifier mean, `commands` builds the
requests of a master and recognises their replies. Nothing here waits, sends or keeps time.
"""

__all__ = ["commands", "frame", "identifiers", "values"]
