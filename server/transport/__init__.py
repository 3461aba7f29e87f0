"""How work travels between roles: an in-memory bell that only says "look at the database", and a line to a child."""
