package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// complete sets everything that serving needs.
func complete(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"BOXOFFICE_URL": "", "BOXOFFICE_ADMIN_URL": "", "BOXOFFICE_ADMIN_TOKEN": "0123456789abcdef", "BOXOFFICE_WEBHOOK_SECRET": "whsec_x",
		"BOXOFFICE_SERVER_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)), "DATABASE_URL": "postgres://127.0.0.1/x",
		"BOXOFFICE_PAYLOAD_KEYS": "k1:" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "BOXOFFICE_CODEC_URL": "",
		"TEMPORAL_UI_URL":     "http://127.0.0.1:8233",
		"TIGERBEETLE_ADDRESS": "", "TIGERBEETLE_CLUSTER_ID": "",
	} {
		t.Setenv(name, value)
	}
}

func TestConfigDefaultsToTheLocalStack(t *testing.T) {
	complete(t)
	c, err := readConfig()
	require.NoError(t, err)
	require.NoError(t, c.forServing())
	require.Equal(t, "http://127.0.0.1:8080", c.URL)
	require.Equal(t, c.URL, c.AdminURL, "one listener unless told otherwise")
	require.Empty(t, c.TigerBeetleAddresses)
	origin, address, err := c.forCodec()
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:8233", origin)
	require.Equal(t, "127.0.0.1:8234", address)
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for name, value := range map[string]string{
		"BOXOFFICE_SERVER_KEY":     "not base64!",
		"TIGERBEETLE_CLUSTER_ID":   "-1",
		"BOXOFFICE_URL":            "https://example.com",
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
			require.ErrorContains(t, err, name)
			if value != "" && strings.HasSuffix(name, "KEY") {
				require.NotContains(t, err.Error(), value, "a secret is never repeated")
			}
		})
	}
}

// A malformed key stops every command, not only those that need it.
func TestPayloadKeysAreCheckedAtOnce(t *testing.T) {
	complete(t)
	t.Setenv("BOXOFFICE_PAYLOAD_KEYS", "k1:dG9vIHNob3J0")
	_, err := readConfig()
	require.ErrorContains(t, err, "BOXOFFICE_PAYLOAD_KEYS")
	require.NotContains(t, err.Error(), "dG9vIHNob3J0", "a secret is never repeated")
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
			require.NoError(t, err)
			_, _, err = c.forCodec()
			require.ErrorContains(t, err, tt.name)
		})
	}
}

func TestCodecTakesAnyLoopbackAddress(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:8234", "http://localhost:8234", "http://[::1]:8234"} {
		complete(t)
		t.Setenv("BOXOFFICE_CODEC_URL", url)
		c, err := readConfig()
		require.NoError(t, err)
		_, _, err = c.forCodec()
		require.NoError(t, err, url)
	}
}

func TestSecretsMayComeFromFiles(t *testing.T) {
	complete(t)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("fedcba9876543210\n"), 0o600))
	t.Setenv("BOXOFFICE_ADMIN_TOKEN_FILE", file)
	c, err := readConfig()
	require.NoError(t, err)
	require.Equal(t, "fedcba9876543210", c.AdminToken)
}

func TestListenAddress(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:8080": "127.0.0.1:8080",
		"http://127.0.0.1":      "127.0.0.1:80",
		"http://[::1]:8080":     "[::1]:8080",
	} {
		got, err := listenAddress(url)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
