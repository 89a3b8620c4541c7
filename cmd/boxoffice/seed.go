package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"
)

// conference is the sale that the README buys from: the body of POST /v1/sales.
//
//go:embed conference.json
var conference []byte

// seed opens the conference sale through the admin API, as an organiser would.
// Opening it again changes nothing.
func seed(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("seed", flag.ExitOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	if c.AdminToken == "" {
		return errors.New("BOXOFFICE_ADMIN_TOKEN is not set: set -a; . .data/dev.env")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.AdminURL+"/v1/sales", bytes.NewReader(conference))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.AdminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w (is the box office running? `make run`)", err)
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s", response.Status, content)
	}
	var sale struct{ ID, Name string }
	if err := json.Unmarshal(content, &sale); err != nil {
		return err
	}
	fmt.Printf("sale %q is open: %s/sales/%s\n", sale.Name, c.URL, sale.ID)
	return nil
}
