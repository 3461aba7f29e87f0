"""The only SQL: schema, migrations, the single writer, and one file of reads and writes a noun."""
