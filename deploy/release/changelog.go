package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A changelog is CHANGELOG.md once a release is cut from it.
type changelog struct {
	text  string // the file: what was unreleased has the release's heading, above it an empty Unreleased
	notes string // what was unreleased
}

const unreleased = "\n## Unreleased\n"

// cutChangelog turns what is unreleased into a release, as https://keepachangelog.com has it. It fails where there is nothing
// to release.
func cutChangelog(text, version string, day time.Time) (changelog, error) {
	before, after, found := strings.Cut(text, unreleased)
	if !found {
		return changelog{}, errors.New("CHANGELOG.md has no heading ## Unreleased")
	}
	body, older := after, ""
	if at := strings.Index(after, "\n## "); at >= 0 {
		body, older = after[:at], after[at:]
	}
	notes := strings.TrimSpace(body)
	if notes == "" {
		return changelog{}, errors.New("CHANGELOG.md has nothing under ## Unreleased: what is released?")
	}
	heading := fmt.Sprintf("\n## %s - %s\n", version, day.UTC().Format(time.DateOnly))
	return changelog{text: before + unreleased + heading + "\n" + notes + "\n" + older, notes: notes + "\n"}, nil
}
