package mail

import (
	"reflect"
	"strings"
	"testing"
)

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want one that says %q", err, says)
	}
}

func equal[T any](t testing.TB, want, got T, about ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("got %+v, want %+v %v", got, want, about)
	}
}

func wantTrue(t testing.TB, is bool, about ...any) {
	t.Helper()
	if !is {
		t.Fatal(append([]any{"not so"}, about...)...)
	}
}

func contains(t testing.TB, text, part string, about ...any) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q is missing in %q %v", part, text, about)
	}
}

func lacks(t testing.TB, text, part string) {
	t.Helper()
	if strings.Contains(text, part) {
		t.Fatalf("%q is in %q", part, text)
	}
}
