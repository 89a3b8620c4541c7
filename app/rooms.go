package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/entitlement"
	"boxoffice/waitingroom"
)

// roomsOf makes the waiting rooms of this node. They need to know how checkouts do here,
// and admission needs them. So load is only called after run.
func (s *service) roomsOf(p *parts, load func() waitingroom.Load) (*waitingroom.Rooms, error) {
	var public waitingroom.Beacon
	if s.config.Beacon != nil {
		public = s.config.Beacon
	}
	return waitingroom.New(waitingroom.Options{
		Beacon: public, Store: p.store.Queues(), Keys: p.keys, Node: nodeName(), Load: load, Stock: p.book.Stock, Sales: p.store.Queues().Sales,
		Meter: p.meter.registry, Log: s.log,
	})
}

// nodeName distinguishes this process from every other, including an earlier one on the
// same machine.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return host + "-" + rand.Text()[:8]
}

// runRooms exchanges with the other nodes until the process stops.
func (s *service) runRooms(rooms *waitingroom.Rooms, fail func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := rooms.Run(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("waiting rooms: %w", err))
		}
	}()
	s.later(func() {
		cancel()
		<-ended
	})
}

var (
	_ api.Rooms        = (*waitingroom.Rooms)(nil)
	_ admission.Rooms  = (*waitingroom.Rooms)(nil)
	_ api.Entitlements = (*entitlement.Desk)(nil)
)
