// Package ports decides where the local stack listens: which loopback addresses, whether they are free, and who holds
// one that is not.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
)

// Address is one place where the stack listens.
type Address struct {
	Name     string // what listens there, in a reader's words
	Variable string // the variable that moves it
	Host     string // a loopback address
	Port     int
}

// HostPort returns "host:port".
func (a Address) HostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// URL returns "http://host:port".
func (a Address) URL() string { return "http://" + a.HostPort() }

// BusyError says that a port is taken.
type BusyError struct {
	Address Address
	Holder  string // "process 12 (nginx)", or empty if we cannot tell
}

func (e *BusyError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = fmt.Sprintf("a process that this user cannot see (lsof -i :%d as root names it)", e.Address.Port)
	}
	return fmt.Sprintf("port %d, where %s listens, is taken by %s; stop it, or choose another port with %s",
		e.Address.Port, e.Address.Name, holder, e.Address.Variable)
}

// ParseHostPort reads "host:port" with a loopback host.
func ParseHostPort(name, variable, value string) (Address, error) {
	host, portText, err := net.SplitHostPort(value)
	if err != nil {
		return Address{}, fmt.Errorf("%s=%q: want HOST:PORT", variable, value)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		return Address{}, fmt.Errorf("%s=%q: want a port from 1 to 65535", variable, value)
	}
	if !isLoopback(host) {
		return Address{}, fmt.Errorf("%s=%q: the local stack listens on loopback only (127.0.0.1, localhost)", variable, value)
	}
	return Address{Name: name, Variable: variable, Host: host, Port: port}, nil
}

// ParseURL reads "http://host:port" with a loopback host.
func ParseURL(name, variable, value string) (Address, error) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.RawQuery != "" {
		return Address{}, fmt.Errorf("%s=%q: want http://HOST:PORT", variable, value)
	}
	hostPort := u.Host
	if u.Port() == "" {
		hostPort = net.JoinHostPort(u.Hostname(), "80")
	}
	return ParseHostPort(name, variable, hostPort)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Check returns *BusyError if something already listens on the address.
func Check(a Address) error {
	l, err := net.Listen("tcp", a.HostPort())
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return &BusyError{Address: a, Holder: holder(a.Port)}
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d, where %s listens, can be used by root only; choose one above 1023 with %s",
			a.Port, a.Name, a.Variable)
	default:
		return fmt.Errorf("%s (%s): %w", a.Name, a.Variable, err)
	}
}

// Free ports come from below the range that systems use for outgoing connections (32768
// and up on Linux, 49152 on macOS): a port from that range may be taken when a killed
// component comes back to it.
const (
	freeFirst    = 20_000
	freeLast     = 31_999
	freeTriesMax = 200
)

// Free returns a loopback port on which nothing listens, and that is not in taken.
func Free(taken map[int]bool) (int, error) {
	for range freeTriesMax {
		port := freeFirst + rand.IntN(freeLast-freeFirst+1)
		if !taken[port] && Check(Address{Host: "127.0.0.1", Port: port}) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port found between %d and %d in %d tries", freeFirst, freeLast, freeTriesMax)
}
