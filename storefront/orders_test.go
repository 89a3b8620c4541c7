package storefront

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// The page of an order has a text for every status that an order is shown with, with and
// without JavaScript.
func TestEveryStatusHasItsPage(t *testing.T) {
	shown := slices.Sorted(slices.Values(domain.ShownStatuses()))
	if told := slices.Sorted(maps.Keys(orderTexts)); !slices.Equal(told, shown) {
		t.Errorf("storefront/orders.go: orderTexts has %v, an order is shown as %v", told, shown)
	}
	page := visit(t).get("/orders/" + order).Body.String()
	headings := map[string]domain.OrderStatus{}
	for _, status := range shown {
		text := said(t, "en").status(status)
		if text.Heading == "" || text.SaleCanceled == "" || headings[text.Heading] != "" {
			t.Errorf("storefront/orders.go: the texts of %s or %s are incomplete", status, headings[text.Heading])
		}
		headings[text.Heading] = status
		section := regexp.MustCompile(fmt.Sprintf(`<section data-state="%s" data-sale-canceled="[^"]+" data-free="[^"]+" data-free-canceled="[^"]+"( data-final)? hidden>\s*<h1 tabindex="-1">%s</h1>`, status, regexp.QuoteMeta(text.Heading)))
		found := section.FindStringSubmatch(page)
		if found == nil {
			t.Errorf("storefront/templates/order.html has no section for %s", status)
			continue
		}
		if final := found[1] != ""; final != status.Terms().Final {
			t.Errorf("the page stops asking about an order that is %s: %t", status, final)
		}
	}
	if !strings.Contains(page, `data-state="unknown"`) {
		t.Error("storefront/templates/order.html has no section for unknown statuses")
	}
}

// Every status that scripts and templates name exists.
func TestPagesNameOnlyExistingStatuses(t *testing.T) {
	named := regexp.MustCompile(`(?:order\??|body)\.status\s*[!=]==\s*'([a-z_]+)'|\.Status "([a-z_]+)"|\(status "([a-z_]+)"\)`)
	for _, file := range []string{"static/order.js", "static/held.js", "templates/order.html"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := named.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s names no status at all", file)
		}
		for _, match := range found {
			name := match[1] + match[2] + match[3]
			if !slices.Contains(domain.ShownStatuses(), domain.OrderStatus(name)) && name != "unknown" {
				t.Errorf("storefront/%s: no order is shown with the status %q", file, name)
			}
		}
	}
}

func TestTimeLeftIsWrittenInMinutesAndSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		3*time.Minute + 41*time.Second: "3:41", 1500 * time.Millisecond: "0:02", time.Hour: "60:00", 0: "0:00", -time.Minute: "0:00",
	} {
		if got := left(d); got != want {
			t.Errorf("left(%v) is %q, want %q", d, got, want)
		}
	}
}

func TestWhenAnOrdersPageReloads(t *testing.T) {
	for status, want := range map[domain.OrderStatus]bool{
		domain.OrderHeld: true, domain.OrderRefunding: true, domain.OrderPaid: false, domain.OrderExpired: false, domain.OrderRefunded: false, "disputed": true,
	} {
		if got := readAgain(status); got != want {
			t.Errorf("%s: %t, want %t", status, got, want)
		}
	}
}
