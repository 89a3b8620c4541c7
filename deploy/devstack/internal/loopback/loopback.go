// Package loopback keeps pages of other sites away from a server that has no password
// because it listens on loopback only. A site can let its own name resolve to 127.0.0.1
// (DNS rebinding). To the browser its pages then have the server's origin, and only the
// Host header tells.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Only serves requests that name this machine, and answers all others with 421.
func Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !IsName(r.Host) {
			http.Error(w, "This server answers to loopback addresses and localhost only, and the request names another host.",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsName reports whether a Host header names this machine: a loopback address, or localhost, which browsers resolve
// themselves.
func IsName(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
