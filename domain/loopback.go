package domain

import (
	"net/netip"
	"strings"
)

// IsLoopback reports whether a host, without port or brackets, is this machine by name or
// by address. It looks nothing up.
func IsLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
