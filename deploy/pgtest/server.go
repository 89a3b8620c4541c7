// Package pgtest gives a test binary a throwaway Postgres: an installed one, or else the binaries that the local stack uses,
// which are downloaded once. The server goes away with the test binary, however that ends. It is for tests only.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTimeout covers initdb and the first start on a busy machine.
const startTimeout = 60 * time.Second

// startScript runs a server for as long as its standard input is open. The test
// binary holds the other end and never closes it, so that the server goes away,
// files and all, however the binary ends: passed, panicked or killed. It is
// reached by a Unix socket in its own folder: no port can be taken. What a
// crash of the machine would lose does not matter, hence no fsync.
const startScript = `
bin=$1 dir=$2
trap 'rm -rf "$dir"' EXIT
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale -N >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=200 \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off </dev/null >"$dir/log" 2>&1 &
read ignored
kill -QUIT $!
wait
`

// Start starts a server and gives the URL of its database postgres, for a superuser, over a Unix socket.
func Start() (string, error) {
	bin, err := Installation()
	if err != nil {
		return "", err
	}
	return startServer(bin)
}

// Installation gives the folder of initdb and postgres, for a test that has to run a server itself.
func Installation() (string, error) {
	bin, err := findInstallation()
	if err != nil {
		if bin, err = fetchInstallation(); err != nil {
			return "", fmt.Errorf("none is installed, and downloading one failed: %w", err)
		}
	}
	return bin, nil
}

// startServer starts a throwaway server with the programs in bin and waits
// until it answers.
func startServer(bin string) (string, error) {
	dir, err := os.MkdirTemp("", "boxoffice-test-pg-")
	if err != nil {
		return "", err
	}
	attr, err := Unprivileged(dir)
	if err != nil {
		return "", err
	}
	var said bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", startScript, "start-postgres", bin, dir)
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = dir, attr, &said
	if holdOpen, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its output is the reason
		close(ended)
	}()
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: url.Values{"host": {dir}}.Encode()}
	if err := awaitServer(u.String(), ended); err != nil {
		holdOpen.Close()
		<-ended
		return "", fmt.Errorf("postgres from %s: %w: %s", bin, err, said.String())
	}
	return u.String(), nil
}

// holdOpen is the server's lifeline. A variable of the package, so that the
// garbage collector never closes it.
var holdOpen io.WriteCloser

func awaitServer(databaseURL string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, databaseURL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return errors.New("it did not start")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer within %v: %w", startTimeout, err)
		case <-retry.C:
		}
	}
}

// Unprivileged makes dir the server's and chooses its user: Postgres refuses to
// run as root.
func Unprivileged(dir string) (*syscall.SysProcAttr, error) {
	// In a separate process group, so that Ctrl-C does not stop it before the tests.
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return attr, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("root may not run Postgres, and there is no user postgres or nobody")
}

// usualFolders is where packages put the programs that they keep off PATH.
var usualFolders = []string{
	"/usr/lib/postgresql/*/bin",          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                   // the PostgreSQL project's RPMs
	"/opt/homebrew/opt/postgresql@*/bin", // Homebrew
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin", // built from source
}

// findInstallation gives the folder of initdb and postgres, the newest first
// where there are several.
func findInstallation() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil && complete(filepath.Dir(initdb)) {
		return filepath.Dir(initdb), nil
	}
	for _, pattern := range usualFolders {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for i := len(found) - 1; i >= 0; i-- {
			if complete(found[i]) {
				return found[i], nil
			}
		}
	}
	return "", errors.New("no initdb on PATH or in the usual folders")
}

func complete(bin string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(bin, program)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}
