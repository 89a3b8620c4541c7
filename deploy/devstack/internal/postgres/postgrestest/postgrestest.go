// Package postgrestest gives tests the stack's Postgres: a server of their own, created
// and started as the stack does it.
package postgrestest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"boxoffice/deploy/devstack/internal/postgres"
)

// Start starts a server of the newest release that is installed here, without databases,
// and returns its log file. It skips the test if none is installed.
func Start(ctx context.Context, t *testing.T) (m *postgres.Managed, logFile string) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no Postgres")
	}
	server, ok := postgres.Choose(postgres.Installed(ctx), 0)
	if !ok {
		t.Skip("SKIPPED: no Postgres is installed; the end-to-end tests run on the one that is downloaded")
	}
	id, err := postgres.ServerIdentity()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "boxoffice-test-devstack-pg-") // not t.TempDir: its parents are closed to Postgres's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	if err := os.Chmod(home, 0o711); err != nil {
		t.Fatal(err)
	}
	m = &postgres.Managed{Server: server, Identity: id, Port: freePort(t)}
	if err := m.Prepare(ctx, filepath.Join(home, "server"), filepath.Join(home, "secrets.json"), run); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	path, arguments := m.Command()
	serving := command(context.Background(), id, path, arguments...)
	serving.Stdout, serving.Stderr = log, log
	if err := serving.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serving.Process.Signal(syscall.SIGINT)
		serving.Wait()
	})
	awaitServer(ctx, t, m)
	return m, log.Name()
}

func awaitServer(ctx context.Context, t *testing.T, m *postgres.Managed) {
	t.Helper()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for postgres.Ping(ctx, m.Administration()) != nil {
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatal("Postgres does not answer")
		}
	}
}

func run(ctx context.Context, name string, id postgres.Identity, path string, arguments ...string) error {
	if out, err := command(ctx, id, path, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

func command(ctx context.Context, id postgres.Identity, path string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, path, arguments...)
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{Credential: id.Credential}
	return c
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
