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

// Rates limit how often one client may ask this node. The zero value limits nothing, for
// setups where everybody is 127.0.0.1.
type Rates struct {
	PerAddress ratelimit.Rate // every request but webhooks and probes
	// Joins limits the places in queues that an address takes. Addresses of private
	// networks and of this machine are exempt: those are proxies.
	Joins ratelimit.Rate
	// Guesses limits the wrong presale codes and invitations from an address, with the
	// same exemptions.
	Guesses ratelimit.Rate
	// TrustedProxies may say in X-Forwarded-For for whom they speak. From all others the
	// header is ignored: anybody can write it.
	TrustedProxies []netip.Prefix
}

const (
	// proxiesMax limits how far X-Forwarded-For is followed.
	proxiesMax = 8
	// prefixIPv6Bits is what one customer usually gets (RFC 6177). With single addresses,
	// each would be a new client.
	prefixIPv6Bits = 64
)

// limitAddress refuses an address that asks too often. It runs before the body is read,
// and costs one lookup of a bucket.
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

// isQueue reports whether a route joins a queue, or says what to solve before.
func isQueue(route string) bool {
	return strings.HasSuffix(route, "/queue") || strings.HasSuffix(route, "/queue/challenge")
}

// isRateLimited exempts what one address asks for everybody: the provider's webhooks come
// from one address, and are signed; probes must not take a busy node for a dead one.
func isRateLimited(route string) bool {
	switch route {
	case webhookRoute, webhooksRoute, healthRoute, readyRoute, metricsRoute:
		return false
	default:
		return true
	}
}

// clientOf is the client behind a request: an IPv4 address, or the /64 of an IPv6 one.
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

// forwardedFor follows X-Forwarded-For from its end, where the nearest proxy wrote, as
// long as the writer is trusted. Several lines of the header are one list (RFC 9110,
// 5.3). If something cannot be read, it stops at the last address that is certain.
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

// forwardedAddress reads an address as proxies write it: bare, in brackets, or with the
// client's port (Azure, IIS). A zone is the proxy's own business.
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
			return nil, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8", entry)
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
