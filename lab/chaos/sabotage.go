package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"boxoffice/client"
	server "boxoffice/mockpay"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

// noticeWithin is how long the invariants have to notice a bug once it was brought out.
const noticeWithin = 2 * time.Minute

// sabotage is `chaos sabotage`: every bug is built, brought out, and must be caught by those that are said to. The honest
// build goes through the same scenes first and must be clean: a scene that accuses it proves nothing.
func sabotage(ctx context.Context, c config) error {
	log := newJournal(c)
	log.printf("chaos sabotage: seed %d, ledger %s\n       everything of this run is in %s", c.seed, c.ledger, c.dir)
	honest := filepath.Join(c.dir, "honest")
	bin := filepath.Join(c.dir, "bin")
	for _, folder := range []string{honest, bin} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := build(ctx, c, honest, ""); err != nil {
		return err
	}
	if err := install(honest, bin); err != nil {
		return err
	}
	c.nodesMax, c.auditInterval = 1, auditSeldom
	w, err := newWorld(ctx, c, bin, log)
	if err != nil {
		return err
	}
	defer w.stop()
	var problems []string
	for i, b := range bugs {
		if !c.only.MatchString(b.name) {
			continue
		}
		if err := w.expose(ctx, i, &b); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", b.name, err))
			log.printf("%-52s NOT CAUGHT: %v", b.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d bugs were not caught as they must be:\n  %s\nlogs are in %s/log", len(problems), strings.Join(problems, "\n  "), w.data())
	}
	log.printf("every bug was caught")
	return nil
}

// expose plays a bug's scene on the honest build, then on the bug's.
func (w *world) expose(ctx context.Context, n int, b *bug) error {
	if err := w.swap(ctx, filepath.Join(w.dir, "honest")); err != nil {
		return err
	}
	accused, err := w.play(ctx, b, fmt.Sprintf("honest-%d-%d", w.seed, n), func(accused []string, atRest bool) bool { return len(accused) == 0 && atRest })
	if err != nil {
		return fmt.Errorf("the honest build: %w", err)
	}
	if len(accused) > 0 {
		return fmt.Errorf("the honest build is accused by %v: the scene is wrong, or the product", accused)
	}
	wrong := filepath.Join(w.dir, fmt.Sprintf("bug-%d", n))
	overlay, err := writeOverlay(w.repo, wrong, b.edits)
	if err != nil {
		return err
	}
	if err := build(ctx, w.config, wrong, overlay); err != nil {
		return err
	}
	if err := w.swap(ctx, wrong); err != nil {
		return err
	}
	all := func(accused []string, _ bool) bool {
		return !slices.ContainsFunc(b.caughtBy, func(id string) bool { return !slices.Contains(accused, id) })
	}
	accused, err = w.play(ctx, b, fmt.Sprintf("bug-%d-%d", w.seed, n), all)
	if err != nil {
		return err
	}
	if !all(accused, true) {
		return fmt.Errorf("want %v, it was noticed by %v", b.caughtBy, accused)
	}
	w.log.printf("%-52s caught by %s", b.name, strings.Join(accused, ", "))
	return nil
}

// swap makes other programs those of the world, and starts them as a deployment does.
func (w *world) swap(ctx context.Context, from string) error {
	if err := install(from, w.bin); err != nil {
		return err
	}
	for _, name := range []string{procMockpay, procBoxOffice} {
		if _, err := w.killAndAwait(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// install copies the two programs; a rename over the old one leaves those that run alone.
func install(from, to string) error {
	for _, name := range []string{"boxoffice", "mockpay"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		fresh := filepath.Join(to, name+".new")
		if err := os.WriteFile(fresh, raw, 0o755); err != nil {
			return err
		}
		if err := os.Rename(fresh, filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// writeOverlay makes the changed files and the overlay that puts them over the product's.
func writeOverlay(repo, into string, edits []edit) (string, error) {
	if err := os.MkdirAll(into, 0o755); err != nil {
		return "", err
	}
	changed := map[string]string{}
	for _, e := range edits {
		text, seen := changed[e.file]
		if !seen {
			raw, err := os.ReadFile(filepath.Join(repo, e.file))
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s: the text to change is there %d times: %q", e.file, n, e.old)
		}
		changed[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, text := range changed {
		path := filepath.Join(into, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(repo, file)] = path
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(into, "overlay.json")
	return overlay, os.WriteFile(overlay, raw, 0o644)
}

// play runs a bug's scene in its own sale and returns which invariants are broken. It ends early when enough is known.
func (w *world) play(ctx context.Context, b *bug, sale string, enough func(accused []string, atRest bool) bool) ([]string, error) {
	s := &stage{ctx: ctx, w: w, c: w.client, record: newRecord(), sale: sale}
	terms := saleTerms{id: sale, a: 3, b: 50, perks: 2, holdSeconds: 5, limits: 2}
	if err := w.client.openSale(ctx, terms); err != nil {
		return nil, err
	}
	// What the bug before has left behind and no sale answers for is in every audit.
	before, err := w.auditWhenReady(ctx, sale)
	if err != nil {
		return nil, err
	}
	known := offenders(before)
	err = b.expose(s)
	w.disarmAll()
	if err != nil {
		return nil, fmt.Errorf("the scene: %w", err)
	}
	var accused []string
	for end := time.Now().Add(noticeWithin); time.Now().Before(end); {
		report, err := w.client.auditor.AuditSale(ctx, sale)
		if err == nil {
			if accused = accusers(report, known, s.record); enough(accused, isAtRest(report)) {
				return accused, nil
			}
		}
		if err := pace.Pause(ctx, auditEvery/4); err != nil {
			return accused, err
		}
	}
	return accused, nil
}

func (w *world) auditWhenReady(ctx context.Context, sale string) (report client.AuditReport, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = insist(ctx, func(ctx context.Context) (err error) {
		report, err = w.client.auditor.AuditSale(ctx, sale)
		return err
	})
	return report, err
}

// An offence is somebody's finding about something.
type offence struct{ invariant, subject, id string }

func offenders(r client.AuditReport) map[offence]bool {
	all := map[offence]bool{}
	for _, result := range r.Results {
		for _, o := range result.Offenders {
			all[offence{result.ID, result.Subject, o.ID}] = true
		}
	}
	return all
}

// accusers are those that find something wrong that was not known before.
func accusers(report client.AuditReport, known map[offence]bool, r *record) []string {
	found := map[string]bool{}
	for _, result := range report.Results {
		for _, o := range result.Offenders {
			// A second capture that was given back is a warning of I5; any other warning accuses.
			wrong := o.Verdict == "broken" || o.Verdict == "warning" && !slices.Contains(expectedWarnings, result.ID)
			if wrong && !known[offence{result.ID, result.Subject, o.ID}] {
				found[result.ID] = true
			}
		}
	}
	if len(r.contradictions()) > 0 {
		found[caughtByRecord] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// A stage is where a scene is played: buyers that do exactly what brings a bug out.
type stage struct {
	ctx    context.Context
	w      *world
	c      *caller
	record *record
	sale   string
	buyers int
}

func (s *stage) front() string { return s.w.env["BOXOFFICE_URL"] }

// place asks for one ticket of a class with a key.
func (s *stage) place(class, key string) (p client.CheckoutView, err error) {
	s.buyers++
	a := ask{sale: s.sale, key: key, class: class, quantity: 1, email: fmt.Sprintf("buyer-%d@example.com", s.buyers)}
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	err = insist(ctx, func(ctx context.Context) (err error) {
		p, err = s.c.checkout(ctx, s.front(), a)
		return err
	})
	if err == nil {
		s.record.held(a, p)
	}
	return p, err
}

func (s *stage) hold(class string) (client.CheckoutView, error) { return s.place(class, newKey()) }

// end gives a session's outcome and waits until the order shows it.
func (s *stage) end(p client.CheckoutView, outcome mockpay.Outcome, status string) error {
	if err := s.do(func(ctx context.Context) error { _, err := s.c.pay(ctx, p, outcome); return err }); err != nil {
		return err
	}
	return s.awaitStatus(p, status)
}

func (s *stage) do(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	return insist(ctx, call)
}

func (s *stage) awaitStatus(p client.CheckoutView, want string) error {
	var now client.OrderView
	err := await(s.ctx, 30*time.Second, "order "+p.Order+" becomes "+want, func() bool {
		var err error
		now, err = s.c.order(s.ctx, s.front(), p)
		return err == nil && now.Status == want
	})
	if err != nil {
		return fmt.Errorf("%w; it is %s", err, now.Status)
	}
	return nil
}

// sold is an order that is paid.
func (s *stage) sold(class string) (client.CheckoutView, error) {
	p, err := s.hold(class)
	if err != nil {
		return p, err
	}
	return p, s.end(p, mockpay.OutcomeSucceeded, "paid")
}

// dropped is an order whose payment failed.
func (s *stage) dropped(class string) (client.CheckoutView, error) {
	p, err := s.hold(class)
	if err != nil {
		return p, err
	}
	return p, s.end(p, mockpay.OutcomeFailed, "failed")
}

func (s *stage) captureLate(p client.CheckoutView, nth int) error {
	return s.do(func(ctx context.Context) error { return s.c.capture(ctx, p, nth) })
}

// trick makes MockPay misbehave in one session, always.
func (s *stage) trick(p client.CheckoutView, name server.Trick) error {
	return s.do(func(ctx context.Context) error {
		return s.c.mockpay.Misbehave(ctx, p.PaymentSession, &server.Mischief{Rates: map[server.Trick]float64{name: 1}})
	})
}

// awaitDelivered waits until MockPay has nothing left to report.
func (s *stage) awaitDelivered() error {
	return await(s.ctx, 30*time.Second, "every webhook is delivered", func() bool {
		n, err := s.c.mockpay.Undelivered(s.ctx)
		return err == nil && n == 0
	})
}

// killAt waits until the process dies at a failpoint that do leads to, and is back.
func (s *stage) killAt(point string, do func() error) error {
	before := s.w.pids()
	if err := s.w.arm("kill", point, "1"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	if err := await(s.ctx, failpointWithin, "the failpoint is reached", func() bool { return !s.w.isArmed(point) }); err != nil {
		return err
	}
	name, err := s.w.awaitDeath(s.ctx, before)
	if err != nil {
		return err
	}
	return s.w.awaitBack(s.ctx, name, before[name])
}

// webhook delivers a success; signed says whether with the provider's secret.
func (s *stage) webhook(p client.CheckoutView, signed bool) error {
	id, at := "evt_"+newKey(), fmt.Sprint(time.Now().Unix())
	body := fmt.Sprintf(`{"type":"payment.succeeded","data":{"session":%q,"order":%q,"amount":%d,"currency":"EUR"}}`, p.PaymentSession, p.Order, p.Amount)
	key := []byte("not the provider's")
	if signed {
		var err error
		if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(s.w.env["BOXOFFICE_WEBHOOK_SECRET"], "whsec_")); err != nil {
			return err
		}
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	_, err := s.c.at(s.front()).DeliverEvent(s.ctx, "mockpay", header, []byte(body))
	return err
}

// The scenes.

func paid(s *stage) error {
	_, err := s.sold("B")
	return err
}

// held is an order that nobody pays for.
func held(s *stage) error {
	_, err := s.hold("B")
	return err
}

func failed(s *stage) error {
	_, err := s.dropped("B")
	return err
}

// lateMoney comes after the payment had failed; seats are left.
func lateMoney(s *stage) error {
	p, err := s.dropped("B")
	if err != nil {
		return err
	}
	if err := s.captureLate(p, 1); err != nil {
		return err
	}
	return s.awaitDelivered()
}

// lateMoneyForSoldSeats comes when others have bought them.
func lateMoneyForSoldSeats(s *stage) error {
	p, err := s.dropped("A")
	for range 3 { // all that there are
		if err == nil {
			_, err = s.sold("A")
		}
	}
	if err != nil {
		return err
	}
	if err := s.captureLate(p, 1); err != nil {
		return err
	}
	return s.awaitDelivered()
}

func killAtLateMoney(s *stage) error {
	p, err := s.dropped("B")
	if err != nil {
		return err
	}
	if err := s.awaitDelivered(); err != nil {
		return err
	}
	if err := s.killAt("webhook.pay:before", func() error { return s.captureLate(p, 1) }); err != nil {
		return err
	}
	return s.awaitDelivered()
}

// successToldAgain is the same payment under another event id: a provider's at-least-once.
func successToldAgain(s *stage) error {
	p, err := s.sold("B")
	if err != nil {
		return err
	}
	return s.webhook(p, true)
}

func killWhileRefunding(point string) func(*stage) error {
	return func(s *stage) error {
		if _, err := s.sold("B"); err != nil { // whose seats a return too many would take
			return err
		}
		p, err := s.sold("B")
		if err != nil {
			return err
		}
		err = s.killAt(point, func() error {
			go func() { _, _ = s.c.organiser.RefundOrder(s.ctx, p.Order) }()
			return nil
		})
		if err != nil {
			return err
		}
		return s.awaitStatus(p, "refunded")
	}
}

// webhookLost: the money is taken and nobody says so before the deadline.
func webhookLost(s *stage) error {
	p, err := s.hold("B")
	if err != nil {
		return err
	}
	if err := s.trick(p, server.TrickLose); err != nil {
		return err
	}
	if err := s.do(func(ctx context.Context) error { _, err := s.c.pay(ctx, p, mockpay.OutcomeSucceeded); return err }); err != nil {
		return err
	}
	return await(s.ctx, 30*time.Second, "the checkout ends", func() bool {
		now, err := s.c.order(s.ctx, s.front(), p)
		return err == nil && now.Status != "held"
	})
}

func wrongAmount(s *stage) error {
	p, err := s.hold("B")
	if err != nil {
		return err
	}
	if err := s.trick(p, server.TrickWrongAmount); err != nil {
		return err
	}
	if err := s.do(func(ctx context.Context) error { _, err := s.c.pay(ctx, p, mockpay.OutcomeSucceeded); return err }); err != nil {
		return err
	}
	return s.awaitDelivered()
}

func secondCapture(s *stage) error {
	p, err := s.sold("B")
	if err != nil {
		return err
	}
	if err := s.captureLate(p, 2); err != nil {
		return err
	}
	return s.awaitDelivered()
}

// forgedSuccess is for a session that the provider knows, and has not captured.
func forgedSuccess(s *stage) error {
	p, err := s.hold("B")
	if err != nil {
		return err
	}
	if err := s.do(func(ctx context.Context) error { return s.c.mockpay.Visit(ctx, p.PaymentURL) }); err != nil {
		return err
	}
	if err := s.webhook(p, false); err != nil && client.CodeOf(err) != "forged" {
		return err
	}
	return nil
}

func sameKeyTwice(s *stage) error {
	key := newKey()
	for range 2 {
		s.buyers = 0 // the same buyer: a key is for one body
		if _, err := s.place("B", key); err != nil {
			return err
		}
	}
	return nil
}

// paidWithoutOrders is a payment while the orders database is down.
func paidWithoutOrders(s *stage) error {
	p, err := s.hold("B")
	if err != nil {
		return err
	}
	k := s.w.links.byName[toOrders]
	k.cut()
	err = s.do(func(ctx context.Context) error { _, err := s.c.pay(ctx, p, mockpay.OutcomeSucceeded); return err })
	if err == nil {
		err = pace.Pause(s.ctx, 8*time.Second)
	}
	if cured := k.cure(); err == nil {
		err = cured
	}
	if err != nil {
		return err
	}
	return s.w.awaitAllBack(s.ctx)
}
