// Command release makes a release, and stops before anybody else sees it: it checks the tree, cuts the changelog, builds
// everything twice and compares it, writes checksums, commits and tags. Then it prints what would publish it.
//
// Everything happens in worktrees of their own, and the branch moves last, by a fast-forward: whatever fails before that
// leaves the checkout and its history as they were, and the command can be typed again.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: release [flags] VERSION, such as 1.2.3 or 1.3.0-rc.1

Run it at the root of a clean checkout of the branch that is released. make release VERSION=1.2.3 does.
`

func main() {
	var r release
	flags := flag.NewFlagSet("release", flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage); flags.PrintDefaults() }
	flags.BoolVar(&r.dryRun, "dry-run", false, "build and check everything; neither commit to the branch nor tag")
	flags.BoolVar(&r.unchecked, "unchecked", false, "leave out make check and make schema-before, which take minutes")
	flags.BoolVar(&r.once, "once", false, "build once: do not find out whether a second build gives the same bytes")
	flags.StringVar(&r.branch, "branch", "main", "the branch that is released")
	_ = flags.Parse(os.Args[1:]) // it exits
	if flags.NArg() != 1 {
		flags.Usage()
		os.Exit(2)
	}
	r.version, r.out, r.today = flags.Arg(0), os.Stdout, time.Now()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := r.run(ctx); err != nil {
		stop()
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}
