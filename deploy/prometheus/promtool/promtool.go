// Package promtool has Prometheus read what tests give it, where it is installed.
package promtool

import (
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A Tool is Prometheus's promtool.
type Tool struct {
	path    string
	Version string // the first line of what it says of itself
}

// Find looks for it on PATH.
func Find(t *testing.T) (tool *Tool, found bool) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		return nil, false
	}
	tool = &Tool{path: path}
	tool.Version, _, _ = strings.Cut(tool.Run(t, nil, "--version"), "\n")
	return tool, true
}

// Need is Find for a test that is skipped without it. What does not happen then is for the
// message.
func Need(t *testing.T, otherwise string) *Tool {
	t.Helper()
	tool, found := Find(t)
	if !found {
		t.Skip("SKIPPED: no promtool on PATH (Debian's package prometheus has it), so " + otherwise)
	}
	t.Attr("ran-on", tool.Version)
	return tool
}

// Run returns its output. It fails the test if promtool does.
func (tool *Tool) Run(t *testing.T, input io.Reader, args ...string) string {
	t.Helper()
	command := exec.Command(tool.path, args...)
	command.Stdin = input
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return string(output)
}
