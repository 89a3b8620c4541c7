package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"
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

// secretCommandTimeout is for a command that asks a store of secrets.
const secretCommandTimeout = 30 * time.Second

// readSecret reads a secret from the variable, from the file named by the variable with _FILE
// appended, or from what the command prints that the one with _COMMAND has. Empty without an error:
// none is set. Errors never repeat what may be the secret.
func readSecret(name string) (secret, error) {
	sources := []struct {
		name string
		read func(string) (string, error)
	}{
		{name, func(value string) (string, error) { return value, nil }},
		{name + "_FILE", readFile},
		{name + "_COMMAND", readCommand},
	}
	var found secret
	var from string
	for _, source := range sources {
		setting := os.Getenv(source.name)
		switch {
		case setting == "":
			continue
		case from != "":
			return "", fmt.Errorf("%s and %s are both set: set one", from, source.name)
		}
		content, err := source.read(setting)
		if err != nil {
			return "", fmt.Errorf("%s: %w", source.name, err)
		}
		if source.name != name { // files and commands end lines
			if content = strings.TrimSpace(content); content == "" {
				return "", fmt.Errorf("%s: what it names is empty", source.name) // a command may have a secret in it
			}
		}
		found, from = secret(content), source.name
	}
	return found, nil
}

// readCommand is what a command of the shell prints. Its standard error is ours: nobody but who
// started us sees why it failed.
func readCommand(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), secretCommandTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	printed := &limitedBuffer{max: secretBytesMax}
	command.Stdout, command.Stderr = printed, os.Stderr
	command.WaitDelay = time.Second // what it started may keep the pipe open
	err := command.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the command did not end within %v", secretCommandTimeout)
	case printed.overflowed:
		return "", errors.New("the command printed more than any secret has")
	case err != nil:
		return "", fmt.Errorf("the command failed: %w", err) // an exit status, never what it printed
	}
	return printed.kept.String(), nil
}

// A limitedBuffer refuses to keep more than max bytes. It does not embed the buffer, whose ReadFrom
// would go around the limit.
type limitedBuffer struct {
	kept       bytes.Buffer
	max        int
	overflowed bool
}

// Write implements io.Writer.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > b.max {
		b.overflowed = true
		return 0, errors.New("too much")
	}
	return b.kept.Write(p)
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
