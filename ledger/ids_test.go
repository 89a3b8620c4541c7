package ledger

import (
	"strings"
	"testing"

	"boxoffice/domain"
)

// These ids are in existing books, so they must never change.
func TestIDs(t *testing.T) {
	order, err := domain.ParseOrderID("019b7ca98c88921a81c5c492abc74b00")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[slot]string{
		slotHold:                "19b7ca98c88921a81c5c492abc74b10",
		slotHold | 11:           "19b7ca98c88921a81c5c492abc74b1b",
		slotHold | slotQuota:    "19b7ca98c88921a81c5c492abc74b1f",
		slotHold | slotCheckout: "19b7ca98c88921a81c5c492abc74b1e",
		slotHold | slotCode:     "19b7ca98c88921a81c5c492abc74b1d",
		slotPost:                "19b7ca98c88921a81c5c492abc74b20",
		slotVoid:                "19b7ca98c88921a81c5c492abc74b30",
		slotPerk:                "19b7ca98c88921a81c5c492abc74b40",
		slotRebook:              "19b7ca98c88921a81c5c492abc74b50",
		slotReturn:              "19b7ca98c88921a81c5c492abc74b60",
		slotVoidAgain:           "19b7ca98c88921a81c5c492abc74b70",
	} {
		if got := transferID(order, s).String(); got != want {
			t.Errorf("slot %#x: id %s, want %s", uint8(s), got, want)
		}
	}
	if got := orderOf(orderNumber(order)); got != order {
		t.Errorf("order of its own number = %s, want %s", got, order)
	}
	if got := accountID(1007, roleBudget).BigInt(); got.String() != "10072" {
		t.Errorf("budget of ledger 1007 = %s, want 10072", got.String())
	}
	if got := drainID(1007, 3).String(); got != "30000000000002758" {
		t.Errorf("third drain of ledger 1007 = %s", got)
	}
	buyer := domain.BuyerID{0: 0xab, 15: 0xcd}
	if got, want := buyerNumber(buyer).String(), buyer.String(); got != want {
		t.Errorf("account of buyer = %s, want %s", got, want)
	}
	if got, want := checkoutNumber(buyer).String(), "ab0000000000000000000000000000cc"; got != want {
		t.Errorf("account of the buyer's open checkout = %s, want %s", got, want)
	}
	if got := codeNumber(domain.ClassCodeID(buyer)).String(); got != buyer.String() {
		t.Errorf("account of a code = %s, want %s", got, buyer)
	}
	if got := codeOf(codeNumber(domain.ClassCodeID(buyer))); got != domain.ClassCodeID(buyer) {
		t.Errorf("code of its own number = %s, want %s", got, buyer)
	}
	if got, want := revocationNumber(domain.ClassCodeID(buyer)).String(), "ab0000000000000000000000000000cc"; got != want || roleRevoked != 7 {
		t.Errorf("account that revokes a code = %s with role %d, want %s with 7", got, roleRevoked, want)
	}
	if got := buyerOfCheckout(checkoutNumber(buyer)); got != buyer {
		t.Errorf("buyer of their own open checkout = %s, want %s", got, buyer)
	}
}

func TestRecentBuyersAreBounded(t *testing.T) {
	r := newRecentBuyers(100)
	id := func(n int) domain.BuyerID { return domain.BuyerID{byte(n), byte(n >> 8)} }
	for n := range 1000 {
		r.add(id(n))
		if !r.has(id(n)) {
			t.Fatalf("buyer %d is forgotten at once", n)
		}
		if known := len(r.young) + len(r.old); known > 100 {
			t.Fatalf("%d buyers are remembered, want at most 100", known)
		}
	}
	if r.has(id(0)) {
		t.Error("the first buyer is remembered after a thousand others")
	}
}

func TestWhySeatsWentBackIsReadAsItWasWritten(t *testing.T) {
	for why := range reasons {
		number, err := reasonOf(why)
		if err != nil {
			t.Fatal(err)
		}
		said, err := number.said(domain.OrderID{})
		if err != nil {
			t.Fatal(err)
		}
		if said != why {
			t.Fatalf("%v, want %v", said, why)
		}
	}
	_, err := reason(99).said(domain.OrderID{1})
	if err == nil || !strings.Contains(err.Error(), "reason 99") {
		t.Fatalf("a reason of a newer release: error %v, want one that says %q", err, "reason 99")
	}
	_, err = reasonOf("mood")
	if err == nil {
		t.Fatal("no error")
	}
}
