package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Ping returns nil when the server takes connections.
func Ping(ctx context.Context, d Database) error {
	conn, err := pgx.Connect(ctx, d.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// EnsureDatabases creates the three databases of a managed server. Each has its own role,
// which may do nothing else, and is closed to the others. It runs on every start and then
// changes nothing. natural is false if the server does not know ICU: a new orders
// database then sorts by bytes, whatever ordersCollation says.
func (m *Managed) EnsureDatabases(ctx context.Context, ordersCollation string) (natural bool, err error) {
	conn, err := pgx.Connect(ctx, m.Administration().URL())
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	const icu = "SELECT current_setting('server_version_num')::int >= 150000 AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')"
	if err := conn.QueryRow(ctx, icu).Scan(&natural); err != nil {
		return false, err
	}
	if !natural {
		ordersCollation = ""
	}
	all := m.Databases()
	for _, d := range []struct {
		Database
		collation string
	}{{all.Orders, ordersCollation}, {all.Temporal, ""}, {all.Visibility, ""}} {
		if err := ensureRole(ctx, conn, d.Database); err != nil {
			return false, fmt.Errorf("role %s: %w", d.User, err)
		}
		if err := ensureDatabase(ctx, conn, d.Database, d.collation); err != nil {
			return false, fmt.Errorf("database %s: %w", d.Name, err)
		}
	}
	if m.Counts {
		if err := m.showCounts(ctx, all.Orders); err != nil {
			return false, fmt.Errorf("pg_stat_statements: %w", err)
		}
	}
	return natural, nil
}

// showCounts lets the role of a database read the counts of all.
func (m *Managed) showCounts(ctx context.Context, d Database) error {
	inside := m.Administration()
	inside.Name = d.Name
	conn, err := pgx.Connect(ctx, inside.URL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "GRANT pg_read_all_stats TO "+pgx.Identifier{d.User}.Sanitize())
	return err
}

func ensureRole(ctx context.Context, conn *pgx.Conn, d Database) error {
	name := pgx.Identifier{d.User}.Sanitize()
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", d.User).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		// A role may do only what it is granted: no superuser, no databases, no roles.
		if _, err := conn.Exec(ctx, "CREATE ROLE "+name+" LOGIN"); err != nil {
			return err
		}
	}
	// Again on every start, because a start killed in between leaves a role without a
	// password. We generate the password: letters and digits.
	_, err := conn.Exec(ctx, "ALTER ROLE "+name+" PASSWORD '"+d.Password+"'")
	return err
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, d Database, collation string) error {
	exists, err := databaseExists(ctx, conn, d.Name)
	if err != nil {
		return err
	}
	name := pgx.Identifier{d.Name}.Sanitize()
	if !exists {
		create := "CREATE DATABASE " + name + " OWNER " + pgx.Identifier{d.User}.Sanitize()
		if collation != "" {
			create += " TEMPLATE template0 LOCALE_PROVIDER icu LOCALE 'C' ICU_LOCALE '" + strings.ReplaceAll(collation, "'", "''") + "'"
		}
		if _, err := conn.Exec(ctx, create); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC")
	return err
}

func databaseExists(ctx context.Context, conn *pgx.Conn, name string) (bool, error) {
	var exists bool
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	return exists, err
}

// codeInsufficientPrivilege is 42501 in appendix A of Postgres' manual.
const codeInsufficientPrivilege = "42501"

// Adopt prepares the server of a DATABASE_URL: the orders go into the database that it
// names, and Temporal gets two databases beside it, created if they are missing. With a
// temporalDSN, Temporal has the database that this names instead, and one beside that.
func Adopt(ctx context.Context, dsn, temporalDSN string) (Databases, error) {
	orders, err := ParseURL(dsn)
	if err != nil {
		return Databases{}, err
	}
	if temporalDSN != "" {
		return adoptTwo(ctx, orders, temporalDSN)
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		cause := strings.Join(strings.Fields(err.Error()), " ") // pgx spreads it over several lines
		return Databases{}, fmt.Errorf("DATABASE_URL: no connection to %s/%s: %s; start that server, or unset DATABASE_URL "+
			"and the stack brings its own", orders.Address(), orders.Name, cause)
	}
	defer conn.Close(ctx)
	found := Databases{Orders: orders, Temporal: orders, Visibility: orders}
	// Named after the orders database, because a Temporal on this server already has
	// "temporal" for itself.
	found.Temporal.Name += "_temporal"
	found.Visibility.Name += "_temporal_visibility"
	var number int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('server_version_num')::int").
		Scan(&found.Version, &number); err != nil {
		return Databases{}, err
	}
	if number/10_000 < versionMin {
		return Databases{}, fmt.Errorf("DATABASE_URL: the server at %s is Postgres %s; %d or later is needed",
			orders.Address(), found.Version, versionMin)
	}
	found.Version, _, _ = strings.Cut(found.Version, " ") // without the packager's own number
	var forSuperuser []string
	for _, d := range []Database{found.Temporal, found.Visibility} {
		statement, err := adoptDatabase(ctx, conn, d)
		if err != nil {
			return Databases{}, fmt.Errorf("DATABASE_URL: create database %s: %w", d.Name, err)
		}
		if statement != "" {
			forSuperuser = append(forSuperuser, statement)
		}
	}
	if len(forSuperuser) > 0 {
		return Databases{}, fmt.Errorf("DATABASE_URL: role %s may not make the databases that Temporal needs on %s; "+
			"as a superuser run: %s", orders.User, orders.Address(), strings.Join(forSuperuser, " "))
	}
	return found, nil
}

// adoptTwo is Adopt for two servers.
func adoptTwo(ctx context.Context, orders Database, temporalDSN string) (Databases, error) {
	temporal, err := ParseURL(temporalDSN)
	if err != nil {
		return Databases{}, fmt.Errorf("the database of Temporal: %w", err)
	}
	conn, err := pgx.Connect(ctx, temporal.URL())
	if err != nil {
		return Databases{}, fmt.Errorf("no connection to Temporal's database at %s/%s: %w", temporal.Address(), temporal.Name, err)
	}
	defer conn.Close(ctx)
	found := Databases{Orders: orders, Temporal: temporal, Visibility: temporal}
	found.Visibility.Name += "_visibility"
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&found.Version); err != nil {
		return Databases{}, err
	}
	statement, err := adoptDatabase(ctx, conn, found.Visibility)
	if err == nil && statement != "" {
		err = errors.New("as a superuser run: " + statement)
	}
	if err != nil {
		return Databases{}, fmt.Errorf("create database %s: %w", found.Visibility.Name, err)
	}
	found.Version, _, _ = strings.Cut(found.Version, " ")
	return found, Ping(ctx, orders)
}

// adoptDatabase creates the database if it is missing. If the role may not, it returns
// the statement for somebody else to run.
func adoptDatabase(ctx context.Context, conn *pgx.Conn, d Database) (forSuperuser string, err error) {
	exists, err := databaseExists(ctx, conn, d.Name)
	if err != nil || exists {
		return "", err
	}
	name, owner := pgx.Identifier{d.Name}.Sanitize(), pgx.Identifier{d.User}.Sanitize()
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == codeInsufficientPrivilege {
		return "CREATE DATABASE " + name + " OWNER " + owner + ";", nil
	}
	return "", err
}
