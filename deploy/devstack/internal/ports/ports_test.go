package ports

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		value    string
		parse    func(name, variable, value string) (Address, error)
		hostPort string // empty: refused
	}{
		{"http://127.0.0.1:8080", ParseURL, "127.0.0.1:8080"},
		{"http://127.0.0.1:8080/", ParseURL, "127.0.0.1:8080"},
		{"http://localhost:9000", ParseURL, "localhost:9000"},
		{"http://[::1]:9000", ParseURL, "[::1]:9000"},
		{"http://127.0.0.1", ParseURL, "127.0.0.1:80"},
		{"https://127.0.0.1:8080", ParseURL, ""},
		{"http://127.0.0.1:8080/shop", ParseURL, ""},
		{"http://user@127.0.0.1:8080", ParseURL, ""},
		{"http://0.0.0.0:8080", ParseURL, ""},
		{"http://shop.example:8080", ParseURL, ""},
		{"http://127.0.0.1:0", ParseURL, ""},
		{"127.0.0.1:8080", ParseURL, ""},
		{"", ParseURL, ""},
		{"127.0.0.1:7233", ParseHostPort, "127.0.0.1:7233"},
		{"localhost:7233", ParseHostPort, "localhost:7233"},
		{"10.0.0.1:7233", ParseHostPort, ""},
		{"7233", ParseHostPort, ""},
		{"127.0.0.1:65536", ParseHostPort, ""},
		{"127.0.0.1:http", ParseHostPort, ""},
	}
	for _, c := range cases {
		t.Run(c.value, func(t *testing.T) {
			a, err := c.parse("the thing", "THING_URL", c.value)
			if c.hostPort == "" {
				if err == nil || !strings.Contains(err.Error(), "THING_URL") {
					t.Fatalf("got %v, %v; want an error that names the variable", a, err)
				}
				return
			}
			if err != nil || a.HostPort() != c.hostPort {
				t.Errorf("got %s, %v; want %s", a.HostPort(), err, c.hostPort)
			}
		})
	}
}

func TestABusyPortIsNamedWithItsHolderAndTheWayOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = Check(Address{Name: "the storefront", Variable: "BOXOFFICE_URL", Host: "127.0.0.1", Port: port})
	var busy *BusyError
	if !errors.As(err, &busy) {
		t.Fatalf("Check = %v, want BusyError", err)
	}
	want := []string{fmt.Sprint(port), "the storefront", "BOXOFFICE_URL"}
	if runtime.GOOS == "linux" {
		want = append(want, fmt.Sprintf("process %d", os.Getpid()))
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	l.Close()
	if err := Check(busy.Address); err != nil {
		t.Errorf("still busy once closed: %v", err)
	}
}

func TestFreePortsAreOutsideTheRangeOfOutgoingConnections(t *testing.T) {
	taken := map[int]bool{}
	for range 20 {
		port, err := Free(taken)
		if err != nil {
			t.Fatal(err)
		}
		if port < freeFirst || port > freeLast || taken[port] {
			t.Fatalf("port %d: out of range or given twice", port)
		}
		taken[port] = true
	}
}
