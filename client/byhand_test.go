package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"boxoffice/client"
)

// serve is a client of a box office with this handler.
func serve(t *testing.T, answer http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return &client.Client{URL: server.URL, AdminToken: "organiser", HTTP: server.Client()}
}

func TestAStreamIsReadEventByEvent(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/queue/q1.a/events" {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"not_found"}`)
			return
		}
		_, _ = io.WriteString(w, "retry: 3000\n\nevent: place\ndata: {\"ahead\":2}\n\n: still here\n\nevent: later\ndata: {\"ahead\":9}\n\nevent: place\ndata: {\"ahead\":1}\n\n")
	})
	c.HTTP.Timeout = time.Nanosecond // a stream outlasts what a request may take

	var ahead []int64
	var end error
	for place, err := range c.WatchPlace(t.Context(), "q1.a") {
		if err != nil {
			end = err
			break
		}
		ahead = append(ahead, place.Ahead)
	}
	if fmt.Sprint(ahead) != "[2 1]" || !errors.Is(end, io.EOF) {
		t.Errorf("places %v, end %v; want [2 1] and io.EOF: the node ended the stream", ahead, end)
	}
	for range c.WatchPlace(t.Context(), "q1.a") {
		break // the caller may stop early
	}
	for _, err := range c.WatchSale(t.Context(), "rock") {
		if client.CodeOf(err) != "not_found" {
			t.Errorf("error %v of a sale that does not exist, want not_found", err)
		}
	}
}

// Whatever breaks, every event comes once: the watch goes on behind the last one that was taken.
func TestEventsAreWatchedOverBrokenConnections(t *testing.T) {
	const all = 7
	asked := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.RequestURI() != "/v1/events?sale=rock&types=order.paid%2Corder.refunded" || r.Header.Get("Authorization") != "Bearer organiser" {
			t.Errorf("%s as %q", r.URL, r.Header.Get("Authorization"))
		}
		last := 0
		if id := r.Header.Get("Last-Event-Id"); id != "" {
			_, _ = fmt.Sscanf(id, "c-%d", &last)
		}
		switch asked {
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"overloaded"}`)
			return
		case 4: // what is not wanted moves it on
			_, _ = io.WriteString(w, "retry: 3000\n\n: still here\nid: c-5\n\n")
			return
		case 6:
			w.WriteHeader(http.StatusGone)
			_, _ = io.WriteString(w, `{"code":"events_restored","after":"0-0"}`)
			return
		}
		for n := last + 1; n <= min(last+2, all); n++ {
			_, _ = fmt.Fprintf(w, "id: c-%d\ndata: {\"id\":\"evt_%d\",\"type\":\"order.paid\",\"data\":{\"n\":%d}}\n\n", n, n, n)
		}
		_, _ = io.WriteString(w, "id: c-99\ndata: {") // cut off in the midst
		if asked == 3 {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	c.HTTP.Timeout = time.Nanosecond

	var got, failed []string
	for event, err := range c.WatchEvents(t.Context(), client.EventsFrom{Sale: "rock", Types: []string{"order.paid", "order.refunded"}}) {
		if err != nil {
			failed = append(failed, client.CodeOf(err))
			if client.IsDefinite(err) {
				var gone *client.Refusal
				if !errors.As(err, &gone) || gone.After != "0-0" {
					t.Errorf("%v: want where to go on", err)
				}
			}
			continue
		}
		got = append(got, fmt.Sprint(event.Cursor, " ", event.ID, " ", string(event.Data)))
	}
	want := []string{
		`c-1 evt_1 {"n":1}`, `c-2 evt_2 {"n":2}`, `c-3 evt_3 {"n":3}`, `c-4 evt_4 {"n":4}`, `c-6 evt_6 {"n":6}`, `c-7 evt_7 {"n":7}`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(failed) != "[overloaded  events_restored]" {
		t.Errorf("events %q, errors %q", got, failed)
	}
}

func TestAWatchOfEventsEndsWithItsReader(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for n := range 3 {
			_, _ = fmt.Fprintf(w, "id: c-%d\ndata: {\"id\":\"evt_%d\"}\n\n", n, n)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for event := range c.WatchEvents(t.Context(), client.EventsFrom{After: "c-0"}) {
		if event.ID != "evt_0" {
			t.Errorf("%+v", event)
		}
		break // who has seen enough leaves
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	seen, ends := 0, 0
	for _, err := range c.WatchEvents(ctx, client.EventsFrom{}) {
		switch {
		case err == nil:
			if seen++; seen == 3 {
				cancel(enough)
			}
		case errors.Is(err, enough):
			ends++
		default:
			t.Error(err)
		}
	}
	if seen != 3 || ends != 1 {
		t.Errorf("%d events and %d ends", seen, ends)
	}
}

func TestAnswersThatAreNotJSON(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch asked := r.Method + " " + r.URL.RequestURI(); {
		case asked == "GET /v1/orders/01a2/tickets/2/qr" && r.Header.Get("Accept") == "image/png" && r.Header.Get("Authorization") == "Bearer t":
			_, _ = io.WriteString(w, "PNG")
		case asked == "GET /v1/orders/01a2/pay?key=k":
			http.Redirect(w, r, "https://provider.example/pay/7", http.StatusSeeOther)
		case asked == "POST /v1/webhooks/other" && r.Header.Get("Webhook-Id") == "evt_1" && string(body) == `{ "a":"<" }`:
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"order":"01a2","status":"paid"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"not_found"}`)
		}
	})

	if png, err := c.TicketQR(t.Context(), "01a2", "t", 2); err != nil || string(png) != "PNG" {
		t.Errorf("QR code %q, error %v", png, err)
	}
	if page, err := c.OpenPayment(t.Context(), "01a2", "k"); err != nil || page != "https://provider.example/pay/7" {
		t.Errorf("page %q, error %v", page, err)
	}
	if _, err := c.OpenPayment(t.Context(), "01a2", "guess"); client.CodeOf(err) != "not_found" {
		t.Errorf("error %v with a key that is not the order's, want not_found", err)
	}
	signed := http.Header{"Webhook-Id": {"evt_1"}}
	if settled, err := c.DeliverEvent(t.Context(), "other", signed, []byte(`{ "a":"<" }`)); err != nil || settled.Status != "paid" {
		t.Errorf("settled %+v, error %v; the bytes are signed and must arrive unchanged", settled, err)
	}
}

// A caller that must tell 200 from 202, or read a header, can do so, even for a refusal.
func TestAnAnswerIsRecorded(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Idempotent-Replayed", "true")
		if r.URL.Path == "/v1/orders/gone/refund" {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"code":"in_flight"}`)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"order":"01a2","status":"refunding"}`)
	})
	var raw client.Answer
	ctx := client.Recording(t.Context(), &raw)

	refunded, err := c.RefundOrder(ctx, "01a2")
	if err != nil || refunded.Status != "refunding" {
		t.Fatalf("answer %+v, error %v", refunded, err)
	}
	if raw.Status != http.StatusAccepted || raw.Header.Get("Idempotent-Replayed") != "true" || string(raw.Body) != `{"order":"01a2","status":"refunding"}` {
		t.Errorf("recorded %d %v %s", raw.Status, raw.Header, raw.Body)
	}
	if _, err := c.RefundOrder(ctx, "gone"); client.CodeOf(err) != "in_flight" || raw.Status != http.StatusConflict || string(raw.Body) != `{"code":"in_flight"}` {
		t.Errorf("error %v, recorded %d %s", err, raw.Status, raw.Body)
	}
}
