package app

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"boxoffice/orders"
)

// complete sets everything that serving needs.
func complete(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"BOXOFFICE_URL": "", "BOXOFFICE_LISTEN": "", "BOXOFFICE_ADMIN_URL": "", "BOXOFFICE_ADMIN_TOKEN": "0123456789abcdef", "BOXOFFICE_WEBHOOK_SECRET": "whsec_x",
		"BOXOFFICE_SERVER_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)), "DATABASE_URL": "postgres://127.0.0.1/x",
		"BOXOFFICE_PAYLOAD_KEYS": "k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "BOXOFFICE_CODEC_URL": "",
		"TEMPORAL_UI_URL":     "http://127.0.0.1:8233",
		"TIGERBEETLE_ADDRESS": "", "TIGERBEETLE_CLUSTER_ID": "", "TEMPORAL_API_KEY": "", "TEMPORAL_TLS": "",
	} {
		t.Setenv(name, value)
	}
}

func TestConfigDefaultsToTheLocalStack(t *testing.T) {
	complete(t)
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.forServing(); err != nil {
		t.Fatal(err)
	}
	if c.URL != "http://127.0.0.1:8080" {
		t.Fatalf(`c.URL is %q, want "http://127.0.0.1:8080"`, c.URL)
	}
	if c.AdminURL != c.URL {
		t.Fatalf("c.AdminURL is %q, want %q: one listener unless told otherwise", c.AdminURL, c.URL)
	}
	if len(c.TigerBeetleAddresses) != 0 {
		t.Fatalf("c.TigerBeetleAddresses is %q, want nothing", c.TigerBeetleAddresses)
	}
	origin, address, err := c.forCodec()
	if err != nil {
		t.Fatal(err)
	}
	if origin != "http://127.0.0.1:8233" {
		t.Fatalf(`origin is %q, want "http://127.0.0.1:8233"`, origin)
	}
	if address != "127.0.0.1:8234" {
		t.Fatalf(`address is %q, want "127.0.0.1:8234"`, address)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for name, value := range map[string]string{
		"BOXOFFICE_SERVER_KEY":     "not base64!",
		"BOXOFFICE_HOLD_GRACE":     "30s",
		"TIGERBEETLE_CLUSTER_ID":   "-1",
		"BOXOFFICE_URL":            "ftp://example.com",
		"BOXOFFICE_LISTEN":         "8080",
		"BOXOFFICE_WEBHOOK_LISTEN": "http://127.0.0.1:1",
		"BOXOFFICE_ADMIN_URL":      "https://organiser.example",
		"BOXOFFICE_ADMIN_TOKEN":    "",
		"DATABASE_URL":             "",
		"BOXOFFICE_WEBHOOK_SECRET": "",
		"BOXOFFICE_PAYLOAD_KEYS":   "",
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			t.Setenv(name, value)
			c, err := readConfig()
			if err == nil {
				err = c.forServing()
			}
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Fatalf("the error is %v, want %q in it", err, name)
			}
			if value != "" && strings.HasSuffix(name, "KEY") {
				if got := err.Error(); strings.Contains(got, value) {
					t.Fatalf("%q is in %s: a secret is never repeated", value, got)
				}
			}
		})
	}
}

func TestWhereServeListensAndWhatBuyersSee(t *testing.T) {
	for _, tt := range []struct{ name, url, listen, wantURL, wantAddress string }{
		{"neither", "", "", "http://127.0.0.1:8080", "127.0.0.1:8080"},
		{"http", "http://127.0.0.1:9090", "", "http://127.0.0.1:9090", "127.0.0.1:9090"},
		{"http without a port", "http://tickets.example", "", "http://tickets.example", "tickets.example:80"},
		{"https behind a proxy here", "https://tickets.example", "", "https://tickets.example", "127.0.0.1:8080"},
		{"https with a port of its own", "https://tickets.example:8443", "", "https://tickets.example:8443", "127.0.0.1:8080"},
		{"https behind a proxy elsewhere", "https://tickets.example", "0.0.0.0:80", "https://tickets.example", "0.0.0.0:80"},
		{"every address", "http://tickets.example", ":8080", "http://tickets.example", ":8080"},
		{"in capitals, with the usual port", "HTTPS://Tickets.Example:443", "", "https://tickets.example", "127.0.0.1:8080"},
		{"a slash at the end", "https://tickets.example/", "", "https://tickets.example", "127.0.0.1:8080"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			complete(t)
			t.Setenv("BOXOFFICE_URL", tt.url)
			t.Setenv("BOXOFFICE_LISTEN", tt.listen)
			c, err := readConfig()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.forServing(); err != nil {
				t.Fatal(err)
			}
			address, err := c.publicAddress()
			if err != nil {
				t.Fatal(err)
			}
			if c.URL != tt.wantURL {
				t.Fatalf("c.URL is %q, want %q", c.URL, tt.wantURL)
			}
			if address != tt.wantAddress {
				t.Fatalf("address is %q, want %q", address, tt.wantAddress)
			}
			if c.AdminURL != c.URL {
				t.Fatalf("c.AdminURL is %q, want %q: one listener unless told otherwise", c.AdminURL, c.URL)
			}
		})
	}
}

func TestAPublicURLIsAnOriginAlone(t *testing.T) {
	for _, url := range []string{"tickets.example", "https://", "https://user@tickets.example", "https://tickets.example/shop", "https://tickets.example?a=1"} {
		t.Run(url, func(t *testing.T) {
			complete(t)
			t.Setenv("BOXOFFICE_URL", url)
			c, err := readConfig()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.forServing(); err == nil || !strings.Contains(err.Error(), "BOXOFFICE_URL") {
				t.Fatalf("the error is %v, want %q in it", err, "BOXOFFICE_URL")
			}
		})
	}
}

// A malformed key stops every command, not only those that need it.
func TestPayloadKeysAreCheckedAtOnce(t *testing.T) {
	complete(t)
	t.Setenv("BOXOFFICE_PAYLOAD_KEYS", "k1:dG9vIHNob3J0")
	_, err := readConfig()
	if err == nil || !strings.Contains(err.Error(), "BOXOFFICE_PAYLOAD_KEYS") {
		t.Fatalf("the error is %v, want %q in it", err, "BOXOFFICE_PAYLOAD_KEYS")
	}
	if got := err.Error(); strings.Contains(got, "dG9vIHNob3J0") {
		t.Fatalf("%q is in %s: a secret is never repeated", "dG9vIHNob3J0", got)
	}
}

func TestCodecNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, value string }{
		{"BOXOFFICE_PAYLOAD_KEYS", ""},
		{"TEMPORAL_UI_URL", ""},
		{"TEMPORAL_UI_URL", "127.0.0.1:8233"},
		{"BOXOFFICE_CODEC_URL", "https://127.0.0.1:8234"},
		{"BOXOFFICE_CODEC_URL", "http://0.0.0.0:8234"},
		{"BOXOFFICE_CODEC_URL", "http://10.0.0.7:8234"},
		{"BOXOFFICE_CODEC_URL", "http://localhost.evil.example:8234"},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			complete(t)
			t.Setenv(tt.name, tt.value)
			c, err := readConfig()
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = c.forCodec()
			if err == nil || !strings.Contains(err.Error(), tt.name) {
				t.Fatalf("the error is %v, want %q in it", err, tt.name)
			}
		})
	}
}

func TestCodecTakesAnyLoopbackAddress(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:8234", "http://localhost:8234", "http://[::1]:8234"} {
		complete(t)
		t.Setenv("BOXOFFICE_CODEC_URL", url)
		c, err := readConfig()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = c.forCodec()
		if err != nil {
			t.Fatalf("%v: %v", url, err)
		}
	}
}

func TestSecretsMayComeFromFiles(t *testing.T) {
	write := func(content string) string {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const token = "fedcba9876543210"
	for _, tt := range []struct {
		name, value, file, command string
		want, wrong                string
	}{
		{"from the variable", token, "", "", token, ""},
		{"from a file, with the line's end", "", write(token + "\n"), "", token, ""},
		{"from both", token, write(token), "", "", "both set"},
		{"from a missing file", "", filepath.Join(t.TempDir(), "no"), "", "", "no such file"},
		{"from an empty file", "", write("\n"), "", "", "is empty"},
		{"from an endless file", "", "/dev/zero", "", "", "too large"},
		{"from a command, with the line's end", "", "", "cat " + write(token+"\n"), token, ""},
		{"from a command and a variable", token, "", "cat " + write(token), "", "both set"},
		{"from a command and a file", "", write(token), "cat " + write(token), "", "both set"},
		{"from a command that fails after it printed", "", "", "cat " + write(token) + "; exit 3", "", "exit status 3"},
		{"from a command that is not there", "", "", "/no/such/command", "", "exit status 127"},
		{"from a command that prints nothing", "", "", "true # " + token, "", "is empty"},
		{"from a command that never stops", "", "", "cat /dev/zero", "", "more than any secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			complete(t)
			t.Setenv("BOXOFFICE_ADMIN_TOKEN", tt.value)
			t.Setenv("BOXOFFICE_ADMIN_TOKEN_FILE", tt.file)
			t.Setenv("BOXOFFICE_ADMIN_TOKEN_COMMAND", tt.command)
			c, err := readConfig()
			if tt.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wrong) {
					t.Fatalf("the error is %v, want %q in it", err, tt.wrong)
				}
				if err == nil || !strings.Contains(err.Error(), "BOXOFFICE_ADMIN_TOKEN") {
					t.Fatalf("the error is %v, want %q in it", err, "BOXOFFICE_ADMIN_TOKEN")
				}
				if got := err.Error(); strings.Contains(got, token) {
					t.Fatalf("%q is in %s", token, got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(c.AdminToken) != tt.want {
				t.Fatalf("string(c.AdminToken) is %q, want %q", string(c.AdminToken), tt.want)
			}
		})
	}
}

func TestASecretFileThatOthersReadIsWarnedOf(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o644: true} {
		t.Run(mode.String(), func(t *testing.T) {
			var log bytes.Buffer
			before := slog.Default()
			slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
			defer slog.SetDefault(before)
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte("the-secret-itself"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			t.Setenv("A_SECRET_FILE", file)
			_, err := readSecret("A_SECRET")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(log.String(), file); got != warned {
				t.Fatalf("strings.Contains(log.String(), file) is %v, want %v: %v", got, warned, log.String())
			}
			if got := log.String(); strings.Contains(got, "the-secret-itself") {
				t.Fatalf("%q is in %s", "the-secret-itself", got)
			}
		})
	}
}

// Printing the configuration, or a part of it, prints no secret.
func TestTheConfigurationPrintsNoSecrets(t *testing.T) {
	complete(t)
	const mark = "very-secret-mark"
	t.Setenv("BOXOFFICE_ADMIN_TOKEN", mark+"-admin")
	t.Setenv("BOXOFFICE_WEBHOOK_SECRET", mark+"-webhook")
	t.Setenv("DATABASE_URL", "postgres://user:"+mark+"@127.0.0.1/x")
	t.Setenv("TEMPORAL_API_KEY", mark+"-key")
	serverKey := (mark + strings.Repeat("k", 32))[:32]
	t.Setenv("BOXOFFICE_SERVER_KEY", base64.StdEncoding.EncodeToString([]byte(serverKey)))
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", c.AdminToken, "url", c.DatabaseURL, "config", struct{ T, K secret }{c.AdminToken, c.ServerKey})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", c.AdminToken, "webhook", c.WebhookSecret, "key", c.ServerKey)
	c.Temporal = client.Options{} // the SDK's own
	printed := log.String() + fmt.Sprintf("%v %+v %#v %s %q %x", c, c, c, c.AdminToken, c.WebhookSecret, c.ServerKey) + fmt.Sprint(c.DatabaseURL)
	if !strings.Contains(printed, redacted) {
		t.Fatalf("no %q in %s", redacted, printed)
	}
	for _, form := range []string{mark, fmt.Sprintf("%x", mark), base64.StdEncoding.EncodeToString([]byte(mark))} {
		if strings.Contains(printed, form) {
			t.Fatalf("%q is in %s", form, printed)
		}
	}
}

// An error about a malformed database URL does not repeat its password.
func TestAMalformedDatabaseURLKeepsItsPassword(t *testing.T) {
	const password = "very-secret-mark"
	for _, url := range []string{
		"postgres://user:" + password + "@127.0.0.1:notaport/x", "postgres://user:" + password + "@[::1/x",
		"postgres://user:" + password + "%zz@127.0.0.1/x", "user=a password=" + password + " port=x", "postgres://user:" + password + "@h/x?sslmode=maybe",
	} {
		_, err := orders.Open(t.Context(), url, orders.Options{})
		if err == nil {
			t.Fatal("no error, want one")
		}
		if got := err.Error(); strings.Contains(got, password) {
			t.Fatalf("%q is in %s", password, got)
		}
	}
}

func TestNumbersAreChecked(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "1": true, "100000": true, "0": false, "-1": false, "x": false, "1e3": false, "99999999999": false} {
		complete(t)
		t.Setenv("BOXOFFICE_CONNECTIONS_MAX", value)
		_, err := readConfig()
		if ok {
			if err != nil {
				t.Fatalf("%v: %v", value, err)
			}
		} else {
			if err == nil || !strings.Contains(err.Error(), "BOXOFFICE_CONNECTIONS_MAX") {
				t.Fatalf("the error is %v, want %q in it: %v", err, "BOXOFFICE_CONNECTIONS_MAX", value)
			}
		}
	}
}

func TestListenAddress(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:8080": "127.0.0.1:8080",
		"http://127.0.0.1":      "127.0.0.1:80",
		"http://[::1]:8080":     "[::1]:8080",
	} {
		got, err := listenAddress(url)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}
