package app

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An unknown flag is named with the nearest that exists.
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
		require.EqualError(t, err, want)
		require.Equal(t, 2, exitCode(err))
	}
	flags := newFlags("serve")
	flags.Duration("drain", 0, "")
	require.ErrorContains(t, parse(flags, []string{"--drain", "soon"}), "drain")
	require.NoError(t, parse(flags, []string{"--drain", "5s"}))
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
		require.Equal(t, want, got, typed)
	}
}

// What serve --help says of the environment is what the docs say, and what is read.
func TestVariablesAreThoseOfTheDocsAndOfTheCode(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	var named []string
	for _, v := range variables {
		require.Contains(t, string(page), v.row()+"\n")
		for _, found := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(v.names, -1) {
			named = append(named, found[1])
		}
	}
	_, table, _ := strings.Cut(string(page), "## Configuration")
	table, _, _ = strings.Cut(table, "`mockpay` reads")
	require.Len(t, regexp.MustCompile("(?m)^\\| `[A-Z]").FindAllString(table, -1), len(variables), "the docs have other rows too")

	elsewhere := map[string]bool{ // what the docs describe where it belongs
		"BOXOFFICE_FAILPOINTS": true, "MOCKPAY_DATA_DIR": true, "TEMPORAL_TLS_SERVER_CA_CERT_DATA": true,
	}
	read := map[string]bool{"TEMPORAL_TLS_SERVER_CA_CERT_PATH": true, "TEMPORAL_TLS_CLIENT_CERT_PATH": true, "TEMPORAL_TLS_CLIENT_KEY_PATH": true, "TEMPORAL_TLS_SERVER_NAME": true} // by Temporal's own package
	walk(t, ".", ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") || path == "variables.go" {
			return
		}
		for _, found := range regexp.MustCompile(`"((?:BOXOFFICE|TEMPORAL|TIGERBEETLE|DATABASE|MOCKPAY|KAFKA)_[A-Z_]+|GOGC)"`).FindAllStringSubmatch(text, -1) {
			read[strings.TrimSuffix(found[1], "_FILE")] = true
		}
	})
	for name := range read {
		if !elsewhere[name] && !strings.HasPrefix(name, "BOXOFFICE_TEST") {
			require.Contains(t, named, name, "read and not in the table")
		}
	}
	for _, name := range named {
		require.True(t, read[name], "%s is in the table and nobody reads it", name)
	}
	require.False(t, slices.Contains(named, ""))
}

func TestHelpOfServeListsTheEnvironment(t *testing.T) {
	var b strings.Builder
	flags := newFlags("serve")
	flags.String("role", "all", "all, api or worker")
	writeHelp(&b, flags)
	for _, want := range []string{"usage: boxoffice serve", "-role", "BOXOFFICE_URL (http://127.0.0.1:8080)", "BOXOFFICE_SERVER_KEY (secret, needed)", "_FILE"} {
		require.Contains(t, b.String(), want)
	}
	require.NotContains(t, b.String(), "](", "a link of the docs")
	for line := range strings.SplitSeq(b.String(), "\n") {
		require.Less(t, len(line), 200)
	}
	require.ErrorIs(t, parse(newFlags("seed"), []string{"--help"}), flag.ErrHelp)
}

func TestTheVersionSaysWhatItSpeaksWith(t *testing.T) {
	var b strings.Builder
	writeVersion(&b)
	for _, want := range []string{"commit", "go1.", "TigerBeetle", "Temporal", "Postgres", "schema version"} {
		require.Contains(t, b.String(), want)
	}
	require.NotContains(t, b.String(), "schema version 0")
	servers, err := os.ReadFile("../deploy/devstack/go.mod")
	require.NoError(t, err)
	require.Contains(t, string(servers), "go.temporal.io/server v"+temporalTried+"\n", "the local stack has another one")
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
		require.Equal(t, tt.code, Program{}.Main(tt.args), "%v", tt.args)
	}
}
