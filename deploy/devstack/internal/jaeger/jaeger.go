// Package jaeger finds a Jaeger on this machine or builds one, says how to run it as one
// process for the local stack, and shows what it has of an order.
package jaeger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"boxoffice/deploy/devstack/internal/cache"
	"boxoffice/deploy/devstack/internal/toolchain"
)

// Release is what is built where no Jaeger is installed.
const Release = "1.76.0"

const (
	module  = "github.com/jaegertracing/jaeger"
	program = "jaeger-all-in-one" // as its releases name it
	// tracesMax bounds what it keeps in memory.
	tracesMax = 20_000
)

// An Install is a program that this machine has.
type Install struct {
	Path string
	// HasPages is false for what is built from the module, which comes without Jaeger's pages.
	HasPages bool
}

// Get finds jaeger-all-in-one on PATH, or the one that was built before, or builds it.
func Get(ctx context.Context) (Install, error) {
	if path, err := exec.LookPath(program); err == nil {
		return Install{Path: path, HasPages: true}, nil
	}
	path, err := build(ctx)
	if err != nil {
		return Install{}, fmt.Errorf("no Jaeger can run here: there is no %s on PATH (a release of Jaeger 1 has it), "+
			"and Jaeger %s cannot be built from its module: %w; run without TRACES=1, or set OTEL_EXPORTER_OTLP_ENDPOINT to a collector of yours",
			program, Release, err)
	}
	return Install{Path: path}, nil
}

func build(ctx context.Context) (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "jaeger-"+Release)
	if isThere(path) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := cache.LockFile(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isThere(path) { // the process that we waited for built it
		return path, nil
	}
	source, err := toolchain.Source(ctx, module, "v"+Release)
	if err != nil {
		return "", err
	}
	fresh := path + ".new"
	err = toolchain.Build(ctx, toolchain.Target{Module: source, Pkg: "./cmd/all-in-one", Out: fresh})
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	return path, os.Rename(fresh, path)
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Args let it listen at two addresses: for people and tools, and for spans over HTTP. What else
// it would listen at gets free ports of loopback.
func Args(query, otlp string) []string {
	const free = "127.0.0.1:0"
	return []string{
		"--query.http-server.host-port=" + query, "--collector.otlp.http.host-port=" + otlp,
		"--query.grpc-server.host-port=" + free, "--collector.otlp.grpc.host-port=" + free,
		"--collector.grpc-server.host-port=" + free, "--collector.http-server.host-port=" + free, "--admin.http.host-port=" + free,
		fmt.Sprintf("--memory.max-traces=%d", tracesMax), "--log-level=warn",
	}
}
