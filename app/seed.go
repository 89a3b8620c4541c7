package app

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// conference is the sale that docs/start.md buys from: the body of POST /v1/sales.
//
//go:embed conference.json
var conference []byte

// seed opens the conference sale through the admin API, as an organiser would. Opening it
// again changes nothing.
func seed(ctx context.Context, args []string) error {
	flags := newFlags("seed")
	timeout := flags.Duration("timeout", time.Minute, "how long to wait for the box office")
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := organiserConfig()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	content, err := await(ctx, slog.Default(), &waiting{}, needsBoxOffice, func(ctx context.Context) ([]byte, error) {
		return c.openSale(ctx, conference)
	})
	if err != nil {
		return err
	}
	var sale struct{ ID, Name string }
	if err := json.Unmarshal(content, &sale); err != nil {
		return err
	}
	fmt.Printf("sale %q is open: %s/sales/%s\n", sale.Name, c.URL, sale.ID)
	return nil
}

// answerBytesMax limits what is read of an answer.
const answerBytesMax = 64 << 10

// openSale sends the body of a sale and returns the stored sale. A 503, or no answer, may
// be tried again; every other refusal is permanent.
func (c config) openSale(ctx context.Context, body []byte) ([]byte, error) {
	return c.postAsOrganiser(ctx, "/v1/sales", body)
}

// postAsOrganiser is openSale for any of the organiser's routes.
func (c config) postAsOrganiser(ctx context.Context, path string, body []byte) ([]byte, error) {
	answer, err := c.streamAsOrganiser(ctx, path, body)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	return io.ReadAll(io.LimitReader(answer, answerBytesMax))
}

// streamAsOrganiser is postAsOrganiser for an answer of any length. Who calls it closes the answer.
func (c config) streamAsOrganiser(ctx context.Context, path string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.AdminURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPermanent, err)
	}
	request.Header.Set("Authorization", "Bearer "+string(c.AdminToken))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response.Body, nil
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%s: %s", response.Status, content)
	default:
		return nil, fmt.Errorf("%w: %s: %s", errPermanent, response.Status, content)
	}
}
