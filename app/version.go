package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"boxoffice/orders"
	"boxoffice/payments/stripe"
)

// builtFrom is the commit. The linker sets it if the build has no version control: see
// the Makefile.
var builtFrom string

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
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	built := cmp.Or(builtFrom, settings["vcs.revision"], "unknown: built without version control")
	if settings["vcs.modified"] == "true" {
		built += ", with changes"
	}
	fmt.Fprintf(w, "boxoffice %s\n", cmp.Or(strings.TrimPrefix(info.Main.Version, "(devel)"), "devel"))
	fmt.Fprintf(w, "  commit       %s\n", built)
	fmt.Fprintf(w, "  built with   %s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "  TigerBeetle  release %s, exactly\n", release(info, "github.com/tigerbeetle/tigerbeetle-go"))
	fmt.Fprintf(w, "  Temporal     tried with server %s (SDK %s)\n", temporalTried, release(info, "go.temporal.io/sdk"))
	fmt.Fprintf(w, "  Postgres     %s or later; schema version %d\n", postgresMin, orders.SchemaVersion())
	fmt.Fprintf(w, "  Stripe       API version %s\n", stripe.APIVersion)
	fmt.Fprintf(w, "  HTTP         /v1, OpenAPI 3.1 (boxoffice openapi)\n")
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
