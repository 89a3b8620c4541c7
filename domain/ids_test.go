package domain_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"boxoffice/domain"
)

var serverKey = bytes.Repeat([]byte{7}, domain.ServerKeyLen)

func keyring(t testing.TB) *domain.Keyring {
	t.Helper()
	keys, err := domain.NewKeyring(serverKey)
	require.NoError(t, err)
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
	require.Error(t, err)
}

func TestOrderIDOf(t *testing.T) {
	keys, sale := keyring(t), testSale()
	other := testSale()
	other.ID = "other"
	v7 := uuid.Must(uuid.NewV7()).String()

	t.Run("the same key is the same order", func(t *testing.T) {
		require.Equal(t, keys.OrderID(sale, "key-0123456789abcdef"), keys.OrderID(sale, "key-0123456789abcdef"))
	})
	t.Run("another key is another order", func(t *testing.T) {
		require.NotEqual(t, keys.OrderID(sale, "key-0123456789abcdef"), keys.OrderID(sale, "key-0123456789abcdeg"))
	})
	t.Run("the same key in another sale is another order", func(t *testing.T) {
		require.NotEqual(t, keys.OrderID(sale, v7), keys.OrderID(other, v7))
	})
	t.Run("a UUIDv7 gives its time", func(t *testing.T) {
		require.Equal(t, strings.ReplaceAll(v7, "-", "")[:12], keys.OrderID(sale, v7).String()[:12])
	})
	t.Run("any other key gives the sale's", func(t *testing.T) {
		require.Equal(t, "018bcfe56800", keys.OrderID(sale, "key-0123456789abcdef").String()[:12])
	})
	t.Run("so does a hexadecimal key that only looks like one", func(t *testing.T) {
		require.Equal(t, "018bcfe56800", keys.OrderID(sale, strings.ReplaceAll(v7, "-", "")).String()[:12])
	})
	t.Run("the last byte is left for the slots", func(t *testing.T) {
		require.True(t, strings.HasSuffix(keys.OrderID(sale, v7).String(), "00"))
	})
	t.Run("another server key is another order", func(t *testing.T) {
		others, err := domain.NewKeyring(bytes.Repeat([]byte{8}, domain.ServerKeyLen))
		require.NoError(t, err)
		require.NotEqual(t, keys.OrderID(sale, v7), others.OrderID(sale, v7))
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
			require.Error(t, err)
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
	require.Len(t, token, 22, "128 bits in base64url")
	require.True(t, keys.ValidOrderToken(mine, token))
	require.False(t, keys.ValidOrderToken(yours, token), "of another order")
	require.False(t, keys.ValidOrderToken(mine, ""), "empty")
	require.False(t, keys.ValidOrderToken(mine, token+"A"), "longer")
}

func TestBuyerIsOnePersonInOneSale(t *testing.T) {
	keys := keyring(t)
	require.Equal(t, keys.BuyerID("conf", "a@example.com"), keys.BuyerID("conf", "a@example.com"))
	require.NotEqual(t, keys.BuyerID("conf", "a@example.com"), keys.BuyerID("conf", "b@example.com"))
	require.NotEqual(t, keys.BuyerID("conf", "a@example.com"), keys.BuyerID("other", "a@example.com"))
	require.NotEqual(t, keys.BuyerID("conf", "xa@example.com"), keys.BuyerID("confx", "a@example.com"), "parts do not run together")
}

func TestTheKeyOfTheWayBackOpensItsOrderForAWhile(t *testing.T) {
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
		t.Run(row.name, func(t *testing.T) { require.Equal(t, row.valid, keys.ValidWayBackKey(row.order, row.key, row.now)) })
	}
	require.False(t, keys.ValidOrderToken(mine, key), "the key is not the token")
}
