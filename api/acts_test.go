package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

type actsRecord struct {
	begun, ended []domain.Act
	listed       []domain.ActFilter
	rows         []domain.Act
	beginErr     error
	endErr       error
}

func (a *actsRecord) BeginAct(_ context.Context, act domain.Act) (int64, error) {
	a.begun = append(a.begun, act)
	return int64(len(a.begun)), a.beginErr
}

func (a *actsRecord) EndAct(_ context.Context, act domain.Act) error {
	a.ended = append(a.ended, act)
	return a.endErr
}

func (a *actsRecord) Acts(_ context.Context, f domain.ActFilter) ([]domain.Act, error) {
	a.listed = append(a.listed, f)
	return a.rows, nil
}

func TestWhatOrganisersDoIsRecorded(t *testing.T) {
	order := domain.OrderID{1}.String()
	for name, tt := range map[string]struct {
		request
		act, path string // empty: nothing is recorded
		status    int
	}{
		"a refund": {
			request{"POST", "/v1/orders/" + order + "/refund", "", bearerOf("ann-0123456789abcdef")},
			"refund-order", "/v1/orders/" + order + "/refund", 404,
		},
		"a look at buyers, without the address": {
			request{"GET", "/v1/orders?email=ann@example.com", "", bearerOf("ann-0123456789abcdef")},
			"find-orders", "/v1/orders", 200,
		},
		"something that is refused": {
			request{"POST", "/v1/erasures", `{}`, bearerOf("ann-0123456789abcdef")},
			"erase-buyer", "/v1/erasures", 404,
		},
		"not who has no token":        {request{"POST", "/v1/orders/" + order + "/refund", "", nil}, "", "", 401},
		"not a look at sales":         {request{"GET", "/v1/events", "", bearerOf("ann-0123456789abcdef")}, "", "", 404},
		"not what buyers do":          {request{"POST", "/v1/orders/" + order + "/cancel", "", nil}, "", "", 404},
		"not the record that is read": {request{"GET", "/v1/acts", "", bearerOf("ann-0123456789abcdef")}, "", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			record := &actsRecord{}
			b := setup(t, func(o *Options) { o.Acts, o.AdminToken = record, "ann:ann-0123456789abcdef" })
			w := b.do(tt.request)
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			if tt.act == "" {
				if len(record.begun) != 0 {
					t.Errorf("recorded %+v", record.begun)
				}
				return
			}
			if len(record.begun) != 1 || len(record.ended) != 1 {
				t.Fatalf("begun %+v, ended %+v", record.begun, record.ended)
			}
			want := domain.Act{ID: 1, Who: "ann", Act: tt.act, Path: tt.path, From: record.begun[0].From, Request: w.Header().Get("X-Request-Id"), Status: tt.status}
			if got := record.ended[0]; got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if got := record.begun[0].Status; got != 0 {
				t.Errorf("the status before it was done is %d", got)
			}
		})
	}
}

func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	e := &eraser{}
	record := &actsRecord{beginErr: &domain.Error{Code: domain.CodeOverloaded, Detail: "The orders database does not answer."}}
	b := setup(t, func(o *Options) { o.Acts, o.Eraser = record, e })
	w := b.do(request{"POST", "/v1/erasures", `{"email":"ann@example.com"}`, bearerOf(testAdminToken)})
	wantProblem(t, w, 503, domain.CodeOverloaded)
	if len(e.asked) != 0 {
		t.Errorf("erased %v", e.asked)
	}
}

// What was done stays done, and is answered so, if only its outcome is missing in the record.
func TestAMissingOutcomeIsNoFailure(t *testing.T) {
	record := &actsRecord{endErr: errors.New("gone")}
	b := setup(t, func(o *Options) { o.Acts, o.Eraser = record, &eraser{} })
	if w := b.do(request{"POST", "/v1/erasures", `{"email":"ann@example.com"}`, bearerOf(testAdminToken)}); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The path of a creation does not say what was created.
func TestTheRecordNamesASaleThatWasCreated(t *testing.T) {
	record := &actsRecord{}
	b := setup(t, func(o *Options) { o.Acts = record })
	body := `{"id":"gala","name":"Gala","currency":"EUR","classes":[{"class":"floor","capacity":10,"price":100}]}`
	if w := b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)}); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := record.ended[0].Path; got != "/v1/sales/gala" {
		t.Errorf("the path is %s", got)
	}
}

func TestActsAreListed(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	record := &actsRecord{rows: []domain.Act{
		{ID: 9, At: at, Who: "ann", Act: "refund-order", Path: "/v1/orders/x/refund", From: "192.0.2.0/24", Request: "r-12345678", Status: 200},
		{ID: 7, At: at, Who: "operator:root", Act: "migrate"},
	}}
	b := setup(t, func(o *Options) { o.Acts = record })
	w := b.do(request{"GET", "/v1/acts?sale=gala&before=12&limit=2", "", bearerOf(testAdminToken)})
	want := `{"acts":[{"id":"9","at":"2026-03-01T12:00:00Z","who":"ann","act":"refund-order","path":"/v1/orders/x/refund","from":"192.0.2.0/24","request":"r-12345678","status":200},` +
		`{"id":"7","at":"2026-03-01T12:00:00Z","who":"operator:root","act":"migrate"}],"next":"7"}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("%d %s\nwant %s", w.Code, got, want)
	}
	if !slices.Equal(record.listed, []domain.ActFilter{{SaleID: "gala", Before: 12, Limit: 2}}) {
		t.Errorf("asked for %+v", record.listed)
	}
	for query, field := range map[string]string{"before=x": "before", "before=0": "before", "before=-1": "before", "sale=NO": "sale", "limit=0": "limit"} {
		t.Run(query, func(t *testing.T) {
			w := b.do(request{"GET", "/v1/acts?" + query, "", bearerOf(testAdminToken)})
			if p := wantProblem(t, w, 422, domain.CodeInvalid); !strings.Contains(w.Body.String(), field) {
				t.Errorf("%+v does not name %s", p, field)
			}
		})
	}
	wantProblem(t, b.do(request{"GET", "/v1/acts", "", nil}), 401, domain.CodeUnauthorized)
}
