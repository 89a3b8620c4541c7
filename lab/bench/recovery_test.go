package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/lab/bench/probe"
	"boxoffice/lab/bench/report"
	"boxoffice/payments/mockpay"
)

func TestWhatBecameOfOpenCheckouts(t *testing.T) {
	started := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return started.Add(time.Duration(seconds * float64(time.Second))) }
	expired := func(id string, seconds float64) probe.Checkout {
		return probe.Checkout{ID: id, Ending: "expired", ClosedAt: at(seconds)}
	}
	for name, test := range map[string]struct {
		deadlines map[string]time.Time
		listed    []probe.Checkout
		want      report.Recovery
	}{
		"their deadlines passed while nothing ran": {
			map[string]time.Time{"a": at(-9), "b": at(-8)}, []probe.Checkout{expired("a", 5), expired("b", 7)},
			report.Recovery{Overdue: 2, FirstSeconds: 5, AllSeconds: 7, Late: report.Lateness{P50: 5, P99: 5, Max: 7}, Endings: map[string]int{"expired": 2}},
		},
		"their deadlines came afterwards": {
			map[string]time.Time{"a": at(20), "b": at(22)}, []probe.Checkout{expired("a", 20.5), expired("b", 24)},
			report.Recovery{FirstSeconds: 0.5, AllSeconds: 4, Late: report.Lateness{P50: 0.5, P99: 0.5, Max: 2}, Endings: map[string]int{"expired": 2}},
		},
		"one is lost": {
			map[string]time.Time{"a": at(-9), "b": at(-9)}, []probe.Checkout{expired("b", 5)},
			report.Recovery{Overdue: 2, Missing: 1, FirstSeconds: 5, AllSeconds: 5, Late: report.Lateness{P50: 5, P99: 5, Max: 5}, Endings: map[string]int{"expired": 1}},
		},
		"one is still open, one failed, one is nobody's": {
			map[string]time.Time{"a": at(-9), "b": at(-9)},
			[]probe.Checkout{{ID: "a", Ending: "Running"}, {ID: "b", Ending: "Failed", ClosedAt: at(5)}, expired("c", 6)},
			report.Recovery{Overdue: 2, Unknown: 1, FirstSeconds: 5, AllSeconds: 5, Late: report.Lateness{P50: 5, P99: 5, Max: 5}, Endings: map[string]int{"Running": 1, "Failed": 1}},
		},
		"all are lost": {
			map[string]time.Time{"a": at(-9)}, nil, report.Recovery{Overdue: 1, Missing: 1, Endings: map[string]int{}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got report.Recovery
			fillEndings(&got, test.deadlines, test.listed, started, at(10))
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// All of a sale's holds come at or after the common deadline, and no sale is
// asked for that cannot be.
func TestSecondsOfAHold(t *testing.T) {
	for until, want := range map[time.Duration]int64{
		90 * time.Second: 90, 89*time.Second + 1: 90, time.Second: 5, -time.Minute: 5,
	} {
		if got := holdSeconds(until); got != want {
			t.Errorf("%v before the deadline: %d s, want %d", until, got, want)
		}
	}
}

// A hold that was refused for lack of room is requested again with the same
// key: nobody may hold a seat of which the bench does not know.
func TestHoldsAreAskedForUntilThereIsAnAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		first  string // the first answer, "<status> <body>"
		asked  int
		refuse bool
	}{
		"at once":       {"", 1, false},
		"no room":       {`503 {"code":"overloaded"}`, 2, false},
		"not known":     {`503 {"code":"unknown"}`, 2, false},
		"still at it":   {`409 {"code":"in_flight"}`, 2, false},
		"no seat left":  {`409 {"code":"sold_out"}`, 1, true},
		"no such sale":  {`404 {"code":"not_found"}`, 1, true},
		"a wrong order": {`201 {}`, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []string
			office, b := newBoxOffice(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys = append(keys, r.Header.Get("Idempotency-Key"))
				if len(keys) == 1 && office.instead(w, test.first) {
					return
				}
				office.placeOrder(w, r)
			}))
			defer server.Close()
			b.caller.fronts = []string{server.URL}
			_, err := b.holdPatiently(t.Context(), "s")
			if (err != nil) != test.refuse || len(keys) != test.asked || keys[0] != keys[len(keys)-1] {
				t.Errorf("error %v; asked with %v, want %d times with one key", err, keys, test.asked)
			}
		})
	}
}

func TestRecoveriesThatCannotBe(t *testing.T) {
	secrets, _ := mockpay.ParseSecrets(secret)
	signer, _ := mockpay.NewSigner(secrets)
	o := Options{AdminToken: "t", Signer: signer}
	good := Recovery{Open: []int{10}, Cases: RecoveryCases}
	if err := good.validate(o); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Recovery, *Options){
		"nothing open":    func(r *Recovery, _ *Options) { r.Open = nil },
		"less than none":  func(r *Recovery, _ *Options) { r.Open = []int{10, 0} },
		"too many":        func(r *Recovery, _ *Options) { r.Open = []int{recoveryOpenMax + 1} },
		"no case":         func(r *Recovery, _ *Options) { r.Cases = nil },
		"an unknown case": func(r *Recovery, _ *Options) { r.Cases = []string{"sideways"} },
		"no secrets":      func(_ *Recovery, o *Options) { o.Signer = nil },
	} {
		t.Run(name, func(t *testing.T) {
			r, o := good, o
			change(&r, &o)
			if _, err := RunRecovery(t.Context(), o, r); err == nil {
				t.Error("it ran")
			}
		})
	}
	if holdSeconds(domain.HoldTimeoutMax) > int64(domain.HoldTimeoutMax.Seconds()) {
		t.Error("a hold is longer than a sale may have it")
	}
}

// A stack is killed with all that descends from it, and comes back.
func TestLocalStackDiesAndComesBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there is no /proc here")
	}
	dir := t.TempDir()
	status := filepath.Join(dir, "stack.json")
	command := func(url string) []string {
		return []string{"sh", "-c", `sleep 600 & echo '{"state":"ready","pid":'$$',"variables":{"BOXOFFICE_URL":"` + url + `"},"processes":[{"name":"postgres","pid":'$!'}]}' >` +
			status + `.new; mv ` + status + `.new ` + status + `; wait`}
	}
	const url = "http://127.0.0.1:1"
	s := &LocalStack{dataDir: dir, url: url, command: command(url), log: filepath.Join(dir, "log"), before: map[string]string{"BOXOFFICE_URL": url}}
	for range 2 {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		stack, err := probe.ReadStack(dir, url)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, err := probe.Family(stack.PID, stack.PIDs()["postgres"]); err != nil || len(left) > 0 {
			t.Errorf("%v are left, error %v", left, err)
		}
	}
	s.command = []string{"sh", "-c", "echo no port; exit 1"}
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), s.log) {
		t.Errorf("error %v, want one that names %s", err, s.log)
	}
	if text, err := os.ReadFile(s.log); err != nil || !strings.Contains(string(text), "no port") {
		t.Errorf("the log has %q, error %v", text, err)
	}
}

// What cannot come back is not killed.
func TestOnlyAStackThatCanComeBackIsKilled(t *testing.T) {
	dir, url := t.TempDir(), "http://127.0.0.1:1"
	if _, err := NewLocalStack(dir, url, "log", []string{"sh"}); err == nil {
		t.Error("there is no stack")
	}
	status := `{"state":"ready","pid":1,"variables":{"BOXOFFICE_URL":"` + url + `"}}`
	if err := os.WriteFile(filepath.Join(dir, "stack.json"), []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewLocalStack(dir, url, "log", []string{"no-such-program"}); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("error %v, want one about the command", err)
	}
	if _, err := NewLocalStack(dir, url, "log", []string{"sh"}); err != nil {
		t.Error(err)
	}
}

// Orders are looked at from the first to the last, and never more than said.
func TestOrdersThatAreLookedAt(t *testing.T) {
	for open, want := range map[int]int{1: 1, 200: 200, 399: 200, 10_000: 200} {
		office, b := newBoxOffice(t)
		office.expired = true
		r := recovery{bench: b}
		for i := range open {
			r.holds.put(held{order: domain.OrderID{1, byte(i), byte(i >> 8)}})
		}
		if err := r.lookAtOrders(t.Context()); err != nil || r.row.Shown != want || r.row.ShownExpired != want {
			t.Errorf("%d open: %d shown, %d of them expired, error %v; want %d", open, r.row.Shown, r.row.ShownExpired, err, want)
		}
	}
}
