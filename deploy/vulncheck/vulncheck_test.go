package vulncheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeScanner stands for govulncheck: DATA says whether it reaches its data, EXIT how a
// scan ends.
const fakeScanner = `#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
*-version*) echo "DB: somewhere"; [ "$DATA" = there ] && echo "DB updated: 2026-01-01"; exit 0 ;;
esac
echo "it scanned"
exit "$EXIT"
`

func TestVulncheck(t *testing.T) {
	for _, c := range []struct {
		name, data, exit, database, required string
		fails                                bool
		says                                 string
	}{
		{"nothing is found", "there", "0", "", "", false, "it scanned"},
		{"something is found", "there", "3", "", "", true, "does not pass"},
		{"the scan takes too long", "there", "124", "", "", true, "does not pass"},
		{"no data: said, and no failure", "away", "0", "", "", false, "NOT CHECKED"},
		{"no data where it is required", "away", "0", "", "1", true, "NOT CHECKED"},
		{"no data where a copy was named", "away", "0", "file:///no/such/copy", "", true, "NOT CHECKED"},
		{"a copy that is there", "there", "0", "file:///a/copy", "1", false, "it scanned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			scanner, asked := filepath.Join(dir, "govulncheck"), filepath.Join(dir, "asked")
			if err := os.WriteFile(scanner, []byte(fakeScanner), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("./vulncheck", scanner, dir, "./...")
			cmd.Env = append(os.Environ(), "DATA="+c.data, "EXIT="+c.exit, "ASKED="+asked, "GOVULNDB="+c.database, "VULNCHECK_REQUIRED="+c.required)
			output, err := cmd.CombinedOutput()
			if (err != nil) != c.fails || !strings.Contains(string(output), c.says) {
				t.Errorf("%v, want a failure: %t\n%s", err, c.fails, output)
			}
			questions, err := os.ReadFile(asked)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(questions)) {
				if strings.Contains(line, "-db="+c.database) != (c.database != "") {
					t.Errorf("asked %q, want the data of %q", line, c.database)
				}
			}
		})
	}
}
