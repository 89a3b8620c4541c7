package api

import (
	"context"
	"fmt"
	"net/netip"
)

// A LogSource is what the log has of a refused client's address: enough to see one source of many, too little to identify
// anybody.
type LogSource string

// The sources that the log may have.
const (
	LogNetwork LogSource = "network" // the first bits of the address; also if nothing else is set
	LogHash    LogSource = "hash"    // a tag that only the server key can make: tells neighbours apart
	LogNothing LogSource = "none"
)

const (
	loggedIPv4Bits = 24
	loggedIPv6Bits = 48
	// hashedIPv6Bits: a household has all addresses of such a network.
	hashedIPv6Bits = 64
)

func (l LogSource) validate() error {
	switch l {
	case "", LogNetwork, LogHash, LogNothing:
		return nil
	default:
		return fmt.Errorf("%q: want %s, %s or %s", l, LogNetwork, LogHash, LogNothing)
	}
}

// ParseLogSource checks a setting.
func ParseLogSource(s string) (LogSource, error) { return LogSource(s), LogSource(s).validate() }

// sourceOf is where a request comes from, as the rate limiter sees it, and as the log may have it.
func (s *Server) sourceOf(ctx context.Context) string {
	r := infoOf(ctx).request
	if r == nil || s.LogSource == LogNothing {
		return ""
	}
	client := s.clientOf(r)
	if !client.IsValid() {
		return ""
	}
	if s.LogSource == LogHash && s.Keys != nil {
		return s.Keys.SourceTag(prefixOf(client, client.BitLen(), hashedIPv6Bits).String())
	}
	return prefixOf(client, loggedIPv4Bits, loggedIPv6Bits).String()
}

func prefixOf(address netip.Addr, ipv4Bits, ipv6Bits int) netip.Prefix {
	bits := ipv6Bits
	if address.Is4() {
		bits = ipv4Bits
	}
	network, _ := address.Prefix(bits) // fails for more bits than there are
	return network
}
