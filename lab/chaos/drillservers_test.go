package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/deploy/pgtest"
)

// A real Postgres is destroyed and put back by the script that operators have. To a moment: what was committed before is there,
// and nothing else. Then once more, from a backup that was made since, to the end of its log.
func TestADatabaseIsPutBackToAMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and it starts servers")
	}
	postgres, err := pgtest.Installation()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{toolPgBackRest, toolBaseBackup} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			if missing := missingTool(tool, postgres); missing != "" {
				t.Skip("SKIPPED: " + missing)
			}
			s := newTestServer(t, tool, postgres)
			s.write("before the backup")
			s.must(s.backup(t.Context(), "backup"))
			s.write("before the moment")
			moment, err := s.now(t.Context())
			s.must(err)
			s.write("after the moment")
			s.must(s.archiveAll(t.Context()))
			s.must(s.lose(t.Context()))

			s.must(s.putBack(t.Context(), moment))
			s.mustHave("before the backup", "before the moment")

			s.must(s.backup(t.Context(), "backup"))
			s.write("since")
			s.must(s.archiveAll(t.Context()))
			s.must(s.lose(t.Context()))
			s.must(s.putBack(t.Context(), ""))
			s.mustHave("before the backup", "before the moment", "since")
		})
	}
}

// A testServer is a server with a table that says what was written.
type testServer struct {
	*databaseServer
	t *testing.T
}

func newTestServer(t *testing.T, tool, postgres string) *testServer {
	t.Helper()
	s := &testServer{t: t}
	dir := walkableDir(t)
	script, err := copyBackupScripts(filepath.Join("..", ".."), dir)
	s.must(err)
	s.databaseServer, err = newDatabaseServer(t.Context(), "test", "boxoffice", postgres, tool, dir, script)
	t.Cleanup(func() { s.stop() })
	s.must(err)
	s.exec(`CREATE TABLE written (what text)`)
	return s
}

// walkableDir is open to the user that Postgres runs as when we are root.
func walkableDir(t *testing.T) string {
	t.Helper()
	c := config{}
	if err := c.makeDir(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	return c.dir
}

func (s *testServer) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *testServer) exec(sql string, args ...any) {
	s.t.Helper()
	db, err := s.connect(s.t.Context(), "boxoffice")
	s.must(err)
	defer db.Close(context.WithoutCancel(s.t.Context()))
	_, err = db.Exec(s.t.Context(), sql, args...)
	s.must(err)
}

func (s *testServer) write(what string) {
	s.t.Helper()
	s.exec(`INSERT INTO written VALUES ($1)`, what)
}

func (s *testServer) mustHave(want ...string) {
	s.t.Helper()
	got, err := answerIn[[]string](s.t.Context(), s.databaseServer, "boxoffice", `SELECT array_agg(what ORDER BY what) FROM written`)
	s.must(err)
	if !slices.Equal(got, want) {
		s.t.Fatalf("put back: %q, want %q", got, want)
	}
}

func TestTheToolOfBackupsIsChosen(t *testing.T) {
	with := t.TempDir()
	if err := os.WriteFile(filepath.Join(with, toolPgBackRest), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, wish, want string
		refused                bool
	}{
		{"pgBackRest where it is on PATH", with, "auto", toolPgBackRest, false},
		{"Postgres's own where it is not", t.TempDir(), "auto", toolBaseBackup, false},
		{"Postgres's own on request", with, toolBaseBackup, toolBaseBackup, false},
		{"never another than asked for", t.TempDir(), toolPgBackRest, toolPgBackRest, false},
		{"none that nobody knows", with, "tape", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("PATH", tt.path)
			got, err := chooseBackupTool(tt.wish)
			if got != tt.want || (err != nil) != tt.refused {
				t.Errorf("-backup %s: %q, %v; want %q", tt.wish, got, err, tt.want)
			}
		})
	}
}

func TestAMissingToolIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, tool := range []string{toolPgBackRest, toolBaseBackup} {
		if missing := missingTool(tool, t.TempDir()); !strings.Contains(missing, "apt-get install") {
			t.Errorf("%s: %q, want how to get it", tool, missing)
		}
	}
}
