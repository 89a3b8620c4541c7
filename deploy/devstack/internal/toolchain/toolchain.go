// Package toolchain checks that the product can be built on this machine, and builds it.
package toolchain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const checkTimeout = time.Minute

// CompilerError says that cgo, which the TigerBeetle client needs, will not work.
type CompilerError struct{ Reason string }

func (e *CompilerError) Error() string {
	way := "install gcc and the C library's headers (Debian, Ubuntu: build-essential; Fedora, RHEL: gcc glibc-devel; Alpine: build-base)"
	if runtime.GOOS == "darwin" {
		way = "install Apple's command line tools: xcode-select --install"
	}
	return fmt.Sprintf("no working C compiler: %s. The TigerBeetle client is linked with cgo; %s", e.Reason, way)
}

// Check returns an error that names what is missing to build the module in repo.
func Check(ctx context.Context, repo string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the go command is not on PATH; install the Go release that go.mod names")
	}
	// With GOTOOLCHAIN=local, or offline, a release that is too old fails here with its
	// own clear message.
	out, err := goCommand(ctx, repo, "env", "CGO_ENABLED", "CC").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s", strings.TrimSpace(string(out)))
	}
	enabled, compiler, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return checkCompiler(ctx, enabled, compiler)
}

func checkCompiler(ctx context.Context, enabled, compiler string) error {
	words := strings.Fields(compiler) // CC may carry flags
	if len(words) == 0 {
		return &CompilerError{"none is configured (CC)"}
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return &CompilerError{words[0] + " is not on PATH"}
	}
	if enabled != "1" {
		return &CompilerError{"cgo is off (CGO_ENABLED=" + enabled + "); unset that variable"}
	}
	// A compiler without the headers of the C library is common in slim images.
	try := exec.CommandContext(ctx, words[0], append(words[1:], "-E", "-x", "c", "-")...)
	try.Stdin = strings.NewReader("#include <stdlib.h>\n")
	var stderr bytes.Buffer
	try.Stderr = &stderr
	if err := try.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return &CompilerError{fmt.Sprintf("%s cannot compile a line of C (%s)", compiler, first)}
	}
	return nil
}

// Target is a binary to build.
type Target struct {
	Module string // folder of its module
	Pkg    string // "./cmd/boxoffice"
	Out    string
	Race   bool
	Cgo    bool
}

// Build builds one binary. It shows the output only if that fails.
func Build(ctx context.Context, t Target) error {
	// Not stamped with the commit: that fails in another user's checkout, and nothing
	// here shows it.
	args := []string{"build", "-buildvcs=false", "-o", t.Out}
	if t.Race {
		args = append(args, "-race")
	}
	if !t.Cgo {
		args = append(args, "-ldflags=-s -w") // debug information is half of the Temporal server's size
	}
	cmd := goCommand(ctx, t.Module, append(args, t.Pkg)...)
	if !t.Cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", t.Pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// Source returns the folder of a module, and downloads it first if it is missing. The module can be built there.
func Source(ctx context.Context, module, version string) (string, error) {
	cmd := goCommand(ctx, os.TempDir(), "mod", "download", "-json", module+"@"+version)
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	if broken := json.Unmarshal(out, &found); broken == nil && found.Error != "" {
		return "", errors.New(found.Error)
	}
	if err != nil || found.Dir == "" {
		return "", fmt.Errorf("go mod download %s@%s: %w", module, version, cmp.Or(err, errors.New("no folder")))
	}
	return found.Dir, nil
}

// FindRepo returns the folder of the product's module: the nearest go.mod upwards that names it.
func FindRepo(from string) (string, error) {
	dir, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	for {
		raw, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(raw, []byte("module boxoffice\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no box office checkout at or above %s; run this inside one, or name it with --repo", from)
		}
		dir = filepath.Dir(dir)
	}
}
