package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// dialTimeout is how long a cluster has to answer the first request.
const dialTimeout = 5 * time.Second

// ClientRelease is the release of the TigerBeetle client in this program. A
// cluster serves clients of its own release and of some older ones.
const ClientRelease = "0.17.9"

const defaultPort = "3001"

// Config says where the cluster is.
type Config struct {
	// ClusterID is the number given to `tigerbeetle format --cluster`.
	ClusterID tb.Uint128
	// Addresses are those of all replicas, in the cluster's own order: host:port, host or
	// port. Names are resolved once, because the client takes only numbers.
	Addresses []string
	// Timeout limits the wait for the first answer; 0 means five seconds.
	Timeout time.Duration
}

// ParseClusterID reads a cluster id as TigerBeetle's tools write it: a decimal
// number below 2^128.
func ParseClusterID(s string) (tb.Uint128, error) {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 128 {
		return tb.Uint128{}, fmt.Errorf("TigerBeetle cluster id %q: want a decimal number from 0 to 2^128−1", s)
	}
	return tb.BigIntToUint128(n), nil
}

// Dial opens a session with a TigerBeetle cluster and waits until the cluster has
// accepted it. The client alone would wait for ever, because a cluster ignores clients
// that name another cluster id. The error is worded for people; nothing is left running.
func Dial(ctx context.Context, c Config) (tb.Client, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = dialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addresses, err := resolve(ctx, c.Addresses)
	if err != nil {
		return nil, err
	}
	client, err := tb.NewClient(c.ClusterID, addresses)
	if err != nil {
		return nil, fmt.Errorf("TigerBeetle client for %s: %w", strings.Join(addresses, ","), err)
	}
	// The client answers this itself, but only once the session is registered.
	registered := make(chan error, 1)
	go func() { registered <- client.Nop() }()
	select {
	case err = <-registered:
	case <-ctx.Done():
		// Close answers pending requests (with ErrClientClosed) and ends the client's
		// thread.
		client.Close()
		<-registered
		return nil, noAnswer(ctx, c.ClusterID, addresses, timeout)
	}
	if err != nil {
		client.Close()
		return nil, refusedSession(err, addresses)
	}
	return client, nil
}

func refusedSession(err error, addresses []string) error {
	at := strings.Join(addresses, ",")
	switch {
	case errors.Is(err, tb.ErrClientReleaseTooLow):
		return fmt.Errorf(
			"TigerBeetle at %s no longer serves clients of release %s: build this program with the cluster's client release: %w",
			at,
			ClientRelease,
			err,
		)
	case errors.Is(err, tb.ErrClientReleaseTooHigh):
		return fmt.Errorf("TigerBeetle at %s is older than release %s: upgrade the cluster to it first, clients after: %w", at, ClientRelease, err)
	default:
		return fmt.Errorf("TigerBeetle at %s refused the session: %w", at, err)
	}
}

// noAnswer finds out more about a cluster that is silent.
func noAnswer(ctx context.Context, cluster tb.Uint128, addresses []string, timeout time.Duration) error {
	at := strings.Join(addresses, ",")
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("TigerBeetle at %s: %w", at, ctx.Err())
	}
	var silent []string
	for _, address := range addresses {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			silent = append(silent, fmt.Sprintf("%s (%v)", address, err))
			continue
		}
		_ = conn.Close()
	}
	if len(silent) > 0 {
		return fmt.Errorf(
			"TigerBeetle did not answer within %v: cannot connect to %s: is the server running, and is this its address?",
			timeout,
			strings.Join(silent, ", "),
		)
	}
	return fmt.Errorf("TigerBeetle at %s accepts connections but did not answer within %v as cluster %s: a server ignores clients of another cluster, "+
		"so compare the cluster id with that of `tigerbeetle format`; else fewer than a quorum of its replicas are up, or something else listens there",
		at, timeout, cluster.BigInt())
}

// resolve turns every address into ip:port, the form that the client takes.
func resolve(ctx context.Context, addresses []string) ([]string, error) {
	if len(addresses) == 0 {
		return nil, errors.New("TigerBeetle: no address given")
	}
	resolved := make([]string, len(addresses))
	for i, address := range addresses {
		host, port := splitAddress(strings.TrimSpace(address))
		ip, err := resolveHost(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("TigerBeetle address %q: %w", address, err)
		}
		resolved[i] = net.JoinHostPort(ip.String(), port)
	}
	return resolved, nil
}

// splitAddress fills in the same defaults as TigerBeetle's own tools: 127.0.0.1 or 3001.
func splitAddress(address string) (host, port string) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		return host, port
	}
	if address != "" && strings.Trim(address, "0123456789") == "" {
		return "127.0.0.1", address
	}
	return strings.Trim(address, "[]"), defaultPort
}

func resolveHost(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip, nil
	}
	if host == "" {
		return netip.Addr{}, errors.New("want host:port, host or port")
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() { // what a replica usually listens on
			return ip, nil
		}
	}
	return ips[0], nil
}
