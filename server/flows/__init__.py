"""Use cases: one function is one unit of work. It takes the `Unit` first and `now` as an argument."""
