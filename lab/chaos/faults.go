package main

import (
	"context"
	"fmt"
	"time"

	"boxoffice/pace"
)

// A fault is one way to hurt the box office while buyers are at it. The table below is all of them; docs/chaos.md says
// what each is for.
type fault struct {
	group string // one of the groups, which a short run alternates between
	name  string
	// unless says why this world cannot have the fault; empty: it can.
	unless func(*world) string
	// hurt causes the fault and ends it. It returns what it saw, in words. An error is a broken promise of the box office
	// (it did not come back, a forgery was accepted); errDidNotHappen is the load's fault: the moment never came.
	hurt func(context.Context, *world, *load) (string, error)
}

// The groups of faults.
const (
	groupKill      = "SIGKILL"
	groupStop      = "SIGSTOP"
	groupFailpoint = "failpoint"
	groupNetwork   = "network"
	groupDisk      = "disk"
	groupParts     = "a part away"
	groupClock     = "clock"
	groupAttack    = "attack"
)

var groups = []string{groupKill, groupFailpoint, groupNetwork, groupParts, groupStop, groupDisk, groupClock, groupAttack}

// faults of a world, in the order of the documentation.
func faults(w *world) []fault {
	var all []fault
	for _, name := range w.processes() {
		all = append(all, killed(name))
	}
	all = append(all, killedAtRandom(w))
	for _, name := range w.processes() {
		all = append(all, stopped(name))
	}
	all = append(all, stoppedAtRandom(w))
	for _, p := range failpoints {
		all = append(all, killedAt(p))
	}
	for _, name := range w.links.names {
		all = append(all, spoiled(name)...)
	}
	return append(all,
		fault{groupParts, "orders database away after captures", nil, ordersAway},
		fault{groupParts, "commit acknowledgement lost: orders", nil, commitLost(toOrders, 5)},
		fault{groupParts, "commit acknowledgement lost: Temporal", nil, commitLost(toStore, 5)},
		fault{groupParts, "TigerBeetle answers nothing: stopped", onlyTigerBeetle, tigerBeetleStopped},
		fault{groupParts, "TigerBeetle answers nothing: half-open", onlyTigerBeetle, tigerBeetleSilent},
		fault{groupParts, "more clients than TigerBeetle's 64 sessions", onlyTigerBeetle, sessionsEvicted},
		fault{groupParts, "refunds refused by the provider", nil, refundsRefused},
		fault{groupDisk, "disk full under the embedded ledger (injected)", onlyEmbedded, ledgerDiskFull},
		fault{groupDisk, "disk full under MockPay (injected)", nil, mockpayDiskFull},
		fault{groupDisk, "disk full under everything (small tmpfs)", onlySmallDisk, smallDiskFull},
		fault{groupClock, "our clock jumps 6 min ahead: webhooks", nil, clockJumps("webhook", 6*time.Minute)},
		fault{groupClock, "our clock jumps 6 min back: webhooks", nil, clockJumps("webhook", -6*time.Minute)},
		fault{groupClock, "the embedded ledger's clock jumps 15 s ahead", onlyEmbedded, clockJumps("ledger", 15*time.Second)},
		fault{groupClock, "the embedded ledger's clock jumps 45 s ahead: nothing is sold", onlyEmbeddedAtLength, ledgersClockFarOff},
		fault{groupAttack, "flood of forged webhooks", nil, forgedFlood},
	)
}

func onlyTigerBeetle(w *world) string {
	if w.ledger != ledgerTigerBeetle {
		return "this run is on the embedded ledger: it has no address"
	}
	return ""
}

func onlyEmbedded(w *world) string {
	if w.ledger != ledgerEmbedded {
		return "this run is on TigerBeetle"
	}
	return ""
}

// onlyEmbeddedAtLength: it takes more than a minute, in which nothing else can be tried.
func onlyEmbeddedAtLength(w *world) string {
	if w.short {
		return "a short run has no time for it"
	}
	return onlyEmbedded(w)
}

func onlySmallDisk(w *world) string { return w.noSmallDisk }

// How long faults last. A short run's are long enough to be noticed by every timeout that they are about, but for the two
// that the design names: 30 s without the orders database, a minute without TigerBeetle.
type durations struct {
	network, stop, ordersAway, ledgerSilent, random time.Duration
	forgeries                                       int
}

func (c config) durations() durations {
	if c.short {
		return durations{
			network:      3 * time.Second,
			stop:         3 * time.Second,
			ordersAway:   10 * time.Second,
			ledgerSilent: 12 * time.Second,
			random:       6 * time.Second,
			forgeries:    2_000,
		}
	}
	return durations{
		network:      8 * time.Second,
		stop:         12 * time.Second,
		ordersAway:   30 * time.Second,
		ledgerSilent: time.Minute,
		random:       20 * time.Second,
		forgeries:    20_000,
	}
}

// A failpoint is a place in the product's code where the process kills itself. The plans reach it.
type failpoint struct {
	name  string
	plans []plan // that buyers follow so that it is reached soon
	// callsOff has the organiser cancel a sale so that it is reached.
	callsOff bool
	once     bool // reached too seldom for a later hit
}

var failpoints = []failpoint{
	{name: "checkout.start:before"},
	{name: "checkout.start:after"},
	{name: "activity.Hold:before"},
	{name: "activity.Hold:after"},
	{name: "ledger.create_accounts:before"},
	{name: "ledger.create_accounts:after"},
	{name: "ledger.create_transfers:before"},
	{name: "ledger.create_transfers:after"},
	{name: "ledger.lookup_accounts:after"},
	{name: "webhook.pay:before", plans: []plan{planPay}},
	{name: "webhook.pay:after", plans: []plan{planPay}},
	{name: "activity.Settle:before", plans: []plan{planPay}},
	{name: "activity.Settle:after", plans: []plan{planPay}},
	// In every third sale.
	{name: "activity.BookSeats:before", plans: []plan{planPay}, once: true},
	{name: "activity.BookSeats:after", plans: []plan{planPay}, once: true},
	{name: "activity.CapturePayment:before", plans: []plan{planPay}, once: true},
	{name: "activity.CapturePayment:after", plans: []plan{planPay}, once: true},
	{name: "orders.record:before", plans: []plan{planPay}},
	{name: "orders.record:after", plans: []plan{planPay}},
	{name: "activity.Release:before", plans: []plan{planFail}},
	{name: "activity.Release:after", plans: []plan{planFail}},
	{name: "activity.ExpireSession:before", plans: []plan{planCancel}},
	{name: "activity.ExpireSession:after", plans: []plan{planCancel}},
	{name: "activity.FindCapture:before", plans: []plan{planCancelPay}},
	{name: "activity.FindCapture:after", plans: []plan{planCancelPay}},
	{name: "activity.RecordRefundDue:before", plans: []plan{planCancelPay}},
	{name: "activity.RecordRefundDue:after", plans: []plan{planCancelPay}},
	{name: "activity.RefundPayment:before", plans: []plan{planCancelPay, planPayTwice}},
	{name: "activity.RefundPayment:after", plans: []plan{planCancelPay, planPayTwice}},
	{name: "activity.RecordRefundDone:before", plans: []plan{planCancelPay}},
	{name: "activity.RecordRefundDone:after", plans: []plan{planCancelPay}},
	{name: "activity.RecordOrderRefundDue:before", plans: []plan{planPayAndRefund}},
	{name: "activity.RecordOrderRefundDue:after", plans: []plan{planPayAndRefund}},
	{name: "activity.ReturnSeats:before", plans: []plan{planPayAndRefund}},
	{name: "activity.ReturnSeats:after", plans: []plan{planPayAndRefund}},
	{name: "activity.CloseSale:before", callsOff: true, once: true},
	{name: "activity.CloseSale:after", callsOff: true, once: true},
	{name: "activity.SurveyCancellation:before", callsOff: true},
	{name: "activity.SurveyCancellation:after", callsOff: true},
	{name: "activity.CancelCheckouts:before", callsOff: true, once: true},
	{name: "activity.CancelCheckouts:after", callsOff: true, once: true},
	{name: "activity.RefundOrders:before", callsOff: true, once: true},
	{name: "activity.RefundOrders:after", callsOff: true, once: true},
	{name: "activity.AuditSales:before", once: true},
	{name: "activity.AuditSales:after", once: true},
	{name: "reader.handle:before", plans: []plan{planPay}},
	{name: "reader.handle:after", plans: []plan{planPay}},
	{name: "mail.send:before", plans: []plan{planPay}},
	{name: "mail.send:after", plans: []plan{planPay}},
	{name: "webhooks.deliver:before", plans: []plan{planPay}},
	{name: "webhooks.deliver:after", plans: []plan{planPay}},
	{name: "mockpay.commit:before", plans: []plan{planPay}},
	{name: "mockpay.commit:after", plans: []plan{planPay}},
}

// failpointWithin is how long the load has to reach a point: an audit that looks twice and the one after it.
const failpointWithin = 50 * time.Second

func killedAt(p failpoint) fault {
	return fault{groupFailpoint, "kill at " + p.name, nil, func(ctx context.Context, w *world, l *load) (string, error) {
		hits := 1 + w.rng.IntN(3)
		if p.once {
			hits = 1
		}
		for _, plan := range p.plans {
			l.want(plan, 6)
		}
		before := w.pids()
		if err := w.arm("kill", p.name, fmt.Sprint(hits)); err != nil {
			return "", err
		}
		defer w.disarm("kill", p.name)
		if p.callsOff {
			if err := l.callOffSale(ctx); err != nil {
				return "", err
			}
		}
		if err := await(ctx, failpointWithin, "the failpoint is reached", func() bool { return !w.isArmed(p.name) }); err != nil {
			return "", err
		}
		died := time.Now()
		name, err := w.awaitDeath(ctx, before)
		if err != nil {
			return "", err
		}
		if err := w.awaitBack(ctx, name, before[name]); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s died at hit %d, back after %s", name, hits, rounded(time.Since(died))), nil
	}}
}

func killed(name string) fault {
	return fault{groupKill, "SIGKILL " + name, nil, func(ctx context.Context, w *world, _ *load) (string, error) {
		return w.killAndAwait(ctx, name)
	}}
}

func (w *world) killAndAwait(ctx context.Context, name string) (string, error) {
	pid, err := w.kill(name)
	if err != nil {
		return "", err
	}
	died := time.Now()
	if err := w.awaitBack(ctx, name, pid); err != nil {
		return "", err
	}
	return "back after " + rounded(time.Since(died)), nil
}

// killedAtRandom kills whatever comes, however little time the one before had.
func killedAtRandom(w *world) fault {
	return fault{groupKill, "SIGKILL at random", nil, func(ctx context.Context, w *world, _ *load) (string, error) {
		names, kills := w.processes(), 0
		for end := time.Now().Add(w.durations().random); time.Now().Before(end); {
			if _, err := w.kill(names[w.rng.IntN(len(names))]); err == nil {
				kills++
			}
			if err := pace.Pause(ctx, time.Duration(200+w.rng.IntN(1800))*time.Millisecond); err != nil {
				return "", err
			}
		}
		died := time.Now()
		if err := w.awaitAllBack(ctx); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d kills, all back after %s", kills, rounded(time.Since(died))), nil
	}}
}

func stopped(name string) fault {
	return fault{groupStop, "SIGSTOP " + name, nil, func(ctx context.Context, w *world, _ *load) (string, error) {
		return w.freeze(ctx, name, w.durations().stop)
	}}
}

func (w *world) freeze(ctx context.Context, name string, d time.Duration) (string, error) {
	pid := w.pid(name)
	if pid == 0 {
		return "", fmt.Errorf("%s is not up", name)
	}
	frozen := signalAll(pid, sigStop)
	defer signalEach(frozen, sigContinue)
	if err := pace.Pause(ctx, d); err != nil {
		return "", err
	}
	signalEach(frozen, sigContinue)
	goes := time.Now()
	if err := w.awaitBack(ctx, name, 0); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d processes stood still for %s, ready after %s", len(frozen), d, rounded(time.Since(goes))), nil
}

func stoppedAtRandom(w *world) fault {
	return fault{groupStop, "SIGSTOP at random", nil, func(ctx context.Context, w *world, _ *load) (string, error) {
		names, stops := w.processes(), 0
		for end := time.Now().Add(w.durations().random); time.Now().Before(end); stops++ {
			// Two at a time: a part that works notices one that stands still.
			one, two := names[w.rng.IntN(len(names))], names[w.rng.IntN(len(names))]
			frozen := append(signalAll(w.pid(one), sigStop), signalAll(w.pid(two), sigStop)...)
			err := pace.Pause(ctx, time.Duration(300+w.rng.IntN(2500))*time.Millisecond)
			signalEach(frozen, sigContinue)
			if err != nil {
				return "", err
			}
		}
		if err := w.awaitAllBack(ctx); err != nil {
			return "", err
		}
		return fmt.Sprintf("%d times two processes stood still", stops), nil
	}}
}

// spoiled are the toxics of one link.
func spoiled(name string) []fault {
	toxics := []struct {
		what string
		list []toxic
	}{
		{"latency 300 ± 200 ms", []toxic{{"latency", "downstream", map[string]any{"latency": 300, "jitter": 200}}}},
		{"reset by peer", []toxic{{"reset_peer", "downstream", map[string]any{"timeout": 50}}}},
		{"half-open: requests are swallowed", []toxic{{"timeout", "upstream", map[string]any{"timeout": 0}}}},
		{"half-open: answers are swallowed", []toxic{{"timeout", "downstream", map[string]any{"timeout": 0}}}},
		{"20 kB/s in small slices", []toxic{
			{"bandwidth", "downstream", map[string]any{"rate": 20}},
			{"slicer", "upstream", map[string]any{"average_size": 64, "size_variation": 32, "delay": 200}},
		}},
		{"cut after 1,500 bytes", []toxic{{"limit_data", "downstream", map[string]any{"bytes": 1500}}}},
	}
	var all []fault
	for _, t := range toxics {
		all = append(all, fault{groupNetwork, name + ": " + t.what, nil, func(ctx context.Context, w *world, _ *load) (string, error) {
			k := w.links.byName[name]
			if err := k.poison(t.list...); err != nil {
				return "", err
			}
			return k.endure(ctx, w)
		}})
	}
	return append(all, fault{groupNetwork, name + ": down", nil, func(ctx context.Context, w *world, _ *load) (string, error) {
		w.links.byName[name].cut()
		return w.links.byName[name].endure(ctx, w)
	}})
}

// endure lets a spoiled link work for a while, then heals it and waits until everything is ready.
func (k *link) endure(ctx context.Context, w *world) (string, error) {
	d := w.durations().network
	err := pace.Pause(ctx, d)
	if cured := k.cure(); err == nil {
		err = cured
	}
	if err != nil {
		return "", err
	}
	healed := time.Now()
	if err := w.awaitAllBack(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("for %s, ready after %s", d, rounded(time.Since(healed))), nil
}

func rounded(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }
