package postgres

import (
	"errors"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ParseURL reads a DATABASE_URL. It must be a URL with a TCP host, because Temporal's
// server takes no other.
func ParseURL(dsn string) (Database, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return Database{}, errors.New("DATABASE_URL: want postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return Database{}, errors.New("DATABASE_URL: want postgres://USER:PASSWORD@HOST:PORT/DATABASE") // err may show the password
	}
	if cfg.Host == "" || strings.HasPrefix(cfg.Host, "/") || strings.Contains(u.Host, ",") {
		return Database{}, errors.New("DATABASE_URL: want one host that is reached by TCP, such as 127.0.0.1: " +
			"Temporal's server connects to the same one and takes neither sockets nor several hosts")
	}
	if cfg.Database == "" {
		return Database{}, errors.New("DATABASE_URL: it names no database")
	}
	options := u.Query()
	if !options.Has("sslmode") {
		options.Set("sslmode", "prefer") // the default
	}
	return Database{
		Host: cfg.Host, Port: int(cfg.Port), Name: cfg.Database, User: cfg.User, Password: cfg.Password, Options: options,
	}, nil
}
