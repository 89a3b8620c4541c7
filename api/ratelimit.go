package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"boxoffice/domain"
	"boxoffice/ratelimit"
)

// Rates bound how often one client may ask this node. The zero value bounds
// nothing, as where everybody is 127.0.0.1.
type Rates struct {
	PerAddress ratelimit.Rate // every request but webhooks and probes
	// Joins bounds the places in queues that an address takes. Addresses of private networks
	// and this machine are not bounded: whoever comes from there is a proxy.
	Joins ratelimit.Rate
	// Guesses bounds the presale codes and invitations that are none, which an address shows;
	// nobody's of those either.
	Guesses ratelimit.Rate
	// TrustedProxies are who may say in X-Forwarded-For whom they speak for. Of all
	// others the header is ignored: anybody can write it.
	TrustedProxies []netip.Prefix
}

const (
	// proxiesMax bounds how far X-Forwarded-For is followed.
	proxiesMax = 8
	// prefixIPv6Bits is what one customer is usually given (RFC 6177): an address of
	// it each would be a new client each time.
	prefixIPv6Bits = 64
)

// limitAddress refuses what an address asks too often. It comes before the body is
// read, and its answer ends there: one bucket is looked up.
func (s *Server) limitAddress(c *gin.Context) {
	if !isRateLimited(c.FullPath()) {
		c.Next()
		return
	}
	client := s.clientOf(c.Request)
	wait, left := s.byAddress.Spend(client, time.Now())
	if s.byAddress != nil {
		s.addressAnnounced.to(c.Writer.Header(), left, wait)
	}
	if isQueue(c.FullPath()) {
		isLocal := client.IsLoopback() || client == netip.IPv6Unspecified() // the /64 of ::1
		if isLocal {
			c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), localKey, true))
		}
		if wait == 0 && c.Request.Method == http.MethodPost && !isLocal && !client.IsPrivate() && !client.IsLinkLocalUnicast() {
			if wait, left = s.byJoiner.Spend(client, time.Now()); wait > 0 {
				s.joinsAnnounced.to(c.Writer.Header(), left, wait)
			}
		}
	}
	if wait > 0 {
		s.metrics.addressLimited.Inc()
		s.abort(c, &domain.Error{
			Code: domain.CodeRateLimited, Detail: "This address asks too often. Nothing was done.", RetryAfter: wait,
		})
		return
	}
	c.Next()
}

// isQueue reports whether a route is for joining a queue, or says what to solve before.
func isQueue(route string) bool {
	return strings.HasSuffix(route, "/queue") || strings.HasSuffix(route, "/queue/challenge")
}

// isRateLimited leaves out what one address asks for everybody: the provider's
// webhooks are all from one, and are signed; a busy node must not be taken for a
// dead one.
func isRateLimited(route string) bool {
	switch route {
	case webhookRoute, webhooksRoute, healthRoute, readyRoute, metricsRoute:
		return false
	default:
		return true
	}
}

// clientOf is whose request it is, as one client counts: an IPv4 address, or the
// /64 of an IPv6 one.
func (s *Server) clientOf(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // no network: all share one
	}
	return clientOfAddress(forwardedFor(address.Addr().Unmap(), r.Header["X-Forwarded-For"], s.Rates.TrustedProxies))
}

func clientOfAddress(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	prefix, err := a.WithZone("").Prefix(prefixIPv6Bits)
	if err != nil {
		return a
	}
	return prefix.Addr()
}

// forwardedFor follows X-Forwarded-For from its end, where the nearest proxy wrote,
// as long as who wrote is trusted. Lines of the header are one list (RFC 9110,
// 5.3); what cannot be read ends the way at the last address that is sure.
func forwardedFor(peer netip.Addr, header []string, trusted []netip.Prefix) netip.Addr {
	if len(trusted) == 0 || len(header) == 0 {
		return peer
	}
	list := strings.Join(header, ",")
	for range proxiesMax {
		if list == "" || !isTrusted(peer, trusted) {
			break
		}
		last := list
		if i := strings.LastIndexByte(list, ','); i >= 0 {
			list, last = list[:i], list[i+1:]
		} else {
			list = ""
		}
		address, ok := forwardedAddress(strings.TrimSpace(last))
		if !ok {
			break
		}
		peer = address
	}
	return peer
}

// forwardedAddress reads an address as proxies write it: bare, in brackets, with the
// port that the client had (Azure, IIS). A zone is the proxy's own business.
func forwardedAddress(s string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(s)
	if err != nil {
		var withPort netip.AddrPort
		if withPort, err = netip.ParseAddrPort(s); err == nil {
			address = withPort.Addr()
		} else if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
			address, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		}
	}
	return address.Unmap().WithZone(""), err == nil
}

// Of who is refused, the log has the network and not the address: enough to see one
// source of many, too little to tell who somebody is.
const (
	loggedIPv4Bits = 24
	loggedIPv6Bits = 48
)

// networkOf is where a request comes from, as the rate limiter sees it.
func (s *Server) networkOf(ctx context.Context) netip.Prefix {
	r := infoOf(ctx).request
	if r == nil {
		return netip.Prefix{}
	}
	client := s.clientOf(r)
	bits := loggedIPv6Bits
	if client.Is4() {
		bits = loggedIPv4Bits
	}
	network, _ := client.Prefix(bits) // of no address: none
	return network
}

func isTrusted(a netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ParseProxies reads a list of addresses and CIDR prefixes, separated by commas.
// The error names the first that is neither.
func ParseProxies(list string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		prefix, err := parsePrefix(entry)
		if err != nil {
			return nil, fmt.Errorf("%q is no address and no prefix such as 10.0.0.0/8", entry)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		if prefix.Addr().Is4In6() {
			return netip.Prefix{}, errors.New("write it as IPv4")
		}
		return prefix.Masked(), nil
	}
	address, err := netip.ParseAddr(s)
	if err != nil || address.Zone() != "" {
		return netip.Prefix{}, errors.New("no address")
	}
	address = address.Unmap()
	return address.Prefix(address.BitLen())
}
