package kafka

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestJavaRelease(t *testing.T) {
	for text, want := range map[string]int{
		"Property settings:\n    java.specification.name = x\n    java.specification.version = 17\n": 17,
		"    java.specification.version = 1.8\n":                                                     8,
		"java: command not found":                                                                    0,
	} {
		if got := javaRelease(text); got != want {
			t.Errorf("javaRelease(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestAJavaThatIsMissingSaysHowToGetOne(t *testing.T) {
	old := filepath.Join(t.TempDir(), "bin", "java")
	if err := os.Mkdir(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho '    java.specification.version = 11' >&2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for home, want := range map[string]string{
		"":                                    "no java on PATH",
		"/nowhere":                            "does not run",
		filepath.Dir(filepath.Dir(old)):       "is Java 11",
		filepath.Dir(filepath.Dir(old)) + "/": "is Java 11",
	} {
		t.Setenv("PATH", "")
		t.Setenv("JAVA_HOME", home)
		_, err := FindJava(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), getJava) || !IsMissing(err) {
			t.Errorf("JAVA_HOME=%q: %v, want it to say %q and what to do", home, err, want)
		}
	}
}

func TestEveryArtifactIsPinned(t *testing.T) {
	line, names := regexp.MustCompile(`^[0-9a-f]{64}$`), map[string]bool{}
	for _, a := range artifacts() {
		if !line.MatchString(a.sum) || !strings.HasSuffix(a.path, ".jar") || names[a.name()] {
			t.Errorf("%q %q: want a SHA-256, and a file name of its own", a.sum, a.path)
		}
		names[a.name()] = true
	}
	for _, want := range []string{"kafka_2.13-" + Release + ".jar", "kafka-tools-" + Release + ".jar"} {
		if !names[want] {
			t.Errorf("%s is not among them", want)
		}
	}
}

// A file that differs from its pin is not kept, nor are the files that were fetched before it.
func TestOnlyPinnedFilesAreKept(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	good := []byte("a jar")
	before := pinned
	t.Cleanup(func() { pinned = before })
	// Another list has another folder.
	pinned = fmt.Sprintf("%x org/example/a.jar\n%x org/example/b-%s.jar\n", sha256.Sum256(good), sha256.Sum256(good), t.Name())
	bad := true
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content := good
		if bad && strings.HasPrefix(filepath.Base(r.URL.Path), "b-") {
			content = []byte("another jar")
		}
		w.Write(content)
	}))
	defer repository.Close()
	jars, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(jars) })
	if _, err := download(t.Context(), repository.URL); err == nil || !strings.Contains(err.Error(), "is not the file that this program knows") {
		t.Fatalf("a changed file: %v", err)
	}
	if _, found := downloaded(); found {
		t.Fatal("a folder without all files counts as downloaded")
	}
	if _, err := os.Stat(jars + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fetched files stay: %v", err)
	}
	bad = false
	got, err := download(t.Context(), repository.URL+"/")
	if err != nil || got != jars {
		t.Fatalf("download = %q, %v", got, err)
	}
	repository.Close()
	if _, err := download(t.Context(), repository.URL); err != nil {
		t.Errorf("existing files are downloaded again: %v", err)
	}
}
