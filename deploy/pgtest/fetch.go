package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetchInstallation gives the folder of the programs that the local stack downloads
// where none are installed, and checks against hashes that it knows. The local stack is a
// module of its own, hence the go command.
func fetchInstallation() (string, error) {
	stack, err := findStack()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "run", "-buildvcs=false", ".", "postgres-binaries")
	cmd.Dir = stack
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	bin, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("devstack postgres-binaries: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(bin)), nil
}

// findStack gives the local stack's folder, which lies in the repository of the module under test.
func findStack() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	for dir := filepath.Dir(strings.TrimSpace(string(module))); ; dir = filepath.Dir(dir) {
		stack := filepath.Join(dir, "deploy", "devstack")
		if _, err := os.Stat(filepath.Join(stack, "go.mod")); err == nil {
			return stack, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is no checkout of the box office, so there is no local stack to download a Postgres with")
		}
	}
}
