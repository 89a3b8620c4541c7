package mockpay_test

import (
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const providerURL = "http://127.0.0.1:8090"

func fixtureLink(t testing.TB) mockpay.PayLink {
	return mockpay.PayLink{
		Order:       order(t),
		AmountMinor: 16500,
		Currency:    "EUR",
		ExpiresAt:   time.UnixMilli(1760000000123).UTC(),
		ReturnURL:   "http://127.0.0.1:8080/orders/" + fixtureOrder + "?a=1&b=2#token",
		Description: "Conférence · 2 × A, 1 × B",
	}
}

func payLinks(t testing.TB, secretsText string) *mockpay.PayLinks {
	t.Helper()
	p, err := mockpay.NewPayLinks(providerURL, secrets(t, secretsText))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// address is a link's URL, split into the session and the query.
func address(t testing.TB, p *mockpay.PayLinks, l mockpay.PayLink) (session string, query url.Values) {
	t.Helper()
	text, err := p.URL(l)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	session, ok := strings.CutPrefix(u.Path, mockpay.PayPath)
	if !ok {
		t.Fatalf("%v", text)
	}
	return session, u.Query()
}

func TestPayLinkComesBackAsItWasMade(t *testing.T) {
	p := payLinks(t, fixtureSecret)
	session, query := address(t, p, fixtureLink(t))
	if want := mockpay.SessionID(order(t)); session != want {
		t.Fatalf("session is %q, want %q", session, want)
	}
	got, err := p.Parse(session, query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if want := fixtureLink(t); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// A link without options is as it always was, and none can be made of another.
func TestOptionsOfAPayLink(t *testing.T) {
	p := payLinks(t, fixtureSecret)
	for option, set := range map[string]func(*mockpay.PayLink){
		"authorize": func(l *mockpay.PayLink) { l.Authorize = true }, "delayed": func(l *mockpay.PayLink) { l.Delayed = true },
	} {
		link := fixtureLink(t)
		session, without := address(t, p, link)
		set(&link)
		_, with := address(t, p, link)
		if without.Has(option) || with.Get(option) != "1" {
			t.Fatalf("%s is %q and %q", option, without.Get(option), with.Get(option))
		}
		if got, err := p.Parse(session, with.Encode()); err != nil || got != link {
			t.Fatalf("%+v, %v", got, err)
		}
		other := maps.Clone(with) // the other option's name with this one's signature
		other.Del(option)
		other.Set(map[string]string{"authorize": "delayed", "delayed": "authorize"}[option], "1")
		with.Del(option)
		without.Set(option, "1")
		for name, query := range map[string]url.Values{"left out": with, "put in": without, "exchanged": other} {
			if _, err := p.Parse(session, query.Encode()); domain.CodeOf(err) != domain.CodeForged {
				t.Errorf("%s %s: %v, want %s", option, name, err, domain.CodeForged)
			}
		}
		without.Set(option, "yes")
		if _, err := p.Parse(session, without.Encode()); domain.CodeOf(err) != domain.CodeInvalid {
			t.Errorf("%s=yes: %v", option, err)
		}
	}
}

func TestPayLinkIgnoresForeignParameters(t *testing.T) {
	p := payLinks(t, fixtureSecret)
	session, query := address(t, p, fixtureLink(t))
	query.Set("utm_source", "mail")
	_, err := p.Parse(session, query.Encode())
	if err != nil {
		t.Fatal(err)
	}
}

func TestPayLinkDuringARotation(t *testing.T) {
	session, query := address(t, payLinks(t, fixtureSecret), fixtureLink(t))
	_, err := payLinks(t, otherSecret+" "+fixtureSecret).Parse(session, query.Encode())
	if err != nil {
		t.Fatal(err)
	}
}

func TestPayLinkRefusesEveryMutation(t *testing.T) {
	set := func(name, value string) func(*string, url.Values) {
		return func(_ *string, q url.Values) { q.Set(name, value) }
	}
	for _, row := range []struct {
		name   string
		mutate func(session *string, query url.Values)
		code   domain.Code
	}{
		{"another order", func(s *string, _ url.Values) { *s = strings.Replace(*s, "0197", "0198", 1) }, domain.CodeForged},
		{"another amount", set("amount", "1"), domain.CodeForged},
		{"another currency", set("currency", "USD"), domain.CodeForged},
		{"another expiry", set("expires", "1760000000124"), domain.CodeForged},
		{"an endless expiry", set("expires", "9223372036854775807"), domain.CodeForged},
		{"another return address", set("return", "http://evil.example/"), domain.CodeForged},
		{"another description", set("description", "free"), domain.CodeForged},
		{"text moved between fields", func(_ *string, q url.Values) {
			q.Set("return", q.Get("return")+q.Get("description"))
			q.Set("description", "")
		}, domain.CodeForged},
		{"no signature", set("signature", ""), domain.CodeForged},
		{"another signature", set("signature", strings.Repeat("A", 43)), domain.CodeForged},
		{"a signature that is no base64", set("signature", "*"), domain.CodeInvalid},
		{"an amount that is no number", set("amount", "6,5"), domain.CodeInvalid},
		{"an expiry that is no number", set("expires", "soon"), domain.CodeInvalid},
		{"a missing field", func(_ *string, q url.Values) { q.Del("return") }, domain.CodeInvalid},
		{"a field twice", func(_ *string, q url.Values) { q.Add("amount", "1") }, domain.CodeInvalid},
		{"an endless query", set("utm", strings.Repeat("x", 9000)), domain.CodeInvalid},
		{"no session", func(s *string, _ url.Values) { *s = "" }, domain.CodeInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := payLinks(t, fixtureSecret)
			session, query := address(t, p, fixtureLink(t))
			row.mutate(&session, query)
			_, err := p.Parse(session, query.Encode())
			if got := domain.CodeOf(err); got != row.code {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, row.code, err)
			}
		})
	}
}

func TestPayLinkIsNotAcceptedFromAnotherSecret(t *testing.T) {
	session, query := address(t, payLinks(t, otherSecret), fixtureLink(t))
	_, err := payLinks(t, fixtureSecret).Parse(session, query.Encode())
	if got := domain.CodeOf(err); got != domain.CodeForged {
		t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeForged)
	}
}

func TestPayLinkBounds(t *testing.T) {
	for _, row := range []struct {
		name, field string
		mutate      func(*mockpay.PayLink)
	}{
		{"no order", "order", func(l *mockpay.PayLink) { l.Order = domain.OrderID{} }},
		{"negative amount", "amount", func(l *mockpay.PayLink) { l.AmountMinor = -1 }},
		{"amount beyond any", "amount", func(l *mockpay.PayLink) { l.AmountMinor = mockpay.AmountMinorMax + 1 }},
		{"currency", "currency", func(l *mockpay.PayLink) { l.Currency = "euro" }},
		{"no expiry", "expires", func(l *mockpay.PayLink) { l.ExpiresAt = time.Time{} }},
		{"an expiry that JSON cannot write", "expires", func(l *mockpay.PayLink) { l.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"no return address", "return", func(l *mockpay.PayLink) { l.ReturnURL = "" }},
		{"relative return address", "return", func(l *mockpay.PayLink) { l.ReturnURL = "/orders/1" }},
		{"script as return address", "return", func(l *mockpay.PayLink) { l.ReturnURL = "javascript:alert(1)" }},
		{"return address with a password", "return", func(l *mockpay.PayLink) { l.ReturnURL = "http://a:b@c/" }},
		{"return address that would end a policy", "return", func(l *mockpay.PayLink) { l.ReturnURL = "http://a;b/" }},
		{"endless return address", "return", func(l *mockpay.PayLink) { l.ReturnURL = "http://a/" + strings.Repeat("x", mockpay.ReturnURLMaxLen) }},
		{"description of two lines", "description", func(l *mockpay.PayLink) { l.Description = "a\nb" }},
		{"description that is not UTF-8", "description", func(l *mockpay.PayLink) { l.Description = "\xff" }},
		{"endless description", "description", func(l *mockpay.PayLink) { l.Description = strings.Repeat("x", mockpay.DescriptionMaxLen+1) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			link := fixtureLink(t)
			row.mutate(&link)
			_, err := payLinks(t, fixtureSecret).URL(link)
			var definite *domain.Error
			if !errors.As(err, &definite) {
				t.Fatalf("the error is a %T, want a %T: %v", err, definite, err)
			}
			if definite.Code != domain.CodeInvalid {
				t.Fatalf("definite.Code is %q, want %q", definite.Code, domain.CodeInvalid)
			}
			if definite.Field != row.field {
				t.Fatalf("definite.Field is %q, want %q", definite.Field, row.field)
			}
		})
	}
}

func TestNewPayLinksRefusesBadBaseURLs(t *testing.T) {
	for _, base := range []string{"", "127.0.0.1:8090", "ftp://a", "http://", "http://a?b", "http://a#b", "http://u:p@a", "http://a:b"} {
		_, err := mockpay.NewPayLinks(base, secrets(t, fixtureSecret))
		if err == nil {
			t.Fatalf("no error, want one: %v", base)
		}
	}
}

func FuzzPayLinkParse(f *testing.F) {
	p := payLinks(f, fixtureSecret)
	session, query := address(f, p, fixtureLink(f))
	f.Add(session, query.Encode())
	f.Add(session, "amount=1&amount=2")
	f.Add("ps_", "%zz;&=")
	f.Fuzz(func(t *testing.T, session, rawQuery string) {
		got, err := p.Parse(session, rawQuery)
		if err != nil {
			if got, want := []domain.Code{domain.CodeForged, domain.CodeInvalid}, domain.CodeOf(err); !slices.Contains(got, want) {
				t.Fatalf("no %q in %q", want, got)
			}
			return
		}
		if want := fixtureLink(t); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v: only what was signed is accepted", got, want)
		}
	})
}
