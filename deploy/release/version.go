package main

import (
	"fmt"
	"slices"

	"golang.org/x/mod/semver"
)

// checkVersion says why a version cannot be the next release's: it is not one of https://semver.org, or not the newest.
func checkVersion(version string, tags []string) error {
	tag := "v" + version
	if semver.Canonical(tag) != tag {
		return fmt.Errorf("%q is no version: MAJOR.MINOR.PATCH, such as 1.2.3 or 1.3.0-rc.1, without v and without +", version)
	}
	tags = slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return !semver.IsValid(t) })
	if len(tags) == 0 {
		return nil
	}
	newest := slices.MaxFunc(tags, semver.Compare)
	switch order := semver.Compare(tag, newest); {
	case order == 0:
		return fmt.Errorf("%s is tagged already: git show %s. If it was never published, git tag -d %s takes it back", newest, newest, newest)
	case order < 0:
		return fmt.Errorf("%s is not newer than %s", version, newest)
	}
	return nil
}
