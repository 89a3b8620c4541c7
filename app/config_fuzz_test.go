package app

import (
	"net"
	"os"
	"strings"
	"testing"

	"boxoffice/codec"
	"boxoffice/ledger"
)

// Any environment gives a configuration, or an error that names a variable and repeats no
// secret. An accepted configuration can be listened on.
func FuzzConfig(f *testing.F) {
	names := []string{
		"BOXOFFICE_URL", "BOXOFFICE_ADMIN_URL", "BOXOFFICE_CODEC_URL", "TEMPORAL_UI_URL", "TIGERBEETLE_CLUSTER_ID", "TIGERBEETLE_ADDRESS",
		"BOXOFFICE_CONNECTIONS_MAX", "BOXOFFICE_SERVER_KEY", "BOXOFFICE_PAYLOAD_KEYS", "BOXOFFICE_CODEC_TOKEN", "TEMPORAL_TLS", "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
	}
	secrets := map[string]bool{"BOXOFFICE_SERVER_KEY": true, "BOXOFFICE_PAYLOAD_KEYS": true, "BOXOFFICE_CODEC_TOKEN": true}
	for n := range names {
		for _, value := range []string{
			"", "http://127.0.0.1:8080", "http://[::1]", "https://x", "http://:80", "http://a:b", "340282366920938463463374607431768211456", "0x10",
			"1e5", "k1:AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "true", "-----BEGIN CERTIFICATE-----", "127.0.0.1:3001,3002", "é\xff",
		} {
			f.Add(uint8(n), value)
		}
	}
	for _, name := range names {
		f.Setenv(name, "")
	}
	f.Fuzz(func(t *testing.T, n uint8, value string) {
		name := names[int(n)%len(names)]
		if os.Setenv(name, value) != nil {
			t.Skip() // a variable cannot contain NUL
		}
		defer os.Unsetenv(name)
		c, err := readConfig()
		if err != nil {
			if !strings.Contains(err.Error(), "TEMPORAL_TLS") && !strings.Contains(err.Error(), name) {
				t.Fatalf("does not name %s: %v", name, err)
			}
			if secrets[name] && len(value) > 8 && strings.Contains(err.Error(), value) {
				t.Fatalf("repeats the secret: %v", err)
			}
			return
		}
		if address, err := listenAddress(c.URL); err == nil {
			if _, _, err := net.SplitHostPort(address); err != nil {
				t.Fatalf("%q: %v", c.URL, err)
			}
		}
		if _, address, err := c.forCodec(); err == nil && !onLoopback(address) {
			t.Fatalf("the codec would listen at %q", address)
		}
		if _, err := codec.Origin(value); err == nil && !strings.HasPrefix(value, "http") && !strings.HasPrefix(strings.ToLower(value), "http") {
			t.Fatalf("%q is an origin", value)
		}
		if id, err := ledger.ParseClusterID(value); err == nil {
			number := id.BigInt()
			if number.Sign() < 0 || number.BitLen() > 128 {
				t.Fatalf("%q is %s", value, number.String())
			}
		}
	})
}
