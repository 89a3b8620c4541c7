package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// versionMin is the first release in which the owner of a database may create the extension that Temporal's schema
// wants (btree_gin: "trusted" since Postgres 13).
const versionMin = 13

// Server is a set of Postgres binaries.
type Server struct {
	Bin     string // the folder with initdb and postgres
	Version string // "15.18"
	Major   int
}

// folders where packages put the binaries, in addition to PATH; %d.. patterns of
// filepath.Glob.
var folders = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // RHEL, Fedora with the packages of postgresql.org
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// Installed returns the servers on this machine that the stack can use, the one on PATH
// first, then the newest. It leaves out servers without the contributed extensions,
// because Temporal's schema needs one of them.
func Installed(ctx context.Context) []Server {
	var found []Server
	for _, bin := range candidateFolders() {
		server, err := inspect(ctx, bin)
		if err != nil || server.Major < versionMin || slices.ContainsFunc(found, sameFolder(server.Bin)) {
			continue
		}
		found = append(found, server)
	}
	return found
}

func candidateFolders() []string {
	var bins []string
	if path, err := exec.LookPath("initdb"); err == nil {
		bins = append(bins, filepath.Dir(path))
	}
	var others []string
	for _, pattern := range folders {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		others = append(others, matches...)
	}
	slices.SortFunc(others, func(a, b string) int { return trailingNumber(b) - trailingNumber(a) })
	return append(bins, others...)
}

func sameFolder(bin string) func(Server) bool {
	return func(s Server) bool { return s.Bin == bin }
}

var numberRE = regexp.MustCompile(`\d+`)

func trailingNumber(path string) int {
	numbers := numberRE.FindAllString(path, -1)
	if len(numbers) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(numbers[len(numbers)-1]) // digits only; too many count as 0
	return n
}

const inspectTimeout = 10 * time.Second

// inspect reads what is in a folder. Links are followed first: initdb looks for its own files beside itself.
func inspect(ctx context.Context, bin string) (Server, error) {
	initdb, err := filepath.EvalSymlinks(filepath.Join(bin, "initdb"))
	if err != nil {
		return Server{}, err
	}
	bin = filepath.Dir(initdb)
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return Server{}, fmt.Errorf("%s: postgres --version: %w", bin, err)
	}
	version, major, err := parseVersion(string(out))
	if err != nil {
		return Server{}, fmt.Errorf("%s: %w", bin, err)
	}
	if !hasExtension(bin, "btree_gin") {
		return Server{}, fmt.Errorf("%s: without the contributed extensions (package postgresql-contrib)", bin)
	}
	return Server{Bin: bin, Version: version, Major: major}, nil
}

var versionRE = regexp.MustCompile(`\b(\d+)(\.\d+|devel|beta\d+|rc\d+)`)

// parseVersion reads "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func parseVersion(text string) (version string, major int, err error) {
	match := versionRE.FindStringSubmatch(text)
	if match == nil {
		return "", 0, fmt.Errorf("no version in %q", strings.TrimSpace(text))
	}
	major, err = strconv.Atoi(match[1])
	return match[0], major, err
}

// CountsStatements is whether the server has what counts statements.
func (s Server) CountsStatements() bool { return hasExtension(s.Bin, "pg_stat_statements") }

// hasExtension looks where distributions put the share folder, relative to the binaries.
// If none of those folders exists, it assumes that the server has the extension.
func hasExtension(bin, name string) bool {
	root, major := filepath.Dir(bin), filepath.Base(filepath.Dir(bin))
	shares := []string{
		filepath.Join(root, "share"),
		filepath.Join(root, "share", "postgresql"),
		filepath.Join(root, "share", "pgsql"),
		filepath.Join("/usr/share/postgresql", major),
		filepath.Join(root, "share", filepath.Base(root)), // Homebrew
	}
	known := false
	for _, share := range shares {
		folder := filepath.Join(share, "extension")
		if _, err := os.Stat(folder); err != nil {
			continue
		}
		known = true
		if _, err := os.Stat(filepath.Join(folder, name+".control")); err == nil {
			return true
		}
	}
	return !known
}

// Choose picks the server for a data folder: any for a new one, the same major release
// for an existing one (dataMajor, 0 for none). It returns false if no installed server
// will do.
func Choose(installed []Server, dataMajor int) (Server, bool) {
	for _, server := range installed {
		if dataMajor == 0 || server.Major == dataMajor {
			return server, true
		}
	}
	return Server{}, false
}

// DataMajor returns the release that made the data in a home, 0 if there is none.
func DataMajor(home string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(home, "data", "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// InstallHint says how to get a server of that release; 0 for any.
func InstallHint(major int) string {
	release := "Postgres"
	if major != 0 {
		release = fmt.Sprintf("Postgres %d", major)
	}
	if runtime.GOOS == "darwin" {
		return fmt.Sprintf("install %s with its contributed extensions (Homebrew, Postgres.app), or set DATABASE_URL to a server of yours", release)
	}
	return fmt.Sprintf(
		"install %s with its contributed extensions (packages postgresql and postgresql-contrib), or set DATABASE_URL to a server of yours",
		release,
	)
}
