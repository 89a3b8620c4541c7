package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// asked is a Mails that records its calls.
type asked struct {
	ids, addresses, languages []string
	setAside                  []domain.SetAsideMail
	err                       error
}

func (a *asked) AskForOrders(_ context.Context, id, address, languages string) error {
	a.ids, a.addresses, a.languages = append(a.ids, id), append(a.addresses, address), append(a.languages, languages)
	return a.err
}

func (a *asked) SetAsideMails(_ context.Context, after string, most int) ([]domain.SetAsideMail, error) {
	var page []domain.SetAsideMail
	for _, m := range a.setAside {
		if m.ID > after && len(page) < most {
			page = append(page, m)
		}
	}
	return page, nil
}

func (a *asked) RetryMail(_ context.Context, id string) error {
	for _, m := range a.setAside {
		if m.ID == id {
			return nil
		}
	}
	return domain.NotFound("mail that is set aside")
}

func setupMails(t *testing.T) (*bundle, *asked) {
	t.Helper()
	mails := &asked{}
	return setup(t, func(o *Options) { o.Mails = mails }), mails
}

func ask(email string) request {
	return request{"POST", "/v1/order-links", `{"email":"` + email + `"}`, map[string]string{"Accept-Language": "de-AT, en;q=0.5"}}
}

// Every address gets the same answer, and one row is written for each, so nobody learns who has
// orders.
func TestAskingForOrdersRevealsNothing(t *testing.T) {
	b, mails := setupMails(t)
	b.held(testKey)
	var answers []string
	for _, email := range []string{"ann@example.com", "nobody@example.com", " Nobody@Example.com "} {
		w := b.do(ask(email))
		if w.Code != http.StatusAccepted {
			t.Fatalf("%s: %d %s", email, w.Code, w.Body)
		}
		header := w.Header().Clone()
		header.Del("X-Request-Id")
		header.Del("Date")
		answers = append(answers, w.Body.String()+strings.Join(header["Content-Type"], ""))
	}
	if answers[0] != answers[1] || answers[1] != answers[2] {
		t.Errorf("the answers differ: %q", answers)
	}
	if len(mails.ids) != 3 || mails.addresses[1] != "nobody@example.com" || mails.ids[1] != mails.ids[2] || mails.ids[0] == mails.ids[1] {
		t.Errorf("asked %q as %q, want one row each, the same for the same mailbox", mails.addresses, mails.ids)
	}
	if strings.Contains(mails.ids[0], "example") || mails.languages[0] != "de-AT, en;q=0.5" {
		t.Errorf("ids %q, languages %q", mails.ids, mails.languages)
	}
	if strings.Contains(b.log.String(), "nobody@") {
		t.Error("the log has the address")
	}
}

func TestAskingForOrdersIsBounded(t *testing.T) {
	b, mails := setupMails(t)
	wantProblem(t, b.do(ask("not an address")), 422, domain.CodeInvalid)
	for range asksPerClient.Burst {
		if w := b.do(ask("ann@example.com")); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	refused := b.do(ask("ann@example.com"))
	wantProblem(t, refused, 429, domain.CodeRateLimited)
	if refused.Header().Get("Retry-After") == "" || len(mails.ids) != asksPerClient.Burst {
		t.Errorf("%d were accepted, Retry-After %q", len(mails.ids), refused.Header().Get("Retry-After"))
	}
	mails.err = &domain.Error{Code: domain.CodeOverloaded}
	b2, _ := setupMails(t)
	b2.api.Mails = mails
	wantProblem(t, b2.do(ask("ann@example.com")), 503, domain.CodeOverloaded)
}

// One client cannot fill everybody's mailboxes, nor can many together.
func TestAClientMayAskForOrdersAFewTimes(t *testing.T) {
	l, err := newAskLimiter()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	client := clientOfAddress(netip.MustParseAddr("192.0.2.1"))
	for range asksPerClient.Burst {
		if wait := l.wait(client, true, now); wait > 0 {
			t.Fatalf("has to wait %v", wait)
		}
	}
	if l.wait(client, true, now) == 0 {
		t.Error("has no limit")
	}
	if l.wait(clientOfAddress(netip.MustParseAddr("192.0.2.2")), true, now) > 0 {
		t.Error("another client has to wait because of it")
	}
	taken := 0
	for i := range 2 * asksInAll.Burst {
		if l.wait(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), true, now) == 0 {
			taken++
		}
	}
	if taken >= asksInAll.Burst {
		t.Errorf("%d clients may ask at once", taken)
	}
}

func TestMailsThatAreSetAside(t *testing.T) {
	b, mails := setupMails(t)
	order := domain.OrderID{1}
	mails.setAside = []domain.SetAsideMail{{ID: "ask_1", Kind: domain.MailOrders, Reason: "550 no"}, {ID: "evt_1", Kind: domain.MailTickets, Order: order}}
	admin := bearerOf(testAdminToken)
	w := b.do(request{"GET", "/v1/mails/set-aside?limit=1", "", admin})
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"next":"ask_1"`) || strings.Contains(w.Body.String(), `"order"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = b.do(request{"GET", "/v1/mails/set-aside?after=ask_1", "", admin})
	if w.Code != 200 || !strings.Contains(w.Body.String(), order.String()) || strings.Contains(w.Body.String(), "next") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w = b.do(request{"POST", "/v1/mails/evt_1/retry", "", admin}); w.Code != http.StatusAccepted {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{"POST", "/v1/mails/evt_2/retry", "", admin}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{"GET", "/v1/mails/set-aside", "", nil}), 401, domain.CodeUnauthorized)
}

func TestWithoutMail(t *testing.T) {
	b := setup(t)
	admin := bearerOf(testAdminToken)
	for _, r := range []request{ask("ann@example.com"), {"GET", "/v1/mails/set-aside", "", admin}, {"POST", "/v1/mails/evt_1/retry", "", admin}} {
		wantProblem(t, b.do(r), 404, domain.CodeNotFound)
	}
}
