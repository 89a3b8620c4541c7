package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"boxoffice/deploy/devstack/internal/datadir"
)

const superuser = "postgres"

// Managed is a server that the stack runs itself.
type Managed struct {
	Server   Server
	Identity Identity
	Port     int
	Stock    bool   // without the settings that we chose by measuring
	Counts   bool   // it counts every statement, for whoever has the orders database
	data     string // the server's own data folder
	secrets  secrets
}

// secrets are generated once for a data folder. The superuser's never leaves this program and its file.
type secrets struct {
	Superuser  string `json:"superuser"`
	Orders     string `json:"orders"`
	Temporal   string `json:"temporal"`
	Visibility string `json:"visibility"`
}

func newSecrets() secrets {
	return secrets{Superuser: rand.Text(), Orders: rand.Text(), Temporal: rand.Text(), Visibility: rand.Text()}
}

// Home returns the folder for the server's files: inside the data directory, or, if the
// server's user cannot reach that (a checkout in /root), with the system's other state.
// moved is true in the second case.
func Home(dir *datadir.Dir, id Identity) (home string, moved bool) {
	inside := dir.File("postgres")
	if id.reaches(inside) {
		return inside, false
	}
	return OutsideHome(dir.Path), true
}

// OutsideHome is where a data directory's server files are if they cannot be inside it.
func OutsideHome(dataDir string) string {
	sum := sha256.Sum256([]byte(dataDir))
	return filepath.Join("/var/lib/boxoffice", hex.EncodeToString(sum[:6]))
}

// Prepare makes everything ready for a start: it stops a server left over from a killed
// stack, and initialises a new data folder. run runs a program to its end as a user of
// the system.
func (m *Managed) Prepare(ctx context.Context, home, secretsPath string, run RunFunc) error {
	m.data = filepath.Join(home, "data")
	if err := m.loadSecrets(secretsPath); err != nil {
		return err
	}
	if err := m.stopLeftover(ctx); err != nil {
		return err
	}
	if major, err := DataMajor(home); err != nil || major != 0 {
		return err
	}
	return m.initialise(ctx, home, run)
}

// RunFunc runs a program to its end as the given identity and returns an error that shows its output.
type RunFunc func(ctx context.Context, name string, id Identity, path string, args ...string) error

func (m *Managed) loadSecrets(path string) error {
	raw, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(raw, &m.secrets); err != nil || m.secrets.Superuser == "" {
			return fmt.Errorf("%s is damaged; restore it, or start from nothing with make clean", path)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.secrets = newSecrets()
	raw, err = json.Marshal(m.secrets)
	if err != nil {
		return err
	}
	return datadir.WriteFile(path, raw, 0o600)
}

// initialise works in a folder that it renames at the end, so an interrupted start leaves
// nothing half-made behind.
func (m *Managed) initialise(ctx context.Context, home string, run RunFunc) error {
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return err
	}
	if err := m.Identity.own(home); err != nil {
		return err
	}
	fresh := filepath.Join(home, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	password := filepath.Join(home, "password")
	if err := m.writeFor(password, m.secrets.Superuser); err != nil {
		return err
	}
	defer os.Remove(password)
	err := run(ctx, "initdb", m.Identity, filepath.Join(m.Server.Bin, "initdb"),
		"--pgdata="+fresh,
		"--username="+superuser, "--pwfile="+password, "--auth=scram-sha-256",
		// The same sort order on every machine, whatever locales it has.
		"--encoding=UTF8", "--locale=C",
		"--data-checksums",
	)
	if err != nil {
		return err
	}
	return os.Rename(fresh, m.data)
}

func (m *Managed) writeFor(path, content string) error {
	if err := datadir.WriteFile(path, []byte(content), 0o600); err != nil || m.Identity.Credential == nil {
		return err
	}
	return os.Chown(path, int(m.Identity.Credential.Uid), int(m.Identity.Credential.Gid))
}

// Command returns the program that serves in the foreground, and its arguments.
func (m *Managed) Command() (path string, args []string) {
	args = []string{"-D", m.data, "-p", fmt.Sprint(m.Port)}
	chosen := slices.Concat(settings, tuning)
	if m.Stock {
		chosen = settings
	}
	if m.Counts {
		chosen = slices.Concat(chosen, counting)
	}
	for _, s := range chosen {
		args = append(args, "-c", s.name+"="+s.value)
	}
	return filepath.Join(m.Server.Bin, "postgres"), args
}

// Administration returns the connection of the superuser.
func (m *Managed) Administration() Database {
	return Database{
		Host: "127.0.0.1", Port: m.Port, Name: "postgres", User: superuser, Password: m.secrets.Superuser,
		Options: map[string][]string{"sslmode": {"disable"}}, // loopback
	}
}

// Databases returns the three databases, each with its own role.
func (m *Managed) Databases() Databases {
	database := func(name, password string) Database {
		d := m.Administration()
		d.Name, d.User, d.Password = name, name, password
		return d
	}
	return Databases{
		Orders:     database("boxoffice", m.secrets.Orders),
		Temporal:   database("temporal", m.secrets.Temporal),
		Visibility: database("temporal_visibility", m.secrets.Visibility),
		Version:    m.Server.Version,
	}
}

const leftoverTimeout = 15 * time.Second

// stopLeftover stops a server that a killed stack has left on this folder. Nobody else
// may use the folder, because we hold the data directory. It checks the process all the
// same, because its number may be another program's by now.
func (m *Managed) stopLeftover(ctx context.Context) error {
	pidFile := filepath.Join(m.data, "postmaster.pid")
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		return nil // none, or no data folder yet
	}
	var pid int
	if _, err := fmt.Sscan(strings.SplitN(string(raw), "\n", 2)[0], &pid); err != nil || pid <= 0 {
		return os.Remove(pidFile)
	}
	if !serves(pid, m.data) {
		return os.Remove(pidFile)
	}
	deadline := time.Now().Add(leftoverTimeout)
	for sig := syscall.SIGINT; ; sig = syscall.SIGQUIT { // fast, then immediate shutdown
		syscall.Kill(pid, sig)
		if waitGone(ctx, pid, m.data, leftoverTimeout/2) {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("a Postgres of an earlier run (process %d) still holds %s; stop it with: kill -QUIT %d", pid, m.data, pid)
		}
	}
}

func waitGone(ctx context.Context, pid int, data string, atMost time.Duration) bool {
	for end := time.Now().Add(atMost); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if !serves(pid, data) {
			return true
		}
	}
	return false
}
