"""On PostgreSQL the big tables, `line` and `reading`, are kept month by month; SQLite stays as it is.

Rows so far become one partition of the time before (`*_before`), without being copied. A month is added ahead by
`estate645_add_month`, which does nothing else and runs as the owner, so that the server's role can call it. Rows of a
month that was not added in time wait in `*_rest`. Lines are kept by when their batch was booked (`booked_ms`, of this
database alone); each month has the keys of lines for itself, and across months the keys of `batch` and `account` hold.

Revision 0011.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LINES = """
ALTER TABLE line RENAME TO line_before;
ALTER TABLE line_before RENAME CONSTRAINT line_pkey TO line_before_pkey;
ALTER TABLE line_before RENAME CONSTRAINT line_account_version TO line_before_account_version;
ALTER TRIGGER line_append_only ON line_before RENAME TO line_before_append_only;
ALTER TABLE line_before ADD COLUMN booked_ms bigint NOT NULL DEFAULT 0;
CREATE TABLE line (LIKE line_before INCLUDING DEFAULTS) PARTITION BY RANGE (booked_ms);
ALTER TABLE line ALTER booked_ms SET DEFAULT (extract(epoch FROM now()) * 1000)::bigint;
CREATE TABLE line_rest PARTITION OF line DEFAULT;
ALTER TABLE line_rest ADD PRIMARY KEY (estate_id, batch_seq, line_no),
  ADD CONSTRAINT line_rest_account_version UNIQUE (estate_id, account_id, account_version);
CREATE TRIGGER line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON line
  FOR EACH STATEMENT EXECUTE FUNCTION estate645_append_only();
CREATE TRIGGER line_rest_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON line_rest
  FOR EACH STATEMENT EXECUTE FUNCTION estate645_append_only();
DO $body$ BEGIN
  IF EXISTS (SELECT FROM line_before) THEN
    ALTER TABLE line ATTACH PARTITION line_before FOR VALUES FROM (MINVALUE) TO (1);
  ELSE
    DROP TABLE line_before;
  END IF;
END $body$;
"""

# What was read "next month" (by a clock that ran away) is not of the time before.
READINGS = """
ALTER TABLE reading RENAME TO reading_before;
ALTER TABLE reading_before RENAME CONSTRAINT reading_pkey TO reading_before_pkey;
ALTER INDEX reading_meter RENAME TO reading_before_meter;
CREATE TABLE reading (LIKE reading_before INCLUDING DEFAULTS, PRIMARY KEY (estate_id, read_at, meter_id))
  PARTITION BY RANGE (read_at);
CREATE INDEX reading_meter ON reading (estate_id, meter_id, read_at);
CREATE TABLE reading_rest PARTITION OF reading DEFAULT;
DO $body$
DECLARE
  until bigint := extract(epoch FROM date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month');
BEGIN
  WITH moved AS (DELETE FROM reading_before WHERE read_at >= until RETURNING *)
    INSERT INTO reading_rest SELECT * FROM moved;
  IF EXISTS (SELECT FROM reading_before) THEN
    EXECUTE format('ALTER TABLE reading ATTACH PARTITION reading_before FOR VALUES FROM (MINVALUE) TO (%s)', until);
  ELSE
    DROP TABLE reading_before;
  END IF;
END $body$;
"""

# Answers: there, covered (by the time before), busy (somebody reads), full (too much waits in the rest), added.
ADD_MONTH = """
CREATE FUNCTION estate645_add_month(kind text, month integer) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {schema}, pg_temp SET lock_timeout = '100ms' AS $body$
DECLARE
  begins timestamp := make_timestamp(month / 12, month % 12 + 1, 1, 0, 0, 0);
  scale bigint := CASE kind WHEN 'line' THEN 1000 WHEN 'reading' THEN 1 END;
  key text := CASE kind WHEN 'line' THEN 'booked_ms' ELSE 'read_at' END;
  name text := format('%s_%s', kind, to_char(begins, 'YYYY_MM'));
  rest text := format('%s_rest', kind);
  low bigint := extract(epoch FROM begins) * scale;
  high bigint := extract(epoch FROM begins + interval '1 month') * scale;
  waiting bigint;
BEGIN
  IF scale IS NULL THEN
    RAISE EXCEPTION 'only line and reading are kept by months';
  END IF;
  IF to_regclass(name) IS NOT NULL THEN
    RETURN 'there';
  END IF;
  EXECUTE format('SELECT count(*) FROM (SELECT FROM %I WHERE %I >= $1 AND %I < $2 LIMIT 100001) few', rest, key, key)
    INTO waiting USING low, high;
  IF waiting > 100000 THEN
    RETURN 'full';
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS)', name, kind);
  IF kind = 'line' THEN
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (estate_id, batch_seq, line_no), ADD CONSTRAINT %I '
                   'UNIQUE (estate_id, account_id, account_version)', name, name || '_account_version');
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT '
                   'EXECUTE FUNCTION estate645_append_only()', name || '_append_only', name);
  END IF;
  IF waiting > 0 THEN
    EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= $1 AND %I < $2 RETURNING *) INSERT INTO %I '
                   'SELECT * FROM moved', rest, key, key, name) USING low, high;
    EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
  END IF;
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', kind, name, low, high);
  RETURN 'added';
EXCEPTION
  WHEN lock_not_available THEN
    RETURN 'busy';
  WHEN invalid_object_definition THEN
    RETURN 'covered';
END
$body$
"""


def upgrade() -> None:
    """Only on PostgreSQL."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    for statements in (LINES, READINGS, ADD_MONTH.replace("{schema}", schema)):
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})  # its % are its own
    connection.exec_driver_sql("REVOKE ALL ON FUNCTION estate645_add_month(text, integer) FROM PUBLIC")
