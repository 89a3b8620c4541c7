package api

import (
	"fmt"
	"os"
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

func TestEveryProblemIsDocumented(t *testing.T) {
	page := readDoc(t, "http.md")
	for code, k := range kinds {
		if row := fmt.Sprintf("| %d | `%s` |", k.status, code); !strings.Contains(page, row) {
			t.Errorf("docs/http.md has no row %s", row)
		}
	}
}
