package api

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestPolicyReportsAreCounted(t *testing.T) {
	const old, fresh = "application/csp-report", "application/reports+json"
	for name, tt := range map[string]struct {
		mediaType, body string
		status          int
		counted         map[string]float64 // by directive
	}{
		"of report-uri": {
			old, `{"csp-report":{"document-uri":"https://t.example/queue/secret-token","effective-directive":"script-src-elem","blocked-uri":"https://evil.example/a.js?x"}}`,
			204, map[string]float64{"script-src-elem": 1},
		},
		"of report-uri, from a browser without the effective one": {
			old, `{"csp-report":{"violated-directive":"img-src","blocked-uri":"data"}}`, 204, map[string]float64{"img-src": 1},
		},
		"of report-to, several": {
			fresh, `[{"type":"csp-violation","body":{"effectiveDirective":"connect-src","blockedURL":"https://evil.example"}},` +
				`{"type":"deprecation","body":{}},{"type":"csp-violation","body":{"effectiveDirective":"connect-src","blockedURL":"inline"}}]`,
			204, map[string]float64{"connect-src": 2},
		},
		"a directive that a stranger made up": {old, `{"csp-report":{"effective-directive":"x-1","blocked-uri":"y"}}`, 204, map[string]float64{"other": 1}},
		"at most twenty of a request":         {fresh, `[` + strings.Repeat(`{"type":"csp-violation","body":{"effectiveDirective":"img-src"}},`, 30) + `{}]`, 204, map[string]float64{"img-src": 20}},
		"no JSON":                             {old, `x`, 422, nil},
		"no report":                           {old, `{}`, 422, nil},
		"no list":                             {fresh, `{}`, 422, nil},
		"too much":                            {old, strings.Repeat(" ", BodyBytesMax+1), 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			w := b.do(request{"POST", PolicyReportsPath, tt.body, map[string]string{"Content-Type": tt.mediaType}})
			if w.Code != tt.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.status)
			}
			for _, directive := range append([]string{"other"}, policyDirectives...) {
				if got := testutil.ToFloat64(b.api.metrics.policyViolations.WithLabelValues(directive)); got != tt.counted[directive] {
					t.Errorf("%s: %v, want %v", directive, got, tt.counted[directive])
				}
			}
		})
	}
}

// What a report has of a page and of a file may have tokens in it.
func TestPolicyReportsLoseWhatMayBeSecret(t *testing.T) {
	for blocked, want := range map[string]string{
		"https://evil.example/a.js?token=x":   "https://evil.example",
		"https://u:p@evil.example/":           "https://evil.example",
		"inline":                              "inline",
		"chrome-extension://abc/x.js":         "chrome-extension://abc",
		"/queue/secret-token":                 "other",
		"secret\ntoken":                       "other",
		"https://" + strings.Repeat("a", 200): "other",
		"":                                    "other",
	} {
		if got := policyReportOf("img-src", blocked).blocked; got != want {
			t.Errorf("%q: %q, want %q", blocked, got, want)
		}
	}
}

func FuzzPolicyReports(f *testing.F) {
	f.Add("application/csp-report", []byte(`{"csp-report":{"effective-directive":"script-src","blocked-uri":"https://a.example/x"}}`))
	f.Add("application/reports+json", []byte(`[{"type":"csp-violation","body":{"effectiveDirective":"img-src","blockedURL":"data"}}]`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		reports, err := parsePolicyReports(mediaType, body)
		if err != nil && len(reports) > 0 || len(reports) > policyReportsMax {
			t.Fatalf("%d reports and %v", len(reports), err)
		}
		for _, r := range reports {
			if len(r.directive) > 30 || len(r.blocked) > 110 || strings.ContainsAny(r.blocked, "\n\r ?#@") {
				t.Fatalf("%+v", r)
			}
		}
	})
}
