package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every activity, and every point that the product marks by name, is in the table of failpoints.
func TestEveryFailpointIsInTheTable(t *testing.T) {
	table := map[string]bool{}
	for _, p := range failpoints {
		table[p.name] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^func \(a \*\w+\) ([A-Z]\w*)\(ctx`).FindAllStringSubmatch(textOf(t, "../../activities/*.go"), -1) {
		if m[1] == "FindSale" || m[1] == "Unsell" {
			continue // only after a crash between ledger and history whose payment nobody repeats, and ten minutes later
		}
		if m[1] == "ReleasePayment" || m[1] == "ReturnUncaptured" {
			continue // only after an authorisation that came late, or a capture that the bank refused
		}
		if m[1] == "OpenSession" {
			continue // only at a provider that has to be called for a session; the load pays at MockPay
		}
		if m[1] == "ExpireUnlessProcessing" {
			continue // only in a sale with delayed methods; the load has none
		}
		for _, when := range []string{":before", ":after"} {
			if name := "activity." + m[1] + when; !table[name] {
				t.Errorf("%s is not in the table", name)
			}
		}
	}
	marked := regexp.MustCompile(`failpoint\.(Before|After)\("(\w+)", "(\w+)"\)`)
	for file, text := range sources(t) {
		for _, m := range marked.FindAllStringSubmatch(text, -1) {
			if name := m[2] + "." + m[3] + ":" + strings.ToLower(m[1]); !table[name] {
				t.Errorf("%s of %s is not in the table", name, file)
			}
		}
	}
}

// textOf is the text of some files together.
func textOf(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}

// Every bug still applies: the text that it replaces is in the product, once.
func TestEveryBugFits(t *testing.T) {
	for _, b := range bugs {
		if _, err := writeOverlay("../..", t.TempDir(), b.edits); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		if len(b.caughtBy) == 0 {
			t.Errorf("%s: nobody has to catch it", b.name)
		}
	}
}

// A bug that does not compile catches nothing, and takes a scene to be noticed.
func TestEveryBugCompiles(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: it compiles the product once for each bug")
	}
	repo, err := filepath.Abs("../..") // the overlay names its files whole
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			overlay, err := writeOverlay(repo, t.TempDir(), b.edits)
			if err != nil {
				t.Fatal(err)
			}
			build := []string{"build", "-buildvcs=false", "-tags", "failpoints", "-overlay", overlay}
			for _, e := range b.edits {
				build = append(build, "./"+filepath.Dir(e.file))
			}
			cmd := exec.CommandContext(t.Context(), "go", build...)
			cmd.Dir, cmd.Env = repo, append(os.Environ(), "GOWORK=off")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// sources are the product's, by path.
func sources(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || path == "../../lab" || path == "../../deploy"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		raw, err := os.ReadFile(path)
		texts[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
