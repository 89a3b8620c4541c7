package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A release is one run of the command.
type release struct {
	version   string // without v
	branch    string
	dryRun    bool
	unchecked bool
	once      bool
	out       io.Writer
	today     time.Time

	repo   string // the checkout's root
	dist   string // what is built, in the end
	work   string // a temporary directory
	tree   string // the worktree in which the release is made
	commit string // the release's
}

func (r *release) run(ctx context.Context) (err error) {
	if r.repo, err = git(ctx, ".", "rev-parse", "--show-toplevel"); err != nil {
		return err
	}
	r.dist = filepath.Join(r.repo, "dist", r.version)
	if err := r.mayRelease(ctx); err != nil {
		return err
	}
	if err := r.openWorktree(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.closeWorktrees(context.WithoutCancel(ctx))) }()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"make check, make schema-before", r.check},
		{"the statements that the next release's schema must still plan; the changelog", r.writeCommit},
		{"building into " + r.dist, r.build},
		{"building again, at another path", r.compareBuilds},
		{"notes and checksums", r.writeSums},
	} {
		fmt.Fprintf(r.out, "\n== %s\n", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s is where it was, and there is no tag: mend it and type the command again", step.what, err, r.branch)
		}
	}
	if r.dryRun {
		return r.tellDryRun()
	}
	if err := r.tag(ctx); err != nil {
		return err
	}
	return r.tellNext()
}

// mayRelease looks before anything is done.
func (r *release) mayRelease(ctx context.Context) error {
	branch, err := git(ctx, r.repo, "branch", "--show-current")
	if err != nil {
		return err
	}
	if branch != r.branch {
		return fmt.Errorf("this is branch %q, and %q is released: git switch %s, or --branch", branch, r.branch, r.branch)
	}
	changed, err := git(ctx, r.repo, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("the checkout has changes that are not committed; commit or remove them:\n%s", changed)
	}
	tags, err := git(ctx, r.repo, "tag", "--list", "v*")
	if err != nil {
		return err
	}
	if err := checkVersion(r.version, strings.Fields(tags)); err != nil {
		return err
	}
	_, err = r.changelog(r.repo)
	return err
}

func (r *release) changelog(tree string) (cut changelog, err error) {
	text, err := os.ReadFile(filepath.Join(tree, "CHANGELOG.md"))
	if err != nil {
		return cut, err
	}
	return cutChangelog(string(text), r.version, r.today)
}

func (r *release) openWorktree(ctx context.Context) (err error) {
	if r.work, err = os.MkdirTemp("", "release-"); err != nil {
		return err
	}
	r.tree = filepath.Join(r.work, "tree")
	_, err = git(ctx, r.repo, "worktree", "add", "--quiet", "--detach", r.tree, "HEAD")
	return err
}

func (r *release) closeWorktrees(ctx context.Context) error {
	err := os.RemoveAll(r.work)
	_, pruneErr := git(ctx, r.repo, "worktree", "prune")
	return errors.Join(err, pruneErr)
}

func (r *release) check(ctx context.Context) error {
	if r.unchecked {
		fmt.Fprintln(r.out, "left out, as you say")
		return nil
	}
	return r.make(ctx, r.repo, "check", "schema-before")
}

// writeCommit makes the release's commit, which is on no branch yet.
func (r *release) writeCommit(ctx context.Context) error {
	if err := r.make(ctx, r.tree, "statements"); err != nil {
		return err
	}
	cut, err := r.changelog(r.tree)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.tree, "CHANGELOG.md"), []byte(cut.text), 0o644); err != nil {
		return err
	}
	if _, err := git(ctx, r.tree, "commit", "--quiet", "--all", "--message", "Release "+r.version); err != nil {
		return err
	}
	r.commit, err = git(ctx, r.tree, "rev-parse", "HEAD")
	return err
}

func (r *release) build(ctx context.Context) error {
	return r.make(ctx, r.tree, "dist", "VERSION="+r.version, "OUT="+r.dist)
}

// compareBuilds builds the commit once more where paths are others.
func (r *release) compareBuilds(ctx context.Context) error {
	if r.once {
		fmt.Fprintln(r.out, "left out, as you say")
		return nil
	}
	other, again := filepath.Join(r.work, "another", "tree"), filepath.Join(r.work, "again")
	if _, err := git(ctx, r.repo, "worktree", "add", "--quiet", "--detach", other, r.commit); err != nil {
		return err
	}
	if err := r.make(ctx, other, "dist", "VERSION="+r.version, "OUT="+again); err != nil {
		return err
	}
	first, err := sums(r.dist)
	if err != nil {
		return err
	}
	second, err := sums(again)
	if err != nil {
		return err
	}
	if differ := differences(first, second); len(differ) > 0 {
		return fmt.Errorf("the same commit gave other bytes: %s", strings.Join(differ, ", "))
	}
	fmt.Fprintf(r.out, "%d files, all the same bytes\n", len(first))
	return nil
}

func (r *release) writeSums(context.Context) error {
	cut, err := r.changelog(r.repo)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.dist, "RELEASE_NOTES.md"), []byte(cut.notes), 0o644); err != nil {
		return err
	}
	all, err := sums(r.dist)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), []byte(all.String()), 0o644)
}

// tag moves the branch to the release's commit and tags it. Where git is set up to sign tags, it is signed.
func (r *release) tag(ctx context.Context) error {
	// First the one that can fail: somebody may have committed meanwhile.
	if _, err := git(ctx, r.repo, "merge", "--quiet", "--ff-only", r.commit); err != nil {
		return fmt.Errorf("%s has moved meanwhile, so this release is not its next commit; type the command again: %w", r.branch, err)
	}
	notes := filepath.Join(r.dist, "RELEASE_NOTES.md")
	if _, err := git(ctx, r.repo, "tag", "--annotate", "--cleanup=verbatim", "--file", notes, r.tagName(), r.commit); err != nil {
		return fmt.Errorf("%w\n%s is at the release's commit already: tag it by hand, or take it back by git reset --keep HEAD^", err, r.branch)
	}
	return nil
}

func (r *release) tagName() string { return "v" + r.version }

// listDist prints what was made, and returns its images.
func (r *release) listDist() (images []string, err error) {
	files, err := os.ReadDir(r.dist)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(r.out, "\n%s:\n", r.dist)
	for _, file := range files {
		fmt.Fprintf(r.out, "  %s\n", file.Name())
		if image, isImage := strings.CutSuffix(file.Name(), "-"+r.version+".oci.tar"); isImage {
			images = append(images, image)
		}
	}
	return images, nil
}

func (r *release) tellDryRun() error {
	_, err := r.listDist()
	fmt.Fprintf(r.out, "\nA dry run: %s is where it was, and there is no tag. The same without --dry-run makes them.\n", r.branch)
	return err
}

// tellNext says what publishes the release. Nothing here does.
func (r *release) tellNext() error {
	images, err := r.listDist()
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "\n%s is tagged, here only. Nothing is published. To publish it:\n\n", r.tagName())
	fmt.Fprintf(r.out, "  git push --atomic origin %s %s\n", r.branch, r.tagName())
	for _, image := range images {
		fmt.Fprintf(r.out, "  skopeo copy oci-archive:dist/%s/%s-%s.oci.tar docker://REGISTRY/%s:%s\n", r.version, image, r.version, image, r.version)
	}
	fmt.Fprintf(r.out, "  and put the files of dist/%s where people download them, with RELEASE_NOTES.md as the text\n", r.version)
	fmt.Fprintf(r.out, "\nTo take it back before that: git tag -d %s && git reset --keep HEAD^\n", r.tagName())
	return nil
}

func (r *release) make(ctx context.Context, directory string, targets ...string) error {
	cmd := exec.CommandContext(ctx, "make", append([]string{"--no-print-directory"}, targets...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = directory, r.out, r.out
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make %s: %w", strings.Join(targets, " "), err)
	}
	return nil
}

func git(ctx context.Context, directory string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = directory
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}
