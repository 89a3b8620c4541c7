package toolchain

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A compiler of our own making stands for each way in which one can be missing.
func TestCheckCompiler(t *testing.T) {
	dir := t.TempDir()
	script := func(name, body string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	works := script("works", "exit 0")
	headless := script("headless", "echo '<stdin>:1:10: fatal error: stdlib.h: No such file' >&2; exit 1")
	cases := []struct{ name, enabled, compiler, reason string }{
		{"one that works", "1", works, ""},
		{"one that works, with flags", "1", works + " -m64", ""},
		{"not on PATH", "1", "no-such-compiler", "no-such-compiler is not on PATH"},
		{"cgo without it counts as off", "0", "no-such-compiler", "no-such-compiler is not on PATH"},
		{"cgo off", "0", works, "CGO_ENABLED=0"},
		{"without headers", "1", headless, "stdlib.h"},
		{"none", "1", "", "none is configured"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := checkCompiler(context.Background(), c.enabled, c.compiler)
			if c.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var missing *CompilerError
			if !errors.As(err, &missing) || !strings.Contains(missing.Reason, c.reason) {
				t.Errorf("checkCompiler = %v, want a CompilerError with %q", err, c.reason)
			}
		})
	}
}

func TestFindRepo(t *testing.T) {
	root := t.TempDir()
	nested := filepath.Join(root, "deploy", "devstack")
	if err := os.MkdirAll(nested, 0o755); err != nil {
		t.Fatal(err)
	}
	if repo, err := FindRepo(nested); err == nil {
		t.Errorf("found %s without a go.mod", repo)
	}
	os.WriteFile(filepath.Join(root, "go.mod"), []byte("module boxoffice\n\ngo 1.26.8\n"), 0o644)
	os.WriteFile(filepath.Join(nested, "go.mod"), []byte("module boxoffice/deploy/devstack\n"), 0o644)
	for _, from := range []string{root, nested} {
		if repo, err := FindRepo(from); err != nil || repo != root {
			t.Errorf("FindRepo(%s) = %s, %v; want %s", from, repo, err, root)
		}
	}
}
