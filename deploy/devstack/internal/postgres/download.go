package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	embedded "github.com/fergusstrange/embedded-postgres"

	"boxoffice/deploy/devstack/internal/cache"
	"boxoffice/deploy/devstack/internal/ports"
)

// DownloadMajor is the major release of the downloaded binaries.
func DownloadMajor() int {
	major, _, _ := strings.Cut(string(downloadVersion), ".")
	n, _ := strconv.Atoi(major) // a constant
	return n
}

// Download returns the downloaded server, and fetches it first if this machine does not
// have it yet. self is this program; it runs again as the server's user with the argument
// "fetch-postgres": see Fetch.
func Download(ctx context.Context, id Identity, self string, run RunFunc) (Server, error) {
	pin, err := pinOf(platform())
	if err != nil {
		return Server{}, fmt.Errorf("%w\n  No Postgres is installed here: %s", err, InstallHint(0))
	}
	dir, err := cache.Dir()
	if err != nil {
		return Server{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Server{}, err
	}
	unlock, err := cache.Lock(dir)
	if err != nil {
		return Server{}, err
	}
	defer unlock()
	// Named by the pin, so that what was unpacked from another archive is not mistaken
	// for this one.
	final := filepath.Join(dir, fmt.Sprintf("postgres-%s-%.12s", downloadVersion, pin))
	if server, err := inspect(ctx, filepath.Join(final, "bin")); err == nil {
		return server, nil
	}
	if err := fetchInto(ctx, final, id, self, run); err != nil {
		return Server{}, fmt.Errorf("%w\n  No Postgres is installed here and none could be downloaded: %s", err, InstallHint(0))
	}
	return inspect(ctx, filepath.Join(final, "bin"))
}

func fetchInto(ctx context.Context, final string, id Identity, self string, run RunFunc) error {
	work := final + ".new"
	if err := errors.Join(os.RemoveAll(work), os.RemoveAll(final)); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := id.own(work); err != nil {
		return err
	}
	if err := run(ctx, "postgres-download", id, self, "fetch-postgres", work); err != nil {
		return err
	}
	binaries := filepath.Join(work, "binaries")
	if err := giveBack(binaries, id); err != nil {
		return err
	}
	return os.Rename(binaries, final)
}

// giveBack takes the files away from the unprivileged user: programs that run as that
// user must not be able to replace them.
func giveBack(tree string, id Identity) error {
	if id.Credential == nil {
		return nil
	}
	return filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, os.Getuid(), os.Getgid())
	})
}

// fetchTimeout limits the download itself.
const fetchTimeout = 10 * time.Minute

// Fetch downloads the binaries into work/binaries and proves that they run on this
// machine: they create and serve a database once. It must not run as root.
func Fetch(work string) error {
	pin, err := pinOf(platform())
	if err != nil {
		return err
	}
	return fetch(os.Getenv(RepositoryVariable), pin, work)
}

// fetch has the library do it. The library always uses the default client, so that client
// gets a transport that lets only the pinned archive through. This process does nothing
// else.
func fetch(repository, pin, work string) error {
	port, err := ports.Free(nil)
	if err != nil {
		return err
	}
	config := embedded.DefaultConfig().
		Version(downloadVersion).
		Port(uint32(port)).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(filepath.Join(work, "binaries")).
		DataPath(filepath.Join(work, "data")).
		Locale("C").
		StartParameters(map[string]string{"listen_addresses": "localhost", "unix_socket_directories": ""})
	if repository != "" {
		config = config.BinaryRepositoryURL(strings.TrimSuffix(repository, "/"))
	}
	pinned := &pinnedTransport{pin: pin}
	http.DefaultClient.Transport, http.DefaultClient.Timeout = pinned, fetchTimeout
	server := embedded.NewDatabase(config)
	if err := server.Start(); err != nil {
		return errors.Join(pinned.refused, err)
	}
	return server.Stop()
}
