package payments_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
)

// named is a provider by another name.
type named struct {
	*paymentstest.Memory
	name string
}

func (n named) Name() string { return n.name }

func order(n byte) domain.OrderID { return domain.OrderID{n, 14: 1} }

// Two providers that happen to use the same ids are kept apart, and each gets its own.
func TestEachCallGoesToTheProviderThatTheIDNames(t *testing.T) {
	ctx := t.Context()
	one, two := paymentstest.NewMemory(), paymentstest.NewMemory()
	set, err := payments.NewSet(named{one, domain.DefaultProvider}, named{two, "two"})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Default(); got != domain.DefaultProvider {
		t.Fatalf("set.Default() is %q, want %q", got, domain.DefaultProvider)
	}

	pages := map[string]domain.PayPage{}
	for provider, memory := range map[string]*paymentstest.Memory{domain.DefaultProvider: one, "two": two} {
		page, err := set.Open(ctx, provider, payments.Opening{Order: order(1), Attempt: 1, AmountMinor: 100, Currency: "EUR"})
		if err != nil {
			t.Fatal(err)
		}
		if got := domain.ProviderOf(page.Session); got != provider {
			t.Fatalf("domain.ProviderOf(page.Session) is %q, want %q", got, provider)
		}
		if err := memory.Do(page, paymentstest.Pay); err != nil {
			t.Fatal(err)
		}
		pages[provider] = page
	}
	payment := map[string]string{}
	for provider, page := range pages {
		outcome, err := set.Expire(ctx, page.Session)
		if err != nil {
			t.Fatal(err)
		}
		if !outcome.Captured {
			t.Fatal("want true: outcome.Captured")
		}
		if outcome.Capture.Session != page.Session {
			t.Fatalf("outcome.Capture.Session is %q, want %q", outcome.Capture.Session, page.Session)
		}
		if got := domain.ProviderOf(outcome.Capture.Payment); got != provider {
			t.Fatalf("domain.ProviderOf(outcome.Capture.Payment) is %q, want %q", got, provider)
		}
		found, captured, err := set.Capture(ctx, page.Session)
		if err != nil {
			t.Fatal(err)
		}
		if !captured {
			t.Fatal("want true: captured")
		}
		if !reflect.DeepEqual(found, outcome.Capture) {
			t.Fatalf("found is %+v, want %+v", found, outcome.Capture)
		}
		payment[provider] = found.Payment
		if err := set.Refund(ctx, domain.Refund{Capture: found, Reason: domain.RefundByOrganiser}); err != nil {
			t.Fatal(err)
		}
	}
	if got := one.Calls("refund"); got != 1 {
		t.Fatalf(`one.Calls("refund") is %v, want 1`, got)
	}
	if got := two.Calls("refund"); got != 1 {
		t.Fatalf(`two.Calls("refund") is %v, want 1`, got)
	}
	var captures, refunds []string
	for c, err := range set.Captures(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		captures = append(captures, c.Payment)
	}
	for r, err := range set.Refunds(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		refunds = append(refunds, r.Payment)
	}
	want := []string{payment[domain.DefaultProvider], payment["two"]}
	if !reflect.DeepEqual(captures, want) {
		t.Fatalf("captures is %q, want %q", captures, want)
	}
	if !reflect.DeepEqual(refunds, want) {
		t.Fatalf("refunds is %q, want %q", refunds, want)
	}

	hook := two.Webhooks()[0]
	_, err = set.Event(ctx, domain.DefaultProvider, hook.Header, hook.Body)
	if got := domain.CodeOf(err); got != domain.CodeForged {
		t.Fatalf("domain.CodeOf(err) is %q, want %q: the webhook of another provider", got, domain.CodeForged)
	}
	event, err := set.Event(ctx, "two", hook.Header, hook.Body)
	if err != nil {
		t.Fatal(err)
	}
	if event.Payment != payment["two"] {
		t.Fatalf("event.Payment is %q, want %q", event.Payment, payment["two"])
	}
	if event.Session != pages["two"].Session {
		t.Fatalf("event.Session is %q, want %q", event.Session, pages["two"].Session)
	}
	if !event.Usable() {
		t.Fatal("want true: event.Usable()")
	}
}

// dated is a provider whose lists can begin at a moment.
type dated struct {
	named
	since time.Time
}

func (d dated) Since(moment time.Time) payments.Provider { return dated{d.named, moment} }

func (d dated) Captures(context.Context) iter.Seq2[domain.Capture, error] {
	return func(yield func(domain.Capture, error) bool) {
		yield(domain.Capture{Payment: fmt.Sprint("since", d.since.Unix()), Session: "cs_1"}, nil)
	}
}

// The lists of a set begin at a moment where its providers can do that, and are whole elsewhere.
func TestTheListsOfASetBeginAtAMoment(t *testing.T) {
	memory := paymentstest.NewMemory()
	set, err := payments.NewSet(dated{named: named{memory, "one"}}, named{paymentstest.NewMemory(), "two"})
	if err != nil {
		t.Fatal(err)
	}
	for _, moment := range []time.Time{time.Unix(1_000_000, 0), time.Unix(2_000_000, 0)} {
		var got []string
		for c, err := range set.Since(moment).Captures(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c.Payment)
		}
		if want := []string{fmt.Sprint("one/since", moment.Unix())}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// A due refund stays due until the provider is back.
func TestAProviderThatIsNotConfiguredIsUnknownNeverANo(t *testing.T) {
	ctx := t.Context()
	set, err := payments.NewSet(paymentstest.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	_, openErr := set.Open(ctx, "gone", payments.Opening{Order: order(1)})
	_, expireErr := set.Expire(ctx, "gone/cs_1")
	_, _, captureErr := set.Capture(ctx, "ps_1")
	_, knownErr := set.KnowsSession(ctx, "gone/cs_1")
	_, takeErr := set.CaptureAuthorized(ctx, "gone/cs_1")
	_, releaseErr := set.ReleaseAuthorized(ctx, "gone/cs_1")
	for what, err := range map[string]error{
		"open": openErr, "expire": expireErr, "capture": captureErr, "knows": knownErr, "capture authorized": takeErr, "release authorized": releaseErr,
		"refund": set.Refund(ctx, domain.Refund{Capture: domain.Capture{Payment: "gone/pi_1"}}),
	} {
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %s: %v", what, err)
		}
		if err == nil || !strings.Contains(err.Error(), "BOXOFFICE_PAYMENT_PROVIDERS") {
			t.Fatalf("the error is %v, want %q in it: %v", err, "BOXOFFICE_PAYMENT_PROVIDERS", what)
		}
	}
	_, err = set.Event(ctx, "gone", http.Header{}, nil)
	if got := domain.CodeOf(err); got != domain.CodeNotFound {
		t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeNotFound)
	}
}

// plain is a provider that cannot authorise.
type plain struct{ payments.Provider }

func TestOnlyAProviderThatCanAuthorises(t *testing.T) {
	ctx := t.Context()
	set, err := payments.NewSet(plain{paymentstest.NewMemory()}, named{paymentstest.NewMemory(), "two"})
	if err != nil {
		t.Fatal(err)
	}
	if set.Authorizes("other") || !set.Authorizes("two") || set.Authorizes("gone") {
		t.Errorf("authorises: other %t, two %t, gone %t", set.Authorizes("other"), set.Authorizes("two"), set.Authorizes("gone"))
	}
	if _, err := set.CaptureAuthorized(ctx, "other/cs_1"); !domain.IsUnknown(err) {
		t.Errorf("a provider that cannot capture: %v, want an unknown error", err)
	}
	for c, err := range set.Authorizations(ctx) {
		t.Errorf("it lists %+v, %v", c, err)
	}
	err = set.Refund(ctx, domain.Refund{Capture: domain.Capture{Payment: "two/pi_1", Authorized: true}})
	if domain.CodeOf(err) != domain.CodeInternal {
		t.Errorf("a refund of what was only authorised: %v", err)
	}
}

// strange is a provider whose ids could pass for another's.
type strange struct{ *paymentstest.Memory }

func (strange) Name() string { return domain.DefaultProvider }

func TestAnIDThatCouldPassForAnotherProvidersIsNotTaken(t *testing.T) {
	memory := paymentstest.NewMemory()
	memory.IDPrefix = "two/"
	set, err := payments.NewSet(strange{memory})
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.Open(t.Context(), domain.DefaultProvider, payments.Opening{Order: order(1), Attempt: 1})
	if !domain.IsUnknown(err) {
		t.Fatalf("want true: domain.IsUnknown(err): %v", err)
	}
}

func TestASetOfProvidersMustMakeSense(t *testing.T) {
	for name, providers := range map[string][]payments.Provider{
		"none":            nil,
		"one twice":       {paymentstest.NewMemory(), paymentstest.NewMemory()},
		"a name too many": {named{paymentstest.NewMemory(), "Not a name"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := payments.NewSet(providers...)
			if err == nil {
				t.Fatal("no error, want one")
			}
		})
	}
}

// A provider's rate limit slows the calls to it, and to no other.
func TestARateLimitHoldsCallsBack(t *testing.T) {
	ctx := t.Context()
	one, two := paymentstest.NewMemory(), paymentstest.NewMemory()
	set, err := payments.NewSet(named{one, "one"}, named{two, "two"})
	if err != nil {
		t.Fatal(err)
	}
	var limited []string
	set.Limited = func(provider string) { limited = append(limited, provider) }
	opening := payments.Opening{Order: order(1), Attempt: 1, AmountMinor: 100, Currency: "EUR"}
	page, err := set.Open(ctx, "one", opening)
	if err != nil {
		t.Fatal(err)
	}
	one.SetLimited(time.Minute)
	if _, err := set.Expire(ctx, page.Session); !domain.IsUnknown(err) {
		t.Errorf("the call that meets the limit: %v, want unknown", err)
	}
	asked := func() int {
		return one.Calls("open") + one.Calls("expire") + one.Calls("session") + one.Calls("refund")
	}
	before := asked()
	_, openErr := set.Open(ctx, "one", opening)
	_, expireErr := set.Expire(ctx, page.Session)
	_, sessionErr := set.Session(ctx, page.Session)
	_, _, captureErr := set.Capture(ctx, page.Session)
	refundErr := set.Refund(ctx, domain.Refund{Capture: domain.Capture{Payment: "one/pi_1", Order: order(1), AmountMinor: 100, Currency: "EUR"}})
	for call, err := range map[string]error{"open": openErr, "expire": expireErr, "session": sessionErr, "capture": captureErr, "refund": refundErr} {
		if domain.CodeOf(err) != domain.CodeOverloaded {
			t.Errorf("%s after it: %v, want overloaded", call, err)
		}
	}
	if asked() != before {
		t.Errorf("%d calls were sent all the same", asked()-before)
	}
	if _, err := set.Open(ctx, "two", opening); err != nil {
		t.Errorf("the other provider: %v", err)
	}
	if one, two, none := set.Wait("one"), set.Wait("two"), set.Wait("none"); one <= 0 || one > time.Minute || two != 0 || none != 0 {
		t.Errorf("waits %s, %s, %s", one, two, none)
	}
	if !reflect.DeepEqual(set.Slowed(), []string{"one"}) || !reflect.DeepEqual(limited, []string{"one"}) {
		t.Errorf("slowed %q, limits %q", set.Slowed(), limited)
	}
}
