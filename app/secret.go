package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

// A secret never prints: not with any verb of package fmt, not in a log, not as JSON. Use
// string(s) to reveal it.
type secret string

const redacted = "[redacted]"

// Format implements fmt.Formatter.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// secretBytesMax limits what is read of a file: the largest secret has about 2 kB.
const secretBytesMax = 64 << 10

// readSecret reads a secret from the variable, or from the file named by the variable
// with _FILE appended. Empty without an error: neither is set. Errors never repeat what
// may be the secret.
func readSecret(name string) (secret, error) {
	value, file := os.Getenv(name), os.Getenv(name+"_FILE")
	switch {
	case file == "":
		return secret(value), nil
	case value != "":
		return "", fmt.Errorf("%s and %s_FILE are both set: set one", name, name)
	}
	content, err := readFile(file)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", name, err)
	}
	content = strings.TrimSpace(content)
	if content == "" {
		return "", fmt.Errorf("%s_FILE: %s is empty", name, file)
	}
	return secret(content), nil
}

func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		warnIfOthersRead(name, info)
	}
	content, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
	if err == nil && len(content) > secretBytesMax {
		err = errors.New("is too large for a secret")
	}
	return string(content), err
}

// warnIfOthersRead only warns: orchestrators mount secrets for a group.
func warnIfOthersRead(name string, info fs.FileInfo) {
	const groupAndOthers = 0o077
	if mode := info.Mode().Perm(); mode&groupAndOthers != 0 {
		slog.Warn("other users can read a file with a secret: chmod 600 it", "file", name, "mode", mode.String())
	}
}
