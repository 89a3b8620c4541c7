package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// exporting is a box office that answers exports in one way.
func exporting(t *testing.T, answer http.HandlerFunc) (c config, asked *map[string]any) {
	asked = new(map[string]any)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(asked); err != nil || r.URL.Path != "/v1/exports" || r.Header.Get("Authorization") != "Bearer an-admin-token-of-tests" {
			t.Errorf("%s %v: %v", r.URL, r.Header, err)
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return config{AdminURL: server.URL, AdminToken: "an-admin-token-of-tests"}, asked
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

const (
	exportBegin = `{"email":"ann@example.com","orders":[` + "\n" + `{"order":"01","items":[{"class":"A"}]},` + "\n" + `{"order":"02"}`
	exportWhole = exportBegin + "],\n\"asked_mails\":[],\"complete\":true}\n"
)

// An export is good only if it came to its end, and is the box office's own text.
func TestExportBuyer(t *testing.T) {
	long := `{"email":"ann@example.com","orders":[` + strings.Repeat(`{"order":"01"},`+"\n", answerBytesMax) + `{}],"complete":true}`
	for name, tt := range map[string]struct {
		in     string
		answer http.HandlerFunc
		asked  string // empty: nothing
		out    string
		says   string // empty: no error
	}{
		"all of it":                    {"ann@example.com\n", says(200, exportWhole), "ann@example.com", exportWhole, ""},
		"more than memory should have": {"ann@example.com\n", says(200, long), "ann@example.com", long, ""},
		"nobody": {
			"nobody@example.com\n", says(200, `{"email":"nobody@example.com","orders":[],"asked_mails":[],"complete":true}`), "nobody@example.com",
			`{"email":"nobody@example.com","orders":[],"asked_mails":[],"complete":true}`, "",
		},
		"two addresses": {"ann@example.com\nbob@example.com\n", says(200, exportWhole), "", "", "want one address"},
		"no address":    {"\n", says(200, exportWhole), "", "", "want one address"},

		"cut between orders":      {"ann@example.com\n", says(200, exportBegin), "ann@example.com", exportBegin, "the export is cut after 92 bytes"},
		"cut within an order":     {"ann@example.com\n", says(200, exportBegin[:60]), "ann@example.com", exportBegin[:60], "the export is cut"},
		"cut before its end":      {"ann@example.com\n", says(200, exportBegin+`]`), "ann@example.com", exportBegin + `]`, "the export is cut"},
		"not complete":            {"ann@example.com\n", says(200, `{"orders":[],"complete":false}`), "ann@example.com", `{"orders":[],"complete":false}`, `not "complete": true`},
		"without the last member": {"ann@example.com\n", says(200, `{"orders":[]}`), "ann@example.com", `{"orders":[]}`, `not "complete": true`},
		"complete within an order": {
			"ann@example.com\n", says(200, `{"orders":[{"complete":true}]}`), "ann@example.com", `{"orders":[{"complete":true}]}`, `not "complete": true`,
		},
		"complete, and then more": {"ann@example.com\n", says(200, `{"complete":true,"orders":[]}`), "ann@example.com", `{"complete":true,"orders":[]}`, `not "complete": true`},
		"more behind its end":     {"ann@example.com\n", says(200, `{"complete":true} {}`), "ann@example.com", `{"complete":true} {}`, "behind its end"},
		"a page of a proxy":       {"ann@example.com\n", says(200, `<html>`), "ann@example.com", `<html>`, "no JSON object"},
		"nothing":                 {"ann@example.com\n", says(200, ``), "ann@example.com", ``, "no JSON object"},
		"the connection breaks": {"ann@example.com\n", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, exportBegin)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "ann@example.com", exportBegin, "unexpected EOF"},

		"not the organiser": {"ann@example.com\n", says(401, `{"code":"unauthorized"}`), "ann@example.com", "", "unauthorized"},
		"away":              {"ann@example.com\n", says(503, `{"code":"overloaded"}`), "ann@example.com", "", "overloaded"},
	} {
		t.Run(name, func(t *testing.T) {
			c, asked := exporting(t, tt.answer)
			lines, err := readLines(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = c.exportBuyer(t.Context(), lines, &out)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error is %v, want one that says %q", err, tt.says)
			}
			if out.String() != tt.out {
				t.Errorf("printed %d bytes, want %d: %.200s", out.Len(), len(tt.out), out.String())
			}
			if email, _ := (*asked)["email"].(string); email != tt.asked || len(*asked) > 1 {
				t.Errorf("asked %v, want %q", *asked, tt.asked)
			}
		})
	}
}

// A full disk is not the box office's fault.
func TestAnExportThatCannotBeWritten(t *testing.T) {
	c, _ := exporting(t, says(200, exportWhole))
	full := errors.New("no space left")
	err := c.exportBuyer(t.Context(), []string{"ann@example.com"}, failingWriter{full})
	if !errors.Is(err, full) || strings.Contains(err.Error(), "box office") {
		t.Errorf("%v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// The file is its owner's alone, and has its name only as a whole.
func TestExportToAFile(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		before string // empty: there is no such file
		want   string
	}{
		"new":                    {exportWhole, "", exportWhole},
		"in place of an old one": {exportWhole, "old", exportWhole},
		"cut":                    {exportBegin, "", ""},
		"cut, with an old one":   {exportBegin, "old", "old"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := exporting(t, says(200, tt.answer))
			folder := t.TempDir()
			file := filepath.Join(folder, "ann.json")
			if tt.before != "" {
				if err := os.WriteFile(file, []byte(tt.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := writeWhole(file, func(out io.Writer) error { return c.exportBuyer(t.Context(), []string{"ann@example.com"}, out) })
			if isWhole := tt.want == exportWhole; (err == nil) != isWhole {
				t.Errorf("the error is %v", err)
			}
			got, _ := os.ReadFile(file)
			if string(got) != tt.want {
				t.Errorf("the file has %q, want %q", got, tt.want)
			}
			if info, err := os.Stat(file); tt.want == exportWhole && (err != nil || info.Mode().Perm() != 0o600) {
				t.Errorf("%v %v, want mode 0600", info, err)
			}
			var left []string
			entries, _ := os.ReadDir(folder)
			for _, entry := range entries {
				left = append(left, entry.Name())
			}
			if want := map[bool][]string{true: {"ann.json"}, false: nil}[tt.want != ""]; !reflect.DeepEqual(left, want) {
				t.Errorf("the folder has %v, want %v", left, want)
			}
		})
	}
}
