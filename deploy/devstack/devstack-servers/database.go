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

	"boxoffice/deploy/devstack/internal/visibility"
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

// applySchema brings a database to the schema of this server's release, with the server's
// own schema tool and files. It does nothing to a database that already has it, and
// refuses one of a newer release. It runs the statement undo before an update, because
// those files know nothing about what was changed here.
func applySchema(cfg *config.SQL, name, release, undo string, logger log.Logger) error {
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
		if err := conn.Exec(undo); err != nil {
			return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
		}
	} else if err := schematool.NewSetupSchemaTask(conn, &schematool.SetupConfig{InitialVersion: "0.0"}, logger).Run(); err != nil {
		return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
	}
	if err := schematool.NewUpdateSchemaTask(conn, &schematool.UpdateConfig{SchemaName: name}, logger).Run(); err != nil {
		return fmt.Errorf("database %s: %w", cfg.DatabaseName, err)
	}
	return nil
}

func applySchemas(store, lists *config.SQL, logger log.Logger) error {
	if err := applySchema(store, "postgresql/v12/temporal", pgschema.Version, "", logger); err != nil {
		return err
	}
	return applySchema(lists, "postgresql/v12/visibility", pgschema.VisibilityVersion, visibility.Stock(), logger)
}

// tuneVisibility makes the lists cheap to write, or, for stock, restores the schema.
func tuneVisibility(lists *config.SQL, stock bool, logger log.Logger) error {
	conn, err := sqltool.NewConnection(lists, logger)
	if err != nil {
		return fmt.Errorf("database %s: %w", lists.DatabaseName, err)
	}
	defer conn.Close()
	statement := visibility.Lean()
	if stock {
		statement = visibility.Stock()
	}
	if err := conn.Exec(statement); err != nil {
		return fmt.Errorf("search attributes of database %s: %w", lists.DatabaseName, err)
	}
	return nil
}
