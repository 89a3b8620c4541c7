package waitingroom

import (
	"testing"
	"time"
)

func opened(opened, refused int) (w word) {
	for i := range w.opens {
		w.opens[i] = opens{opened, refused}
	}
	return w
}

// That a provider takes no more is a claim from what all nodes counted, as congestion is.
func TestWhenAProviderIsCongested(t *testing.T) {
	recovered := opened(4, 30)
	recovered.opens[0] = opens{4, 0}
	for name, c := range map[string]struct {
		w    word
		want bool
	}{
		"nobody went to pay":       {word{}, false},
		"all pages came":           {opened(100, 0), false},
		"no page came":             {opened(0, 20), true},
		"half of the pages":        {opened(50, 50), true},
		"a fifth was refused":      {opened(80, 20), false},
		"too few to say":           {opened(0, 7), false},
		"as few, on three nodes":   {opened(0, 8), true},
		"the newest are all given": {recovered, false},
	} {
		if got := c.w.opensCongested(); got != c.want {
			t.Errorf("%s: congested %t, want %t", name, got, c.want)
		}
	}
}

func TestAMeterCountsPages(t *testing.T) {
	var m Meter
	for at := range 10 { // a second apart, for nine seconds
		m.Open(time.Duration(at)*time.Second, "stripe", at%2 == 0)
	}
	m.Open(9*time.Second, "other", true)
	now := 9 * time.Second
	if got, want := m.Opens(now)["stripe"], [...]OpenWindow{{0, 1}, {1, 1}, {4, 4}}; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := m.Opens(now)["other"], [...]OpenWindow{{1, 0}, {1, 0}, {1, 0}}; got != want {
		t.Errorf("the other provider: %+v, want %+v", got, want)
	}
	if got := m.Opens(now + time.Minute)["stripe"]; got != ([len(LoadWindows)]OpenWindow{}) {
		t.Errorf("a minute later: %+v", got)
	}
}

// A provider that gives few pages a second slows the doors of its own sales to that, and no other; when it gives more again,
// so do they.
func TestADoorFollowsItsPaymentProvider(t *testing.T) {
	const slowTil, end = 60 * time.Second, 110 * time.Second
	for seed := range uint64(2) {
		ofStripe, other := &simulatedSale{provider: "stripe"}, &simulatedSale{provider: "other"}
		s := &simulation{
			seed: seed, nodes: oneNode, sales: []*simulatedSale{ofStripe, other}, base: 15 * time.Millisecond, forTime: end, capacity: always(95),
			pages: map[string]func(time.Duration) float64{"stripe": func(at time.Duration) float64 {
				if at < slowTil {
					return 8
				}
				return 1000
			}, "other": always(1000)},
		}
		s.run()
		from := 30 * time.Second
		let := float64(ofStripe.doors[int(slowTil/ExchangeInterval)-1]-ofStripe.doors[int(from/ExchangeInterval)]) / (slowTil - from).Seconds()
		pages, refused := ofStripe.pages.perSecond(from, slowTil), ofStripe.unpaged.perSecond(from, slowTil)
		others, after := other.paid.perSecond(from, slowTil), ofStripe.paid.perSecond(slowTil+30*time.Second, end)
		t.Logf("seed %d: %.1f let in a second, %.1f pages and %.1f refused, the other sale sells %.1f; afterwards %.1f", seed, let, pages, refused, others, after)
		switch {
		case let > 12 || refused > 3*8:
			t.Errorf("seed %d: %.1f a second are let in to a provider of 8, which refuses %.1f", seed, let, refused)
		case pages < 0.7*8:
			t.Errorf("seed %d: the provider gives %.1f pages of 8", seed, pages)
		case others < 0.6*(95-8):
			t.Errorf("seed %d: the other sale sells %.1f a second", seed, others)
		case after < 0.6*95/2:
			t.Errorf("seed %d: %.1f a second when the provider is quick again", seed, after)
		}
	}
}
