package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenTakesOnlyItsOwnDirectories(t *testing.T) {
	cases := []struct {
		name    string
		files   map[string]string
		foreign bool
	}{
		{"empty", nil, false},
		{"a first start killed before its marker", map[string]string{lockName: "1\n"}, false},
		{"ours", map[string]string{markerName: `{"product":"boxoffice","format":1}`, "dev.env": ""}, false},
		{"somebody's files", map[string]string{"thesis.txt": "x"}, true},
		{"a newer format", map[string]string{markerName: `{"product":"boxoffice","format":2}`}, true},
		{"another product's marker", map[string]string{markerName: `{"product":"x","format":1}`}, true},
		{"a torn marker", map[string]string{markerName: `{"prod`}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				write(t, dir, name, content)
			}
			d, err := Open(dir)
			var foreign *ForeignError
			if got := errors.As(err, &foreign); got != c.foreign {
				t.Fatalf("Open: foreign = %v, want %v (error %v)", got, c.foreign, err)
			}
			if c.foreign {
				after, _ := os.ReadDir(dir)
				if len(after) != len(c.files) {
					t.Errorf("a refused directory was changed: %v", after)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if again, err := Open(dir); err != nil {
				t.Errorf("the second start refused: %v", err)
			} else {
				again.Close()
			}
		})
	}
}

func TestOneStackADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir)
	var running *RunningError
	if !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Fatalf("second Open = %v, want a RunningError with process %d", err, os.Getpid())
	}
	if pid, ok := Holder(dir); !ok || pid != os.Getpid() {
		t.Errorf("Holder = %d, %v while open", pid, ok)
	}
	first.Close()
	if _, ok := Holder(dir); ok {
		t.Error("Holder still sees a stack after Close")
	}
}

func TestWriteFileReplacesInOneStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	for _, content := range []string{"first", "second, longer", "3"} {
		if err := WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
