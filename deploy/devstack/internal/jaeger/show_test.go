package jaeger

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A trace is shown as a tree in the order of time. What has lost its parent is at the top.
func TestShow(t *testing.T) {
	const order = "019aa300000000000000000000000000"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/traces/"+order {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"data":[{"spans":[
			{"spanID":"c","operationName":"Start","startTime":1000100,"duration":40,"references":[{"refType":"CHILD_OF","spanID":"a"}],"tags":[{"key":"error.type","value":"timeout"}]},
			{"spanID":"b","operationName":"mail","startTime":3000000,"duration":1500000,"references":[{"refType":"CHILD_OF","spanID":"gone"}],"tags":[]},
			{"spanID":"a","operationName":"POST","startTime":1000000,"duration":2000,"references":[],"tags":[{"key":"http.response.status_code","value":201}]}]}]}`))
	}))
	defer server.Close()
	var out strings.Builder
	if err := Show(t.Context(), &out, server.URL, order); err != nil {
		t.Fatal(err)
	}
	const want = `     began       took
        0s        2ms  POST  201
     100µs       40µs    Start  timeout
        2s       1.5s  mail
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := Show(t.Context(), &out, server.URL, "other"); err == nil || !strings.Contains(err.Error(), `no trace of order "other"`) {
		t.Errorf("the error is %v", err)
	}
}
