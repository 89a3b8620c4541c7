package api

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func readDoc(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// The table of the docs and /problems/{code} say the same.
func TestEveryProblemIsDocumented(t *testing.T) {
	page := readDoc(t, "http.md")
	b := setup(t)
	for code, k := range kinds {
		if k.means == "" || k.todo == "" {
			t.Errorf("%s does not say what it means and what to do", code)
		}
		if row := k.row(code); !strings.Contains(page, row+"\n") {
			t.Errorf("docs/http.md has no row\n%s", row)
		}
		w := b.do(request{method: "GET", path: "/problems/" + string(code)})
		for _, want := range []string{string(code), strconv.Itoa(k.status), k.title, plainText(k.means), plainText(k.todo)} {
			if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
				t.Errorf("/problems/%s: %d, does not say %q:\n%s", code, w.Code, want, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "](") {
			t.Errorf("/problems/%s has a link of the docs:\n%s", code, w.Body)
		}
	}
}
