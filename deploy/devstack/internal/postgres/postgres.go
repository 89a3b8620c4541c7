// Package postgres finds, prepares and describes the Postgres server of the local stack:
// the one that the user names, else an installed one, else downloaded binaries. It also
// creates the three databases, with a role for each.
//
// The supervisor starts and stops the server; this package says how.
package postgres

import (
	"net"
	"net/url"
	"strconv"
)

// Database is how to reach one database as its own role.
type Database struct {
	Host     string
	Port     int
	Name     string
	User     string
	Password string
	// Options are the connection string's own (sslmode and the like).
	Options url.Values
}

// Address returns "host:port".
func (d Database) Address() string { return net.JoinHostPort(d.Host, strconv.Itoa(d.Port)) }

// URL returns the connection string.
func (d Database) URL() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(d.User, d.Password),
		Host:     d.Address(),
		Path:     "/" + d.Name,
		RawQuery: d.Options.Encode(),
	}
	return u.String()
}

// Databases are the three that the stack uses.
type Databases struct {
	Orders, Temporal, Visibility Database
	Version                      string // of the server
}
