package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
		endless := *c.http()
		endless.Timeout = 0 // the context ends it
		r := Request{Method: http.MethodGet, Path: path, Header: http.Header{"Accept": {"text/event-stream"}}}
		answer, err := c.send(ctx, &endless, r)
		if err != nil {
			yield(none, err)
			return
		}
		defer answer.Body.Close()
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, eventBytesMax)
		named := ""
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case field == "": // the end of an event, or a comment that keeps the connection
				named = ""
			case field == "event":
				named = value
			case field == "data" && named == event:
				var view View
				if err := json.Unmarshal([]byte(value), &view); err != nil {
					yield(none, fmt.Errorf("GET %s: %w", path, err))
					return
				}
				if !yield(view, nil) {
					return
				}
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.EOF
		}
		yield(none, fmt.Errorf("GET %s: %w", path, err))
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
