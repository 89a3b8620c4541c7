package payments_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

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

// Two providers that happen to use the same ids are told apart, and each gets its own.
func TestEachCallGoesToTheProviderThatTheIDNames(t *testing.T) {
	ctx := t.Context()
	one, two := paymentstest.NewMemory(), paymentstest.NewMemory()
	set, err := payments.NewSet(named{one, domain.DefaultProvider}, named{two, "two"})
	require.NoError(t, err)
	require.Equal(t, domain.DefaultProvider, set.Default())

	pages := map[string]domain.PayPage{}
	for provider, memory := range map[string]*paymentstest.Memory{domain.DefaultProvider: one, "two": two} {
		page, err := set.Open(ctx, provider, payments.Opening{Order: order(1), Attempt: 1, AmountMinor: 100, Currency: "EUR"})
		require.NoError(t, err)
		require.Equal(t, provider, domain.ProviderOf(page.Session))
		require.NoError(t, memory.Do(page, paymentstest.Pay))
		pages[provider] = page
	}
	payment := map[string]string{}
	for provider, page := range pages {
		outcome, err := set.Expire(ctx, page.Session)
		require.NoError(t, err)
		require.True(t, outcome.Captured)
		require.Equal(t, page.Session, outcome.Capture.Session)
		require.Equal(t, provider, domain.ProviderOf(outcome.Capture.Payment))
		found, captured, err := set.Capture(ctx, page.Session)
		require.NoError(t, err)
		require.True(t, captured)
		require.Equal(t, outcome.Capture, found)
		payment[provider] = found.Payment
		require.NoError(t, set.Refund(ctx, domain.Refund{Capture: found, Reason: domain.RefundByOrganiser}))
	}
	require.Equal(t, 1, one.Calls("refund"))
	require.Equal(t, 1, two.Calls("refund"))
	var captures, refunds []string
	for c, err := range set.Captures(ctx) {
		require.NoError(t, err)
		captures = append(captures, c.Payment)
	}
	for r, err := range set.Refunds(ctx) {
		require.NoError(t, err)
		refunds = append(refunds, r.Payment)
	}
	want := []string{payment[domain.DefaultProvider], payment["two"]}
	require.Equal(t, want, captures)
	require.Equal(t, want, refunds)

	hook := two.Webhooks()[0]
	_, err = set.Event(ctx, domain.DefaultProvider, hook.Header, hook.Body)
	require.Equal(t, domain.CodeForged, domain.CodeOf(err), "the webhook of another provider")
	event, err := set.Event(ctx, "two", hook.Header, hook.Body)
	require.NoError(t, err)
	require.Equal(t, payment["two"], event.Payment)
	require.Equal(t, pages["two"].Session, event.Session)
	require.True(t, event.Usable())
}

// What is due stays due until the provider is there again.
func TestAProviderThatIsNotConfiguredIsUnknownNeverANo(t *testing.T) {
	ctx := t.Context()
	set, err := payments.NewSet(paymentstest.NewMemory())
	require.NoError(t, err)
	_, openErr := set.Open(ctx, "gone", payments.Opening{Order: order(1)})
	_, expireErr := set.Expire(ctx, "gone/cs_1")
	_, _, captureErr := set.Capture(ctx, "ps_1")
	_, knownErr := set.KnowsSession(ctx, "gone/cs_1")
	for what, err := range map[string]error{
		"open": openErr, "expire": expireErr, "capture": captureErr, "knows": knownErr,
		"refund": set.Refund(ctx, domain.Refund{Capture: domain.Capture{Payment: "gone/pi_1"}}),
	} {
		require.True(t, domain.IsUnknown(err), "%s: %v", what, err)
		require.ErrorContains(t, err, "BOXOFFICE_PAYMENT_PROVIDERS", what)
	}
	_, err = set.Event(ctx, "gone", http.Header{}, nil)
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
}

// strange is a provider whose ids could pass for another's.
type strange struct{ *paymentstest.Memory }

func (strange) Name() string { return domain.DefaultProvider }

func TestAnIDThatCouldPassForAnotherProvidersIsNotTaken(t *testing.T) {
	memory := paymentstest.NewMemory()
	memory.IDPrefix = "two/"
	set, err := payments.NewSet(strange{memory})
	require.NoError(t, err)
	_, err = set.Open(t.Context(), domain.DefaultProvider, payments.Opening{Order: order(1), Attempt: 1})
	require.True(t, domain.IsUnknown(err), "%v", err)
}

func TestASetOfProvidersMustMakeSense(t *testing.T) {
	for name, providers := range map[string][]payments.Provider{
		"none":            nil,
		"one twice":       {paymentstest.NewMemory(), paymentstest.NewMemory()},
		"a name too many": {named{paymentstest.NewMemory(), "Not a name"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := payments.NewSet(providers...)
			require.Error(t, err)
		})
	}
}
