package browsertest

import (
	"strings"
	"testing"
)

// The API page shows this box office's document, requests nothing from other sites and violates no rule of
// its policy. Requests that a reader tries go to this box office.
func TestTheAPIPageShowsTheContract(t *testing.T) {
	s := open(t)
	v := newVisitor(t, beforeLoad(`window.refused = []; addEventListener('securitypolicyviolation', (e) => window.refused.push(e.violatedDirective + ' ' + e.blockedURI));`))
	v.open(s.URL + "/api")
	v.wait("document.querySelector('#operations-sales-list-sales')")
	v.wait("document.querySelector('#operations-organiser-audit-sale')")
	v.shows("Box office")

	v.click("#operations-sales-list-sales .opblock-summary-control")
	v.click("#operations-sales-list-sales .try-out__btn")
	v.click("#operations-sales-list-sales .execute")
	v.wait("document.querySelector('#operations-sales-list-sales .live-responses-table tbody .response-col_status')?.innerText.startsWith('200')")

	if refused := value[string](v, "window.refused.join('\\n')"); refused != "" {
		t.Errorf("the policy of the page refused\n%s", refused)
	}
	loaded := value[string](v, "performance.getEntriesByType('resource').map((e) => e.name).join('\\n')")
	for _, address := range strings.Split(loaded, "\n") {
		if !strings.HasPrefix(address, s.URL+"/") && !strings.HasPrefix(address, "data:") {
			t.Errorf("it loads %s", address)
		}
	}
}
