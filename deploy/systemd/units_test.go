// Package systemd_test holds the units, their environment and the package to what the program reads and to what is there.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// variables are the rows of docs/configuration.md, which serve --help prints: what is known, what is secret, and what must be set.
func variables(t *testing.T) (known, secret, needed map[string]bool) {
	t.Helper()
	known, secret, needed = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[A-Z][^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(read(t, "../../docs/configuration.md"), -1) {
		for _, name := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(row[1], -1) {
			known[name[1]] = true
			secret[name[1]] = strings.Contains(row[2], "*secret*")
			if strings.Contains(row[2], "*secret*, needed") && !strings.Contains(row[2], "stripe") {
				needed[name[1]] = true
			}
		}
	}
	if len(known) < 50 || len(needed) != 5 {
		t.Fatalf("docs/configuration.md has %d variables, and these are needed: %v", len(known), needed)
	}
	return known, secret, needed
}

// The units give every secret that is needed as a file, and set nothing that the program does not read.
func TestUnitsAndTheVariables(t *testing.T) {
	known, secret, needed := variables(t)
	environment := regexp.MustCompile(`(?m)^(?:Environment=)?([A-Z_]+)=(.*)$`)
	for _, unit := range []string{"boxoffice.service", "boxoffice-migrate.service"} {
		text := read(t, unit)
		given := map[string]bool{}
		for _, line := range environment.FindAllStringSubmatch(text+read(t, "boxoffice.env"), -1) {
			name := strings.TrimSuffix(line[1], "_FILE")
			isFile := name != line[1]
			switch {
			case !known[name]:
				t.Errorf("%s: serve --help knows no %s", unit, line[1])
			case isFile != secret[name]:
				t.Errorf("%s: %s is a secret that is no file, or the other way round", unit, line[1])
			case isFile && !strings.Contains(text, "LoadCredential="+strings.TrimPrefix(line[2], "%d/")+":/etc/boxoffice/secrets/"):
				t.Errorf("%s: nothing loads %s", unit, line[2])
			}
			given[name] = true
		}
		for name := range needed {
			if !given[name] {
				t.Errorf("%s lacks %s", unit, name)
			}
		}
	}
}

// Everything that the package is made of is there, and every unit is in it.
func TestThePackageHasItsFiles(t *testing.T) {
	text := read(t, "nfpm.yaml")
	found := regexp.MustCompile(`(?m)(?:src|postinstall|preremove): ([a-z]\S+)`).FindAllStringSubmatch(text, -1)
	if len(found) < 8 {
		t.Fatalf("%d files", len(found))
	}
	for _, file := range found {
		if _, err := os.Stat(filepath.Join("..", "..", file[1])); err != nil {
			t.Error(err)
		}
	}
	units, _ := filepath.Glob("*.service")
	for _, unit := range units {
		if !strings.Contains(text, "dst: /usr/lib/systemd/system/"+unit) {
			t.Errorf("%s is not in the package", unit)
		}
	}
}

// systemd itself finds nothing to say about the units, and little that they leave open.
func TestUnitsBySystemd(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short starts nothing")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("SKIPPED: no systemd-analyze on PATH, so systemd does not read the units")
	}
	version, err := exec.Command("systemd-analyze", "--version").Output()
	if release := regexp.MustCompile(`^systemd (\d+)`).FindSubmatch(version); err != nil || release == nil || len(release[1]) < 3 || string(release[1]) < "250" {
		t.Skipf("SKIPPED: systemd-analyze is older than 250, and cannot read units that are not installed: %s", version)
	}
	t.Attr("ran-on", "systemd-analyze")
	for _, unit := range []string{"boxoffice.service", "boxoffice-migrate.service", "mockpay.service"} {
		// In a root of its own, where the programs are.
		root := t.TempDir()
		for _, dir := range []string{"usr/lib/systemd/system", "usr/bin"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		text := read(t, unit)
		for _, program := range []string{"boxoffice", "mockpay"} {
			if err := os.WriteFile(filepath.Join(root, "usr/bin", program), []byte("#!/bin/sh\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, "usr/lib/systemd/system", unit), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// Units of the system that ours name are not there.
		said, _ := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+root, unit).CombinedOutput()
		for line := range strings.Lines(string(said)) {
			if strings.Contains(line, unit+":") {
				t.Errorf("%s", line)
			}
		}
		said, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=20", filepath.Join(root, "usr/lib/systemd/system", unit)).CombinedOutput()
		if err != nil {
			t.Errorf("%s leaves more than 2.0 open: %v\n%s", unit, err, said)
		}
	}
}
