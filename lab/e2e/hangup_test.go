package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
		require.NoError(t, err)
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST /v1/sales/%s/checkouts HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
			sale, address, key, len(body), body)
		require.NoError(t, err)
		time.Sleep(time.Duration(i%5) * time.Millisecond) //nolint:forbidigo // where in the start the reset comes is what varies
		require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
		require.NoError(t, conn.Close())
		require.Eventually(t, func() bool {
			return s.checkout(t, sale, key, items{"A": 1}, buyer).status == http.StatusCreated
		}, 5*time.Second, 20*time.Millisecond, "the key of buyer %d is still in flight", i)
	}
	s.awaitStock(t, sale, "A", level{Held: buyers})
}
