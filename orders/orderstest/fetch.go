package orderstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchVersion is the oldest release that we support: what works on it works on
// the newer ones that people have.
const fetchVersion = embeddedpostgres.V15

// fetchInstallation downloads the programs unless they are there, and gives
// their folder. Test binaries that run at the same time wait for each other.
func fetchInstallation() (string, error) {
	dir, err := cacheFolder()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	release := filepath.Join(dir, string(fetchVersion))
	bin := filepath.Join(release, "bin")
	if complete(bin) {
		return bin, nil
	}
	return bin, extract(dir, release)
}

// cacheFolder is one that the server's user can read: as root that is another
// user, who cannot look into root's home.
func cacheFolder() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/boxoffice-test-postgres", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "boxoffice-test-postgres"), err
}

// extract lets the library download, check and unpack. The library only does
// that on the way to starting a server of its own, which root cannot: whether
// the programs are there at the end is what counts.
func extract(dir, release string) error {
	runtime, err := os.MkdirTemp("", "boxoffice-fetch-pg-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(runtime)
	port, err := freePort()
	if err != nil {
		return err
	}
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetchVersion).Port(port).Logger(io.Discard).
		CachePath(filepath.Join(dir, "archive")).BinariesPath(release).RuntimePath(runtime))
	started := server.Start()
	if started == nil {
		started = server.Stop()
	}
	if !complete(filepath.Join(release, "bin")) {
		return errors.Join(errors.New("the archive had no server"), started)
	}
	return nil
}

func freePort() (uint32, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return uint32(listener.Addr().(*net.TCPAddr).Port), nil
}
