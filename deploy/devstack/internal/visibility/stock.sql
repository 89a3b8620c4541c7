-- Takes lean.sql back, so that an update of Temporal's schema finds what it was written for. Does nothing to a table that
-- is as Temporal made it, nor where there is none yet.
DO $$
DECLARE
	found record;
BEGIN
	IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('executions_visibility')) IS DISTINCT FROM 'v' THEN
		RETURN;
	END IF;

	DROP VIEW executions_visibility;
	ALTER TABLE executions_visibility_rows RENAME TO executions_visibility;
	FOR found IN SELECT statement FROM to_stock ORDER BY step LOOP
		EXECUTE found.statement;
	END LOOP;
	DROP TABLE to_stock;
END $$
