"""Modbus RTU meters on the bus that DL/T 645 meters share: frames, commands, register maps.

`rtu` builds and finds frames with pymodbus' framer and PDUs and is the only module of ours that imports pymodbus;
`commands` are the requests of a master and how to know their replies, `numbers` turns registers into integers and
back exactly, `maps` says what a quantity is, `meters` holds the maps of real meters, `explain` says what a frame means.
"""

__all__ = ["commands", "explain", "maps", "meters", "numbers", "rtu"]
