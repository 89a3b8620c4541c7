//go:build !linux

package postgres

import (
	"os/exec"
	"strconv"
	"strings"
)

// serves reports whether the process is a Postgres on that data folder.
func serves(pid int, data string) bool {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), data)
}
