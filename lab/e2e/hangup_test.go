package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// testHangUps: buyers who reset the connection just after they have sent their
// checkout find its answer with the same key, long before the timeout of a workflow
// task that got lost.
func testHangUps(t *testing.T, s *stack) {
	const buyers = 20
	sale := s.sale(t, buyers, longHold, 1)
	address := strings.TrimPrefix(s.env["BOXOFFICE_URL"], "http://")
	for i := range buyers {
		key, buyer := newKey(), newBuyer()
		body, err := json.Marshal(checkoutBody(items{"A": 1}, buyer))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(conn, "POST /v1/sales/%s/checkouts HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
			sale, address, key, len(body), body)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%5) * time.Millisecond) //nolint:forbidigo // where in the start the reset comes is what varies
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(5 * time.Second)
		for ; s.checkout(t, sale, key, items{"A": 1}, buyer).status != http.StatusCreated; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the key of buyer %d is still in flight", i)
			}
		}
	}
	s.awaitStock(t, sale, "A", level{Held: buyers})
}
