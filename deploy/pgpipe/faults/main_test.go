//go:build linux

package faults

import (
	"fmt"
	"os"
	"testing"
)

// TestMain is also the server's main: a server that is killed has to be a separate process, and the test binary contains it.
func TestMain(m *testing.M) {
	if settings := os.Getenv(envServer); settings != "" {
		if err := serve(settings); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
