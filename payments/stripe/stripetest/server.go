package stripetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"github.com/stripe/stripe-go/v84"
)

// The credentials that the double accepts, and signs with.
const (
	Key           = "sk_test_ofTheDouble0000"
	WebhookSecret = "whsec_ofTheDouble000000"
)

// requestBytesMax limits what the double reads of a request.
const requestBytesMax = 1 << 20

// A Trouble is what goes wrong with one request.
type Trouble int

// The troubles.
const (
	None      Trouble = iota
	RateLimit         // 429, without an effect
	Locked            // 429 about one object, without an effect
	Failure           // 500, without an effect
	LostReply         // the effect, and then the connection breaks
	Garbage           // the effect, and an answer that is not Stripe's
)

// A Server is Stripe. It is safe for concurrent use. Set its fields before the first request.
type Server struct {
	*httptest.Server
	// Check is called with every request; an error of it is answered with status 400, and remembered in CheckErrors.
	Check func(r *http.Request, body []byte) error
	// Trouble decides what goes wrong with a request. Nil: nothing.
	Trouble func(r *http.Request) Trouble
	// Deliver gets each webhook, in order. Nil: see Webhooks.
	Deliver func(header http.Header, body []byte)
	Now     func() time.Time

	mu       sync.Mutex
	inFlight map[string]bool
	answered map[string]answer // by idempotency key
	sessions map[string]*session
	opened   []*session // oldest first
	payments map[string]*payment
	refunds  []*refund // oldest first
	disputes []*dispute
	webhooks []Webhook
	checks   []error
	number   int
	refusing bool
}

// A Webhook is one request of Stripe to the box office.
type Webhook struct {
	Header http.Header
	Body   []byte
}

type answer struct {
	request string // method, path and parameters
	status  int
	body    []byte
}

// New starts the double. Close it.
func New() *Server {
	s := &Server{
		Now: time.Now, inFlight: make(map[string]bool), answered: make(map[string]answer),
		sessions: make(map[string]*session), payments: make(map[string]*payment),
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// CheckErrors are the requests that Check refused.
func (s *Server) CheckErrors() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.checks...)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
	if err != nil {
		return
	}
	trouble := None
	if s.Trouble != nil {
		trouble = s.Trouble(r)
	}
	var a answer
	switch trouble {
	case RateLimit:
		a = refusal(http.StatusTooManyRequests, "invalid_request_error", "rate_limit", "", "Too many requests.")
	case Locked:
		a = refusal(http.StatusTooManyRequests, "invalid_request_error", "lock_timeout", "", "This object cannot be accessed right now.")
	case Failure:
		a = refusal(http.StatusInternalServerError, "api_error", "", "", "Something went wrong on Stripe's end.")
	default:
		a = s.once(r, body)
	}
	if trouble == LostReply {
		panic(http.ErrAbortHandler)
	}
	if trouble == Garbage {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html>a proxy's page</html>")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_double")
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// once answers a request with an idempotency key once (https://docs.stripe.com/api/idempotent_requests).
func (s *Server) once(r *http.Request, body []byte) answer {
	key := r.Header.Get("Idempotency-Key")
	if r.Method != http.MethodPost || key == "" {
		return s.handle(r, body)
	}
	request := r.Method + " " + r.URL.Path + "\n" + string(body)
	s.mu.Lock()
	before, isAnswered := s.answered[key]
	busy := s.inFlight[key]
	s.inFlight[key] = true
	s.mu.Unlock()
	switch {
	case isAnswered && before.request == request:
		s.settle(key, nil)
		return before
	case isAnswered:
		s.settle(key, nil)
		return refusal(http.StatusBadRequest, "idempotency_error", "", "",
			"Keys for idempotent requests can only be used with the same parameters they were first used with.")
	case busy:
		return refusal(http.StatusConflict, "invalid_request_error", "idempotency_key_in_use", "", "Another request with this key is under way.")
	}
	a := s.handle(r, body)
	a.request = request
	s.settle(key, &a)
	return a
}

// settle keeps an answer, but not one that a check of the parameters gave: nothing had begun.
func (s *Server) settle(key string, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inFlight, key)
	if a != nil && a.status == http.StatusOK {
		s.answered[key] = *a
	}
}

func (s *Server) handle(r *http.Request, body []byte) answer {
	form, err := url.ParseQuery(string(body))
	if r.Method == http.MethodGet {
		form = r.URL.Query()
	}
	switch {
	case err != nil:
		return refusal(http.StatusBadRequest, "invalid_request_error", "", "", "The body is no form.")
	case r.Header.Get("Authorization") != "Bearer "+Key:
		return refusal(http.StatusUnauthorized, "invalid_request_error", "", "", "Invalid API Key provided.")
	case r.Header.Get("Stripe-Version") != stripe.APIVersion:
		return refusal(http.StatusBadRequest, "invalid_request_error", "", "", "Invalid Stripe API version.")
	}
	if s.Check != nil {
		if err := s.Check(r, body); err != nil {
			s.mu.Lock()
			s.checks = append(s.checks, err)
			s.mu.Unlock()
			return refusal(http.StatusBadRequest, "invalid_request_error", "", "", err.Error())
		}
	}
	return s.route(r, form)
}

func (s *Server) route(r *http.Request, form url.Values) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	mux := http.NewServeMux()
	var a answer
	on := func(pattern string, handle func(id string) answer) {
		mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { a = handle(r.PathValue("id")) })
	}
	on("POST /v1/checkout/sessions", func(string) answer { return s.createSession(form) })
	on("GET /v1/checkout/sessions", func(string) answer { return s.listSessions(form) })
	on("GET /v1/checkout/sessions/{id}", func(id string) answer { return s.readSession(id, form) })
	on("POST /v1/checkout/sessions/{id}/expire", s.expireSession)
	on("GET /v1/payment_intents/{id}", func(id string) answer { return s.readPayment(id, form) })
	on("GET /v1/disputes", func(string) answer { return s.listDisputes(form) })
	on("GET /v1/disputes/{id}", func(id string) answer { return s.readDispute(id, form) })
	on("GET /v1/refunds/{id}", func(id string) answer { return s.readRefund(id, form) })
	on("POST /v1/payment_intents/{id}/capture", s.capturePayment)
	on("POST /v1/payment_intents/{id}/cancel", s.cancelPayment)
	on("POST /v1/refunds", func(string) answer { return s.createRefund(form) })
	on("GET /v1/refunds", func(string) answer { return s.listRefunds(form) })
	on("/", func(string) answer {
		return refusal(http.StatusNotFound, "invalid_request_error", "", "", "Unrecognized request URL.")
	})
	mux.ServeHTTP(httptest.NewRecorder(), r)
	return a
}

func refusal(status int, kind, code, param, message string) answer {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"type": kind, "code": code, "param": param, "message": message}})
	return answer{status: status, body: body}
}

func missing(param, id string) answer {
	return refusal(http.StatusNotFound, "invalid_request_error", "resource_missing", param, "No such "+param+": '"+id+"'")
}

func invalid(code, param, message string) answer {
	return refusal(http.StatusBadRequest, "invalid_request_error", code, param, message)
}

func found(object any) answer {
	body, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return answer{status: http.StatusOK, body: body}
}
