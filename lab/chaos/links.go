package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// The links that a toxic can be put on: client and server. The names of all but the last two are those of `devstack up --via`.
const (
	toTemporal    = "boxoffice-temporal"
	toOrders      = "boxoffice-postgres"
	toTigerBeetle = "boxoffice-tigerbeetle"
	toMockpay     = "boxoffice-mockpay"
	toWebhooks    = "mockpay-boxoffice"
	toStore       = "temporal-postgres"
	toKafka       = "boxoffice-kafka"
	toReceiver    = "boxoffice-receiver" // of webhooks to others
	toBuyers      = "buyers-boxoffice"
)

// A link is one direction of asking between two processes, with a proxy in between.
type link struct {
	name, upstream string
	proxy          *toxiproxy.Proxy
}

// links are all proxies of a run.
type links struct {
	server *toxiproxy.ApiServer
	byName map[string]*link
	names  []string // in the order of their making
}

func newLinks() *links {
	zerolog.SetGlobalLevel(zerolog.Disabled) // the toxics' own log of every interruption
	return &links{
		server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		byName: map[string]*link{},
	}
}

// open starts a proxy in front of upstream and returns its address.
func (l *links) open(name, upstream string) (string, error) {
	address := freeAddress()
	proxy := toxiproxy.NewProxy(l.server, name, address, upstream)
	if err := proxy.Start(); err != nil {
		return "", fmt.Errorf("proxy %s: %w", name, err)
	}
	l.byName[name] = &link{name: name, upstream: upstream, proxy: proxy}
	l.names = append(l.names, name)
	return address, nil
}

// A toxic is one way to spoil a link, in toxiproxy's words.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"` // upstream: requests; downstream: answers
	Attributes map[string]any `json:"attributes"`
}

// poison adds toxics until cure.
func (k *link) poison(list ...toxic) error {
	for _, t := range list {
		if _, err := k.add(t); err != nil {
			return err
		}
	}
	return nil
}

func (k *link) add(t toxic) (toxics.Toxic, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	wrapper, err := k.proxy.Toxics.AddToxicJson(strings.NewReader(string(raw)))
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", t.Type, k.name, err)
	}
	return wrapper.Toxic, nil
}

// cut ends every connection and accepts none until cure.
func (k *link) cut() { k.proxy.Stop() }

// cure makes the link behave again. It ends connections that a toxic has spoiled, because what was dropped is gone.
func (k *link) cure() error {
	k.proxy.Toxics.ResetToxics(context.Background())
	k.proxy.Stop()
	return k.proxy.Start()
}

func (l *links) cureAll() error {
	for _, name := range l.names {
		if err := l.byName[name].cure(); err != nil {
			return fmt.Errorf("heal %s: %w", name, err)
		}
	}
	return nil
}
