// Package tigerbeetle decides which ledger the local stack uses, and prepares its own
// TigerBeetle if it uses one. It says how to run the server; the supervisor runs it.
package tigerbeetle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Release is the client's release in the product's go.mod, and so the server's:
// TigerBeetle's client and server are upgraded together, and a client does not work with
// an older server (docs/operating/upgrading.md of TigerBeetle).
const Release = "0.17.9"

// Kind of a ledger.
type Kind string

// The ledgers of the local stack.
const (
	Embedded Kind = "embedded"    // the box office's own engine, in its process
	Own      Kind = "tigerbeetle" // a TigerBeetle that the stack starts
	Given    Kind = "given"       // a TigerBeetle that runs already
	Postgres Kind = "postgres"    // rows in the stack's Postgres, to compare with
)

// Want is what the user asks for with --ledger.
type Want string

// The values of --ledger.
const (
	WantAuto        Want = "auto"
	WantTigerBeetle Want = "tigerbeetle"
	WantEmbedded    Want = "embedded"
	WantPostgres    Want = "postgres" // never chosen unasked
)

// Offer is what this machine has.
type Offer struct {
	Addresses string // TIGERBEETLE_ADDRESS, when the user has set it
	Binary    string // the path of tigerbeetle, when it is on PATH
	Release   string // of the binary
}

// ReleaseError says that the server on PATH is not one that the client works with.
type ReleaseError struct{ Binary, Release string }

func (e *ReleaseError) Error() string {
	return fmt.Sprintf("%s is TigerBeetle %s, and the client of the box office is %s: the two must be the same. "+
		"Put TigerBeetle %s on PATH (docs.tigerbeetle.com, \"Start\", shows how), or run on the embedded ledger: make run LEDGER=embedded",
		e.Binary, e.Release, Release, Release)
}

// Choose decides. A TigerBeetle that is there but does not fit is an error, never a
// silent fallback: the two ledgers keep different books.
func Choose(want Want, have Offer) (Kind, error) {
	switch want {
	case WantEmbedded:
		return Embedded, nil
	case WantPostgres:
		return Postgres, nil
	case WantAuto, WantTigerBeetle:
	default:
		return "", fmt.Errorf("--ledger=%s: want auto, tigerbeetle, embedded or postgres", want)
	}
	switch {
	case have.Addresses != "":
		return Given, nil
	case have.Binary != "" && have.Release != Release:
		return "", &ReleaseError{have.Binary, have.Release}
	case have.Binary != "":
		return Own, nil
	case want == WantTigerBeetle:
		return "", fmt.Errorf("--ledger=tigerbeetle: TIGERBEETLE_ADDRESS is not set and there is no tigerbeetle on PATH; "+
			"put TigerBeetle %s on PATH (docs.tigerbeetle.com, \"Start\", shows how)", Release)
	default:
		return Embedded, nil
	}
}

const versionTimeout = 10 * time.Second

// Look returns what this machine has. addresses is the user's TIGERBEETLE_ADDRESS.
func Look(ctx context.Context, addresses string) (Offer, error) {
	have := Offer{Addresses: addresses}
	path, err := exec.LookPath("tigerbeetle")
	if err != nil {
		return have, nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return have, fmt.Errorf("%s version: %w; take it from PATH, or run on the embedded ledger: make run LEDGER=embedded", path, err)
	}
	have.Binary = path
	have.Release, err = parseVersion(string(out))
	return have, err
}

var versionRE = regexp.MustCompile(`^TigerBeetle version (\d+\.\d+\.\d+)(?:\+[0-9a-f]+)?\s*$`)

// parseVersion reads "TigerBeetle version 0.17.9+1259171".
func parseVersion(text string) (string, error) {
	match := versionRE.FindStringSubmatch(text)
	if match == nil {
		return "", fmt.Errorf("tigerbeetle version answers %q, which does not name a release", strings.TrimSpace(text))
	}
	return match[1], nil
}

const dialTimeout = 3 * time.Second

// Probe returns nil if at least one of the addresses takes a connection. Only the client
// finds out whether the cluster answers and is the right one; the box office checks that
// with a deadline when it starts.
func Probe(ctx context.Context, addresses string) error {
	var failures []error
	for _, address := range strings.Split(addresses, ",") {
		hostPort, err := expand(strings.TrimSpace(address))
		if err != nil {
			return err
		}
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, "tcp", hostPort)
		if err == nil {
			return conn.Close()
		}
		failures = append(failures, err)
	}
	return fmt.Errorf("TIGERBEETLE_ADDRESS=%s: no replica takes a connection: %w; start the cluster, or unset the variable "+
		"and the stack brings its own ledger", addresses, errors.Join(failures...))
}

// expand fills in what TigerBeetle lets people leave out: a lone port is on 127.0.0.1, a
// lone address on port 3001.
func expand(address string) (string, error) {
	switch {
	case address == "":
		return "", errors.New("TIGERBEETLE_ADDRESS: an empty address in the list")
	case !strings.ContainsAny(address, ".:"):
		return net.JoinHostPort("127.0.0.1", address), nil
	case !strings.Contains(address, ":"):
		return net.JoinHostPort(address, "3001"), nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", fmt.Errorf("TIGERBEETLE_ADDRESS: %w", err)
	}
	return address, nil
}

// RunFunc runs a program to its end and returns an error that shows its output.
type RunFunc func(ctx context.Context, name, path string, args ...string) error

// Format makes the data file of a one-replica cluster, once.
func Format(ctx context.Context, binary, file, cluster string, run RunFunc) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	// Under another name until it is complete: an interrupted start leaves nothing
	// half-made behind.
	fresh := file + ".new"
	if err := os.Remove(fresh); err != nil && !os.IsNotExist(err) {
		return err
	}
	err := run(ctx, "tigerbeetle-format", binary, "format",
		"--cluster="+cluster, "--replica=0", "--replica-count=1", "--development", fresh)
	if err != nil {
		os.Remove(fresh)
		return err
	}
	return os.Rename(fresh, file)
}

// StartArgs: --development lets it run if the file system has no direct I/O, and with
// caches of some megabytes instead of a gigabyte. The price is a smaller request, which
// the client learns when it registers.
func StartArgs(address, file string) []string {
	return []string{"start", "--addresses=" + address, "--development", file}
}

// FileName is the data file's name, as TigerBeetle's documentation forms it: cluster_replica.
func FileName(dir, cluster string) string {
	return filepath.Join(dir, cluster+"_0.tigerbeetle")
}
