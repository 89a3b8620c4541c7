package domain_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"boxoffice/domain"
)

var serverKey = bytes.Repeat([]byte{7}, domain.ServerKeyLen)

func keyring(t testing.TB) *domain.Keyring {
	t.Helper()
	keys, err := domain.NewKeyring(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func testSale() *domain.Sale {
	return &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: 4, HoldTimeout: 5 * time.Minute,
		Classes: []domain.Class{
			{Name: "B", PriceMinor: 3500, Capacity: 10, Ledger: 2},
			{Name: "A", PriceMinor: 6500, Capacity: 10, Ledger: 1},
		},
		CreatedAt: time.UnixMilli(1_700_000_000_000),
	}
}

func TestKeyringNeedsAWholeKey(t *testing.T) {
	_, err := domain.NewKeyring(serverKey[1:])
	if err == nil {
		t.Fatal("no error, want one")
	}
}

func TestOrderIDOf(t *testing.T) {
	keys, sale := keyring(t), testSale()
	other := testSale()
	other.ID = "other"
	v7 := uuid.Must(uuid.NewV7()).String()

	t.Run("the same key is the same order", func(t *testing.T) {
		if got, want := keys.OrderID(sale, "key-0123456789abcdef"), keys.OrderID(sale, "key-0123456789abcdef"); got != want {
			t.Fatalf(`keys.OrderID(sale, "key-0123456789abcdef") is %v, want %v`, got, want)
		}
	})
	t.Run("another key is another order", func(t *testing.T) {
		if got, want := keys.OrderID(sale, "key-0123456789abcdeg"), keys.OrderID(sale, "key-0123456789abcdef"); got == want {
			t.Fatalf(`keys.OrderID(sale, "key-0123456789abcdeg") is %v`, got)
		}
	})
	t.Run("the same key in another sale is another order", func(t *testing.T) {
		if got, want := keys.OrderID(other, v7), keys.OrderID(sale, v7); got == want {
			t.Fatalf("keys.OrderID(other, v7) is %v", got)
		}
	})
	t.Run("a UUIDv7 gives its time", func(t *testing.T) {
		if got, want := keys.OrderID(sale, v7).String()[:12], strings.ReplaceAll(v7, "-", "")[:12]; got != want {
			t.Fatalf("keys.OrderID(sale, v7).String()[:12] is %q, want %q", got, want)
		}
	})
	t.Run("any other key gives the sale's", func(t *testing.T) {
		if got := keys.OrderID(sale, "key-0123456789abcdef").String()[:12]; got != "018bcfe56800" {
			t.Fatalf(`keys.OrderID(sale, "key-0123456789abcdef").String()[:12] is %q, want "018bcfe56800"`, got)
		}
	})
	t.Run("so does a hexadecimal key that only looks like one", func(t *testing.T) {
		if got := keys.OrderID(sale, strings.ReplaceAll(v7, "-", "")).String()[:12]; got != "018bcfe56800" {
			t.Fatalf(`keys.OrderID(sale, strings.ReplaceAll(v7, "-", "")).String()[:12] is %q, want "018bcfe56800"`, got)
		}
	})
	t.Run("the last byte is left for the slots", func(t *testing.T) {
		if !strings.HasSuffix(keys.OrderID(sale, v7).String(), "00") {
			t.Fatal(`want true: strings.HasSuffix(keys.OrderID(sale, v7).String(), "00")`)
		}
	})
	t.Run("another server key is another order", func(t *testing.T) {
		others, err := domain.NewKeyring(bytes.Repeat([]byte{8}, domain.ServerKeyLen))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := others.OrderID(sale, v7), keys.OrderID(sale, v7); got == want {
			t.Fatalf("others.OrderID(sale, v7) is %v", got)
		}
	})
}

func TestOrderIDTextRoundTrips(t *testing.T) {
	keys, sale := keyring(t), testSale()
	rapid.Check(t, func(t *rapid.T) {
		id := keys.OrderID(sale, rapid.String().Draw(t, "key"))
		parsed, err := domain.ParseOrderID(id.String())
		if err != nil || parsed != id {
			t.Fatalf("%s became %s: %v", id, parsed, err)
		}
		encoded, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		var decoded domain.OrderID
		if err := json.Unmarshal(encoded, &decoded); err != nil || decoded != id {
			t.Fatalf("%s became %s: %v", encoded, decoded, err)
		}
	})
}

func TestParseOrderIDRefuses(t *testing.T) {
	good := keyring(t).OrderID(testSale(), "key-0123456789abcdef").String()
	for name, text := range map[string]string{
		"nothing":    "",
		"too short":  good[:30],
		"too long":   good + "00",
		"upper case": strings.ToUpper(good),
		"not hex":    strings.Repeat("g", 32),
		"a slot":     good[:30] + "10",
		"zero":       strings.Repeat("0", 32),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := domain.ParseOrderID(text)
			if err == nil {
				t.Fatal("no error, want one")
			}
		})
	}
}

func FuzzParseOrderID(f *testing.F) {
	f.Add("018bcfe5680012a4b6c8d0e2f4a6b800")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := domain.ParseOrderID(text)
		if err == nil && id.String() != text {
			t.Fatalf("%q parsed as %s", text, id)
		}
	})
}

func TestOrderTokens(t *testing.T) {
	keys, sale := keyring(t), testSale()
	mine, yours := keys.OrderID(sale, "key-0123456789abcdef"), keys.OrderID(sale, "key-fedcba9876543210")
	token := keys.OrderToken(mine)
	if len(token) != 22 {
		t.Fatalf("the token has %d characters, want 22: %q: 128 bits in base64url", len(token), token)
	}
	if !keys.ValidOrderToken(mine, token) {
		t.Fatal("want true: keys.ValidOrderToken(mine, token)")
	}
	if keys.ValidOrderToken(yours, token) {
		t.Fatal("want false: keys.ValidOrderToken(yours, token): of another order")
	}
	if keys.ValidOrderToken(mine, "") {
		t.Fatal(`want false: keys.ValidOrderToken(mine, ""): empty`)
	}
	if keys.ValidOrderToken(mine, token+"A") {
		t.Fatal(`want false: keys.ValidOrderToken(mine, token+"A"): longer`)
	}
}

func TestBuyerIsOnePersonInOneSale(t *testing.T) {
	keys := keyring(t)
	if got, want := keys.BuyerID("conf", "a@example.com"), keys.BuyerID("conf", "a@example.com"); got != want {
		t.Fatalf(`keys.BuyerID("conf", "a@example.com") is %v, want %v`, got, want)
	}
	if got, want := keys.BuyerID("conf", "b@example.com"), keys.BuyerID("conf", "a@example.com"); got == want {
		t.Fatalf(`keys.BuyerID("conf", "b@example.com") is %v`, got)
	}
	if got, want := keys.BuyerID("other", "a@example.com"), keys.BuyerID("conf", "a@example.com"); got == want {
		t.Fatalf(`keys.BuyerID("other", "a@example.com") is %v`, got)
	}
	if got, want := keys.BuyerID("confx", "a@example.com"), keys.BuyerID("conf", "xa@example.com"); got == want {
		t.Fatalf(`keys.BuyerID("confx", "a@example.com") is %v: parts do not run together`, got)
	}
}

func TestTheWayBackKeyOpensItsOrderForAWhile(t *testing.T) {
	keys := keyring(t)
	mine, yours := domain.OrderID{1}, domain.OrderID{2}
	until := time.Unix(1_900_000_000, 0)
	key := keys.WayBackKey(mine, until)
	for _, row := range []struct {
		name  string
		order domain.OrderID
		key   string
		now   time.Time
		valid bool
	}{
		{"in time", mine, key, until.Add(-time.Second), true},
		{"too late", mine, key, until, false},
		{"another order's", yours, key, until.Add(-time.Second), false},
		{"with a later time", mine, "AAAAAP" + key[6:], until.Add(-time.Second), false},
		{"cut", mine, key[:len(key)-1], until.Add(-time.Second), false},
		{"longer", mine, key + "A", until.Add(-time.Second), false},
		{"the order's token", mine, keys.OrderToken(mine), until.Add(-time.Second), false},
		{"empty", mine, "", until.Add(-time.Second), false},
		{"no base64", mine, "%%%%", until.Add(-time.Second), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := keys.ValidWayBackKey(row.order, row.key, row.now); got != row.valid {
				t.Fatalf("keys.ValidWayBackKey(row.order, row.key, row.now) is %v, want %v", got, row.valid)
			}
		})
	}
	if keys.ValidOrderToken(mine, key) {
		t.Fatal("want false: keys.ValidOrderToken(mine, key): the key is not the token")
	}
}
