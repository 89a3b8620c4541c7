package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"boxoffice/domain"
)

type eraser struct {
	asked []domain.ErasureRequest
	err   error
}

func (e *eraser) Erase(_ context.Context, r domain.ErasureRequest) (domain.Erasure, error) {
	e.asked = append(e.asked, r)
	return domain.Erasure{Orders: []domain.OrderID{{1}}}, e.err
}

func TestErasureOfABuyer(t *testing.T) {
	e := &eraser{}
	b := setup(t, func(o *Options) { o.Eraser = e })
	admin := bearerOf(testAdminToken)
	one := domain.OrderID{1}.String()
	for name, tt := range map[string]struct {
		body   string
		header map[string]string
		code   domain.Code // empty: erased
		want   domain.ErasureRequest
	}{
		"by address, in its normal form": {body: `{"email":" Ann@Example.COM "}`, header: admin, want: domain.ErasureRequest{Email: "ann@example.com"}},
		"by orders":                      {body: `{"orders":["` + one + `"]}`, header: admin, want: domain.ErasureRequest{Orders: []domain.OrderID{{1}}}},
		"not without the token":          {body: `{"email":"ann@example.com"}`, code: domain.CodeUnauthorized},
		"not of nobody":                  {body: `{}`, header: admin, code: domain.CodeInvalid},
		"not by both":                    {body: `{"email":"ann@example.com","orders":["` + one + `"]}`, header: admin, code: domain.CodeInvalid},
		"not by what is no address":      {body: `{"email":"ann"}`, header: admin, code: domain.CodeInvalid},
		"not by what is no order":        {body: `{"orders":["ann"]}`, header: admin, code: domain.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			e.asked = nil
			w := b.do(request{"POST", "/v1/erasures", tt.body, tt.header})
			if tt.code != "" {
				wantProblem(t, w, kinds[tt.code].status, tt.code)
				if len(e.asked) != 0 {
					t.Errorf("asked %v", e.asked)
				}
				return
			}
			if want := fmt.Sprintf(`"orders":["%s"],"unsold":[]`, one); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
				t.Fatalf("%d %s, want %s", w.Code, w.Body, want)
			}
			if fmt.Sprint(e.asked) != fmt.Sprint([]domain.ErasureRequest{tt.want}) {
				t.Errorf("asked %v, want %v", e.asked, tt.want)
			}
		})
	}
	e.err = domain.NotSettled("an order is still open", []string{one})
	w := b.do(request{"POST", "/v1/erasures", `{"email":"ann@example.com"}`, admin})
	wantProblem(t, w, 409, domain.CodeNotSettled)
	if !strings.Contains(w.Body.String(), one) || w.Header().Get("Retry-After") == "" {
		t.Errorf("%s %s, want it to name the order and when to ask again", w.Header(), w.Body)
	}
}
