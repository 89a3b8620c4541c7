package app

import (
	"errors"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The error for an unknown flag names the nearest that exists.
func TestAnUnknownFlagIsNamedWithTheNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"--rolle": "unknown flag --rolle (did you mean --role?); boxoffice serve --help lists its flags",
		"-drian":  "unknown flag --drian (did you mean --drain?); boxoffice serve --help lists its flags",
		"--zzz":   "unknown flag --zzz; boxoffice serve --help lists its flags",
		"extra":   `unexpected argument "extra"; boxoffice serve --help says what it takes`,
	} {
		flags := newFlags("serve")
		flags.String("role", "", "")
		flags.Duration("drain", 0, "")
		err := parse(flags, []string{typed})
		if err == nil || err.Error() != want {
			t.Fatalf("the error is %v, want %q", err, want)
		}
		if got := exitCode(err); got != 2 {
			t.Fatalf("exitCode(err) is %v, want 2", got)
		}
	}
	flags := newFlags("serve")
	flags.Duration("drain", 0, "")
	if err := parse(flags, []string{"--drain", "soon"}); err == nil || !strings.Contains(err.Error(), "drain") {
		t.Fatalf("the error is %v, want %q in it", err, "drain")
	}
	if err := parse(flags, []string{"--drain", "5s"}); err != nil {
		t.Fatal(err)
	}
}

func TestTheNearestIsNear(t *testing.T) {
	known := []string{"serve", "seed", "verify", "version", "restore-orders", "openapi"}
	for typed, want := range map[string]string{
		"srve": "serve", "sreve": "serve", "sead": "seed", "verfy": "verify", "restore-order": "restore-orders", "restoreorders": "restore-orders",
		"open-api": "openapi", "versoin": "version", "bananas": "", "": "",
	} {
		got := didYouMean("", typed, known)
		if want != "" {
			want = " (did you mean " + want + "?)"
		}
		if got != want {
			t.Fatalf("got %q, want %q: %v", got, want, typed)
		}
	}
}

// serve --help, the docs and the code agree on the environment variables.
func TestVariablesAreThoseOfTheDocsAndOfTheCode(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, v := range variables {
		if want := v.row() + "\n"; !strings.Contains(string(page), want) {
			t.Fatalf("no %q in %s", want, string(page))
		}
		for _, found := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(v.names, -1) {
			named = append(named, found[1])
		}
	}
	_, table, _ := strings.Cut(string(page), "# Configuration")
	table, _, _ = strings.Cut(table, "`mockpay` reads")
	if got := regexp.MustCompile("(?m)^\\| `[A-Z]").FindAllString(table, -1); len(got) != len(variables) {
		t.Fatalf("%d, want %d: %q: the docs have other rows too", len(got), len(variables), got)
	}

	elsewhere := map[string]bool{ // described elsewhere in the docs
		"BOXOFFICE_FAILPOINTS": true, "MOCKPAY_DATA_DIR": true, "TEMPORAL_TLS_SERVER_CA_CERT_DATA": true,
	}
	read := map[string]bool{"TEMPORAL_TLS_SERVER_CA_CERT_PATH": true, "TEMPORAL_TLS_CLIENT_CERT_PATH": true, "TEMPORAL_TLS_CLIENT_KEY_PATH": true, "TEMPORAL_TLS_SERVER_NAME": true, // read by Temporal's own package
		"OTEL_SERVICE_NAME": true, "OTEL_RESOURCE_ATTRIBUTES": true} // and by OpenTelemetry's
	walk(t, ".", ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") || path == "variables.go" {
			return
		}
		for _, found := range regexp.MustCompile(`"((?:BOXOFFICE|TEMPORAL|TIGERBEETLE|DATABASE|MOCKPAY|KAFKA|STRIPE|OTEL)_[A-Z_]+|GOGC)"`).FindAllStringSubmatch(text, -1) {
			read[strings.TrimSuffix(found[1], "_FILE")] = true
		}
	})
	for name := range read {
		if !elsewhere[name] && !strings.HasPrefix(name, "BOXOFFICE_TEST") {
			if !slices.Contains(named, name) {
				t.Fatalf("no %q in %q: the code reads it, but the table lacks it", name, named)
			}
		}
	}
	for _, name := range named {
		if !read[name] {
			t.Fatalf("want true: read[name]: %s is in the table, but nothing reads it", name)
		}
	}
	if slices.Contains(named, "") {
		t.Fatal(`want false: slices.Contains(named, "")`)
	}
}

func TestHelpOfServeListsTheEnvironment(t *testing.T) {
	var b strings.Builder
	flags := newFlags("serve")
	flags.String("role", "all", "all, api or worker")
	writeHelp(&b, flags)
	for _, want := range []string{"usage: boxoffice serve", "-role", "BOXOFFICE_URL (http://127.0.0.1:8080)", "BOXOFFICE_SERVER_KEY (secret, needed)", "_FILE"} {
		if got := b.String(); !strings.Contains(got, want) {
			t.Fatalf("no %q in %s", want, got)
		}
	}
	if got := b.String(); strings.Contains(got, "](") {
		t.Fatalf("%q is in %s: a link of the docs", "](", got)
	}
	for line := range strings.SplitSeq(b.String(), "\n") {
		if len(line) >= 200 {
			t.Fatalf("len(line) is %v, want less than 200", len(line))
		}
	}
	if err := parse(newFlags("seed"), []string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("the error is %v, want %v", err, flag.ErrHelp)
	}
}

func TestTheVersionSaysWhatItSpeaksWith(t *testing.T) {
	var b strings.Builder
	writeVersion(&b)
	for _, want := range []string{"commit", "go1.", "TigerBeetle", "Temporal", "Postgres", "schema version"} {
		if got := b.String(); !strings.Contains(got, want) {
			t.Fatalf("no %q in %s", want, got)
		}
	}
	if got := b.String(); strings.Contains(got, "schema version 0") {
		t.Fatalf("%q is in %s", "schema version 0", got)
	}
	servers, err := os.ReadFile("../deploy/devstack/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(servers), "go.temporal.io/server v"+temporalTried+"\n") {
		t.Fatalf("no %q in %s: the local stack has another one", "go.temporal.io/server v"+temporalTried+"\n", string(servers))
	}
}

func TestCommandsAndHelp(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"help"}, 0}, {[]string{"--help"}, 0}, {[]string{"-h"}, 0}, {[]string{"help", "serve"}, 0}, {[]string{"serve", "--help"}, 0},
		{[]string{"version"}, 0}, {[]string{"openapi"}, 0}, {[]string{"version", "now"}, 2}, {nil, 2}, {[]string{"srve"}, 2}, {[]string{"help", "srve"}, 2},
		{[]string{"serve", "--rolle=api"}, 2},
	} {
		if got := (Program{}.Main(tt.args)); got != tt.code {
			t.Fatalf("Program{}.Main(tt.args) is %v, want %v: %v", got, tt.code, tt.args)
		}
	}
}
