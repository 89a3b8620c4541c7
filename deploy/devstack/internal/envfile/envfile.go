// Package envfile reads and writes the stack's dev.env: variables that a POSIX shell sources with
// `set -a; . .data/dev.env`. It is not a shell: it reads back only what it wrote.
package envfile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"boxoffice/deploy/devstack/internal/datadir"
)

// Var is one line of the file.
type Var struct {
	Name, Value string
}

var nameRE = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// Quote returns the value as one word of a POSIX shell that stands for exactly the same bytes.
func Quote(value string) string {
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func unquote(word string) (string, error) {
	if len(word) < 2 || word[0] != '\'' || word[len(word)-1] != '\'' {
		return "", fmt.Errorf("value is not in single quotes")
	}
	inner := strings.ReplaceAll(word[1:len(word)-1], `'\''`, "\x00")
	if strings.Contains(inner, "'") {
		return "", fmt.Errorf("a quote inside the value")
	}
	return strings.ReplaceAll(inner, "\x00", "'"), nil
}

// Write replaces the file, readable by its owner only. It refuses a value with several
// lines or a zero byte, because no tool that reads such files line by line would get it
// back.
func Write(path, comment string, vars []Var) error {
	var b strings.Builder
	for line := range strings.Lines(comment) {
		b.WriteString("# " + line)
	}
	b.WriteString("\n")
	for _, v := range vars {
		if !nameRE.MatchString(v.Name) || strings.ContainsAny(v.Value, "\n\r\x00") {
			return fmt.Errorf("%s: %q is not a variable name, or its value has more than one line", path, v.Name)
		}
		fmt.Fprintf(&b, "%s=%s\n", v.Name, Quote(v.Value))
	}
	return datadir.WriteFile(path, []byte(b.String()), 0o600)
}

// Read returns the file's variables; none when there is no file.
func Read(path string) (map[string]string, error) {
	vars := map[string]string{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return vars, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, word, found := strings.Cut(line, "=")
		value, err := unquote(word)
		if !found || !nameRE.MatchString(name) || err != nil {
			return nil, fmt.Errorf("%s line %d: not NAME='value'; fix it or remove the file "+
				"(new secrets are then generated)", path, n)
		}
		vars[name] = value
	}
	return vars, lines.Err()
}
