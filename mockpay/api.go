package mockpay

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const listLimitDefault = 100

// api is the provider's HTTP side.
type api struct {
	bank  *bank
	links *mockpay.PayLinks
	log   *slog.Logger
}

func newHandler(bank *bank, links *mockpay.PayLinks, log *slog.Logger) http.Handler {
	a := &api{bank: bank, links: links, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /v1/sessions/{session}", a.session)
	mux.HandleFunc("POST /v1/sessions/{session}/pay", a.pay)
	mux.HandleFunc("POST /v1/sessions/{session}/expire", a.expire)
	mux.HandleFunc("POST /v1/sessions/{session}/authorization/capture", a.decideAuthorized(callCapture, bank.captureAuthorized))
	mux.HandleFunc("POST /v1/sessions/{session}/authorization/release", a.decideAuthorized(callRelease, bank.releaseAuthorized))
	mux.HandleFunc("GET "+mockpay.AuthorizationsPath, serveList[domain.Capture](a, bucketNamed(authorizationsBucket)))
	mux.HandleFunc("POST "+mockpay.RefundsPath, a.refund)
	mux.HandleFunc("GET "+mockpay.RefundsPath, serveList[mockpay.Refund](a, bucketNamed(refundsBucket)))
	mux.HandleFunc("GET "+mockpay.CapturesPath, serveList[domain.Capture](a, bucketNamed(capturesBucket)))
	mux.HandleFunc("GET "+mockpay.DisputesPath, serveList[domain.Reversal](a, bucketNamed(disputesBucket)))
	mux.HandleFunc("POST /v1/sessions/{session}/dispute", a.dispute)
	mux.HandleFunc("POST /v1/sessions/{session}/refund", a.refundElsewhere)
	mux.HandleFunc("GET "+mockpay.DeliveriesPath, serveList[mockpay.Delivery](a, deliveriesBucket))
	mux.HandleFunc("GET "+MischiefPath, a.mischief)
	mux.HandleFunc("POST "+MischiefPath, a.setMischief)
	mux.HandleFunc("DELETE "+MischiefPath, a.clearMischief)
	mux.HandleFunc("GET /v1/sessions/{session}/mischief", a.sessionMischief)
	mux.HandleFunc("POST /v1/sessions/{session}/mischief", a.setSessionMischief)
	mux.HandleFunc("DELETE /v1/sessions/{session}/mischief", a.clearSessionMischief)
	mux.HandleFunc("POST /v1/sessions/{session}/capture", a.capture)
	mux.HandleFunc("GET "+mockpay.PayPath+"{session}", a.showPage)
	mux.HandleFunc("POST "+mockpay.PayPath+"{session}", a.submitPage)
	mux.HandleFunc("GET "+stylePath, serveStyle)
	mux.Handle("/", unmatched(mux))

	// Another site's page must not pay with a buyer's browser.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "cross_origin", "The request comes from a page of another site.")
	}))
	// A Prometheus in another container reaches it by another name. It reads counts, and no ids.
	all := http.NewServeMux()
	all.Handle("GET "+MetricsPath, metricsHandler(bank))
	all.Handle("/", bank.courier.meter.observe(onlyByItsName(limit(sameOrigin.Handler(mux)))))
	return all
}

// onlyByItsName keeps out pages of other sites whose name resolves to this machine (DNS
// rebinding). To the browser they have our origin; only the Host header tells.
func onlyByItsName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOwnName(r.Host) {
			writeProblem(w, http.StatusMisdirectedRequest, "wrong_host", "MockPay answers to loopback addresses and localhost only; the request names another host.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwnName reports whether a Host header names this machine. Its own address is
// no other, see checkLoopback.
func isOwnName(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	return domain.IsLoopback(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// limit limits the requests under way and their bodies.
func limit(next http.Handler) http.Handler {
	slots := make(chan struct{}, requestsAtOnceMax)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			writeOverload(w, "Too many requests are under way.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, requestBodyMax)
		next.ServeHTTP(w, r)
	})
}

// unmatched answers requests that the mux has no route for: 405 if another method would
// work.
func unmatched(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if _, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "/" {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			writeProblem(w, http.StatusMethodNotAllowed, "method_not_allowed", "Use "+strings.Join(allowed, " or ")+" here.")
			return
		}
		writeProblem(w, http.StatusNotFound, string(refusedNotFound), "There is nothing at this address.")
	})
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-a.bank.store.broken:
		writeProblem(w, http.StatusServiceUnavailable, "store_failed", "The store failed; the provider is ending.")
	default:
		writeJSON(w, http.StatusOK, struct {
			Status      string `json:"status"`
			Undelivered int    `json:"undelivered"`
		}{"ok", a.bank.courier.undelivered()})
	}
}

func (a *api) session(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	session, err := troubled(a, call{callSession, order}, func() (mockpay.Session, error) { return a.bank.lookup(order) })
	a.answer(w, r, session, err)
}

func (a *api) pay(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var request mockpay.PayRequest
	if err := readJSON(r, &request); err != nil {
		a.fail(w, r, err)
		return
	}
	link, err := a.linkOf(r.PathValue("session"), request.Link)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	session, err := a.bank.pay(order, request, link)
	a.answer(w, r, session, err)
}

// linkOf reads a pay link, the page's address or its query; nil if it is empty.
func (a *api) linkOf(session, text string) (*mockpay.PayLink, error) {
	if text == "" {
		return nil, nil
	}
	if address, err := url.Parse(text); err == nil && address.Path != "" && strings.Contains(text, "?") {
		path, of, _ := strings.Cut(address.Path, mockpay.PayPath)
		if path != "" || of != session {
			return nil, refuse(refusedForged, "The pay link is for another session.")
		}
		text = address.RawQuery
	}
	link, err := a.links.Parse(session, strings.TrimPrefix(text, "?"))
	if err != nil {
		return nil, err
	}
	return &link, nil
}

func (a *api) expire(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	expiry, err := troubled(a, call{callExpire, order}, func() (mockpay.Expiry, error) { return a.bank.expire(order) })
	a.answer(w, r, expiry, err)
}

// decideAuthorized captures or releases what is authorised.
func (a *api) decideAuthorized(name string, how func(domain.OrderID) (mockpay.Expiry, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order, err := orderOf(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		expiry, err := troubled(a, call{name, order}, func() (mockpay.Expiry, error) { return how(order) })
		a.answer(w, r, expiry, err)
	}
}

func (a *api) refund(w http.ResponseWriter, r *http.Request) {
	var request mockpay.RefundRequest
	if err := readJSON(r, &request); err != nil {
		a.fail(w, r, err)
		return
	}
	refund, err := troubled(a, call{callRefund, orderOfPayment(request.Payment)}, func() (mockpay.Refund, error) { return a.bank.refund(request) })
	a.answer(w, r, refund, err)
}

// bucketNamed is for lists with one bucket.
func bucketNamed(name []byte) func(*http.Request) ([]byte, error) {
	return func(*http.Request) ([]byte, error) { return name, nil }
}

func deliveriesBucket(r *http.Request) ([]byte, error) {
	switch state := mockpay.DeliveryState(r.URL.Query().Get("state")); state {
	case "", mockpay.DeliveryAcknowledged:
		return acknowledgedBucket, nil
	case mockpay.DeliveryPending:
		return pendingBucket, nil
	case mockpay.DeliveryAbandoned:
		return abandonedBucket, nil
	case DeliveryLost:
		return lostBucket, nil
	default:
		return nil, refuse(refusedInvalid, "The state must be acknowledged, pending, abandoned or lost.")
	}
}

func serveList[T any](a *api, bucketOf func(*http.Request) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bucket, err := bucketOf(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		after, limit, err := pageOf(r.URL.Query())
		if err != nil {
			a.fail(w, r, err)
			return
		}
		items, next, err := list[T](a.bank, bucket, after, limit)
		page := mockpay.Page[T]{Items: items}
		if next > 0 {
			page.Next = strconv.FormatUint(next, 10)
		}
		a.answer(w, r, page, err)
	}
}

func pageOf(query url.Values) (after uint64, limit int, err error) {
	limit = listLimitDefault
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 63); err != nil {
			return 0, 0, refuse(refusedInvalid, "The parameter after must be the next of an earlier page.")
		}
	}
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > mockpay.ListLimitMax {
			return 0, 0, refuse(refusedInvalid, "The parameter limit must be 1–%d.", mockpay.ListLimitMax)
		}
	}
	return after, limit, nil
}

func orderOf(r *http.Request) (domain.OrderID, error) {
	order, err := mockpay.OrderOfSession(r.PathValue("session"))
	if err != nil {
		return domain.OrderID{}, refuse(refusedNotFound, "There is no such session: a session is ps_ and an order's id.")
	}
	return order, nil
}

// readJSON reads one JSON value of at most requestBodyMax bytes.
func readJSON(r *http.Request, into any) error {
	return decodeOne(json.NewDecoder(r.Body), into)
}

func decodeOne(decoder *json.Decoder, into any) error {
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.Join(errors.New("more than one value"), err)
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return refuse(refusedInvalid, "The body must be one JSON object of the documented form.")
}

// answer writes a value, or the failure.
func (a *api) answer(w http.ResponseWriter, r *http.Request, value any, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, value)
}

func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := a.failureOf(r, err)
	a.bank.courier.meter.failed(r, f.code)
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeProblem(w, f.status, f.code, f.detail)
}

// failure is an error as clients may see it.
type failure struct {
	status       int
	code, detail string
}

// failureOf is the one place where errors become statuses. What is not a refusal is our
// fault: it is logged and not shown.
func (a *api) failureOf(r *http.Request, err error) failure {
	var refused *refusal
	var link *domain.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &refused):
		return failure{statusOf(refused.code), string(refused.code), refused.detail}
	case errors.As(err, &link) && link.Code == domain.CodeForged:
		return failure{statusOf(refusedForged), string(refusedForged), link.Detail}
	case errors.As(err, &link):
		return failure{statusOf(refusedInvalid), string(refusedInvalid), link.Detail}
	case errors.As(err, &tooLarge):
		return failure{http.StatusRequestEntityTooLarge, "too_large", "The body is too large."}
	case errors.Is(err, errStoreBusy), errors.Is(err, errStoreClosed):
		return failure{statusOf(refusedOverload), string(refusedOverload), "Nothing was done: try again later."}
	default:
		a.log.Error("request failed", "route", r.Pattern, "error", err)
		return failure{http.StatusInternalServerError, "internal", "The provider failed. Repeat the request: it has no second effect."}
	}
}

func statusOf(code refusalCode) int {
	switch code {
	case refusedInvalid:
		return http.StatusUnprocessableEntity
	case refusedNotFound:
		return http.StatusNotFound
	case refusedClosed, refusedLink, refusedRefund, refusedCapture, refusedDispute:
		return http.StatusConflict
	case refusedForged:
		return http.StatusForbidden
	case refusedOverload, refusedRefunds:
		return http.StatusServiceUnavailable
	default: // refusedFailing
		return http.StatusInternalServerError
	}
}

func writeOverload(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", "1")
	writeProblem(w, http.StatusServiceUnavailable, string(refusedOverload), detail)
}

func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	writeBody(w, status, mockpay.ProblemContentType, mockpay.Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail,
	})
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	writeBody(w, status, "application/json", value)
}

func writeBody(w http.ResponseWriter, status int, contentType string, value any) {
	raw, err := json.Marshal(value)
	if err != nil { // our own types: cannot fail
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // the client is gone: nobody to tell
}
