package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"boxoffice/deploy/devstack/internal/cache"
)

// Release is Apache Kafka's.
const Release = "4.1.0"

// RepositoryVariable names a Maven repository to use instead of Maven Central. Anybody
// may run it: the pins decide.
const RepositoryVariable = "KAFKA_BINARIES_URL"

const mavenCentral = "https://repo1.maven.org/maven2"

// pinned are what org.apache.kafka:kafka_2.13 and its tools need at run time, and
// log4j-slf4j-impl, without which they log nothing: each file's SHA-256 and its path in a
// Maven repository. A hash from the server proves nothing about the server.
//
//go:embed artifacts.txt
var pinned string

const (
	artifactBytesMax = 32 << 20 // the largest has 8
	downloadsAtOnce  = 6
	artifactTimeout  = 5 * time.Minute
)

// An artifact is one file of the class path.
type artifact struct{ sum, path string }

func (a artifact) name() string { return path.Base(a.path) }

func artifacts() (all []artifact) {
	for line := range strings.Lines(pinned) {
		sum, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, artifact{sum, path})
	}
	return all
}

// folder is named by all pins, so that what another list asked for is not mistaken for this one.
func folder() (string, error) {
	dir, err := cache.Dir()
	sum := sha256.Sum256([]byte(pinned))
	return filepath.Join(dir, fmt.Sprintf("kafka-%s-%x", Release, sum[:6])), err
}

// downloaded returns the folder of the artifacts if this machine has them all.
func downloaded() (jars string, found bool) {
	jars, err := folder()
	if err != nil {
		return "", false
	}
	_, err = os.Stat(jars) // it is renamed to this when everything is in it
	return jars, err == nil
}

// download fetches the artifacts if this machine does not have them yet.
func download(ctx context.Context, repository string) (jars string, err error) {
	if jars, found := downloaded(); found {
		return jars, nil
	}
	if jars, err = folder(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(jars), 0o755); err != nil {
		return "", err
	}
	unlock, err := cache.Lock(filepath.Dir(jars))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, found := downloaded(); found { // the process that we waited for did it
		return jars, nil
	}
	work := jars + ".new"
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o755)); err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fetching, ctx := errgroup.WithContext(ctx)
	fetching.SetLimit(downloadsAtOnce)
	for _, a := range artifacts() {
		fetching.Go(func() error { return fetch(ctx, repository, work, a) })
	}
	if err := fetching.Wait(); err != nil {
		return "", err
	}
	return jars, os.Rename(work, jars)
}

func fetch(ctx context.Context, repository, work string, a artifact) error {
	ctx, cancel := context.WithTimeout(ctx, artifactTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(repository, "/")+"/"+a.path, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", RepositoryVariable, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", request.URL.Redacted(), response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, artifactBytesMax+1))
	if err != nil {
		return fmt.Errorf("%s: %w", request.URL.Redacted(), err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != a.sum {
		return fmt.Errorf("%s is not the file that this program knows: its SHA-256 is %x, want %s", request.URL.Redacted(), sum, a.sum)
	}
	return os.WriteFile(filepath.Join(work, a.name()), content, 0o644)
}
