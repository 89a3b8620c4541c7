package domain_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"boxoffice/domain"
)

// Every database stores a title that we accept, and people read it as one line.
func FuzzCheckTitle(f *testing.F) {
	for _, s := range []string{"", " ", "why", "a\x00b", "a\xffb", "\xe2\x82", "a\nb", "a\u2028b", "a\x1b", strings.Repeat("ü", 33)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const bytesMax = 64
		err := domain.CheckTitle("waive", s, bytesMax)
		if err == nil {
			if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r\n") || strings.TrimSpace(s) == "" || len(s) > bytesMax {
				t.Errorf("%q is taken", s)
			}
		} else if domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	})
}
