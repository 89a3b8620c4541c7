package checkouts_test

import (
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/mocks"

	"boxoffice/checkouts"
	"boxoffice/domain"
)

// The checkout is started with the session that its provider derives, and with none where
// the provider assigns it. Of a sale whose provider is not there nothing is held.
func TestACheckoutStartsWithItsSession(t *testing.T) {
	for provider, want := range map[string]string{
		domain.DefaultProvider: "ps_" + order.ID.String(),
		"other":                "",
		"away":                 "not started",
	} {
		t.Run(provider, func(t *testing.T) {
			c, started := mocks.NewClient(t), "not started"
			c.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
				started = args.Get(3).(domain.Order).Session
			}).Return(nil, &domain.UnknownError{}).Maybe()
			placed := order
			placed.Provider = provider
			_, err := checkouts.NewDesk(c, payloads, nil, records{}, records{}, records{}).Start(t.Context(), placed)
			require.Equal(t, want, started)
			require.Equal(t, provider == "away", domain.CodeOf(err) == domain.CodeOverloaded, err)
		})
	}
}
