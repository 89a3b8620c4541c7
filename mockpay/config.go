package mockpay

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// The defaults of the local stack.
const (
	defaultURL          = "http://127.0.0.1:8090"
	defaultBoxofficeURL = "http://127.0.0.1:8080"
	defaultDataDir      = ".data/mockpay"
)

// Config says where the provider runs and which box office it serves.
type Config struct {
	Addr         string // host:port to listen on, loopback only; port 0 takes a free one
	Listen       string // where it listens if not there, such as 0.0.0.0:8090 in a container whose port is published on loopback
	DataDir      string // created if missing; one process at a time
	BoxofficeURL string // where webhooks go, without a slash at the end
	Secrets      mockpay.Secrets
	Log          *slog.Logger // nil: slog.Default
}

// ConfigFromEnv reads MOCKPAY_URL, MOCKPAY_LISTEN, MOCKPAY_DATA_DIR, BOXOFFICE_URL and
// BOXOFFICE_WEBHOOK_SECRET, or the file that BOXOFFICE_WEBHOOK_SECRET_FILE names. Only the
// secret has no default. The error names the variable.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	orDefault := func(name, fallback string) string {
		if v := strings.TrimSpace(getenv(name)); v != "" {
			return v
		}
		return fallback
	}
	own, errOwn := serverURL(orDefault("MOCKPAY_URL", defaultURL))
	boxoffice, errBoxoffice := serverURL(orDefault("BOXOFFICE_URL", defaultBoxofficeURL))
	secrets, errSecrets := readSecrets(getenv("BOXOFFICE_WEBHOOK_SECRET"), getenv("BOXOFFICE_WEBHOOK_SECRET_FILE"))
	err := errors.Join(prefix("MOCKPAY_URL", errOwn), prefix("BOXOFFICE_URL", errBoxoffice), prefix("BOXOFFICE_WEBHOOK_SECRET", errSecrets))
	if err != nil {
		return Config{}, err
	}
	if own.Scheme != "http" || own.Port() == "" || own.Path != "" {
		return Config{}, fmt.Errorf("MOCKPAY_URL: %s must be http://<loopback address>:<port>", own)
	}
	return Config{
		Addr:         own.Host,
		Listen:       strings.TrimSpace(getenv("MOCKPAY_LISTEN")),
		DataDir:      orDefault("MOCKPAY_DATA_DIR", defaultDataDir),
		BoxofficeURL: boxoffice.String(),
		Secrets:      secrets,
	}, nil
}

func readSecrets(text, file string) (mockpay.Secrets, error) {
	if file != "" && text != "" {
		return mockpay.Secrets{}, errors.New("BOXOFFICE_WEBHOOK_SECRET_FILE is set too: set one")
	}
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return mockpay.Secrets{}, err
		}
		text = strings.TrimSpace(string(content))
	}
	return mockpay.ParseSecrets(text)
}

func prefix(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

func serverURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(s, "/"))
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%s must be of the form http://host:port", u.Redacted())
	}
	return u, nil
}

// checkLoopback refuses addresses that others can reach, because anybody who reaches the
// provider can pay.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", addr, err)
	}
	if !domain.IsLoopback(host) {
		return fmt.Errorf("listen address %q is not a loopback address, and MockPay must not be reachable from elsewhere: use 127.0.0.1", addr)
	}
	return nil
}
