package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"

	"boxoffice/cells"
	"boxoffice/domain"
)

func rule(t *testing.T, list string) *cells.Rule {
	t.Helper()
	r, err := cells.Parse(list, "", cells.Cell{Address: "127.0.0.1:1", Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConfigOfCells(t *testing.T) {
	complete(t)
	t.Setenv("TEMPORAL_ADDRESS", "temporal:7233")
	t.Setenv("TEMPORAL_NAMESPACE", "sales")
	for list, want := range map[string]string{
		"":                        "[{ temporal:7233 sales}]",
		"b=other":                 "[{ temporal:7233 sales} {b temporal:7233 other}]",
		"b=temporal-b:7233/sales": "[{ temporal:7233 sales} {b temporal-b:7233 sales}]",
	} {
		t.Setenv("TEMPORAL_CELLS", list)
		c, err := readConfig()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(c.Cells.Cells()); got != want {
			t.Errorf("%q: %s, want %s", list, got, want)
		}
	}
	for name, value := range map[string]string{"TEMPORAL_CELLS": "b", "TEMPORAL_CELLS_FOR_NEW_SALES": "c"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEMPORAL_CELLS", "b=other")
			t.Setenv(name, value)
			if _, err := readConfig(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want that %s is wrong", err, name)
			}
		})
	}
}

// A node that lacks the cell of a sale says of which sale, and of which cell.
func TestSalesOfCellsThatAreNotConfigured(t *testing.T) {
	sales := []*domain.Sale{{ID: "here"}, {ID: "there", Cell: "b"}}
	list := func(context.Context) ([]*domain.Sale, error) { return sales, nil }
	if err := checkCells(t.Context(), list, rule(t, "b=other")); err != nil {
		t.Errorf("both cells are there: %v", err)
	}
	if err := checkCells(t.Context(), list, rule(t, "")); err == nil || !strings.Contains(err.Error(), "there (b)") {
		t.Errorf("%v, want the sale and its cell", err)
	}
	down := errors.New("down")
	if err := checkCells(t.Context(), func(context.Context) ([]*domain.Sale, error) { return nil, down }, rule(t, "")); !errors.Is(err, down) {
		t.Errorf("%v, want that the sales cannot be read", err)
	}
}

// Temporal is there as long as one cell is. A cell that hangs is not waited for.
func TestOneCellIsEnough(t *testing.T) {
	there := func(context.Context) error { return nil }
	away := func(context.Context) error { return errors.New("away") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, test := range map[string]struct {
		probes []func(context.Context) error
		want   string
	}{
		"alone":                   {[]func(context.Context) error{there}, ""},
		"alone and away":          {[]func(context.Context) error{away}, "away"},
		"one of two":              {[]func(context.Context) error{away, there}, ""},
		"one of two, which hangs": {[]func(context.Context) error{hangs, there}, ""},
		"none of two":             {[]func(context.Context) error{away, away}, "away\naway"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := anyOf(test.probes)(t.Context()); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

type fakeWorker struct {
	name string
	log  *eventLog
}

type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (l *eventLog) add(event string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
}

func (l *eventLog) has(event string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.events, event)
}

func (w *fakeWorker) Start() error {
	w.log.add(w.name + " starts")
	return nil
}

func (w *fakeWorker) Stop() { w.log.add(w.name + " stops") }

// Each cell has a worker as soon as the cell is there. One that fails ends neither the process nor the worker of another cell.
func TestAWorkerForEachCell(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	s.Cells = rule(t, "b=other")
	links := []*cellLink{
		{Cell: cells.Cell{Namespace: "default"}, there: make(chan struct{})},
		{Cell: cells.Cell{Name: "b", Namespace: "other"}, there: make(chan struct{})},
	}
	log := &eventLog{}
	fatal := make(chan func(error), 2)
	clients := map[client.Client]string{}
	for _, link := range links {
		link.temporal = &namedClient{name: link.Label()}
		clients[link.temporal] = link.Label()
	}
	fail := func(err error) { t.Errorf("the process ends: %v", err) }
	err := s.runWorkers(links, "worker", fail, func(temporal client.Client, onFatal func(error)) startStopper {
		if clients[temporal] == "b" {
			fatal <- onFatal
		}
		return &fakeWorker{name: clients[temporal], log: log}
	})
	if err != nil {
		t.Fatal(err)
	}
	close(links[1].there)
	eventually(t, "cell b's worker starts, whatever the default cell does", func() bool { return log.has("b starts") })
	if log.has("default starts") {
		t.Error("the worker of a cell that is not there has started")
	}
	close(links[0].there)
	eventually(t, "the default cell's worker starts", func() bool { return log.has("default starts") })
	(<-fatal)(errors.New("its namespace is gone"))
	eventually(t, "the worker that failed is stopped", func() bool { return log.has("b stops") })
	if log.has("default stops") {
		t.Error("the other cell's worker is stopped too")
	}
	s.closeAll()
	if !log.has("default stops") {
		t.Error("closing the process does not stop the worker")
	}
}

type namedClient struct {
	client.Client
	name string
}
