-- Search attributes that Temporal's schema stores, each in a generated column, become columns of a view, computed when
-- somebody searches. Of the indexes those stay that lists are read by: in order, what runs, and by workflow id. What brings all of it
-- back is kept in to_stock, for stock.sql. Does nothing the second time.
DO $$
DECLARE
	found record;
	columns text := '';
BEGIN
	IF (SELECT relkind FROM pg_class WHERE oid = 'executions_visibility'::regclass) = 'v' THEN
		RETURN;
	END IF;
	CREATE TABLE to_stock (step serial PRIMARY KEY, statement text NOT NULL);

	FOR found IN
		SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, pg_get_expr(d.adbin, d.adrelid) AS expression
		FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = 'executions_visibility'::regclass AND a.attgenerated = 's'
		ORDER BY a.attnum
	LOOP
		columns := columns || format(', (%s)::%s AS %I', found.expression, found.type, found.name);
		INSERT INTO to_stock (statement) VALUES (format('ALTER TABLE executions_visibility ADD COLUMN %I %s GENERATED ALWAYS AS (%s) STORED',
			found.name, found.type, found.expression));
	END LOOP;

	FOR found IN
		SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid = 'executions_visibility'::regclass AND NOT i.indisunique
			AND c.relname NOT IN ('default_idx', 'by_status', 'by_workflow_id')
		ORDER BY i.indexrelid
	LOOP
		EXECUTE format('DROP INDEX %s', found.name);
		INSERT INTO to_stock (statement) VALUES (found.definition);
	END LOOP;

	FOR found IN
		SELECT a.attname AS name
		FROM pg_attribute a
		WHERE a.attrelid = 'executions_visibility'::regclass AND a.attgenerated = 's' AND NOT a.attisdropped
	LOOP
		EXECUTE format('ALTER TABLE executions_visibility DROP COLUMN %I', found.name);
	END LOOP;
	ALTER TABLE executions_visibility RENAME TO executions_visibility_rows;
	EXECUTE format('CREATE VIEW executions_visibility AS SELECT *%s FROM executions_visibility_rows', columns);
END $$
