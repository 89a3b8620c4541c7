package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"boxoffice/client"
	"boxoffice/worker"
)

func TestTheReleaseBeforeIsFound(t *testing.T) {
	for changelog, want := range map[string]string{
		"# Changelog\n\n## Unreleased\n\n- more\n":                                   "",
		"## Unreleased\n\n## [1.4.0] - 2026-11-30 (0123abc)\n\n## 1.3.0 (fedcba9)\n": "0123abc",
		"## 1.4.0 - 2026-11-30\n":                                                    "",
	} {
		if got := releasedFrom(changelog); got != want {
			t.Errorf("%q: %q, want %q", changelog, got, want)
		}
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: no git on PATH")
	}
	repo := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := git(t.Context(), repo, append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return out
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run("add", name)
		run("commit", "--quiet", "-m", name)
		return run("rev-parse", "HEAD")
	}
	choose := func(wish string) (string, error) {
		ref, _, err := chooseFrom(t.Context(), repo, wish)
		return ref, err
	}
	mustBe := func(wish, want string) {
		t.Helper()
		if got, err := choose(wish); err != nil || got != want {
			t.Errorf("FROM=%q: %q, %v; want %q", wish, got, err, want)
		}
	}
	run("init", "--quiet")
	before := write("README.md", "a box office\n")
	if got, err := choose(""); err == nil {
		t.Errorf("without any release it comes from %q", got)
	}
	write(versioningFile, "package worker\n")
	write(versioningFile, "package worker // changed\n")
	mustBe("", before)
	write("CHANGELOG.md", "## 1.0.0 ("+before[:9]+")\n")
	mustBe("", before[:9])
	run("tag", "-a", "v1.0.0", "-m", "v1.0.0", before)
	mustBe("", "v1.0.0")
	write("CHANGELOG.md", "more\n")
	run("tag", "-a", "v1.1.0", "-m", "v1.1.0")
	mustBe("", "v1.0.0") // from v1.1.0 to itself would prove nothing
	run("tag", "-a", "lab-7", "-m", "no release", "HEAD^")
	mustBe("", "v1.0.0")
	mustBe(before, before)
	if got, err := choose("nowhere"); err == nil {
		t.Errorf("FROM=nowhere is %q", got)
	}
}

// Whether checkouts are open on a version is asked of what the command says of it, and of no other.
func TestWhatIsOpenOnAVersion(t *testing.T) {
	status := worker.DeploymentStatus{Current: "second", Versions: []worker.VersionStatus{{BuildID: "second", Open: 3}, {BuildID: "first", Open: 7}}}
	for build, want := range map[string]int64{"first": 7, "second": 3, "third": 0} {
		if got := openOn(status, build); got != want {
			t.Errorf("%d are open on %s, want %d", got, build, want)
		}
	}
}

// What a client repeats is counted: no answer, and a 5xx.
func TestRequestsAreCounted(t *testing.T) {
	answers := []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusConflict, 0}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status := answers[0]
		answers = answers[1:]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	counts := &requestCounts{RoundTripper: http.DefaultTransport}
	caller := http.Client{Transport: counts}
	for range 4 {
		if response, err := caller.Post(server.URL, "", nil); err == nil {
			response.Body.Close()
		}
	}
	if got, want := counts.snapshot(), (requestCount{4, 1, 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	r := newRecord()
	r.held(ask{key: "k"}, client.CheckoutView{Order: "o"})
	if lost := r.givenUp(); len(lost) != 0 {
		t.Errorf("nobody gave up: %q", lost)
	}
	r.count("never saw the end of it")
	r.count("gave up (pay): no answer")
	if lost := r.givenUp(); len(lost) != 2 {
		t.Errorf("two buyers gave up: %q", lost)
	}
}
