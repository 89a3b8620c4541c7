package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"boxoffice/lab/bench/crowd"
	"boxoffice/lab/bench/load"
)

// Only refusals of a sold-out sale count.
func TestRefusals(t *testing.T) {
	office, b := newBoxOffice(t)
	for answer, want := range map[string]string{
		`409 {"code":"sold_out","held":0}`: "",
		`503 {"code":"overloaded"}`:        "503 overloaded",
		`409 {"code":"in_flight"}`:         "409 in_flight",
		`201 {}`:                           "201 ",
	} {
		office.checkout = answer
		pool, err := crowd.NewPool(b.URL, b.sale, ticketClass, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		err = refuse(t.Context(), pool)
		if want == "" && err != nil || want != "" && load.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An event that is not settled yet is sent again; one that never will be is not.
func TestPaymentsOfAStorm(t *testing.T) {
	paid := crowd.Held{Order: "01010000000000000000000000000000", Status: "held", Amount: priceMinor, Currency: currency}
	other := paid
	other.Amount++
	for name, test := range map[string]struct {
		held          crowd.Held
		webhook       string
		settled, more bool
	}{
		"paid":                {paid, "", true, false},
		"accepted for later":  {paid, `202 {}`, false, true},
		"busy":                {paid, `503 {"code":"overloaded"}`, false, true},
		"expired":             {paid, `200 {"order":"01010000000000000000000000000000","status":"expired"}`, false, false},
		"unknown there":       {paid, `404 {"code":"not_found"}`, false, false},
		"another amount":      {other, "", false, false},
		"no id that there is": {crowd.Held{Order: "x", Amount: priceMinor, Currency: currency}, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			office, b := newBoxOffice(t)
			office.webhook = test.webhook
			err := b.payForStorm(t.Context(), test.held)
			var later *crowd.PayLater
			if (err == nil) != test.settled || errors.As(err, &later) != test.more {
				t.Errorf("error %v; want settled %t, sent again %t", err, test.settled, test.more)
			}
		})
	}
}

func TestStormsThatCannotBe(t *testing.T) {
	if err := DefaultStorm.validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Storm){
		"more tickets than buyers": func(s *Storm) { s.Tickets = int64(s.Buyers) + 1 },
		"nothing to sell":          func(s *Storm) { s.Tickets = 0 },
		"nobody":                   func(s *Storm) { s.Buyers, s.Tickets = 0, 1 },
		"no connections":           func(s *Storm) { s.Connections = 0 },
		"none for the room":        func(s *Storm) { s.RoomConnections = 0 },
		"reads in the past":        func(s *Storm) { s.ReadFor = -time.Second },
		"too many who watch":       func(s *Storm) { s.Live = crowd.LiveMax + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			s := DefaultStorm
			change(&s)
			if s.validate() == nil {
				t.Error("the storm was accepted")
			}
		})
	}
	if DefaultStorm.queue(func(context.Context) error { return nil }).Live != 5000 {
		t.Error("the default storm has 5,000 who watch")
	}
}
