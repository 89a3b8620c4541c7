package ledger_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded/tbtest"
)

func TestDialAnotherCluster(t *testing.T) {
	s := startReal(t)
	_, err := ledger.Dial(t.Context(), ledger.Config{ClusterID: tb.ToUint128(7), Addresses: []string{s.Address}, Timeout: time.Second})
	wantWords(t, err, s.Address, "within 1s", "cluster 7", "tigerbeetle format")
}

func TestDialByName(t *testing.T) {
	s := startReal(t)
	_, port, _ := net.SplitHostPort(s.Address)
	for _, address := range []string{port, "localhost:" + port} {
		client, err := ledger.Dial(t.Context(), ledger.Config{Addresses: []string{address}})
		if err != nil {
			t.Errorf("dial %q: %v", address, err)
			continue
		}
		client.Close()
	}
}

func TestDialNobody(t *testing.T) {
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = ledger.Dial(t.Context(), ledger.Config{Addresses: []string{address}, Timeout: 300 * time.Millisecond})
	wantWords(t, err, address, "refused", "is the server running")
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err = ledger.Dial(ctx, ledger.Config{Addresses: []string{l.Addr().String()}, Timeout: time.Minute})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("dial = %v, want %v", err, context.Canceled)
	}
}

// A server keeps 64 sessions and ends the one that was silent the longest. The
// batcher whose session it was says that the outcome is not known, opens
// another, and the same ids then tell what happened.
func TestARealServerEvictsASession(t *testing.T) {
	t.Parallel() // nearly a minute, most of it waiting for the server to forget connections

	server := tbtest.StartTigerBeetle(t) // its own server, so that other tests' sessions are not ended
	const sessionsMax = 64               // TigerBeetle's config, clients_max
	var dials atomic.Int32
	dial := func(ctx context.Context) (tb.Client, error) {
		dials.Add(1)
		return ledger.Dial(ctx, ledger.Config{Addresses: []string{server.Address}})
	}
	client, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(client, ledger.WithRedial(dial), ledger.WithLogger(discard))
	defer func() {
		if err := batcher.Close(); err != nil {
			t.Error(err)
		}
	}()
	account := func(id uint64) []tb.Account { return []tb.Account{{ID: tb.ToUint128(id), Ledger: 1, Code: 1}} }
	if _, err := batcher.CreateAccounts(t.Context(), account(1)); err != nil {
		t.Fatal(err)
	}
	for n := range sessionsMax {
		// Closed at once: a session outlives its connection, and a development
		// server takes only a few of those.
		other, err := ledger.Dial(t.Context(), ledger.Config{Addresses: []string{server.Address}})
		if err != nil {
			t.Fatalf("session %d: %v", n+2, err)
		}
		other.Close()
	}
	_, err = batcher.CreateAccounts(t.Context(), account(2))
	if !domain.IsUnknown(err) {
		t.Errorf("on an evicted session: %v, want an unknown outcome", err)
	}
	results, err := batcher.CreateAccounts(t.Context(), account(2)) // the same again, as everybody does
	if err != nil || len(results) != 1 {
		t.Fatalf("after the eviction: %v, %v", results, err)
	}
	if status := results[0].Status; status != tb.AccountCreated && status != tb.AccountExists {
		t.Errorf("status %v", status)
	}
	if dials.Load() != 2 {
		t.Errorf("%d sessions were opened, want 2", dials.Load())
	}
}

func TestDialMalformedAddresses(t *testing.T) {
	for name, addresses := range map[string][]string{
		"none":         nil,
		"empty":        {""},
		"no such port": {"127.0.0.1:99999"},
		"not a host":   {"not a host:3001"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ledger.Dial(t.Context(), ledger.Config{Addresses: addresses, Timeout: time.Second})
			wantWords(t, err, "TigerBeetle")
		})
	}
}

func TestRefusedSessionsSayWhatToDo(t *testing.T) {
	for cause, words := range map[error][]string{
		tb.ErrClientReleaseTooLow:  {ledger.ClientRelease, "build this program"},
		tb.ErrClientReleaseTooHigh: {ledger.ClientRelease, "upgrade the cluster"},
		tb.ErrClientEvicted:        {"refused the session"},
	} {
		err := ledger.RefusedSession(cause, []string{"127.0.0.1:3001"})
		wantWords(t, err, append(words, "127.0.0.1:3001")...)
		if !errors.Is(err, cause) {
			t.Errorf("%v does not wrap %v", err, cause)
		}
	}
}

func TestParseClusterID(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "7": "7", "340282366920938463463374607431768211455": "ffffffffffffffffffffffffffffffff",
	} {
		if got, err := ledger.ParseClusterID(in); err != nil || got.String() != want {
			t.Errorf("ParseClusterID(%q) = %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "0x7", "seven", "340282366920938463463374607431768211456"} {
		if _, err := ledger.ParseClusterID(in); err == nil {
			t.Errorf("ParseClusterID(%q) succeeded", in)
		}
	}
}

func wantWords(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}
