package client

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What the document describes but no code can be generated for: streams, an image, a
// redirect, and what a provider signs.

// eventBytesMax limits one event of a stream.
const eventBytesMax = 1 << 20

// WatchSale yields the stock of a sale as it changes. It ends with the context, or with
// an error. A node ends a stream after some minutes; it then ends with io.EOF: watch
// again. GET /v1/sales/{sale}/events
func (c *Client) WatchSale(ctx context.Context, sale string) iter.Seq2[SaleView, error] {
	return watch[SaleView](ctx, c, "/v1/sales/"+url.PathEscape(sale)+"/events", "stock")
}

// WatchPlace yields a token's place in a waiting room as it changes. It ends like
// WatchSale. GET /v1/queue/{token}/events
func (c *Client) WatchPlace(ctx context.Context, token string) iter.Seq2[PlaceView, error] {
	return watch[PlaceView](ctx, c, "/v1/queue/"+url.PathEscape(token)+"/events", "place")
}

func watch[View any](ctx context.Context, c *Client, path, event string) iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		var none View
		err := c.stream(ctx, Request{Path: path}, func(s streamed) (bool, error) {
			if s.event != event || s.data == "" {
				return true, nil
			}
			var view View
			if err := json.Unmarshal([]byte(s.data), &view); err != nil {
				return false, fmt.Errorf("GET %s: %w", path, err)
			}
			return yield(view, nil), nil
		})
		if err != nil {
			yield(none, err)
		}
	}
}

// streamed is what a stream of server-sent events brings: an event, or only an id.
type streamed struct{ event, id, data string }

// silenceMax is how long a stream may bring nothing, not even the heartbeat that comes
// every 15 s: then the other side has gone without a word.
const silenceMax = 45 * time.Second

// stream hands over what a stream brings until take has enough: nil then, else why it
// ended, with io.EOF where the node ended it.
func (c *Client) stream(ctx context.Context, r Request, take func(streamed) (more bool, err error)) error {
	endless := *c.http()
	endless.Timeout = 0 // silence and the context end it
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(silenceMax, func() { cancel(fmt.Errorf("nothing came for %s", silenceMax)) })
	defer silence.Stop()
	r.Method = http.MethodGet
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Accept", "text/event-stream")
	because := func(err error) error { return fmt.Errorf("GET %s: %w", r.Path, cmp.Or(context.Cause(ctx), err)) }
	answer, err := c.send(ctx, &endless, r)
	if err != nil {
		if errors.Is(err, io.EOF) { // no stream has ended: there was none
			err = io.ErrUnexpectedEOF
		}
		if context.Cause(ctx) != nil || errors.Is(err, io.ErrUnexpectedEOF) {
			err = because(err)
		}
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, eventBytesMax)
	var s streamed
	for lines.Scan() {
		silence.Reset(silenceMax)
		line := lines.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "": // the end of an event
			if more, err := take(s); err != nil || !more {
				return err
			}
			s = streamed{}
		case field == "event":
			s.event = value
		case field == "id":
			s.id = value
		case field == "data":
			s.data = value
		}
	}
	if err := lines.Err(); err != nil {
		return because(err)
	}
	return because(io.EOF)
}

// EventsFrom says which events to watch, and from where on.
type EventsFrom struct {
	After string   // the Cursor of the last event that you have dealt with; empty: from the first that is kept
	Types []string // empty: all
	Sale  string   // empty: all
}

// A LoggedEvent is an event of the log, and where it is in it.
type LoggedEvent struct {
	EventView
	Data   json.RawMessage `json:"data"`
	Cursor string          `json:"-"` // keep it together with what you made of the event
}

// The waits of WatchEvents before it connects again.
const (
	againMin = 250 * time.Millisecond
	againMax = 30 * time.Second
)

// WatchEvents yields the organiser's event log as it grows: every event once, in the
// order of the log, over broken connections too. It connects again by itself, behind the
// last event that you took. An error that does not say what happened is yielded, and the
// watch goes on if you do; a definite one (IsDefinite) ends it, such as events_dropped
// and events_restored, whose After is where to go on. So does the context. GET /v1/events
func (c *Client) WatchEvents(ctx context.Context, from EventsFrom) iter.Seq2[LoggedEvent, error] {
	return func(yield func(LoggedEvent, error) bool) {
		after, wait := from.After, againMin
		for {
			r := Request{Path: "/v1/events", IsOrganisers: true, Query: url.Values{}, Header: http.Header{}}
			set(r.Query, "types", strings.Join(from.Types, ","))
			set(r.Query, "sale", from.Sale)
			set(r.Header, "Last-Event-Id", after)
			enough := false
			err := c.stream(ctx, r, func(s streamed) (bool, error) {
				wait = againMin
				if s.data != "" {
					event := LoggedEvent{Cursor: s.id}
					if err := json.Unmarshal([]byte(s.data), &event); err != nil {
						return false, fmt.Errorf("GET %s: %w", r.Path, err)
					}
					enough = !yield(event, nil)
				}
				after = cmp.Or(s.id, after)
				return !enough, nil
			})
			switch {
			case enough:
				return
			case ctx.Err() != nil:
				yield(LoggedEvent{}, context.Cause(ctx))
				return
			case errors.Is(err, io.EOF): // a node ends a stream after some minutes
			case !yield(LoggedEvent{}, err) || IsDefinite(err):
				return
			}
			var refused *Refusal
			if errors.As(err, &refused) && refused.RetryAfter > wait {
				wait = min(refused.RetryAfter, againMax)
			}
			again := time.NewTimer(wait)
			select {
			case <-again.C:
			case <-ctx.Done():
				again.Stop()
			}
			wait = min(2*wait, againMax)
		}
	}
}

// TicketQR is the QR code of an order's ticket as a PNG; number is the ticket's. GET /v1/orders/{order}/tickets/{n}/qr
func (c *Client) TicketQR(ctx context.Context, order, token string, number int64) (png []byte, err error) {
	r := Request{
		Method: http.MethodGet, Path: "/v1/orders/" + url.PathEscape(order) + "/tickets/" + strconv.FormatInt(number, 10) + "/qr",
		Header: http.Header{"Accept": {"image/png"}}, Token: token,
	}
	err = c.Do(ctx, r, &png)
	return png, err
}

// Calendar is the event of a paid order as a calendar file (RFC 5545). GET /v1/orders/{order}/calendar
func (c *Client) Calendar(ctx context.Context, order, token string) (ics []byte, err error) {
	r := Request{Method: http.MethodGet, Path: "/v1/orders/" + url.PathEscape(order) + "/calendar", Token: token}
	err = c.Do(ctx, r, &ics)
	return ics, err
}

// TicketsPDF is all tickets of an order as a PDF, in the best of some languages, as in Accept-Language; none: the box office's own. GET
// /v1/orders/{order}/pdf
func (c *Client) TicketsPDF(ctx context.Context, order, token, languages string) (pdf []byte, err error) {
	r := Request{Method: http.MethodGet, Path: "/v1/orders/" + url.PathEscape(order) + "/pdf", Header: http.Header{}, Token: token}
	if languages != "" {
		r.Header.Set("Accept-Language", languages)
	}
	err = c.Do(ctx, r, &pdf)
	return pdf, err
}

// SaleImage is the file of a sale's image, by the hash in its URL. GET /v1/sales/{sale}/images/{hash}
func (c *Client) SaleImage(ctx context.Context, sale, hash string) (jpeg []byte, err error) {
	r := Request{Method: http.MethodGet, Path: "/v1/sales/" + url.PathEscape(sale) + "/images/" + url.PathEscape(hash)}
	err = c.Do(ctx, r, &jpeg)
	return jpeg, err
}

// PutSaleImage gives a sale an image: the file of a PNG, JPEG or WebP. ifMatch is the sale's ETag, or *. PUT /v1/sales/{sale}/image
func (c *Client) PutSaleImage(ctx context.Context, sale, ifMatch string, file []byte) (answer SaleView, err error) {
	r := Request{
		Method: http.MethodPut, Path: "/v1/sales/" + url.PathEscape(sale) + "/image", IsOrganisers: true, Header: http.Header{"If-Match": {ifMatch}}, Body: file,
	}
	err = c.Do(ctx, r, &answer)
	return answer, err
}

// OpenPayment returns the address of the provider's page for an order; key is in the
// order's payment_url. payment_url itself leads a buyer's browser there. GET
// /v1/orders/{order}/pay
func (c *Client) OpenPayment(ctx context.Context, order, key string) (page string, err error) {
	stays := *c.http()
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r := Request{Method: http.MethodGet, Path: "/v1/orders/" + url.PathEscape(order) + "/pay", Query: url.Values{"key": {key}}}
	answer, err := c.ask(ctx, &stays, r)
	switch {
	case err != nil:
		return "", err
	case answer.StatusCode/100 != 3:
		return "", refusal(r, answer)
	}
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", r.Path, err)
	}
	return to.String(), nil
}

// DeliverEvent reports a payment to the box office, as a provider does: the header has
// the provider's signature over exactly these bytes. The answer is empty for an event of
// a kind that does not matter. POST /v1/webhooks/{provider}
func (c *Client) DeliverEvent(ctx context.Context, provider string, header http.Header, event []byte) (answer StatusView, err error) {
	r := Request{Method: http.MethodPost, Path: "/v1/webhooks/" + url.PathEscape(provider), Header: header, Body: event}
	err = c.Do(ctx, r, &answer)
	return answer, err
}
