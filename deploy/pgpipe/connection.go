package pgpipe

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql/driver"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql/session"
	"go.temporal.io/server/common/resolver"
)

// callTimeout limits a pipeline whose caller set no earlier deadline.
const callTimeout = 30 * time.Second

// connections is a separate pool. The official plugin's session code makes it from the
// same configuration: address, TLS, password (also one that a command renews), attributes
// and limits. So the history service has up to twice maxConns connections.
type connections struct {
	db *sqlx.DB
}

func connect(cfg *config.SQL, resolve resolver.ServiceResolver) (*connections, error) {
	opened, err := session.NewSession(cfg, &driver.PGXDriver{}, resolve)
	if err != nil {
		return nil, fmt.Errorf("connect the pipelined store to %s: %w", cfg.ConnectAddr, err)
	}
	return &connections{db: opened.DB}, nil
}

// write runs a pipeline to its end and says what happened to it.
func (c *connections) write(ctx context.Context, pipeline *pgx.Batch) (verdict, error) {
	reached := false
	err := c.use(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		reached = true
		return conn.SendBatch(ctx, pipeline).Close()
	})
	if !reached && err != nil {
		return rolledBack, err // there was no connection
	}
	return judge(err), err
}

// use runs do with a connection of the pool.
func (c *connections) use(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool, which drops it if it broke
	return conn.Raw(func(of any) error {
		opened, ok := of.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("pgpipe: the driver's connection is a %T, not pgx's", of)
		}
		return do(ctx, opened.Conn())
	})
}

func (c *connections) close() { _ = c.db.Close() }
