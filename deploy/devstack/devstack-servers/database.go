package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/blang/semver/v4"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	pgschema "go.temporal.io/server/schema/postgresql/v12"
	schematool "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"
)

// The pools together stay below the 100 connections of a stock Postgres, with room for the box office.
const (
	storeConnsMax      = 40
	visibilityConnsMax = 10
)

// database is how the supervisor passes one of Temporal's two databases, as JSON.
type database struct {
	Address    string            `json:"address"` // host:port
	Name       string            `json:"name"`
	User       string            `json:"user"`
	Password   string            `json:"password"`
	Attributes map[string]string `json:"attributes"` // sslmode and the like
}

func readDatabase(variable string, connsMax int) (*config.SQL, error) {
	var d database
	if err := json.Unmarshal([]byte(mustEnv(variable)), &d); err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	return &config.SQL{
		PluginName:        postgresql.PluginNamePGX,
		ConnectProtocol:   "tcp",
		ConnectAddr:       d.Address,
		DatabaseName:      d.Name,
		User:              d.User,
		Password:          d.Password,
		ConnectAttributes: d.Attributes,
		MaxConns:          connsMax,
		MaxIdleConns:      connsMax, // a connection costs Postgres a process: keep what was opened
		MaxConnLifetime:   time.Hour,
	}, nil
}

// applySchema brings a database to the schema of this server's release with the server's own schema tool and its own
// files. It does nothing on a database that is there already; one of a newer release is refused.
func applySchema(cfg *config.SQL, name, release string, logger log.Logger) error {
	conn, err := sqltool.NewConnection(cfg, logger)
	if err != nil {
		return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
	}
	defer conn.Close()
	want, err := semver.ParseTolerant(release)
	if err != nil {
		return err
	}
	// A fresh database has no version table yet. Asking for its version then fails like any other statement; what is
	// really wrong shows in the next step.
	if text, err := conn.ReadSchemaVersion(); err == nil {
		found, err := semver.ParseTolerant(text)
		switch {
		case err != nil:
			return fmt.Errorf("database %s: schema version %q: %w", cfg.DatabaseName, text, err)
		case found.GT(want):
			return fmt.Errorf("database %s has schema %s of a newer Temporal server; this one knows %s: "+
				"update this checkout, or start from nothing with make clean", cfg.DatabaseName, text, release)
		case found.EQ(want):
			return nil
		}
	} else if err := schematool.NewSetupSchemaTask(conn, &schematool.SetupConfig{InitialVersion: "0.0"}, logger).Run(); err != nil {
		return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
	}
	if err := schematool.NewUpdateSchemaTask(conn, &schematool.UpdateConfig{SchemaName: name}, logger).Run(); err != nil {
		return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
	}
	return nil
}

func applySchemas(store, visibility *config.SQL, logger log.Logger) error {
	if err := applySchema(store, "postgresql/v12/temporal", pgschema.Version, logger); err != nil {
		return err
	}
	return applySchema(visibility, "postgresql/v12/visibility", pgschema.VisibilityVersion, logger)
}

// partialIndexes leaves those rows out of an index of the visibility table that have nothing in its column. The names
// and columns stay, so that searches and schema updates find what they know. Only indexes without a condition are
// touched: at the second start there is none left.
const partialIndexes = `DO $$
DECLARE
	found record;
BEGIN
	FOR found IN
		SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS definition, a.attname AS attribute
		FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
		WHERE i.indrelid = 'executions_visibility'::regclass AND NOT i.indisunique AND i.indpred IS NULL AND NOT a.attnotnull
	LOOP
		EXECUTE 'DROP INDEX ' || found.name;
		EXECUTE found.definition || format(' WHERE %I IS NOT NULL', found.attribute);
	END LOOP;
END $$`

// indexOnlyWhatIsThere: the schema has an index for each of some sixty search attributes that a workflow may have, and
// every write (three a checkout) enters its row into all of them, NULL or not. A checkout sets two. Measured, that was
// two thirds of the write-ahead log of a checkout, and a sixth of its CPU in Postgres (docs/performance.md).
func indexOnlyWhatIsThere(visibility *config.SQL, logger log.Logger) error {
	conn, err := sqltool.NewConnection(visibility, logger)
	if err != nil {
		return fmt.Errorf("database %s: %w", visibility.DatabaseName, err)
	}
	defer conn.Close()
	if err := conn.Exec(partialIndexes); err != nil {
		return fmt.Errorf("indexes of database %s: %w", visibility.DatabaseName, err)
	}
	return nil
}
