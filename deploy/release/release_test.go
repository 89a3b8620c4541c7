package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var today = time.Date(2026, 5, 1, 23, 0, 0, 0, time.UTC)

func TestTheNextVersion(t *testing.T) {
	for _, tt := range []struct {
		name, version string
		tags          []string
		want          string // part of the error; empty: it may be released
	}{
		{"the first", "0.1.0", nil, ""},
		{"newer", "1.10.0", []string{"v1.2.0", "v1.9.3"}, ""},
		{"a candidate", "1.10.0-rc.1", []string{"v1.9.3"}, ""},
		{"the release after its candidates", "1.10.0", []string{"v1.10.0-rc.1", "v1.10.0-rc.2"}, ""},
		{"other tags are no releases", "1.0.0", []string{"vendor", "v-tried"}, ""},
		{"tagged already", "1.9.3", []string{"v1.2.0", "v1.9.3"}, "tagged already"},
		{"older", "1.9.2", []string{"v1.9.3", "v1.2.0"}, "not newer than v1.9.3"},
		{"a candidate of what is released", "1.9.3-rc.4", []string{"v1.9.3"}, "not newer"},
		{"with v", "v1.2.3", nil, "is no version"},
		{"two parts", "1.2", nil, "is no version"},
		{"a build", "1.2.3+7", nil, "is no version"},
		{"nothing", "", nil, "is no version"},
		{"an argument of a shell", "1.2.3;true", nil, "is no version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkVersion(tt.version, tt.tags)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestARelaseIsCutFromTheChangelog(t *testing.T) {
	const head = "# Changelog\n\nAll notable changes.\n"
	for _, tt := range []struct{ name, text, want, notes, err string }{
		{
			name:  "the first",
			text:  head + "\n## Unreleased\n\n### Added\n\n- Seats.\n",
			want:  head + "\n## Unreleased\n\n## 1.2.3 - 2026-05-01\n\n### Added\n\n- Seats.\n",
			notes: "### Added\n\n- Seats.\n",
		},
		{
			name:  "after another",
			text:  head + "\n## Unreleased\n\n- More.\n\n## 1.2.2 - 2026-04-01\n\n- Seats.\n",
			want:  head + "\n## Unreleased\n\n## 1.2.3 - 2026-05-01\n\n- More.\n\n## 1.2.2 - 2026-04-01\n\n- Seats.\n",
			notes: "- More.\n",
		},
		{name: "nothing to release", text: head + "\n## Unreleased\n\n## 1.2.2 - 2026-04-01\n\n- Seats.\n", err: "nothing under"},
		{name: "no such heading", text: head, err: "no heading"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cut, err := cutChangelog(tt.text, "1.2.3", today)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if cut.text != tt.want || cut.notes != tt.notes {
				t.Errorf("text:\n%s\nnotes:\n%s", cut.text, cut.notes)
			}
		})
	}
}

// The parts of a release that take minutes, as one line each. CHECK and DIST are what they do besides.
const makefile = `
check schema-before: ; @echo checked $@; $(CHECK)
statements: ; @echo planned >statements.json
dist: ; @mkdir -p $(OUT) && git rev-parse HEAD >$(OUT)/box-$(VERSION).tar.gz && cp CHANGELOG.md $(OUT)/ && echo image >$(OUT)/boxoffice-$(VERSION).oci.tar; $(DIST)
`

// checkout makes a repository with a release and a change since.
func checkout(t *testing.T) string {
	t.Helper()
	repo := t.TempDir()
	for name, value := range map[string]string{
		"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com", "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com",
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	write(t, repo, "Makefile", makefile)
	write(t, repo, ".gitignore", "/dist/\n")
	write(t, repo, "statements.json", "before\n")
	write(t, repo, "CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- More.\n\n## 1.2.2 - 2026-04-01\n\n- Seats.\n")
	must(t, repo, "init", "--quiet", "--initial-branch=main")
	must(t, repo, "add", ".")
	must(t, repo, "commit", "--quiet", "--message", "All")
	must(t, repo, "tag", "v1.2.2")
	t.Chdir(repo)
	return repo
}

func write(t *testing.T, repo, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(repo, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, repo string, args ...string) string {
	t.Helper()
	out, err := git(t.Context(), repo, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newRelease(version string, change func(*release)) (*release, *bytes.Buffer) {
	out := &bytes.Buffer{}
	r := &release{version: version, branch: "main", today: today, out: out}
	if change != nil {
		change(r)
	}
	return r, out
}

func TestARelease(t *testing.T) {
	repo := checkout(t)
	before := must(t, repo, "rev-parse", "HEAD")
	r, out := newRelease("1.2.3", nil)
	if err := r.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := must(t, repo, "log", "-1", "--format=%s %P"); got != "Release 1.2.3 "+before {
		t.Errorf("the last commit is %q", got)
	}
	if got := must(t, repo, "for-each-ref", "--format=%(objecttype) %(contents:subject) %(*objectname)", "refs/tags/v1.2.3"); got != "tag - More. "+must(t, repo, "rev-parse", "HEAD") {
		t.Errorf("the tag is %q", got)
	}
	if got := must(t, repo, "show", "HEAD:CHANGELOG.md"); !strings.Contains(got, "## Unreleased\n\n## 1.2.3 - 2026-05-01\n\n- More.") {
		t.Errorf("the changelog:\n%s", got)
	}
	if got := must(t, repo, "show", "HEAD:statements.json"); got != "planned" {
		t.Errorf("statements: %q", got)
	}
	if got := must(t, repo, "status", "--porcelain"); got != "" {
		t.Errorf("changed: %s", got)
	}
	if got := must(t, repo, "worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 1 {
		t.Errorf("worktrees are left:\n%s", got)
	}
	listed, err := os.ReadFile(filepath.Join(repo, "dist", "1.2.3", "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := sums(filepath.Join(repo, "dist", "1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	delete(made, "SHA256SUMS")
	if string(listed) != made.String() || len(made) != 4 {
		t.Errorf("SHA256SUMS:\n%s\nwant:\n%s", listed, made)
	}
	built, err := os.ReadFile(filepath.Join(repo, "dist", "1.2.3", "box-1.2.3.tar.gz"))
	if err != nil || strings.TrimSpace(string(built)) != must(t, repo, "rev-parse", "v1.2.3^{commit}") {
		t.Errorf("built from %s (%v), which is not what is tagged", built, err)
	}
	for _, said := range []string{"checked check", "checked schema-before", "Nothing is published", "git push --atomic origin main v1.2.3", "docker://REGISTRY/boxoffice:1.2.3"} {
		if !strings.Contains(out.String(), said) {
			t.Errorf("it does not say %q:\n%s", said, out)
		}
	}
	again, _ := newRelease("1.2.3", nil)
	if err := again.run(t.Context()); err == nil || !strings.Contains(err.Error(), "tagged already") {
		t.Errorf("a second time: %v", err)
	}
}

// What fails leaves the checkout and its history as they were.
func TestNoRelease(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(t *testing.T, repo string)
		change func(*release)
		want   string // part of the error; empty: none
	}{
		{"a dry run", nil, func(r *release) { r.dryRun = true }, ""},
		{"another branch", func(t *testing.T, repo string) { t.Helper(); must(t, repo, "switch", "--quiet", "--create", "feature") }, nil, `branch "feature"`},
		{"a change that is not committed", func(t *testing.T, repo string) { t.Helper(); write(t, repo, "statements.json", "mine\n") }, nil, "statements.json"},
		{"a file that is not committed", func(t *testing.T, repo string) { t.Helper(); write(t, repo, "new.txt", "mine\n") }, nil, "new.txt"},
		{"an old version", nil, func(r *release) { r.version = "1.2.1" }, "not newer"},
		{"checks fail", func(t *testing.T, _ string) { t.Helper(); t.Setenv("CHECK", "false") }, nil, "make check"},
		{"the build fails", func(t *testing.T, _ string) { t.Helper(); t.Setenv("DIST", "false") }, nil, "make dist"},
		{"the second build has other bytes", func(t *testing.T, _ string) { t.Helper(); t.Setenv("DIST", "pwd >$(OUT)/programs") }, nil, "other bytes: programs"},
		{"somebody commits meanwhile", func(t *testing.T, repo string) {
			t.Helper()
			t.Setenv("DIST", "git -C '"+repo+"' -c user.name=Bob -c user.email=b@example.com commit --quiet --allow-empty --message Meanwhile")
		}, func(r *release) { r.once = true }, "moved meanwhile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			repo := checkout(t)
			if tt.do != nil {
				tt.do(t, repo)
			}
			status := must(t, repo, "status", "--porcelain")
			r, out := newRelease("1.2.3", tt.change)
			err := r.run(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("%v, want %q\n%s", err, tt.want, out)
			}
			if tags := strings.Fields(must(t, repo, "tag")); !slices.Equal(tags, []string{"v1.2.2"}) {
				t.Errorf("tags %q", tags)
			}
			if log := must(t, repo, "log", "--format=%s", "main"); strings.Contains(log, "Release") {
				t.Errorf("the branch has it:\n%s", log)
			}
			if got := must(t, repo, "status", "--porcelain"); got != status {
				t.Errorf("changed: %q, before %q", got, status)
			}
			if got := must(t, repo, "worktree", "list", "--porcelain"); strings.Count(got, "worktree ") != 1 {
				t.Errorf("worktrees are left:\n%s", got)
			}
		})
	}
}
