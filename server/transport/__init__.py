"""How work travels between roles: in one process an in-memory bell that only says "look at the database"."""
