package webhooks

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"boxoffice/domain"
)

// Times and sizes of a request to an endpoint.
const (
	connectTimeout   = 5 * time.Second
	tlsTimeout       = 5 * time.Second
	requestTimeout   = 15 * time.Second // the whole attempt
	answerBytesMax   = 4 << 10          // of the answer that we read; the rest is left
	answerHeaderMax  = 16 << 10
	excerptRunesMax  = 200 // of the answer that we store
	connectionsIdle  = 2   // connections kept open to an endpoint
	connectionIdling = 30 * time.Second
)

// special are the networks that are not public: IANA's registries of special-purpose
// addresses, and IPv6 networks that embed an IPv4 address. It leaves out what netip knows
// (loopback, private, link-local, multicast).
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

// metadataOfClouds are metadata services at addresses that look public. They hand out
// credentials to the machine that asks.
var metadataOfClouds = prefixes("168.63.129.16/32", "fd00:ec2::254/128")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// refusedAddress says why we send nothing to an address; empty: we may.
func refusedAddress(a netip.Addr, allowed []netip.Prefix) string {
	a = a.Unmap().WithZone("")
	switch {
	case contains(allowed, a):
		return ""
	case !a.IsValid(), a.IsUnspecified():
		return "none"
	case a.IsLoopback():
		return "loopback"
	case a.IsPrivate():
		return "private"
	case a.IsLinkLocalUnicast():
		return "link-local"
	case a.IsMulticast():
		return "multicast"
	case contains(special, a), contains(metadataOfClouds, a), !a.IsGlobalUnicast():
		return "special-purpose"
	default:
		return ""
	}
}

// refusedError is an address that we send nothing to.
type refusedError struct {
	address netip.Addr
	kind    string
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the address %s is refused: %s", e.address, e.kind)
}

// newClient sends to public addresses over TLS, and to allowed networks. It checks the
// address when it connects, so DNS rebinding does not help. It uses no proxy, which would
// resolve names itself.
func newClient(allowed []netip.Prefix, change ...func(*net.Dialer, *http.Transport)) *http.Client {
	secure := newTransport(func(a netip.Addr) string { return refusedAddress(a, allowed) }, change)
	plain := newTransport(func(a netip.Addr) string {
		if !contains(allowed, a.Unmap().WithZone("")) {
			return "without TLS only the networks in BOXOFFICE_WEBHOOK_NETWORKS are allowed"
		}
		return ""
	}, change)
	return &http.Client{
		Transport:     byScheme{secure, plain},
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type byScheme struct{ secure, plain *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return b.secure.RoundTrip(r)
	}
	return b.plain.RoundTrip(r)
}

// CloseIdleConnections is called by http.Client.
func (b byScheme) CloseIdleConnections() {
	b.secure.CloseIdleConnections()
	b.plain.CloseIdleConnections()
}

func newTransport(refused func(netip.Addr) string, change []func(*net.Dialer, *http.Transport)) *http.Transport {
	dialer := &net.Dialer{
		Timeout: connectTimeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the address %q cannot be read", address)
			}
			if kind := refused(at.Addr()); kind != "" {
				return &refusedError{at.Addr(), kind}
			}
			return nil
		},
	}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: answerHeaderMax,
		MaxIdleConnsPerHost:    connectionsIdle,
		IdleConnTimeout:        connectionIdling,
		DisableCompression:     true, // a small answer must not become a big one
	}
	for _, c := range change {
		c(dialer, transport)
	}
	return transport
}

// checkURL checks a URL that an organiser registers. What its name resolves to is checked
// when we connect.
func checkURL(raw string, allowed []netip.Prefix) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > domain.WebhookURLLenMax || u.Opaque != "":
		return domain.Invalid("url", fmt.Sprintf("must be a URL of at most %d characters", domain.WebhookURLLenMax))
	case u.Scheme != "https" && (u.Scheme != "http" || len(allowed) == 0):
		return domain.Invalid("url", "must begin with https://")
	case u.User != nil:
		return domain.Invalid("url", "must have no user and no password")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return domain.Invalid("url", "must have no fragment")
	case u.Hostname() == "":
		return domain.Invalid("url", "must name a host")
	}
	for _, r := range raw {
		if r <= ' ' || r > '~' {
			return domain.Invalid("url", "must have only printable ASCII characters; write others in percent-encoding or punycode")
		}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return domain.Invalid("url", "must have a port of 1–65535, or none")
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if a.Is4In6() || a.Zone() != "" {
			return domain.Invalid("url", "must write an IP address in its usual form")
		}
		if kind := refusedAddress(a, allowed); kind != "" {
			return domain.Invalid("url", "must not lead to this address: "+kind)
		}
	}
	return nil
}
