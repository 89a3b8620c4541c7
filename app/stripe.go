package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"boxoffice/failpoint"
	"boxoffice/payments"
	"boxoffice/payments/stripe"
)

func newStripe(c *config, calls *http.Client) (payments.Provider, error) {
	key, keyErr := readSecret("STRIPE_API_KEY")
	secrets, secretsErr := readSecret("STRIPE_WEBHOOK_SECRET")
	live, liveErr := envSwitch("STRIPE_LIVE")
	if err := errors.Join(keyErr, secretsErr, liveErr); err != nil {
		return nil, err
	}
	switch {
	case key == "":
		return nil, errors.New("STRIPE_API_KEY is not set: Stripe's dashboard gives one, under Developers, API keys (see docs/stripe.md)")
	case secrets == "":
		return nil, errors.New("STRIPE_WEBHOOK_SECRET is not set: it is the signing secret of the webhook endpoint, or what `stripe listen` prints (see docs/stripe.md)")
	}
	o := stripe.Options{
		Key: string(key), WebhookSecrets: readList(string(secrets)), Shop: env("STRIPE_SHOP", c.host()), Methods: readList(os.Getenv("STRIPE_METHODS")),
		DelayedMethods: readList(os.Getenv("STRIPE_DELAYED_METHODS")),
		URL:            os.Getenv("STRIPE_URL"), HTTP: calls, Now: failpoint.Clock("webhook"),
	}
	if err := c.refuseRealMoney(o, live); err != nil {
		return nil, err
	}
	return stripe.New(o)
}

// refuseRealMoney: a key that moves real money needs a second word where the box office is not one for the public.
func (c *config) refuseRealMoney(o stripe.Options, live bool) error {
	switch isLive := stripe.Live(o.Key); {
	case isLive && o.URL != "":
		return errors.New("STRIPE_URL is for tests: a live key goes to Stripe alone")
	case isLive && !live && !strings.HasPrefix(c.URL, "https://"):
		return fmt.Errorf("STRIPE_API_KEY moves real money, and BOXOFFICE_URL is %s: use a test key, or set STRIPE_LIVE=true as well", c.URL)
	case !isLive && live:
		return errors.New("STRIPE_LIVE is true, but STRIPE_API_KEY is a test key")
	default:
		return nil
	}
}

// host is that of the public address.
func (c *config) host() string {
	public, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(public.Hostname())
}
