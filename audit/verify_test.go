package audit

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
)

// boxOffice answers the audits of one sale: one report after the other, then the last
// for ever.
func boxOffice(t *testing.T, audits ...Report) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sales", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"sales":[{"id":"gophercon","name":"Gophercon"}]}`))
	})
	mux.HandleFunc("GET /v1/sales/gophercon/audit", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n := asked.Add(1)
		json.NewEncoder(w).Encode(audits[min(int(n), len(audits))-1])
	})
	mux.HandleFunc("GET /v1/audit", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(Evaluate(&Snapshot{Sale: &domain.Sale{}, At: noon, Events: []domain.EventCount{{Event: "payment.refunded"}}}, EndWithinDefault))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestVerifyPrintsAndTellsBroken(t *testing.T) {
	t.Parallel()
	broken := atRest()
	broken.Captures = append(broken.Captures, capture(9))
	for name, tc := range map[string]struct {
		snapshot *Snapshot
		want     bool
	}{"at rest": {atRest(), false}, "in flight": {healthy(), false}, "broken": {broken, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Evaluate(tc.snapshot, EndWithinDefault)
			address, _ := boxOffice(t, r)
			var out strings.Builder
			v := Verifier{URL: address, Token: "secret"}
			reports, err := v.Verify(t.Context(), &out)
			if err != nil {
				t.Fatal(err)
			}
			if AnyBroken(reports) != tc.want {
				t.Errorf("broken: %t, want %t", AnyBroken(reports), tc.want)
			}
			if !strings.HasPrefix(out.String(), text(t, &r)) || !strings.Contains(out.String(), "What belongs to no sale at") {
				t.Errorf("printed:\n%s", out.String())
			}
		})
	}
}

func TestVerifyWaitsForWhatIsInFlight(t *testing.T) {
	t.Parallel()
	address, asked := boxOffice(t, Evaluate(healthy(), EndWithinDefault), Evaluate(atRest(), EndWithinDefault))
	v := Verifier{URL: address, AdminURL: address, Token: "secret", Wait: time.Minute}
	reports, err := v.Verify(t.Context(), new(strings.Builder))
	if err != nil {
		t.Fatal(err)
	}
	if reports[0].InFlight() || asked.Load() != 2 {
		t.Errorf("after %d audits in flight: %t", asked.Load(), reports[0].InFlight())
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good, _ := boxOffice(t, Evaluate(atRest(), EndWithinDefault))
	empty, _ := boxOffice(t, Report{SaleID: "gophercon"})
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"code":"overloaded","detail":"Try later."}`))
	}))
	t.Cleanup(refusing.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tc := range map[string]struct {
		verifier Verifier
		says     string
	}{
		"wrong token":      {Verifier{URL: good, Token: "guess"}, "BOXOFFICE_ADMIN_TOKEN"},
		"not running":      {Verifier{URL: gone.URL}, "is it running?"},
		"a problem":        {Verifier{URL: refusing.URL}, "503 overloaded: Try later."},
		"an empty report":  {Verifier{URL: empty, Token: "secret"}, "came back empty"},
		"not even a sales": {Verifier{URL: good + "/nowhere", Token: "secret"}, "404: Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.verifier.Verify(t.Context(), new(strings.Builder))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want one that says %q", err, tc.says)
			}
		})
	}
}

// The list of sales comes in pages, and every sale is audited.
func TestEverySaleIsASubject(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sales", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("after") {
		case "":
			w.Write([]byte(`{"sales":[{"id":"c"},{"id":"b"}],"next":"1.b&2"}`))
		case "1.b&2":
			w.Write([]byte(`{"sales":[{"id":"a"}]}`))
		default:
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	v := Verifier{URL: server.URL}
	subjects, err := v.Subjects(t.Context())
	if err != nil || strings.Join(subjects, ",") != "c,b,a," {
		t.Errorf("%q, %v", subjects, err)
	}
}
