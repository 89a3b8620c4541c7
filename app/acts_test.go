package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestActsArePrintedTheLatestLast(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	err := printActs(&out, []domain.Act{
		{At: at.Add(time.Hour), Who: "operator:root", Act: "events", Path: "skip kafka evt_1"},
		{At: at, Who: "ann", Act: "refund-order", Path: "/v1/orders/x/refund", From: "192.0.2.0/24", Request: "r-12345678", Status: 200},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Fields(line))
	}
	if len(got) != 3 || got[1][1] != "ann" || got[1][5] != "200" || got[2][1] != "operator:root" || !strings.HasSuffix(strings.Join(got[2], " "), "evt_1 - - -") {
		t.Errorf("%s", out.String())
	}
}

type actsBegun struct {
	acts []domain.Act
	err  error
}

func (a *actsBegun) BeginAct(_ context.Context, act domain.Act) (int64, error) {
	a.acts = append(a.acts, act)
	return 1, a.err
}

func TestCommandsOfOperatorsAreRecorded(t *testing.T) {
	begun := &actsBegun{}
	if err := recordCommand(t.Context(), begun, "events", "skip", "kafka", "evt_1"); err != nil {
		t.Fatal(err)
	}
	got := begun.acts[0]
	if got.Act != "events" || got.Path != "skip kafka evt_1" || !strings.HasPrefix(got.Who, "operator") {
		t.Errorf("%+v", got)
	}
	begun.err = errors.New("gone")
	if err := recordCommand(t.Context(), begun, "events", "skip"); err == nil {
		t.Error("a command goes on without its record")
	}
}
