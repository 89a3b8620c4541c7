package orderstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fetchInstallation gives the folder of the programs that the local stack downloads
// where none are installed, and checks against hashes that it knows. It is a module of its
// own, hence the go command.
func fetchInstallation() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	cmd := exec.Command("go", "run", "-buildvcs=false", ".", "postgres-binaries")
	cmd.Dir = filepath.Join(filepath.Dir(strings.TrimSpace(string(module))), "deploy", "devstack")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	bin, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("devstack postgres-binaries: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(bin)), nil
}
