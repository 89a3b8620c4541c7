package browsertest

import (
	"testing"
	"time"
)

// A buyer comes back from paying with only the provider's link. The browser may be another
// one or store nothing, and the shop may have been open under another host name.
func TestTheWayBackFromPayingFindsTheTickets(t *testing.T) {
	for _, browser := range []struct {
		name    string
		prepare []action
	}{
		{"in another browser", nil},
		{"without storage", []action{beforeLoad(noStorage)}},
		{"in a browser from 2021", []action{beforeLoad(newerThanSafari15)}},
	} {
		t.Run(browser.name, func(t *testing.T) {
			s := open(t)
			id, token := s.hold("VIP", 2)
			s.pay(id)
			v := newVisitor(t, browser.prepare...)
			v.open(s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(time.Hour)))
			v.shownHeading("You are in!")
			v.wait(`document.querySelectorAll('.ticket img[src^="blob:"]').length === 2`)
			if fragment := value[string](v, "location.hash"); fragment != "#"+token {
				t.Errorf("the URL ends in %s, want the order's own key, because the way-back key expires in a day", fragment)
			}
		})
	}
}

func TestAWayBackThatIsTooOld(t *testing.T) {
	s := open(t)
	id, token := s.hold("VIP", 1)
	back := s.URL + "/orders/" + id.String() + "#back=" + s.keys.WayBackKey(id, time.Now().Add(-time.Second))
	t.Run("finds nothing in another browser", func(t *testing.T) {
		v := newVisitor(t)
		v.open(back)
		v.shownHeading("We cannot find this order")
	})
	t.Run("finds the order in the browser that knows it", func(t *testing.T) {
		v := newVisitor(t)
		v.open(s.URL + "/orders/" + id.String() + "#" + token)
		v.shownHeading("Your seats are held")
		v.open("about:blank")
		v.open(back)
		v.shownHeading("Your seats are held")
	})
}
