package webhooks

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestNothingIsSentToAddressesThatAreNotPublic(t *testing.T) {
	for _, tt := range []struct{ address, kind string }{
		{"93.184.215.14", ""}, {"2606:2800:21f:cb07:6820:80da:af6b:8b2c", ""},
		{"127.0.0.1", "loopback"}, {"127.255.0.9", "loopback"}, {"::1", "loopback"},
		{"10.0.0.1", "private"}, {"172.16.9.1", "private"}, {"192.168.1.1", "private"}, {"fd12:3456::1", "private"},
		{"169.254.169.254", "link-local"}, {"fe80::1", "link-local"}, {"fe80::1%eth0", "link-local"},
		{"fd00:ec2::254", "private"}, {"168.63.129.16", "special-purpose"},
		{"100.64.0.1", "special-purpose"}, {"100.127.255.254", "special-purpose"},
		{"224.0.0.1", "multicast"}, {"ff02::1", "multicast"}, {"255.255.255.255", "special-purpose"}, {"240.0.0.1", "special-purpose"},
		{"0.0.0.0", "none"}, {"::", "none"}, {"0.1.2.3", "special-purpose"}, {"192.0.2.1", "special-purpose"}, {"198.18.0.1", "special-purpose"},
		{"::ffff:127.0.0.1", "loopback"}, {"::ffff:10.0.0.1", "private"}, {"::ffff:169.254.169.254", "link-local"},
		{"::127.0.0.1", "special-purpose"}, {"64:ff9b::7f00:1", "special-purpose"}, {"2002:7f00:1::", "special-purpose"}, {"2001:0:7f00:1::", "special-purpose"},
		{"fec0::1", "special-purpose"}, {"2001:db8::1", "special-purpose"},
	} {
		if got := refusedAddress(netip.MustParseAddr(tt.address), nil); got != tt.kind {
			t.Errorf("%s: %q, want %q", tt.address, got, tt.kind)
		}
	}
	if got := refusedAddress(netip.MustParseAddr("127.0.0.1"), thisMachine); got != "" {
		t.Errorf("an allowed network: %q", got)
	}
	if got := refusedAddress(netip.MustParseAddr("10.0.0.1"), thisMachine); got != "private" {
		t.Errorf("another network than the allowed one: %q", got)
	}
}

func TestOnlyURLsOfPublicHostsAreRegistered(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		allowed   []netip.Prefix
		is        bool
	}{
		{"a host", "https://hooks.example.com/tickets?key=1", nil, true},
		{"a port", "https://hooks.example.com:8443/", nil, true},
		{"without TLS", "http://hooks.example.com/", nil, false},
		{"without TLS where a network is allowed", "http://127.0.0.1:9000/", thisMachine, true},
		{"another scheme", "ftp://hooks.example.com/", thisMachine, false},
		{"a file", "file:///etc/passwd", thisMachine, false},
		{"no host", "https:///x", nil, false},
		{"no URL", "hooks.example.com", nil, false},
		{"a password", "https://me:secret@hooks.example.com/", nil, false},
		{"a fragment", "https://hooks.example.com/#x", nil, false},
		{"an empty fragment", "https://hooks.example.com/#", nil, false},
		{"loopback", "https://127.0.0.1/", nil, false},
		{"metadata", "https://169.254.169.254/latest/meta-data/", nil, false},
		{"IPv6 loopback", "https://[::1]/", nil, false},
		{"an IPv4 address as an IPv6 one", "https://[::ffff:93.184.215.14]/", nil, false},
		{"a zone", "https://[fe80::1%25eth0]/", nil, false},
		{"port 0", "https://hooks.example.com:0/", nil, false},
		{"a port too high", "https://hooks.example.com:70000/", nil, false},
		{"a line break", "https://hooks.example.com/\r\nHost: x", nil, false},
		{"other letters", "https://hööks.example.com/", nil, false},
		{"too long", "https://hooks.example.com/" + strings.Repeat("x", domain.WebhookURLLenMax), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkURL(tt.url, tt.allowed)
			if (err == nil) != tt.is || err != nil && domain.CodeOf(err) != domain.CodeInvalid {
				t.Fatalf("%v, want it to be registered: %t", err, tt.is)
			}
		})
	}
}

// fakeDNS answers every query for an IPv4 address with the one that the test sets.
func fakeDNS(t *testing.T, address *atomic.Pointer[netip.Addr]) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			end := 12
			for question[end] != 0 {
				end += int(question[end]) + 1
			}
			end += 5 // the root, type and class
			reply := append([]byte{}, question[:min(end, n)]...)
			isA := binary.BigEndian.Uint16(question[end-4:]) == 1
			binary.BigEndian.PutUint16(reply[2:], 0x8180)
			binary.BigEndian.PutUint16(reply[6:], 0)
			binary.BigEndian.PutUint32(reply[8:], 0)
			if isA {
				binary.BigEndian.PutUint16(reply[6:], 1)
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
				a := address.Load().As4()
				reply = append(reply, a[:]...)
			}
			if _, err := conn.WriteTo(reply, from); err != nil {
				return
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A harmless name resolves to this machine by the time that we send.
func TestANameThatIsReboundReachesNothing(t *testing.T) {
	var asked atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	harmless := httptest.NewUnstartedServer(count)
	harmless.Listener.Close()
	harmless.Listener = must(net.Listen("tcp", "127.0.0.2:0"))
	harmless.Start()
	defer harmless.Close()
	port := harmless.Listener.Addr().(*net.TCPAddr).Port
	internal := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("this machine got a request") }))
	internal.Listener.Close()
	internal.Listener = must(net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}))
	internal.Start()
	defer internal.Close()

	var address atomic.Pointer[netip.Addr]
	address.Store(new(netip.MustParseAddr("127.0.0.2")))
	resolver := fakeDNS(t, &address)
	store := newMemory("http://rebound.test:"+harmless.URL[strings.LastIndexByte(harmless.URL, ':')+1:]+"/", time.Now, 1)
	d := newTestDeliverer(t, store, time.Now)
	d.client = newClient([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, func(dialer *net.Dialer, transport *http.Transport) {
		dialer.Resolver = resolver
		transport.DisableKeepAlives = true
	})
	first := must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if first.Taken != 1 || asked.Load() != 1 {
		t.Fatalf("%+v, %d requests, want the event accepted, or this test shows nothing", first, asked.Load())
	}
	address.Store(new(netip.MustParseAddr("127.0.0.1")))
	store.add(domain.OrderID{0: 9}, 9)
	second := must(d.DeliverWebhooks(t.Context(), store.endpoint.ID))
	if second.Failed != 1 || !strings.Contains(second.Why, "refused") {
		t.Fatalf("%+v, want it to be refused", second)
	}
}
