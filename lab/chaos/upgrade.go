package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"boxoffice/worker"
)

// An upgrade goes from a release to this tree and back under load, with checkouts open at each step, and ends in the proof of
// every fault run: what buyers were told is so. `chaos rolling` only restarts nodes, one after the other.
//
// On TigerBeetle two releases run beside each other, as docs/upgrade.md says. The embedded ledger has one node, which is
// replaced in place.
type upgrade struct {
	*world
	load  *load
	nodes []string // those that buyers reach, by name
	// The releases: older is unversioned; first and second are this tree under two build ids.
	older, plain, first, second release
	// aside are workers of a release that is not current any more, or not yet, by build id.
	aside map[string]*node
}

// A release is a program, and the version under which it polls; none without a build id.
type release struct {
	name    string
	program string
	build   string
}

const (
	upgradePaid     = 6 // orders that are paid between two steps
	rollingPaid     = 4 // between two restarts
	rollingRounds   = 3 // of all nodes
	rollingNodes    = 3
	drainedWithin   = 3 * time.Minute
	upgradeSeats    = 5_000
	versioningFile  = "worker/versions.go" // of the first commit with it: FROM without a tag is the one before
	deploymentName  = "boxoffice"
	deploymentVar   = "TEMPORAL_DEPLOYMENT_NAME"
	buildVar        = "TEMPORAL_WORKER_BUILD_ID"
	upgradeProgress = 3 * time.Minute
)

// runUpgrade is `chaos upgrade`.
func runUpgrade(ctx context.Context, c config) error {
	log := newJournal(c)
	ref, why, err := chooseFrom(ctx, c.repo, c.from)
	if err != nil {
		return err
	}
	log.printf("upgrade: seed %d, ledger %s; from %s (%s) to this tree and back; everything of it is in %s\nbuilding both", c.seed, c.ledger, ref, why, c.dir)
	source := filepath.Join(c.dir, "older")
	if out, err := git(ctx, c.repo, "worktree", "add", "--detach", source, ref); err != nil {
		return fmt.Errorf("git worktree add: %w\n%s", err, out)
	}
	defer func() { _, _ = git(context.WithoutCancel(ctx), c.repo, "worktree", "remove", "--force", source) }()
	older := c
	older.repo = source
	olderBin := filepath.Join(c.dir, "releases", "older")
	if err := buildPrograms(ctx, older, olderBin, "", map[string][]string{".": {"./cmd/boxoffice"}}); err != nil {
		return fmt.Errorf("build %s: %w", ref, err)
	}
	nodes := 1
	if c.ledger == ledgerTigerBeetle {
		nodes = 2
	}
	u, err := newUpgrade(ctx, c, log, nodes, filepath.Join(olderBin, "boxoffice"))
	if err == nil {
		err = u.run(ctx, u.steps())
	}
	return u.conclude(err, fmt.Sprintf("make upgrade FROM=%s LEDGER=%s SEED=%d", ref, c.ledger, c.seed))
}

// runRolling is `chaos rolling`.
func runRolling(ctx context.Context, c config) error {
	log := newJournal(c)
	nodes := 1
	if c.ledger == ledgerTigerBeetle {
		nodes = rollingNodes
	}
	log.printf("rolling: seed %d, ledger %s, %d nodes, each restarted %d times; everything of it is in %s\nbuilding", c.seed, c.ledger, nodes, rollingRounds, c.dir)
	u, err := newUpgrade(ctx, c, log, nodes, "")
	if err == nil {
		err = u.run(ctx, []upgradeStep{{"the nodes restart one by one", (*upgrade).restartAll}})
	}
	return u.conclude(err, fmt.Sprintf("make rolling LEDGER=%s SEED=%d", c.ledger, c.seed))
}

// chooseFrom says which release to come from: what the user names; else the last tag; else the commit that the newest release
// in CHANGELOG.md names; else the last commit before workers had versions.
func chooseFrom(ctx context.Context, repo, wish string) (ref, why string, err error) {
	if wish != "" {
		out, err := git(ctx, repo, "rev-parse", "--verify", wish+"^{commit}")
		if err != nil {
			return "", "", fmt.Errorf("FROM=%s is no commit here: %w\n%s", wish, err, out)
		}
		return wish, "as you say", nil
	}
	// From the commit before: an upgrade from a release to itself, just after its tag, would prove nothing.
	if tag, err := git(ctx, repo, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^"); err == nil && tag != "" {
		return tag, "the last tag before this tree", nil
	}
	if text, err := os.ReadFile(filepath.Join(repo, "CHANGELOG.md")); err == nil {
		if commit := releasedFrom(string(text)); commit != "" {
			return commit, "the newest release in CHANGELOG.md", nil
		}
	}
	added, err := git(ctx, repo, "log", "--diff-filter=A", "--format=%H", "--", versioningFile)
	if commits := strings.Fields(added); err == nil && len(commits) > 0 {
		if before, err := git(ctx, repo, "rev-parse", "--verify", commits[len(commits)-1]+"^"); err == nil {
			return before, "the last commit before workers had versions", nil
		}
	}
	return "", "", errors.New("no tag, and the history does not reach back to before workers had versions (a shallow clone?): name a commit, FROM=…")
}

var releaseHeading = regexp.MustCompile(`(?m)^## \[?v?\d+\.\d+[^\n]*\b([0-9a-f]{7,40})\b`)

// releasedFrom is the commit in the first heading of a release; empty without one.
func releasedFrom(changelog string) string {
	if found := releaseHeading.FindStringSubmatch(changelog); found != nil {
		return found[1]
	}
	return ""
}

func git(ctx context.Context, repo string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = repo
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// newUpgrade starts a stack on which each node's program can be exchanged. The first release is the older one, or this tree.
func newUpgrade(ctx context.Context, c config, log *journal, nodes int, older string) (*upgrade, error) {
	c.nodesMax = 1 // the others are ours
	bin := filepath.Join(c.dir, "bin")
	programs := filepath.Join(c.dir, "releases", "this")
	w, err := emptyWorld(c, bin, log)
	if err != nil {
		return nil, err
	}
	u := &upgrade{world: w, aside: map[string]*node{}}
	if err := build(ctx, c, programs, ""); err != nil {
		return u, err
	}
	this := filepath.Join(programs, "boxoffice")
	u.plain = release{name: "this tree", program: this}
	u.first = release{name: "this tree as version first", program: this, build: "first"}
	u.second = release{name: "this tree as version second", program: this, build: "second"}
	u.older = u.plain
	if older != "" {
		u.older = release{name: "the older release", program: older}
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return u, err
	}
	for _, name := range []string{"mockpay", "replay"} {
		if err := os.Rename(filepath.Join(programs, name), filepath.Join(bin, name)); err != nil {
			return u, err
		}
	}
	if err := u.install(procBoxOffice, u.older); err != nil {
		return u, err
	}
	u.step("starting the stack on %s", u.older.name)
	if err := w.start(ctx); err != nil {
		return u, err
	}
	u.nodes = []string{procBoxOffice}
	for n := 2; n <= nodes; n++ {
		name := fmt.Sprintf("boxoffice-%d", n)
		if err := u.install(name, u.older); err != nil {
			return u, err
		}
		extra := w.newNodeOf(name, "all", u.path(name))
		if err := w.openFront(fmt.Sprintf("%s-%d", toBuyers, n), extra.url); err != nil {
			return u, err
		}
		w.nodes = append(w.nodes, extra)
		u.nodes = append(u.nodes, name)
		extra.run()
	}
	w.client = newCaller(w.fronts, w.env)
	return u, w.awaitAllBack(ctx)
}

// path is what a node starts: a script that starts a release, so that it can be exchanged between two starts.
func (u *upgrade) path(name string) string { return filepath.Join(u.bin, name) }

// install makes a node start a release from its next start on.
func (u *upgrade) install(name string, r release) error {
	version := "unset " + deploymentVar + " " + buildVar
	if r.build != "" {
		version = fmt.Sprintf("export %s='%s' %s='%s'", deploymentVar, deploymentName, buildVar, r.build)
	}
	fresh := u.path(name) + ".new"
	script := fmt.Sprintf("#!/bin/sh\n%s\nexec '%s' \"$@\"\n", version, r.program)
	if err := os.WriteFile(fresh, []byte(script), 0o755); err != nil { //nolint:gosec // a program
		return err
	}
	return os.Rename(fresh, u.path(name))
}

type upgradeStep struct {
	name string
	do   func(*upgrade, context.Context) error
}

// steps are an upgrade and the way back.
func (u *upgrade) steps() []upgradeStep {
	if u.ledger == ledgerTigerBeetle {
		return []upgradeStep{
			{"from a release without versions to this tree", (*upgrade).turnOn},
			{"from this tree to this tree with another build id", func(u *upgrade, ctx context.Context) error { return u.move(ctx, u.first, u.second) }},
			{"back to the first build id", func(u *upgrade, ctx context.Context) error { return u.move(ctx, u.second, u.first) }},
			{"back to the release without versions", (*upgrade).turnOff},
		}
	}
	return []upgradeStep{
		{"from a release without versions to this tree, in place", func(u *upgrade, ctx context.Context) error { return u.replace(ctx, u.plain) }},
		{"versions are turned on", func(u *upgrade, ctx context.Context) error { return u.replace(ctx, u.first) }},
		{"to another build id, in place: it takes over", func(u *upgrade, ctx context.Context) error { return u.replace(ctx, u.second) }},
		{"back to the release without versions, in place", func(u *upgrade, ctx context.Context) error { return u.replace(ctx, u.older) }},
	}
}

// run has buyers come, and the steps meanwhile, and proves at the end.
func (u *upgrade) run(ctx context.Context, steps []upgradeStep) error {
	l := newLoad(u.client, u.seed, u.rate)
	l.steadySales, l.steadySeats, l.plain = 2, upgradeSeats, true
	u.load = l
	arriving, leave := context.WithCancel(ctx)
	defer leave()
	patient, goHome := context.WithCancel(ctx)
	defer goHome()
	if err := l.run(arriving, patient); err != nil {
		return err
	}
	if err := u.awaitPaid(ctx, upgradePaid); err != nil {
		return err
	}
	for i, s := range steps {
		u.log.printf("\n%d. %s", i+1, s.name)
		if err := s.do(u, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := u.awaitPaid(ctx, upgradePaid); err != nil {
			return err
		}
		u.step("%s", u.client.counts)
	}
	leave()
	u.log.printf("\n%d buyers came; the last %d finish", l.came.Load(), l.underWay.Load())
	if err := await(ctx, buyersEnd, "the buyers finish", func() bool { return l.underWay.Load() == 0 }); err != nil {
		return err
	}
	goHome()
	l.wg.Wait()
	if lost := l.record.givenUp(); len(lost) > 0 {
		return fmt.Errorf("requests were lost, although clients repeated them:\n  %s", strings.Join(lost, "\n  "))
	}
	u.step("%s; nobody gave up", u.client.counts)
	if err := u.readers.behave(ctx); err != nil { // until here the receiver of webhooks fails now and then
		return err
	}
	r := newReport(u.world)
	r.loads = append(r.loads, l)
	if err := u.prove(ctx, r, l); err != nil {
		return err
	}
	if len(r.Broken) > 0 {
		return fmt.Errorf("%d promises are broken:\n  %s", len(r.Broken), strings.Join(r.Broken, "\n  "))
	}
	u.step("boxoffice verify: every invariant holds")
	return u.replay(ctx, r)
}

// conclude stops everything and says how it went.
func (u *upgrade) conclude(err error, again string) error {
	if u == nil {
		return err
	}
	for _, n := range u.aside {
		n.stop()
	}
	u.stop()
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s/log; again with: %s", err, u.data(), again)
	}
	u.log.printf("held, in %.0f s; again with: %s", time.Since(u.began).Seconds(), again)
	u.tidy()
	return os.RemoveAll(filepath.Join(u.dir, "releases"))
}

// awaitPaid lets the sale go on until more orders are paid. At each step checkouts are open: buyers come all the time.
func (u *upgrade) awaitPaid(ctx context.Context, more int) error {
	want := u.load.record.counted("seen as paid") + more
	return await(ctx, upgradeProgress, "buyers pay", func() bool { return u.load.record.counted("seen as paid") >= want && u.load.underWay.Load() > 0 })
}

// restart exchanges a node's release, as `systemctl restart` does: SIGTERM, and it starts again.
func (u *upgrade) restart(ctx context.Context, name string, r release) error {
	if err := u.install(name, r); err != nil {
		return err
	}
	pid := u.pid(name)
	if pid == 0 {
		return fmt.Errorf("%s is not up", name)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	return u.awaitBack(ctx, name, pid)
}

// exchange restarts a node with a release, and tells of it.
func (u *upgrade) exchange(ctx context.Context, name string, r release) error {
	there := u.load.underWay.Load()
	if err := u.restart(ctx, name, r); err != nil {
		return err
	}
	u.step("%s runs %s; %d buyers were under way when it stopped", name, r.name, there)
	return nil
}

// roll restarts all nodes that buyers reach, one after the other.
func (u *upgrade) roll(ctx context.Context, r release) error {
	for _, name := range u.nodes {
		if err := u.exchange(ctx, name, r); err != nil {
			return err
		}
		if err := u.awaitPaid(ctx, 1); err != nil {
			return err
		}
	}
	return nil
}

// tool runs the command line of a release. Of a version, it is that version's.
func (u *upgrade) tool(ctx context.Context, r release, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, r.program, args...)
	version := map[string]string{}
	if r.build != "" {
		version[deploymentVar], version[buildVar] = deploymentName, r.build
	}
	cmd.Env = environ(u.env, version)
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("boxoffice %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	u.step("boxoffice %s: %s", strings.Join(args, " "), strings.ReplaceAll(text, "\n", "; "))
	return text, nil
}

// putAside starts a worker of a release beside the nodes.
func (u *upgrade) putAside(ctx context.Context, r release) error {
	name := "worker-" + r.build
	if err := u.install(name, r); err != nil {
		return err
	}
	n := u.newNodeOf(name, "worker", u.path(name))
	u.aside[r.build] = n
	n.run()
	if err := await(ctx, backWithin, name+" is ready", func() bool { return answersOK(ctx, n.url+"/readyz") }); err != nil {
		return err
	}
	u.step("a worker of %s runs beside", r.name)
	return nil
}

// mustBeOpenOn waits until checkouts are open on a version: without any, what becomes of them is not seen.
func (u *upgrade) mustBeOpenOn(ctx context.Context, r release) error {
	var open int64
	err := await(ctx, backWithin, "checkouts are open on version "+r.build, func() bool {
		status, err := u.versions(ctx)
		open = openOn(status, r.build)
		return err == nil && open > 0
	})
	if err != nil {
		return err
	}
	u.step("%d checkouts are open on version %s", open, r.build)
	return nil
}

// versions are what `boxoffice deployment show` says.
func (u *upgrade) versions(ctx context.Context) (status worker.DeploymentStatus, err error) {
	cmd := exec.CommandContext(ctx, u.first.program, "deployment", "show", "--json")
	cmd.Env = environ(u.env, map[string]string{deploymentVar: deploymentName, buildVar: u.first.build})
	out, err := cmd.Output()
	if err != nil {
		return status, err
	}
	return status, json.Unmarshal(out, &status)
}

func openOn(status worker.DeploymentStatus, build string) int64 {
	for _, v := range status.Versions {
		if v.BuildID == build {
			return v.Open
		}
	}
	return 0
}

// drop stops a version's worker once Temporal says that nothing is open on it.
func (u *upgrade) drop(ctx context.Context, r release) error {
	if _, err := u.tool(ctx, u.first, "deployment", "drained", r.build, "--wait", drainedWithin.String()); err != nil {
		return err
	}
	u.retire(r)
	u.step("the worker of %s has stopped", r.name)
	return nil
}

// retire stops a version's worker beside the nodes.
func (u *upgrade) retire(r release) {
	u.aside[r.build].stop()
	delete(u.aside, r.build)
}

// turnOn is the first upgrade to versions.
func (u *upgrade) turnOn(ctx context.Context) error {
	if _, err := u.tool(ctx, u.plain, "migrate"); err != nil {
		return err
	}
	if err := u.awaitPaid(ctx, 1); err != nil { // on the release before, with the new schema
		return err
	}
	if err := u.putAside(ctx, u.first); err != nil {
		return err
	}
	if err := u.awaitCurrent(ctx, u.first.build); err != nil {
		return err
	}
	u.step("version %s is current, by itself; nodes of both releases sell", u.first.build)
	if err := u.awaitPaid(ctx, upgradePaid); err != nil {
		return err
	}
	if err := u.roll(ctx, u.first); err != nil {
		return err
	}
	u.retire(u.first)
	return nil
}

// awaitCurrent waits until new checkouts go to a version.
func (u *upgrade) awaitCurrent(ctx context.Context, build string) error {
	return await(ctx, backWithin, "version "+build+" is current", func() bool {
		status, err := u.versions(ctx)
		return err == nil && status.Current == build
	})
}

// move goes from a version to another that runs beside it.
func (u *upgrade) move(ctx context.Context, from, to release) error {
	if err := u.putAside(ctx, from); err != nil { // it ends what was begun when its nodes have become others
		return err
	}
	if err := u.putAside(ctx, to); err != nil {
		return err
	}
	if err := u.mustBeOpenOn(ctx, from); err != nil {
		return err
	}
	if _, err := u.tool(ctx, to, "deployment", "set-current", "--wait", "1m"); err != nil {
		return err
	}
	if err := u.roll(ctx, to); err != nil {
		return err
	}
	if err := u.drop(ctx, from); err != nil {
		return err
	}
	u.retire(to) // the nodes are of it
	return nil
}

// turnOff goes back to a release without versions.
func (u *upgrade) turnOff(ctx context.Context) error {
	if err := u.putAside(ctx, u.first); err != nil {
		return err
	}
	if err := u.restart(ctx, u.nodes[0], u.older); err != nil { // somebody must be there who takes tasks without a version
		return err
	}
	u.step("%s runs %s", u.nodes[0], u.older.name)
	if err := u.mustBeOpenOn(ctx, u.first); err != nil {
		return err
	}
	if _, err := u.tool(ctx, u.first, "deployment", "set-current", "--unversioned"); err != nil {
		return err
	}
	if err := u.roll(ctx, u.older); err != nil {
		return err
	}
	return u.drop(ctx, u.first)
}

// replace goes to another release with the one node that there is.
func (u *upgrade) replace(ctx context.Context, to release) error {
	if to == u.plain {
		if _, err := u.tool(ctx, u.plain, "migrate"); err != nil {
			return err
		}
	}
	if err := u.exchange(ctx, u.nodes[0], to); err != nil {
		return err
	}
	// Until the next command tasks go to a version that nobody runs.
	switch to {
	case u.first:
		return u.awaitCurrent(ctx, u.first.build)
	case u.second:
		_, err := u.tool(ctx, u.second, "deployment", "set-current", "--wait", "1m", "--take-over-others")
		return err
	case u.older:
		_, err := u.tool(ctx, u.first, "deployment", "set-current", "--unversioned", "--wait", "1m", "--take-over-others")
		return err
	}
	return nil
}

// restartAll restarts every node in turn, some times.
func (u *upgrade) restartAll(ctx context.Context) error {
	for range rollingRounds {
		for _, name := range u.nodes {
			before := u.client.counts.snapshot()
			began := time.Now()
			if err := u.restart(ctx, name, u.plain); err != nil {
				return err
			}
			ready := time.Since(began)
			if err := u.awaitPaid(ctx, rollingPaid); err != nil {
				return err
			}
			u.step("%s was away for %s: %s", name, rounded(ready), u.client.counts.snapshot().since(before))
		}
	}
	return nil
}
