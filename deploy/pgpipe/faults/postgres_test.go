//go:build linux

package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/server/common/log"
	schematool "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"

	"boxoffice/deploy/pgtest"
)

const (
	databaseStore      = "temporal"
	databaseVisibility = "visibility"
	// diskBytes is enough for a run and little enough to be filled at once.
	diskBytes = 1 << 30
)

// settings of Postgres are a production's where it matters: every commit is on disk before it is acknowledged. Small segments of the
// log, so that a full disk meets that too. And a transaction of a server that stands still ends, so that it does not hold its shard's
// row for ever: the official store has such ones.
var postgresSettings = []string{
	"listen_addresses=", "max_connections=200", "synchronous_commit=on", "fsync=on", "min_wal_size=2MB", "max_wal_size=48MB",
	"checkpoint_timeout=30s", "idle_in_transaction_session_timeout=3s",
}

// watchRanges writes down every task that is committed under another range id than the one that its own id is from. History takes the ids
// of tasks from its range (RangeSizeBits of its configuration is 20), so such a task is of an owner that has lost the shard.
const watchRanges = `
CREATE TABLE unfenced (of text, shard_id int, task_id bigint, range_id bigint);
CREATE FUNCTION watch_range() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO unfenced SELECT TG_TABLE_NAME, NEW.shard_id, NEW.task_id, range_id FROM shards
		WHERE shard_id = NEW.shard_id AND range_id <> NEW.task_id >> 20;
	RETURN NULL;
END $$;
CREATE TRIGGER watch_range AFTER INSERT ON transfer_tasks FOR EACH ROW EXECUTE FUNCTION watch_range();
CREATE TRIGGER watch_range AFTER INSERT ON timer_tasks FOR EACH ROW EXECUTE FUNCTION watch_range();
CREATE TRIGGER watch_range AFTER INSERT ON visibility_tasks FOR EACH ROW EXECUTE FUNCTION watch_range();
`

// watchdog ends Postgres when its standard input is closed, however the test ends.
const watchdog = `read ignored; kill -QUIT "$1"`

// postgres is a server of the test's own, on a small disk where mounting is allowed.
type postgres struct {
	bin, folder string
	attr        *syscall.SysProcAttr
	small       string // why its disk is not a small one; empty: it is
	process     *os.Process
	alive       io.Closer // the watchdog's
	done        chan struct{}
}

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	bin, err := pgtest.Installation()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "pgpipe-faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs are in %s", folder)
			return
		}
		_ = os.RemoveAll(folder)
	})
	p := &postgres{bin: bin, folder: folder}
	disk := filepath.Join(folder, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, fmt.Sprintf("size=%d", diskBytes)); err != nil {
		p.small = err.Error()
	} else {
		t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	}
	p.attr, err = pgtest.Unprivileged(disk)
	if err != nil {
		t.Fatal(err)
	}
	p.attr, err = pgtest.Unprivileged(folder)
	if err != nil {
		t.Fatal(err)
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(disk, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--no-locale", "-N", "--wal-segsize=1")
	initdb.SysProcAttr = p.attr
	said, err := initdb.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	t.Cleanup(p.kill)
	p.start(t)
	for _, d := range []struct{ name, schema string }{
		{databaseStore, "postgresql/v12/temporal"}, {databaseVisibility, "postgresql/v12/visibility"},
	} {
		p.execute(t, "CREATE DATABASE "+d.name)
		conn, err := sqltool.NewConnection(database(folder, d.name), log.NewNoopLogger())
		if err != nil {
			t.Fatal(err)
		}
		if err := schematool.NewSetupSchemaTask(conn, &schematool.SetupConfig{InitialVersion: "0.0"}, log.NewNoopLogger()).Run(); err != nil {
			t.Fatal(err)
		}
		if err := schematool.NewUpdateSchemaTask(conn, &schematool.UpdateConfig{SchemaName: d.schema}, log.NewNoopLogger()).Run(); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	p.executeIn(t, databaseStore, watchRanges)
	return p
}

func (p *postgres) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: url.Values{"host": {p.folder}}.Encode()}
	return u.String()
}

// start waits until it answers, and starts it where it does not run, or gives up on the way.
func (p *postgres) start(t *testing.T) {
	t.Helper()
	await(t, startWithin, "Postgres answers", func() bool {
		if p.ended() {
			p.spawn(t)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, p.url("postgres"))
		if err != nil {
			return false
		}
		_ = conn.Close(ctx)
		return true
	})
}

func (p *postgres) spawn(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(p.folder, "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{"-D", filepath.Join(p.folder, "disk/data"), "-k", p.folder}
	for _, set := range postgresSettings {
		args = append(args, "-c", set)
	}
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Stdout, cmd.Stderr = p.attr, p.folder, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process, p.done = cmd.Process, make(chan struct{})
	dog := exec.Command("/bin/sh", "-c", watchdog, "watchdog", strconv.Itoa(cmd.Process.Pid))
	dog.SysProcAttr = p.attr
	p.alive, err = dog.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dog.Start(); err != nil {
		t.Fatal(err)
	}
	go func(done chan struct{}) {
		_ = cmd.Wait() // it is killed
		close(done)
		_ = dog.Process.Kill()
		_ = dog.Wait()
	}(p.done)
}

func (p *postgres) ended() bool {
	if p.done == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends all its processes at once, so that nothing more is written.
func (p *postgres) kill() {
	if p.ended() {
		return
	}
	_ = p.process.Signal(syscall.SIGSTOP) // it starts none while we look
	for _, child := range childrenOf(p.process.Pid) {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	_ = p.process.Kill()
	<-p.done
}

// backends are the processes that serve Temporal.
func (p *postgres) backends() []int {
	var found []int
	for _, child := range childrenOf(p.process.Pid) {
		if said, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); err == nil && strings.Contains(string(said), " "+databaseStore+" ") {
			found = append(found, child)
		}
	}
	return found
}

func childrenOf(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var children []int
	for _, word := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			children = append(children, child)
		}
	}
	return children
}

// fill leaves n bytes free on the small disk, and returns a function that makes room again.
func (p *postgres) fill(t *testing.T, free uint64) (empty func()) {
	t.Helper()
	path := filepath.Join(p.folder, "disk", "filler")
	var disk syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &disk); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if there := disk.Bavail * uint64(disk.Bsize); there > free {
		_ = syscall.Fallocate(int(f.Fd()), 0, 0, int64(there-free)) // what is written meanwhile may leave less
	}
	return func() { _ = os.Remove(path) }
}

// said counts the lines of its log with a text.
func (p *postgres) said(text string) int {
	log, err := os.ReadFile(filepath.Join(p.folder, "postgres.log"))
	if err != nil {
		return 0
	}
	return bytes.Count(log, []byte(text))
}

func (p *postgres) execute(t *testing.T, statement string) {
	t.Helper()
	p.executeIn(t, "postgres", statement)
}

func (p *postgres) executeIn(t *testing.T, database, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
}

// shardsTaken gives how often shards have found an owner: each gives the shard the next range id.
func (p *postgres) shardsTaken(t *testing.T) (taken func() (n int64), done func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.url(databaseStore))
	if err != nil {
		t.Fatal(err)
	}
	taken = func() (n int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT sum(range_id)::bigint FROM shards").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	return taken, func() { _ = conn.Close(t.Context()) }
}

// strange are rows that no whole transition of a shard's owner leaves behind.
func (p *postgres) strange(t *testing.T) (found []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.url(databaseStore))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, table := range []string{
		"current_executions", "activity_info_maps", "timer_info_maps", "child_execution_info_maps", "request_cancel_info_maps",
		"signal_info_maps", "signals_requested_sets", "buffered_events", "chasm_node_maps",
	} {
		var n int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM `+table+` AS t WHERE NOT EXISTS (SELECT FROM executions AS e
			WHERE e.shard_id = t.shard_id AND e.namespace_id = t.namespace_id AND e.workflow_id = t.workflow_id AND e.run_id = t.run_id)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			found = append(found, fmt.Sprintf("%d rows in %s of no execution", n, table))
		}
	}
	rows, err := conn.Query(ctx, `SELECT format('%s %s of shard %s was written under range id %s', of, task_id, shard_id, range_id) FROM unfenced`)
	if err != nil {
		t.Fatal(err)
	}
	found, err = pgx.AppendRows(found, rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}
