// Package loopback keeps pages of other sites from a server that has no password because it listens on loopback only. A
// site can have its own name resolve to 127.0.0.1 (DNS rebinding): its pages are then of the server's own origin to the
// browser, and only the Host header tells.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Only serves what is asked for by a name of this machine, and answers all else 421.
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
