package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const exportUsage = `usage: boxoffice export-buyer [-out FILE], as the organiser

  Reads the buyer's address from standard input: an argument would stay in the shell's
  history. Writes all that is kept of the buyer as one JSON document.

  -out FILE  write it there, for you alone to read (mode 0600), once it is whole. Without
             it the document goes to standard output, and exit code 1 says that it is cut
`

// exportBuyer writes what is kept of a buyer. It asks a running box office: only that
// reaches the database and Temporal.
func exportBuyer(ctx context.Context, args []string) error {
	flags := newFlags("export-buyer")
	out := flags.String("out", "", "")
	flags.Usage = func() { fmt.Fprint(flags.Output(), exportUsage) }
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := organiserConfig()
	if err != nil {
		return err
	}
	lines, err := readLines(os.Stdin)
	if err != nil {
		return err
	}
	if *out == "" {
		return c.exportBuyer(ctx, lines, os.Stdout)
	}
	return writeWhole(*out, func(file io.Writer) error { return c.exportBuyer(ctx, lines, file) })
}

// exportBuyer writes the document as it comes, so that a buyer of many orders needs no
// memory here either.
func (c *config) exportBuyer(ctx context.Context, lines []string, out io.Writer) error {
	if len(lines) != 1 {
		return errors.New("want one address on standard input")
	}
	body, err := json.Marshal(map[string]string{"email": lines[0]})
	if err != nil {
		return err
	}
	answer, err := c.streamAsOrganiser(ctx, "/v1/exports", body)
	if err != nil {
		return err
	}
	defer answer.Close()
	to := &firstError{to: out}
	d := json.NewDecoder(io.TeeReader(answer, to))
	err = checkWhole(d)
	switch {
	case to.err != nil:
		return fmt.Errorf("write the export: %w", to.err)
	case err != nil:
		return fmt.Errorf("the export is cut after %d bytes: the box office did not come to its end (%w). Its log says why; ask again", d.InputOffset(), err)
	}
	return nil
}

// A firstError remembers why writing failed: it is not the box office's fault.
type firstError struct {
	to  io.Writer
	err error
}

// Write implements io.Writer.
func (w *firstError) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// checkWhole reads a document to its end. It is whole if its last member says so.
func checkWhole(d *json.Decoder) error {
	if begin, err := d.Token(); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	} else if begin != json.Delim('{') {
		return errors.New("it is no JSON object")
	}
	var last, value json.Token
	for d.More() {
		var err error
		if last, err = d.Token(); err == nil {
			value, err = skip(d)
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if last != "complete" || value != true {
		return errors.New(`its last member is not "complete": true`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind its end")
	}
	return nil
}

// skip reads a value, and returns its last token: itself, if it is neither an object nor an array.
func skip(d *json.Decoder) (json.Token, error) {
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return token, nil
		}
	}
}

// writeWhole writes a file that only its owner may read. It has its name once it is whole: what was there stays until then.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(name), ".export-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := errors.Join(write(file), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
