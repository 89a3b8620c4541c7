package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/orders"
	"boxoffice/payments/stripe"
)

// builtFrom is the commit. The linker sets it if the build has no version control: see
// the Makefile.
var builtFrom string

// builtVersion is the release. The linker sets it in what make dist builds.
var builtVersion string

// The versions that we work with, for people to read.
const (
	postgresMin   = "13"
	temporalTried = "1.32.1" // that of the local stack
)

func printVersion(_ context.Context, args []string) error {
	if err := parse(newFlags("version"), args); err != nil {
		return err
	}
	writeVersion(os.Stdout)
	return nil
}

// writeVersion prints what this build is and what it works with.
func writeVersion(w io.Writer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	fmt.Fprintf(w, "boxoffice %s\n", versionOf(info))
	fmt.Fprintf(w, "  commit       %s\n", revisionOf(info))
	fmt.Fprintf(w, "  built with   %s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "  TigerBeetle  release %s, exactly\n", release(info, "github.com/tigerbeetle/tigerbeetle-go"))
	fmt.Fprintf(w, "  Temporal     tried with server %s (SDK %s)\n", temporalTried, release(info, "go.temporal.io/sdk"))
	fmt.Fprintf(w, "  Postgres     %s or later; schema version %d\n", postgresMin, orders.SchemaVersion())
	fmt.Fprintf(w, "  Stripe       API version %s\n", stripe.APIVersion)
	fmt.Fprintf(w, "  HTTP         /v1, OpenAPI 3.1 (boxoffice openapi)\n")
}

// buildInfo shows in /metrics what this build is.
func buildInfo() prometheus.Collector {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	shown := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "boxoffice_build_info", Help: "What this build is, as labels; always 1.",
		ConstLabels: prometheus.Labels{
			"version": versionOf(info), "revision": revisionOf(info), "goversion": runtime.Version(),
			"tigerbeetle": release(info, "github.com/tigerbeetle/tigerbeetle-go"), "temporal_sdk": release(info, "go.temporal.io/sdk"),
			"schema": strconv.Itoa(orders.SchemaVersion()),
		},
	})
	shown.Set(1)
	return shown
}

func versionOf(info *debug.BuildInfo) string {
	return cmp.Or(builtVersion, strings.TrimPrefix(info.Main.Version, "(devel)"), "devel")
}

// revisionOf is the commit.
func revisionOf(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	built := cmp.Or(builtFrom, settings["vcs.revision"], "unknown: built without version control")
	if settings["vcs.modified"] == "true" {
		built += ", with changes"
	}
	return built
}

// release is a module's version in this build.
func release(info *debug.BuildInfo, module string) string {
	for _, dep := range info.Deps {
		if dep.Path == module {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			return strings.TrimPrefix(dep.Version, "v")
		}
	}
	return "unknown"
}
