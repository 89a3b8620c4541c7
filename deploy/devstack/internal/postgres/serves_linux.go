package postgres

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// serves reports whether the process is a Postgres on that data folder.
func serves(pid int, data string) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && slices.Contains(strings.Split(string(raw), "\x00"), data)
}
