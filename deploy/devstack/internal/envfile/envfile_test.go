package envfile

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var values = []string{
	"plain", "", "two words", "it's", "'", "''", `back\slash`, `"double"`, "$HOME `id` $(id)", "a=b#c", "*", "~", "é €",
	"postgres://u:p%20w@127.0.0.1:5433/db?sslmode=disable&x=1",
}

// The reader that matters is the shell, so the test uses the shell.
func TestAShellReadsBackExactlyWhatWasWritten(t *testing.T) {
	for _, value := range values {
		t.Run(value, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dev.env")
			if err := Write(path, "a comment\nof two lines\n", []Var{{"VALUE", value}}); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("sh", "-c", `set -a; . "$0"; exec printenv VALUE`, path).Output()
			if err != nil || string(out) != value+"\n" {
				t.Errorf("sh read %q, %v; want %q", out, err, value)
			}
			vars, err := Read(path)
			if err != nil || vars["VALUE"] != value {
				t.Errorf("Read = %q, %v; want %q", vars, err, value)
			}
		})
	}
}

func TestWriteRefusesWhatIsNotALine(t *testing.T) {
	for _, v := range []Var{{"A", "x\ny"}, {"A", "x\x00"}, {"A", "x\r"}, {"a b", "x"}, {"", "x"}} {
		if err := Write(filepath.Join(t.TempDir(), "f"), "", []Var{v}); err == nil {
			t.Errorf("%q=%q was written", v.Name, v.Value)
		}
	}
}

func TestReadOfNoFileIsEmpty(t *testing.T) {
	if vars, err := Read(filepath.Join(t.TempDir(), "none")); err != nil || len(vars) != 0 {
		t.Errorf("Read = %v, %v", vars, err)
	}
}

func TestReadRefusesWhatItDidNotWrite(t *testing.T) {
	for _, line := range []string{"A=unquoted", "A='open", "A='x'; rm -rf /", "just words", "A='a'b'c'"} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if vars, err := Read(path); err == nil {
			t.Errorf("%q was read as %v", line, vars)
		}
	}
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev.env")
	if err := Write(path, "", []Var{{"SECRET", "x"}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}
