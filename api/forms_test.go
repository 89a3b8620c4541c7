package api

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"boxoffice/admission"
)

// Forms whose checkouts wait in line do not hold up pages, sales or the organiser.
func TestFormsThatWaitShutNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bundle
		b = setupAdmission(t, func(o *admission.Options) { o.InFlightMax = 1 }, func(o *Options) {
			o.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					w.WriteHeader(b.checkout(r.Header.Get("Key"), wish("B", 1)).Code)
				}
			})
		})
		b.world.StartBlock = make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() { b.checkout(testKey, wish("B", 1)) }) // has the only slot
		synctest.Wait()
		for i := range formsInFlightMax + 100 {
			all.Go(func() {
				b.do(request{"POST", "/sales/conference/checkouts", "a=b", map[string]string{
					"Content-Type": "application/x-www-form-urlencoded", "Key": testKey + strconv.Itoa(i),
				}})
			})
		}
		synctest.Wait()
		if n := b.metric("boxoffice_checkouts_in_line"); n != formsInFlightMax {
			t.Errorf("%v wait, want %d", n, formsInFlightMax)
		}
		for _, path := range []string{"/", "/v1/sales", "/v1/sales/conference"} {
			if w := b.do(request{method: "GET", path: path}); w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		close(b.world.StartBlock)
		all.Wait()
	})
}

// metric is a gauge without labels.
func (b *bundle) metric(name string) float64 {
	b.t.Helper()
	families, err := b.meter.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	b.t.Fatalf("no metric %s", name)
	return 0
}
