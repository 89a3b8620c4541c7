package pgpipe_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/serialization"
	"go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	"go.temporal.io/server/common/resolver"
	schematool "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"

	"boxoffice/deploy/pgpipe"
	"boxoffice/deploy/pgtest"
)

// EnvURL names a Postgres whose superuser the tests may be. Without it they start one.
const EnvURL = "DATABASE_URL_TEST"

const callTimeout = time.Minute

var serverURL = sync.OnceValues(func() (string, error) {
	if named := os.Getenv(EnvURL); named != "" {
		return named, nil
	}
	return pgtest.Start()
})

// newDatabase gives the configuration of a database of the test's own, with Temporal's schema from Temporal's own tool.
func newDatabase(t *testing.T) *config.SQL {
	t.Helper()
	return newDatabaseOf(t, "postgresql/v12/temporal")
}

func newDatabaseOf(t *testing.T, schema string) *config.SQL {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no Postgres")
	}
	server, err := serverURL()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("pgpipe_%x", rand.Uint64())
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	t.Attr("ran-on", "Postgres")
	cfg := configOf(t, server, name)
	applySchema(t, cfg, schema)
	return cfg
}

// configOf is a server's configuration as Temporal takes it.
func configOf(t *testing.T, server, database string) *config.SQL {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	cfg := &config.SQL{
		PluginName: postgresql.PluginNamePGX, ConnectProtocol: "tcp", ConnectAddr: u.Host, DatabaseName: database,
		User: u.User.Username(), Password: password, MaxConns: 10, MaxIdleConns: 10, ConnectAttributes: map[string]string{},
	}
	for name, values := range u.Query() {
		cfg.ConnectAttributes[name] = values[0] // a socket's folder among them
	}
	if cfg.ConnectAddr == "" {
		cfg.ConnectAddr = "localhost:5432"
	}
	return cfg
}

func applySchema(t *testing.T, cfg *config.SQL, schema string) {
	t.Helper()
	conn, err := sqltool.NewConnection(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := schematool.NewSetupSchemaTask(conn, &schematool.SetupConfig{InitialVersion: "0.0"}, quiet).Run(); err != nil {
		t.Fatal(err)
	}
	if err := schematool.NewUpdateSchemaTask(conn, &schematool.UpdateConfig{SchemaName: schema}, quiet).Run(); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
}

// quiet logs nothing but what ends a test.
var quiet = log.NewNoopLogger()

var serializer = serialization.NewSerializer()

// stores are an execution store and a shard store of one factory.
type stores struct {
	executions persistence.ExecutionStore
	shards     persistence.ShardStore
	stats      *pgpipe.Stats
}

// open gives the stores of a database: the official ones where wrap is nil.
func open(t *testing.T, cfg *config.SQL, options *pgpipe.Options) stores {
	t.Helper()
	var factory persistence.DataStoreFactory = sql.NewFactory(*cfg, resolver.NewNoopResolver(), "cluster", quiet, metrics.NoopMetricsHandler, serializer)
	stats := &pgpipe.Stats{}
	if options != nil {
		options.Stats = stats
		factory = pgpipe.Wrap(factory, cfg, *options, quiet, metrics.NoopMetricsHandler)
	}
	t.Cleanup(factory.Close)
	executions, err := factory.NewExecutionStore()
	if err != nil {
		t.Fatal(err)
	}
	shards, err := factory.NewShardStore()
	if err != nil {
		t.Fatal(err)
	}
	return stores{executions: executions, shards: shards, stats: stats}
}
