package browsertest

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"boxoffice/domain"
)

const classCode = "FANS-FANS-2027"

// A buyer shows a code, gets the class that it opens, and holds a ticket of it; the next one with that code does not.
func TestABuyerWithACodeGetsAHiddenClass(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.Classes[1].Hidden, sale.CodeLedger = true, 99 })
	s.classCode = classCode
	hidden := fmt.Sprintf(`.class[data-class="%s"]`, longName)
	show := func(v *visitor, code string) {
		t.Helper()
		v.open(s.URL + "/sales/concert")
		v.wait(`document.querySelectorAll('.class').length === 1 && !document.body.textContent.includes('` + longName + `')`)
		v.run(chromedp.SetValue(chromedp.CSS("#code"), code))
		v.click("#code-button")
		v.wait(`!document.getElementById('code-message').hidden && document.getElementById('buy').textContent === 'Choose tickets'`) // its script is there
	}
	v := newVisitor(t)
	show(v, "WRONG-WRONG-WRONG")
	v.shows("This code is not known here")
	show(v, "fans fans 2o27")
	v.shows("Your code is good")
	v.wait(`!!document.querySelector('` + hidden + `') && !location.href.includes('2o27') && document.documentElement.scrollWidth <= innerWidth`)
	v.picture("code")
	v.hold(longName, 1)
	v.shownHeading("Your seats are held")
	s.onlyOrder()

	next := newVisitor(t)
	show(next, classCode)
	next.shows("Your code is in use")
	next.hold(longName, 1)
	next.shows("This code was used already")
	s.onlyOrder()
	next.click(step(longName, -1)) // without a hidden class the code is left alone
	next.hold("VIP", 1)
	next.shownHeading("Your seats are held")
}
