package api

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// Everything that a check of the draw needs is public.
func TestTheRecordOfADraw(t *testing.T) {
	b, r := roomSetup(t)
	at := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	r.record = &waitingroom.RoomState{
		Sale: "rush", Status: waitingroom.StatusWaiting,
		Draw: waitingroom.Draw{Version: 2, Source: domain.QueueDrawBeacon, State: waitingroom.DrawDrawn, Commitment: "c0ffee", Size: 10, Root: "0a", DueAt: at, Seed: "5eed", Waived: true},
		Record: waitingroom.DrawRecord{
			ClosedAt: at, RootAt: at.Add(time.Second), DrawnAt: at.Add(time.Minute),
			Beacon:   domain.QueueBeacon{Chain: []byte{1}, Named: 7, Round: 8, Signature: []byte("abc")},
			BeaconAt: at.Add(10 * time.Second), WitnessCommitment: []byte{2}, WitnessSecret: []byte{3}, WaivedAt: at.Add(time.Hour), WaivedReason: "it was down",
		},
	}
	var got struct{ Draw json.RawMessage }
	decode(t, b.do(request{method: "GET", path: "/v1/sales/rush/queue"}), &got)
	want := `{"beacon":{"at":"2027-01-02T03:04:15Z","chain":"01","named_round":7,"randomness":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","round":8,"signature":"616263"},` +
		`"closed_at":"2027-01-02T03:04:05Z","commitment":"c0ffee","drawn_at":"2027-01-02T03:05:05Z","published_at":"2027-01-02T03:04:06Z","root":"0a","seed":"5eed","size":10,"source":"beacon","state":"drawn","version":2,` +
		`"waived":true,"waiver":{"at":"2027-01-02T04:04:05Z","reason":"it was down"},"witness":{"commitment":"02","secret":"03"}}`
	var sorted any
	if err := json.Unmarshal(got.Draw, &sorted); err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(sorted); string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

func TestAProofOfTheList(t *testing.T) {
	b, r := roomSetup(t)
	b.do(joinOf("rush", ""))
	var got ListProofView
	if w := b.do(request{method: "GET", path: "/v1/queue/token-0/proof"}); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	} else {
		decode(t, w, &got)
	}
	if got.Sale != "rush" || got.Size != 10 || got.Leaf != "01" || !slices.Equal(got.Path, []string{"02", "03"}) || got.Root != "04" {
		t.Errorf("%+v", got)
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/forged/proof"}), 404, domain.CodeNotFound)
	r.fail(&domain.Error{Code: domain.CodeOverloaded})
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/token-0/proof"}), 503, domain.CodeOverloaded)
	b.api.Rooms = nil
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/token-0/proof"}), 503, domain.CodeOverloaded)
}

func settleOf(sale, body string) request {
	header := maps.Clone(patchOf(sale, "").header)
	return request{"POST", "/v1/sales/" + sale + "/queue/draw", body, header}
}

// The organiser gives a draw one thing at a time.
func TestSettleADraw(t *testing.T) {
	b, r := roomSetup(t)
	for body, want := range map[string]waitingroom.Settlement{
		`{"witness_secret":"` + strings.Repeat("ab", 32) + `"}`:   {WitnessSecret: strings.Repeat("ab", 32)},
		`{"beacon_signature":"` + strings.Repeat("cd", 48) + `"}`: {BeaconSignature: strings.Repeat("cd", 48)},
		`{"waive":"it was down"}`:                                 {Waive: "it was down"},
	} {
		var view QueueView
		w := b.do(settleOf("rush", body))
		decode(t, w, &view)
		if w.Code != 200 || r.settled != want || view.Draw.State != "drawn" {
			t.Errorf("%s: %d %s, settled %+v", body, w.Code, w.Body, r.settled)
		}
	}
	for name, test := range map[string]struct {
		request request
		status  int
		code    domain.Code
	}{
		"without the token": {request{"POST", "/v1/sales/rush/queue/draw", `{"waive":"x"}`, map[string]string{"Content-Type": "application/json"}}, 401, domain.CodeUnauthorized},
		"nothing":           {settleOf("rush", `{}`), 422, domain.CodeInvalid},
		"two things":        {settleOf("rush", `{"waive":"x","witness_secret":"00"}`), 422, domain.CodeInvalid},
		"a long story":      {settleOf("rush", `{"waive":"`+strings.Repeat("x", 201)+`"}`), 422, domain.CodeInvalid},
		"something else":    {settleOf("rush", `{"seed":"00"}`), 422, domain.CodeInvalid},
		"no such sale":      {settleOf("nothing", `{"waive":"x"}`), 404, domain.CodeNotFound},
		"no waiting room":   {settleOf("conference", `{"waive":"x"}`), 404, domain.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) { wantProblem(t, b.do(test.request), test.status, test.code) })
	}
}

// A witness commits when the sale is created, or not at all.
func TestASaleWithAWitness(t *testing.T) {
	commitment := hex.EncodeToString(make([]byte, 32))
	for name, test := range map[string]struct {
		queue string
		ok    bool
	}{
		"a commitment":   {`"waiting_room":true,"queue":{"witness_commitment":"` + commitment + `"}`, true},
		"none":           {`"waiting_room":true,"queue":{"rate_floor":2}`, true},
		"a bad one":      {`"waiting_room":true,"queue":{"witness_commitment":"00"}`, false},
		"without a room": {`"queue":{"witness_commitment":"` + commitment + `"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := roomSetup(t)
			header := maps.Clone(patchOf("rush", "").header)
			w := b.do(request{"POST", "/v1/sales", `{"id":"new","name":"New","currency":"EUR","classes":[{"class":"A","price":100,"capacity":5}],` + test.queue + `}`, header})
			if !test.ok {
				wantProblem(t, w, 422, domain.CodeInvalid)
				return
			}
			want := ""
			if strings.Contains(test.queue, commitment) {
				want = commitment
			}
			if w.Code != 201 || r.witness != want {
				t.Errorf("%d %s, witness %q", w.Code, w.Body, r.witness)
			}
		})
	}
}
