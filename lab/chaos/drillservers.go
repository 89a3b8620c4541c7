package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/deploy/pgtest"
	"boxoffice/pace"
)

// Bounds of the drill's own servers. They end a drill that hangs.
const (
	databaseWithin = 2 * time.Minute // a server starts, or plays back its log
	scriptWithin   = 3 * time.Minute
)

// A databaseServer is a Postgres of the drill's own: its write-ahead log is archived, and it is put back by the script that
// operators have, deploy/backup/postgres.
type databaseServer struct {
	name             string
	home             string // its data directory and its socket
	port             string
	bin              string
	script, tool     string
	environ          []string
	user, password   string // who owns the database, which has the same name
	credential       *syscall.Credential
	mayMakeDatabases bool
	backedUp         string // when the last backup had ended, by its clock

	pid   int
	ended <-chan struct{}
}

// newDatabaseServer makes an empty server under dir and starts it.
func newDatabaseServer(ctx context.Context, name, user, bin, tool, dir, script string) (*databaseServer, error) {
	s := &databaseServer{
		name: name, user: user, password: rand.Text(), home: filepath.Join(dir, name+"-server"), port: portOf(freeAddress()), bin: bin, script: script, tool: tool,
		mayMakeDatabases: user == "temporal",
	}
	backups := filepath.Join(dir, name+"-backups")
	for _, folder := range []string{s.home, backups} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, err
		}
		attr, err := pgtest.Unprivileged(folder)
		if err != nil {
			return nil, err
		}
		s.credential = attr.Credential
	}
	s.environ = environ(map[string]string{
		"PATH":   bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"PGDATA": s.data(), "PGHOST": s.home, "PGPORT": s.port, "PGUSER": "postgres", "BACKUP_DIR": backups, "BACKUP_TOOL": tool, "TZ": "UTC",
	})
	initdb := []string{"-D", s.data(), "-U", "postgres", "-A", "scram-sha-256", "--auth-local=trust", "-E", "UTF8", "--no-locale", "-k"}
	if err := s.run(ctx, filepath.Join(bin, "initdb"), initdb...); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	return s, errors.Join(s.makeDatabase(ctx), s.backup(ctx, "setup"))
}

func (s *databaseServer) data() string    { return filepath.Join(s.home, "data") }
func (s *databaseServer) address() string { return "127.0.0.1:" + s.port }

// url is its database, for the owner. Its options are not in the sequence in which devstack writes them down: at the second
// start it takes what is in its own dev.env for sourced from there, and not for the user's wish.
func (s *databaseServer) url() string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(s.user, s.password), Host: s.address(), Path: "/" + s.user, RawQuery: "sslmode=disable&connect_timeout=10",
	}).String()
}

// run runs a program to its end as the server's user.
func (s *databaseServer) run(ctx context.Context, path string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, scriptWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", s.environ, &syscall.SysProcAttr{Credential: s.credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %s %s: %w\n%s", s.name, filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return nil
}

// backup calls the script that operators have.
func (s *databaseServer) backup(ctx context.Context, args ...string) error {
	err := s.run(ctx, s.script, args...)
	if err == nil && args[0] == "backup" {
		s.backedUp, err = s.clock(ctx)
	}
	return err
}

// start starts the server and waits until it takes writes: it may have a log to play back first.
func (s *databaseServer) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(filepath.Dir(s.home), s.name+"-server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	args := []string{"-D", s.data(), "-p", s.port, "-k", s.home}
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", "max_connections=120", "shared_buffers=128MB", "jit=off", "timezone=UTC",
		"wal_level=replica", "archive_mode=on", "archive_command=" + s.script + " archive %p " + s.tool,
		// Never values of buyers, see docs/operations.md.
		"log_error_verbosity=terse", "log_parameter_max_length=0", "log_parameter_max_length_on_error=0",
	} {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", s.environ, childAttributes()
	cmd.SysProcAttr.Credential = s.credential
	if s.ended, err = startChild(cmd, log, func() {}); err != nil {
		return err
	}
	s.pid = cmd.Process.Pid
	var last error
	for deadline := time.Now().Add(databaseWithin); time.Now().Before(deadline); {
		var replaying bool
		if replaying, last = answerOf[bool](ctx, s, `SELECT pg_is_in_recovery()`); last == nil && !replaying {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s: the server did not start: see %s", s.name, log.Name())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	return fmt.Errorf("%s: the server is not ready after %s (%w): see %s", s.name, databaseWithin, last, log.Name())
}

// answerOf asks the server one thing, as its superuser.
func answerOf[T any](ctx context.Context, s *databaseServer, sql string, args ...any) (answer T, err error) {
	return answerIn[T](ctx, s, "postgres", sql, args...)
}

func answerIn[T any](ctx context.Context, s *databaseServer, database, sql string, args ...any) (answer T, err error) {
	db, err := s.connect(ctx, database)
	if err != nil {
		return answer, err
	}
	defer db.Close(context.WithoutCancel(ctx))
	return answer, db.QueryRow(ctx, sql, args...).Scan(&answer)
}

func (s *databaseServer) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database, RawQuery: url.Values{"host": {s.home}, "port": {s.port}}.Encode()}
	return pgx.Connect(ctx, u.String())
}

func (s *databaseServer) makeDatabase(ctx context.Context) error {
	db, err := s.connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	role := "CREATE ROLE " + s.user + " LOGIN PASSWORD '" + s.password + "'"
	if s.mayMakeDatabases {
		role += " CREATEDB"
	}
	for _, statement := range []string{role, "CREATE DATABASE " + s.user + " OWNER " + s.user} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// now is a moment to which the server can be put back, as the script takes it. Backups know their ends by the second, so it is
// not of the one in which the last ended.
func (s *databaseServer) now(ctx context.Context) (string, error) {
	err := await(ctx, databaseWithin, "the second of the backup is over", func() bool {
		over, err := answerOf[bool](ctx, s, `SELECT clock_timestamp() >= date_trunc('second', $1::text::timestamptz) + interval '2 seconds'`, s.backedUp)
		return err == nil && over
	})
	if err != nil {
		return "", err
	}
	return s.clock(ctx)
}

func (s *databaseServer) clock(ctx context.Context) (string, error) {
	return answerOf[string](ctx, s, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`)
}

// archiveAll waits until all that was written so far is in the archive.
func (s *databaseServer) archiveAll(ctx context.Context) error {
	file, err := answerOf[string](ctx, s, `SELECT pg_walfile_name(pg_current_wal_lsn())`)
	if err != nil {
		return err
	}
	if _, err := answerOf[string](ctx, s, `SELECT pg_switch_wal()::text`); err != nil {
		return err
	}
	return await(ctx, databaseWithin, "the log of "+s.name+" is archived", func() bool {
		archived, err := answerOf[bool](ctx, s, `SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver`, file)
		return err == nil && archived
	})
}

// lose kills the server with all its processes and removes its data.
func (s *databaseServer) lose(ctx context.Context) error {
	for _, pid := range family(s.pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return os.RemoveAll(s.data())
}

// stop ends the server; what it has stays.
func (s *databaseServer) stop() {
	if s == nil || s.pid == 0 {
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGINT)
	if !pace.Within(s.ended, stopWithin) {
		_ = syscall.Kill(s.pid, syscall.SIGKILL)
	}
}

// putBack restores the server to a moment, or to all that was archived, and starts it.
func (s *databaseServer) putBack(ctx context.Context, moment string) error {
	args := []string{"restore"}
	if moment != "" {
		args = append(args, moment)
	}
	if err := s.backup(ctx, args...); err != nil {
		return err
	}
	return s.start(ctx)
}

// The ways in which deploy/backup/postgres backs a server up.
const (
	toolPgBackRest = "pgbackrest"
	toolBaseBackup = "basebackup" // Postgres's own tools
)

func chooseBackupTool(wish string) (string, error) {
	_, err := exec.LookPath(toolPgBackRest)
	switch {
	case wish == toolPgBackRest, wish == "auto" && err == nil:
		return toolPgBackRest, nil
	case wish == toolBaseBackup, wish == "auto":
		return toolBaseBackup, nil
	default:
		return "", fmt.Errorf("-backup %q: want auto, pgbackrest or basebackup", wish)
	}
}

// missingTool says what is not installed, and how to get it; empty if all is there. bin are the server's programs.
func missingTool(tool, bin string) string {
	if tool == toolPgBackRest {
		if _, err := exec.LookPath(tool); err != nil {
			return "no pgbackrest is on PATH (Debian, Ubuntu: apt-get install pgbackrest)"
		}
		return ""
	}
	_, beside := os.Stat(filepath.Join(bin, "pg_basebackup"))
	_, onPath := exec.LookPath("pg_basebackup")
	if beside != nil && onPath != nil {
		return "no pg_basebackup is in " + bin + " or on PATH (Debian, Ubuntu: apt-get install postgresql)"
	}
	return ""
}

// copyBackupScripts copies deploy/backup to where the server's user may walk, and returns the script for Postgres.
func copyBackupScripts(repo, dir string) (script string, err error) {
	scripts := filepath.Join(dir, "backup-scripts")
	if err := os.CopyFS(scripts, os.DirFS(filepath.Join(repo, "deploy", "backup"))); err != nil {
		return "", err
	}
	script = filepath.Join(scripts, "postgres")
	return script, os.Chmod(script, 0o755) //nolint:gosec // a program, for the server's user
}
