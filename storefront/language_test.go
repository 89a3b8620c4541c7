package storefront

import (
	"testing"
	"time"
)

// said has the words of a language, for tests of what they say.
func said(t *testing.T, tag string) *words {
	t.Helper()
	fixed, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	w := fixed.dictionary.named(tag)
	if w == nil {
		t.Fatalf("there is no language %s", tag)
	}
	return w
}

func TestTextsAreSaidInEachLanguage(t *testing.T) {
	for _, tt := range []struct {
		text   string
		args   []any
		en     string
		de, ko string
	}{
		{"Sold out", nil, "Sold out", "Ausverkauft", "매진"},
		{"%d tickets left", []any{int64(1)}, "1 ticket left", "noch 1 Karte", "티켓 1장 남음"},
		{"%d tickets left", []any{int64(12345)}, "12,345 tickets left", "noch 12.345 Karten", "티켓 12,345장 남음"},
		{"%d of %d left", []any{int64(7), int64(1000)}, "7 of 1,000 left", "noch 7 von 1.000", "전체 1,000장 중 7장 남음"},
		{"%s for the first %d paid orders", []any{"T-shirt", int64(1)}, "T-shirt for the first paid order", "T-shirt für die erste bezahlte Bestellung", "먼저 결제된 주문 1건에 T-shirt 증정"},
		{"%s for the first %d paid orders", []any{"T-shirt", int64(100)}, "T-shirt for the first 100 paid orders", "T-shirt für die ersten 100 bezahlten Bestellungen", "먼저 결제된 주문 100건에 T-shirt 증정"},
		{"First %d paid orders: %s", []any{int64(1), "T-shirt"}, "First paid order: T-shirt", "Für die erste bezahlte Bestellung: T-shirt", "먼저 결제된 주문 1건: T-shirt"},
		{"%d days %s", []any{int64(2), "03:04:05"}, "2 days 03:04:05", "2 Tage 03:04:05", "2일 03:04:05"},
		{"At most %d of %s", []any{int64(3), "VIP"}, "At most 3 of VIP", "Höchstens 3: VIP", "VIP 최대 3장"},
	} {
		for tag, want := range map[string]string{"en": tt.en, "de": tt.de, "ko": tt.ko} {
			if got := said(t, tag).t(tt.text, tt.args...); got != want {
				t.Errorf("%s: %q, want %q", tag, got, want)
			}
		}
	}
}

func TestDatesAndMoneyAreWrittenAsTheLanguageDoes(t *testing.T) {
	at := time.Date(2027, 5, 1, 21, 4, 5, 0, time.UTC)
	for tag, want := range map[string][]string{
		"en": {"1 May 2027, 21:04 UTC", "1 May 2027, 21:04 UTC", "21:04:05 UTC", "€1,065.00", "₩65,000", "CHF\u00a01,000.00", "90 seconds", "10 minutes", "1 hour", "about 2 hours"},
		"de": {"01.05.2027, 21:04 Uhr UTC", "1. Mai 2027, 21:04 Uhr UTC", "21:04:05 Uhr UTC", "1.065,00\u00a0€", "65.000\u00a0₩", "1.000,00\u00a0CHF", "90 Sekunden", "10 Minuten", "1 Stunde", "etwa 2 Stunden"},
		"ko": {"2027. 5. 1. 오후 9:04 UTC", "2027년 5월 1일 오후 9:04 UTC", "오후 9:04:05 UTC", "€1,065.00", "₩65,000", "CHF\u00a01,000.00", "90초", "10분", "1시간", "약 2시간"},
	} {
		w := said(t, tag)
		got := []string{
			w.shortTime(at), w.longTime(at), w.clock(at), w.money(106_500, "EUR"), w.money(65_000, "KRW"), w.money(100_000, "CHF"),
			w.spell(90 * time.Second), w.spell(10 * time.Minute), w.spell(time.Hour), w.spellWait(7200),
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: %q, want %q", tag, got[i], want[i])
			}
		}
	}
}
