package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

// PolicyReportsPath is where browsers send what a page's Content-Security-Policy forbade.
const PolicyReportsPath = "/policy-reports"

// policyReportsMax bounds what is counted of one request: browsers send a few.
const policyReportsMax = 20

// policyDirectives may be a metric's label: strangers write these reports.
var policyDirectives = []string{
	"default-src", "script-src", "script-src-elem", "script-src-attr", "style-src", "style-src-elem", "style-src-attr", "img-src", "connect-src",
	"font-src", "frame-src", "media-src", "object-src", "manifest-src", "worker-src", "form-action", "base-uri", "frame-ancestors",
}

// A policyReport is one refusal of a browser. It has no address of a page, which may have a token in it.
type policyReport struct{ directive, blocked string }

// takePolicyReports counts what browsers refused to load or run, and logs what it was. A page
// that somebody could put a script into shows here; so do extensions of browsers.
func (s *Server) takePolicyReports(c *gin.Context) {
	body, err := io.ReadAll(c.Request.Body) // the middleware has read and bounded it
	if err != nil {
		s.abort(c, domain.Invalid("body", "cannot be read"))
		return
	}
	reports, err := parsePolicyReports(c.ContentType(), body)
	if err != nil {
		s.abort(c, domain.Invalid("body", "must be a browser's report of a Content-Security-Policy"))
		return
	}
	ctx := c.Request.Context()
	for _, r := range reports {
		s.metrics.policyViolations.WithLabelValues(r.directive).Inc()
		if leftOut, ok := s.logged.spend(policyViolation, time.Now()); ok {
			s.log.WarnContext(ctx, "a browser refused what a page's policy forbids", "directive", r.directive, "blocked", r.blocked, "left_out", leftOut)
		}
	}
	c.Status(http.StatusNoContent)
}

// policyViolation has a budget of the log like a refusal. It is no problem of the API.
const policyViolation domain.Code = "policy_violation"

// parsePolicyReports reads both forms: of report-uri (CSP Level 2) and of report-to (the Reporting API).
func parsePolicyReports(mediaType string, body []byte) ([]policyReport, error) {
	if mediaType == "application/reports+json" {
		var all []struct {
			Type string `json:"type"`
			Body struct {
				Directive string `json:"effectiveDirective"`
				Blocked   string `json:"blockedURL"`
			} `json:"body"`
		}
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, err
		}
		var reports []policyReport
		for _, r := range all[:min(len(all), policyReportsMax)] {
			if r.Type == "csp-violation" {
				reports = append(reports, policyReportOf(r.Body.Directive, r.Body.Blocked))
			}
		}
		return reports, nil
	}
	var one struct {
		Report *struct {
			Directive string `json:"effective-directive"`
			Violated  string `json:"violated-directive"` // of browsers that lack the other
			Blocked   string `json:"blocked-uri"`
		} `json:"csp-report"`
	}
	if err := json.Unmarshal(body, &one); err != nil {
		return nil, err
	}
	if one.Report == nil {
		return nil, domain.Invalid("csp-report", "is missing")
	}
	directive := one.Report.Directive
	if directive == "" {
		directive = one.Report.Violated
	}
	return []policyReport{policyReportOf(directive, one.Report.Blocked)}, nil
}

// policyReportOf keeps what may be logged: a known directive, and where from, without a path.
func policyReportOf(directive, blocked string) policyReport {
	r := policyReport{directive: "other", blocked: "other"}
	if slices.Contains(policyDirectives, directive) {
		r.directive = directive
	}
	switch blocked {
	case "inline", "eval", "wasm-eval", "self", "data", "blob", "trusted-types-policy", "trusted-types-sink":
		r.blocked = blocked
		return r
	}
	const originMax = 100
	if u, err := url.Parse(blocked); err == nil && u.Scheme != "" && u.Host != "" && len(u.Scheme)+len(u.Host) < originMax {
		r.blocked = u.Scheme + "://" + u.Host
	}
	return r
}
