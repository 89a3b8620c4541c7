package beacon

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// requestTimeout limits one server's answer, so that the next one is asked soon.
	requestTimeout = 3 * time.Second
	// roundBytesMax limits the answer; about 300 bytes are usual.
	roundBytesMax = 4 << 10
	// ServersMax limits how many servers a chain may have.
	ServersMax = 8
)

// A Client asks servers of a chain for its rounds. It does not trust them: a wrong answer
// counts as no answer. It is safe for concurrent use.
type Client struct {
	chain   Chain
	servers []string
	http    *http.Client
}

// NewClient makes a client that asks servers in turn, at their base URLs. The error names
// the one that is not a URL.
func NewClient(chain Chain, servers []string) (*Client, error) {
	if len(servers) == 0 || len(servers) > ServersMax {
		return nil, fmt.Errorf("beacon: %d servers, want 1–%d", len(servers), ServersMax)
	}
	c := &Client{chain: chain, http: &http.Client{
		Timeout: requestTimeout,
		// Relays answer themselves. A redirect would lead to a server that nobody
		// configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, server := range servers {
		u, err := url.Parse(server)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, fmt.Errorf("beacon: %q is not the http(s) URL of a drand server", server)
		}
		c.servers = append(c.servers, strings.TrimSuffix(server, "/"))
	}
	return c, nil
}

// Chain is whose rounds it asks for.
func (c *Client) Chain() Chain { return c.chain }

// Signature returns a round's signature, checked. It fails if no server has it: the round
// has not come out yet, or no server can be reached.
func (c *Client) Signature(ctx context.Context, round int64) ([]byte, error) {
	var failures []error
	for i := range c.servers {
		server := c.servers[(int(round)+i)%len(c.servers)]
		signature, err := c.ask(ctx, server, round)
		if err == nil {
			return signature, nil
		}
		failures = append(failures, fmt.Errorf("beacon: round %d at %s: %w", round, server, err))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func (c *Client) ask(ctx context.Context, server string, round int64) ([]byte, error) {
	address := fmt.Sprintf("%s/%x/public/%d", server, c.chain.Hash, round)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, roundBytesMax+1))
	switch {
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answered %s", response.Status)
	case err != nil:
		return nil, err
	}
	return ParseRound(body, c.chain, round)
}

// ParseRound reads what drand returns at /public/{round}, and checks it.
func ParseRound(data []byte, chain Chain, round int64) (signature []byte, err error) {
	if len(data) > roundBytesMax {
		return nil, errors.New("the answer is too long")
	}
	var answer struct {
		Round     int64  `json:"round"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("the answer is not JSON as drand answers it: %w", err)
	}
	signature, err = hex.DecodeString(answer.Signature)
	switch {
	case answer.Round != round:
		return nil, fmt.Errorf("the answer is of round %d", answer.Round)
	case err != nil || !chain.Verify(round, signature):
		return nil, errors.New("the chain did not sign the answer")
	}
	return signature, nil
}
