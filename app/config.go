package app

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.temporal.io/sdk/client"

	"boxoffice/api"
	"boxoffice/beacon"
	"boxoffice/cells"
	"boxoffice/codec"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/notify/kafka"
	"boxoffice/ratelimit"
	"boxoffice/worker"
)

// config is what every command reads from the environment; .data/dev.env sets all of it
// for the local stack. A secret comes from its variable, or from the file named by the
// variable with _FILE appended.
type config struct {
	URL    string // BOXOFFICE_URL: the address that buyers see and links use, without a slash at its end
	Listen string // BOXOFFICE_LISTEN: host:port where serve listens; empty: that of URL
	// WebhookListen is the host:port of a listener for webhooks and probes only; empty:
	// none.
	WebhookListen string // BOXOFFICE_WEBHOOK_LISTEN
	AdminURL      string // BOXOFFICE_ADMIN_URL: has its own listener if it differs
	// TLSCertPath and TLSKeyPath are the files of the certificate that buyers see; empty: no TLS.
	TLSCertPath, TLSKeyPath string // BOXOFFICE_TLS_CERT_PATH, BOXOFFICE_TLS_KEY_PATH
	// WorkerURL is where a process without the API answers probes.
	WorkerURL string // BOXOFFICE_WORKER_URL

	ConnectionsMax           int // BOXOFFICE_CONNECTIONS_MAX, for each listener
	ConnectionsPerAddressMax int // BOXOFFICE_CONNECTIONS_PER_ADDRESS_MAX; 0: no limit; negative: not set

	Rates                  api.Rates      // BOXOFFICE_RATE_PER_ADDRESS, BOXOFFICE_TRUSTED_PROXIES
	RatePerBuyer           ratelimit.Rate // BOXOFFICE_RATE_PER_BUYER, of checkouts
	CheckoutsInFlightMax   int            // BOXOFFICE_CHECKOUTS_IN_FLIGHT_MAX, the ceiling of the adaptive limit
	CheckoutsInFlightMin   int            // BOXOFFICE_CHECKOUTS_IN_FLIGHT_MIN, the floor of the adaptive limit
	CheckoutsInLineMax     int            // BOXOFFICE_CHECKOUTS_IN_LINE_MAX, how many wait in line under it; 0: none
	HumanCheckBits         int            // BOXOFFICE_HUMAN_CHECK_BITS; 0: no proof of work
	HumanCheckExemptsLocal bool           // the default if the variable is not set
	// Beacon supplies public randomness for the draws of waiting rooms; nil: none.
	Beacon *beacon.Client // BOXOFFICE_BEACON_URL, BOXOFFICE_BEACON_CHAIN

	LogSource api.LogSource // BOXOFFICE_LOG_SOURCE
	Profiles  bool          // BOXOFFICE_PROFILES

	AdminTokens   secret // BOXOFFICE_ADMIN_TOKEN, as api.ParseAdmins reads it
	AdminToken    secret // the first of them, which commands send
	WebhookSecret secret
	ServerKey     secret       // decoded
	Payloads      *codec.Codec // BOXOFFICE_PAYLOAD_KEYS; nil: not set

	Mail  mailConfig     // BOXOFFICE_SMTP_…, BOXOFFICE_MAIL_…
	Kafka *kafka.Options // KAFKA_…; nil: no Kafka

	Tracing tracingConfig // OTEL_…

	PaymentProviders  []string // BOXOFFICE_PAYMENT_PROVIDERS: their names; sales that name none use the first
	MockPayURL        string
	TemporalAddress   string
	TemporalNamespace string
	Cells             *cells.Rule // TEMPORAL_CELLS, TEMPORAL_CELLS_FOR_NEW_SALES; the default cell is the two above
	TemporalUIURL     string      // optional: the order page links to the workflow there, and the codec serves that page
	CodecURL          string      // BOXOFFICE_CODEC_URL: where `boxoffice codec` listens
	CodecToken        secret      // BOXOFFICE_CODEC_TOKEN: what programs must present to it; empty: it serves no programs
	DatabaseURL       secret
	Temporal          client.Options // TLS and credentials, see readTemporal
	Version           worker.Version // TEMPORAL_DEPLOYMENT_NAME, TEMPORAL_WORKER_BUILD_ID: what workers here are; zero: no versioning
	AuditInterval     time.Duration  // BOXOFFICE_AUDIT_INTERVAL: how often the schedule audits every sale
	EventsKept        time.Duration  // BOXOFFICE_EVENTS_KEPT: how long events stay in the log
	CheckoutEvents    bool           // BOXOFFICE_CHECKOUT_EVENTS: checkouts that end without a sale are told whoever asks
	WebhookNetworks   []netip.Prefix // BOXOFFICE_WEBHOOK_NETWORKS: networks that endpoints may be in although they are not public
	HoldGrace         time.Duration  // BOXOFFICE_HOLD_GRACE: how long a new hold outlives its checkout's deadline in the ledger

	Ledger               string   // BOXOFFICE_LEDGER: a kind of ledger, see Program.ledgers
	TigerBeetleAddresses []string // empty: the embedded ledger
	TigerBeetleClusterID tb.Uint128
	DataDir              string // the embedded ledger's parent
}

// Config is the part of the configuration that a custom build may read.
type Config = config

// ReadConfig reads it, for the commands of a custom build.
func ReadConfig() (Config, error) { return readConfig() }

// organiserConfig is readConfig for commands that act as the organiser.
func organiserConfig() (config, error) {
	c, err := readConfig()
	if err != nil {
		return c, err
	}
	return c, c.forOrganiser()
}

func readConfig() (config, error) {
	c := config{
		URL:               strings.TrimSuffix(env("BOXOFFICE_URL", "http://"+listenDefault), "/"),
		Listen:            env("BOXOFFICE_LISTEN", ""),
		WebhookListen:     env("BOXOFFICE_WEBHOOK_LISTEN", ""),
		TLSCertPath:       env("BOXOFFICE_TLS_CERT_PATH", ""),
		TLSKeyPath:        env("BOXOFFICE_TLS_KEY_PATH", ""),
		PaymentProviders:  readList(env("BOXOFFICE_PAYMENT_PROVIDERS", domain.DefaultProvider)),
		MockPayURL:        env("MOCKPAY_URL", "http://127.0.0.1:8090"),
		TemporalAddress:   env("TEMPORAL_ADDRESS", "127.0.0.1:7233"),
		TemporalNamespace: env("TEMPORAL_NAMESPACE", "default"),
		TemporalUIURL:     env("TEMPORAL_UI_URL", ""),
		CodecURL:          env("BOXOFFICE_CODEC_URL", "http://127.0.0.1:8234"),
		DataDir:           env("BOXOFFICE_DATA_DIR", ".data"),
		Ledger:            env("BOXOFFICE_LEDGER", ledgerAuto),
	}
	if validPublicURL(c.URL) == nil { // as browsers send it, so that requests from our own pages are recognised
		c.URL, _ = codec.Origin(c.URL)
	}
	c.AdminURL = strings.TrimSuffix(env("BOXOFFICE_ADMIN_URL", c.URL), "/")
	c.WorkerURL = env("BOXOFFICE_WORKER_URL", "http://127.0.0.1:0")
	if addresses := env("TIGERBEETLE_ADDRESS", ""); addresses != "" {
		c.TigerBeetleAddresses = strings.Split(addresses, ",")
	}
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var err error
	c.ConnectionsMax, err = envNumber("BOXOFFICE_CONNECTIONS_MAX", api.ConnectionsMax, 1)
	note(err)
	c.ConnectionsPerAddressMax, err = envNumber("BOXOFFICE_CONNECTIONS_PER_ADDRESS_MAX", -1, 0)
	note(err)
	note(errors.Join(c.readLimits(), c.readMail(), c.readKafka(), c.readTracing()))
	c.Beacon, err = readBeacon()
	note(err)
	note(c.readSecrets())
	c.Temporal, err = readTemporal()
	note(err)
	c.Version, err = readVersion()
	note(err)
	c.Cells, err = cells.Parse(
		env("TEMPORAL_CELLS", ""), env("TEMPORAL_CELLS_FOR_NEW_SALES", ""), cells.Cell{Address: c.TemporalAddress, Namespace: c.TemporalNamespace})
	note(err)
	c.TigerBeetleClusterID, err = ledger.ParseClusterID(env("TIGERBEETLE_CLUSTER_ID", "0"))
	if err != nil {
		problems = append(problems, fmt.Errorf("TIGERBEETLE_CLUSTER_ID: %w", err))
	}
	c.AuditInterval, err = envDuration("BOXOFFICE_AUDIT_INTERVAL", time.Minute, worker.AuditIntervalMin, worker.AuditIntervalMax)
	note(err)
	c.HoldGrace, err = envDuration("BOXOFFICE_HOLD_GRACE", domain.HoldGraceDefault, domain.HoldGraceMin, domain.HoldGraceMax)
	note(err)
	c.EventsKept, err = envDuration("BOXOFFICE_EVENTS_KEPT", eventsKeptDefault, eventsKeptMin, eventsKeptMax)
	note(err)
	c.CheckoutEvents, err = envSwitch("BOXOFFICE_CHECKOUT_EVENTS")
	note(err)
	c.WebhookNetworks, err = readNetworks("BOXOFFICE_WEBHOOK_NETWORKS")
	note(err)
	c.Profiles, err = envSwitch("BOXOFFICE_PROFILES")
	note(err)
	if c.LogSource, err = api.ParseLogSource(env("BOXOFFICE_LOG_SOURCE", string(api.LogNetwork))); err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_LOG_SOURCE: %w", err))
	}
	return c, errors.Join(problems...)
}

// readSecrets reads what nobody else may know, each from the environment or from a file.
func (c *config) readSecrets() error {
	var problems []error
	read := func(name string) secret {
		value, err := readSecret(name)
		if err != nil {
			problems = append(problems, err)
		}
		return value
	}
	c.DatabaseURL = read("DATABASE_URL")
	if c.AdminTokens = read("BOXOFFICE_ADMIN_TOKEN"); c.AdminTokens != "" {
		admins, err := api.ParseAdmins(string(c.AdminTokens))
		if err == nil {
			c.AdminToken = secret(admins[0].Token)
		} else {
			problems = append(problems, fmt.Errorf("BOXOFFICE_ADMIN_TOKEN: %w", err))
		}
	}
	c.WebhookSecret = read("BOXOFFICE_WEBHOOK_SECRET")
	c.CodecToken = read("BOXOFFICE_CODEC_TOKEN")
	key, err := base64.StdEncoding.DecodeString(string(read("BOXOFFICE_SERVER_KEY")))
	if err != nil {
		problems = append(problems, errors.New("BOXOFFICE_SERVER_KEY is not base64"))
	}
	c.ServerKey = secret(key)
	if keys := read("BOXOFFICE_PAYLOAD_KEYS"); keys != "" {
		if c.Payloads, err = codec.Parse(string(keys)); err != nil {
			problems = append(problems, fmt.Errorf("BOXOFFICE_PAYLOAD_KEYS: %w", err))
		}
	}
	return errors.Join(problems...)
}

// forServing checks what only a server needs.
func (c config) forServing() error {
	var problems []error
	for name, value := range map[string]secret{
		"DATABASE_URL": c.DatabaseURL, "BOXOFFICE_ADMIN_TOKEN": c.AdminToken, "BOXOFFICE_WEBHOOK_SECRET": c.WebhookSecret,
	} {
		if value == "" {
			problems = append(problems, fmt.Errorf("%s is not set", name))
		}
	}
	if err := c.forTemporal(); err != nil {
		problems = append(problems, err)
	}
	if len(c.ServerKey) != domain.ServerKeyLen {
		problems = append(problems, fmt.Errorf("BOXOFFICE_SERVER_KEY has %d bytes, want %d as base64", len(c.ServerKey), domain.ServerKeyLen))
	}
	if err := validPublicURL(c.URL); err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_URL: %w", err))
	} else if _, err := c.publicAddress(); err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_LISTEN: %w", err))
	}
	if err := c.checkTLS(); err != nil {
		problems = append(problems, err)
	}
	if _, err := hostPort(c.WebhookListen); c.WebhookListen != "" && err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_WEBHOOK_LISTEN: %w", err))
	}
	if c.AdminURL != c.URL {
		if _, err := c.adminAddress(); err != nil {
			problems = append(problems, fmt.Errorf("BOXOFFICE_ADMIN_URL: %w", err))
		}
	}
	if _, err := listenAddress(c.WorkerURL); err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_WORKER_URL: %w", err))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w\n`make run` sets all of these; for another tool: set -a; . .data/dev.env", err)
	}
	return nil
}

// forOrganiser checks what commands need that ask the running box office as its
// organiser.
func (c config) forOrganiser() error {
	if c.AdminToken == "" {
		return errors.New("BOXOFFICE_ADMIN_TOKEN is not set: set -a; . .data/dev.env")
	}
	return nil
}

// forTemporal checks what every client of Temporal needs. It insists on the payload keys:
// forgetting them must not store buyers' data in the clear.
func (c config) forTemporal() error {
	if c.Payloads == nil {
		return errors.New("BOXOFFICE_PAYLOAD_KEYS is not set: what Temporal stores is encrypted with it (id:base64 of 32 bytes)")
	}
	return nil
}

// listenDefault is where serve listens if nothing else is set.
const listenDefault = "127.0.0.1:8080"

// publicAddress is where serve listens for buyers. Without TLS of ours, a public https URL
// belongs to a proxy: its host and port are not ours.
func (c config) publicAddress() (string, error) {
	switch {
	case c.Listen != "":
		return hostPort(c.Listen)
	case strings.HasPrefix(c.URL, "https:") && !c.hasTLS():
		return listenDefault, nil
	case c.hasTLS():
		return tlsAddress(c.URL)
	default:
		return listenAddress(c.URL)
	}
}

func hostPort(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", fmt.Errorf("%q is not host:port", address)
	}
	return net.JoinHostPort(host, port), nil
}

// validPublicURL checks the base of our links: scheme, host and port, and nothing after
// them.
func validPublicURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not http://host or https://host, with a port where it is not the usual one", raw)
	}
	return nil
}

// listenAddress returns the host:port of an http URL.
func listenAddress(raw string) (string, error) { return addressOf(raw, "http", "80") }

// addressOf returns the host:port of a URL of a scheme.
func addressOf(raw, scheme, port string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != scheme || u.Hostname() == "" {
		return "", fmt.Errorf("%q is not %s://host:port", raw, scheme)
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), nil
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }

// envDuration reads a duration within limits.
func envDuration(name string, otherwise, least, most time.Duration) (time.Duration, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%s: want a duration of %s to %s, such as %s", name, least, most, otherwise)
	}
	return d, nil
}

// envNumber reads a whole number that is at least `least`.
func envNumber(name string, otherwise, least int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > math.MaxInt32 {
		return 0, fmt.Errorf("%s: want a number of at least %d", name, least)
	}
	return n, nil
}
