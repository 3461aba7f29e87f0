"""The commands of `estate645`, one a file; each has `add_parser(subparsers)` and `run(args) -> int`."""
